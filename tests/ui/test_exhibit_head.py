"""The head of an exhibit, and typed numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.ui.exhibits import CONTROLS, COUNT, PLACE
from tui_trainer.protocol.exhibit import Exhibit, at
from tui_trainer.text.lines import Lines
from tui_trainer.ui.widgets.exhibit_head import ExhibitView, head_lines, value_text
from tui_trainer.ui.widgets.number_line import number_for


def plain(lines: Lines) -> list[str]:
    return ["".join(cell.text for cell in line) for line in lines]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (ExhibitView(unavailable_reason="waiting for the engine …"), "waiting for the engine …"),
        (ExhibitView(trains="train it: about 9 s"), "▷ enter: train it: about 9 s"),
        (ExhibitView(is_running=True, waits=True), "training waits · esc stops"),
        (ExhibitView(is_running=True), "0 %  esc stops"),
        (
            ExhibitView(is_stopped=True, exhibit=Exhibit(blocks=(), progress=0.42)),
            "‖ stopped at 42 %; enter starts it again",
        ),
    ],
)
def test_the_head_shows_the_status_of_the_experiment(view: ExhibitView, expected: str) -> None:
    head = plain(head_lines(replace(view, controls=CONTROLS, chosen=1), 70))
    assert head[0].startswith("  place · early ›  ▸ count ‹ 2 ›")
    assert expected in head[1]


def test_controls_keep_their_width_and_wrap_if_they_must() -> None:
    ends = [
        plain(head_lines(ExhibitView(controls=(at(PLACE, place), at(COUNT, count))), 70))[0]
        for place, count in (("early", 1.0), ("late", 10.0))
    ]
    assert ends[0].index("count") == ends[1].index("count")
    assert len(plain(head_lines(ExhibitView(controls=CONTROLS), 30))) == 3


@pytest.mark.parametrize(
    ("value", "expected"), [(0.05, "0.05"), (20_000.0, "20,000"), (-1.0, "-1"), ("all", "all")]
)
def test_values_are_formatted_for_reading(value: str | float, expected: str) -> None:
    assert value_text(value) == expected


def test_a_typed_number_must_be_in_range() -> None:
    assert number_for(COUNT, " 2.5 ") == 2.5
    assert number_for(COUNT, "1e2") == 100
    check: Callable[[str], object] = lambda typed: number_for(COUNT, typed)  # noqa: E731
    for typed in ("", "two", "1,5"):
        with pytest.raises(ValueError, match="type for example 2"):
            check(typed)
    for typed in ("0.4", "1001", "nan", "inf", "-1"):
        with pytest.raises(ValueError, match=r"type a number from 0\.5 to 1,000"):
            check(typed)
