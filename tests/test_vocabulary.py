"""Nobody slips back into words that a PyTorch user has to translate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import vocabulary


def test_no_name_text_docstring_or_page_has_a_word_of_the_left_column() -> None:
    assert [str(place) for place in vocabulary.places()] == []


def test_each_exception_has_a_reason_and_is_needed() -> None:
    for entry in vocabulary.allowed(vocabulary.TABLE):
        assert entry.reason
        covered = any(entry.covers(place) for place in vocabulary.all_places(vocabulary.ROOT, ()))
        assert covered, f"no longer needed: {entry}"


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("def f(learning_rate): ...", "name", 1),
        ("class LookAtTest: ...", "name", 1),
        ("x = 1\ny = ('learned by '\n     'heart')", "string", 2),
        ("x = f'{1} images, {2} hits'", "string", 1),
        ('def f():\n    """Return it.\n\n    Drawn\n    anew."""', "docstring", 5),
        ("x = 1  # whoever\n\n# as far\n# as it goes", "comment", 1),
    ],
)
def test_a_word_is_found_wherever_it_stands(
    tmp_path: Path, source: str, kind: str, line: int
) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    first = next(vocabulary.places_in(path, path.name, vocabulary.words(vocabulary.TABLE)))
    assert (first.kind, first.line) == (kind, line)


@pytest.mark.parametrize(
    "source", ["logits = model(images)", "x = 'the rate of 3 % is by far'", "# a neighbor\n"]
)
def test_the_fields_own_words_pass(tmp_path: Path, source: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert not list(vocabulary.places_in(path, path.name, vocabulary.words(vocabulary.TABLE)))
