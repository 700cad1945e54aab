from __future__ import annotations

import random
import unicodedata

import pytest
from rich.cells import cell_len

from tests.names import CIFAR, HOSTILE
from tui_trainer.protocol.class_names import (
    MOST_CHARACTERS,
    WIDEST,
    class_name,
    class_names,
    class_number,
    clean_names,
    full_name,
    short_names,
)
from tui_trainer.text.fmt import clip, columns


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    assert class_name((), 7) == "7"
    assert class_name(("cat",), 1) == "1"
    assert class_name(("cat",), -1) == "-1"
    assert class_names(("cat",), 3) == ["cat", "1", "2"]
    assert full_name((), 7) is None
    assert class_name(CIFAR, 3) == full_name(CIFAR, 3) == "cat"


def test_numbers_in_order_are_no_names() -> None:
    assert clean_names(map(str, range(10))) == ()
    assert clean_names(["0", "1", "10", "2"]) == ("0", "1", "10", "2")


def test_names_of_a_dataset_are_clean_and_distinct() -> None:
    found = clean_names(["a\nb", "", "cat", "cat", "cat (2)", "x\u202egnp.exe", "\ud800lone"])

    assert found == (
        *("a b", "1"),
        *("cat (2) (2)", "cat (3)", "cat (2) (4)"),
        *("x gnp.exe", "lone"),
    )
    "".join(found).encode()


@pytest.mark.parametrize("names", [CIFAR, HOSTILE, tuple("x" * 199 + c for c in "abcdefghij")])
def test_shown_names_fit_on_a_line_and_differ(names: tuple[str, ...]) -> None:
    shown = class_names(names, len(names))

    assert len(set(shown)) == len(names)
    for label, name in enumerate(shown):
        assert name == class_name(names, label)
        assert 0 < columns(name) <= WIDEST
        assert columns(name) == cell_len(name)
        assert "\n" not in name
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
        assert not any("\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in name)


@pytest.mark.parametrize("width", [2, 3, 4, 6, 12, 40])
@pytest.mark.parametrize("names", [CIFAR, HOSTILE])
def test_short_names_differ(names: tuple[str, ...], width: int) -> None:
    short = short_names(names, len(names), width)

    assert len(set(short)) == len(names)
    assert all(columns(name) <= max(width, 2) for name in short)


def test_names_that_are_equal_at_their_beginning_keep_their_end() -> None:
    names = ("norwegian terrier short", "norwegian terrier long", "cat")

    assert short_names(names, 3, 14) == ("norweg…r short", "norweg…er long", "cat")
    assert short_names(("aaaaaaaaaa", "aaaaaaabaaaa", "b"), 3, 4) == ("0", "1", "2")


def test_a_class_is_found_by_its_name() -> None:
    assert class_number(CIFAR, "horse") == 7
    assert class_number(CIFAR, "Horse") == 7
    assert class_number(CIFAR, "hors") is None
    assert class_number(("a", "A"), "A") == 1
    assert class_number(("ab", "AB"), "aB") is None
    assert class_number((), "7") is None
    for label, name in enumerate(HOSTILE):
        assert class_number(HOSTILE, name) == label
        assert class_number(HOSTILE, class_name(HOSTILE, label)) == label


def test_random_names_are_distinct_in_any_script() -> None:
    rng = random.Random(4)
    letters = "aé猫אبกิ👍🏽\u200d️ \t\u202e\u0301-#$<|"
    for _ in range(200):
        names = ["".join(rng.choices(letters, k=rng.randrange(60))) for _ in range(8)]
        for known in (tuple(names), clean_names(names)):
            shown = class_names(known, 8)
            assert len(set(shown)) == 8
            assert all(0 < columns(name) <= WIDEST for name in shown)
        assert all(len(name) <= MOST_CHARACTERS + 8 for name in clean_names(names))


@pytest.mark.parametrize(
    "text",
    ["猫", "แมวตัว", "กั้ง", "❤️", "👨‍👩‍👧", "🏳️‍🌈", "नमस्ते", "بلی‌ها", "한국", "👍🏽", "🇩🇪", "✈", "✈️"],
)
def test_widths_are_those_of_the_window(text: str) -> None:
    assert columns(text) == cell_len(text)
    for width in range(columns(text)):
        assert columns(clip(text, width)) <= width
