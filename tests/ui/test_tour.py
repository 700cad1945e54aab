"""The guided tour in the window: its panel, its keys, and what advances it."""

from __future__ import annotations

import pytest

from tests.ui.fakes import until, wait_for_events, window
from tests.ui.found import MID_RUN
from tests.ui.test_snapshots import ERA, SnapCompare, snapshot
from tui_trainer.course.guided_tour import GuidedTour, steps
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.screens.learn_screen import LearnScreen
from tui_trainer.ui.widgets.tour_panel import KEYS, OVER, TourPanel, tour_lines

SIZES = [(80, 24), (120, 40)]


def strip(app: MnistTui) -> str:
    """Return the text of the tour panel; empty without one."""
    found = list(app.front.query(TourPanel))
    if not found:
        return ""
    return "\n".join("".join(cell.text for cell in line) for line in found[0]._lines)


@pytest.mark.parametrize("width", [60, 78, 118])
def test_a_step_takes_few_lines(width: int) -> None:
    for number, step in enumerate(steps(), 1):
        lines = [
            "".join(c.text for c in line)
            for line in tour_lines(step, (number, len(steps())), width, is_over=False)
        ]
        assert len(lines) <= {60: 6, 78: 4, 118: 4}[width]
        assert all(len(line) <= width for line in lines)
        assert lines[0].startswith(f"tour {number} of {len(steps())} {step.title}")
        assert width < 78 or lines[0].endswith(with_keys(KEYS))
        shown = " ".join(lines[1:])
        assert shown == with_keys(f"{step.do} {step.watch}")


def test_a_step_that_needs_a_run_names_the_key_to_start_one() -> None:
    live = next(step for step in steps() if step.live)
    assert tour_lines(live, (1, 8), 118, is_over=True)[-1][0].text == with_keys(OVER)
    free = next(step for step in steps() if not step.live)
    assert tour_lines(free, (5, 8), 118, is_over=True)[-1][0].text == free.watch


@pytest.mark.parametrize("size", [SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.slow)])
async def test_it_starts_moves_and_ends_by_keys_and_is_shown_on_the_lessons(
    size: tuple[int, int],
) -> None:
    app, _ = window(MID_RUN)
    async with app.run_test(size=size) as pilot:
        await wait_for_events(pilot, app, MID_RUN)
        assert strip(app) == ""
        await pilot.press("g")
        # The first epoch of this run is done, so that the first step is left behind at once.
        await until(pilot, lambda app: "tour 2 of 8 Break it" in strip(app), app)
        await pilot.press("K")
        await until(pilot, lambda app: "tour 1 of 8" in strip(app), app)
        await pilot.press("k", "k", "k", "k")
        await until(pilot, lambda app: "tour 5 of 8" in strip(app), app)
        await pilot.press("4")
        await until(pilot, lambda app: isinstance(app.front, LearnScreen), app)
        await until(pilot, lambda app: "tour 5 of 8" in strip(app), app)
        region = app.front.query_one(TourPanel).region
        assert region.bottom == size[1] - 1
        assert region.height == len(strip(app).splitlines())
        await pilot.press("2", "g")
        assert app.tour is not None
        await pilot.press("4", "g")
        await until(pilot, lambda app: strip(app) == "", app)
        assert app.tour is None


async def test_it_is_shown_from_the_start_if_requested_and_takes_no_keys() -> None:
    app, engine = window(MID_RUN)
    app.tour = GuidedTour()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MID_RUN)
        await until(pilot, lambda app: "tour 2 of 8" in strip(app), app)
        await pilot.press("space")
        await until(pilot, lambda app: bool(engine.received), app)
        assert type(engine.received[0]).__name__ in ("Pause", "Resume")


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
def test_it_is_above_the_footer(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, MID_RUN, "g", lambda app: "tour 2" in strip(app), size=size, config=ERA)
