"""Finding views by name."""

from __future__ import annotations

import pytest

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.inspection import GROUPS, NAMES, VIEWS, find_view


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_found_by_name_and_by_unique_prefix(name: str) -> None:
    assert find_view(name).name == name
    for length in range(1, len(name)):
        beginning = name[:length]
        if [other for other in NAMES if other.startswith(beginning)] == [name]:
            assert find_view(beginning).name == name


@pytest.mark.parametrize("name", ["", "aura", "Confusion", "confusion "])
def test_an_unknown_view_lists_the_known_ones(name: str) -> None:
    with pytest.raises(InputError) as message:
        find_view(name)
    assert str(message.value) == f"--view {name!r}: no such view; choose {', '.join(NAMES)}"


def test_an_ambiguous_view_lists_the_candidates() -> None:
    with pytest.raises(
        InputError, match=r"^--view 'c': several views start with this; choose "
    ) as message:
        find_view("c")
    named = str(message.value).partition("choose ")[2].split(", ")
    assert named == [name for name in NAMES if name.startswith("c")]


def test_a_long_name_is_shortened() -> None:
    with pytest.raises(InputError) as message:
        find_view("x" * 10_000)
    assert len(str(message.value)) < 300


def test_views_are_sorted_by_group() -> None:
    groups = [view.group for view in VIEWS]
    assert sorted(groups, key=GROUPS.index) == groups
    assert set(groups) == set(GROUPS)
    assert len(set(NAMES)) == len(NAMES)
    assert all(view.title and view.about for view in VIEWS)
