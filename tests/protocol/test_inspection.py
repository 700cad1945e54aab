"""The views by their names."""

from __future__ import annotations

import pytest

from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.inspection import GROUPS, NAMES, VIEWS, find_view


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_found_by_its_name_and_by_a_beginning_that_no_other_has(name: str) -> None:
    assert find_view(name).name == name
    for length in range(1, len(name)):
        beginning = name[:length]
        if [other for other in NAMES if other.startswith(beginning)] == [name]:
            assert find_view(beginning).name == name


@pytest.mark.parametrize("name", ["", "aura", "Confusion", "confusion "])
def test_what_is_none_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError) as told:
        find_view(name)
    assert str(told.value) == f"--view {name!r}: no such view; choose {', '.join(NAMES)}"


def test_what_is_more_than_one_is_told_with_these() -> None:
    with pytest.raises(
        InputError, match=r"^--view 'c': several views start with this; choose "
    ) as told:
        find_view("c")
    named = str(told.value).partition("choose ")[2].split(", ")
    assert named == [name for name in NAMES if name.startswith("c")]


def test_a_long_name_is_told_in_part() -> None:
    with pytest.raises(InputError) as told:
        find_view("x" * 10_000)
    assert len(str(told.value)) < 300


def test_the_views_of_a_group_stand_together_in_the_order_of_the_groups() -> None:
    groups = [view.group for view in VIEWS]
    assert sorted(groups, key=GROUPS.index) == groups
    assert set(groups) == set(GROUPS)
    assert len(set(NAMES)) == len(NAMES)
    assert all(view.title and view.about for view in VIEWS)
