"""The learning rate finder in the window, on a fake engine.

pytest tests/ui/test_find_lr_screen.py --snapshot-update
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.stats.test_lr_range import LRS, SETUP, fresh
from tests.ui.fakes import FakeEngine, until, wait_for_events, window
from tests.ui.found import MID_RUN
from tests.ui.test_snapshots import MEDIUM, SIZES, SnapCompare
from tui_trainer.lab.lr_finder_exhibit import Outcome, outcome, progress
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Ask, CancelQuestion, SetBaseLr
from tui_trainer.protocol.events import RunStarted
from tui_trainer.protocol.exhibit import Control, Exhibit, Words
from tui_trainer.protocol.lr_range import FROM, SEEDS, START, STEPS, TO
from tui_trainer.stats.lr_doubts import doubts
from tui_trainer.stats.lr_range import suggestion
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.find_lr_screen import FindLrScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel

CONTROLS: tuple[Control, ...] = (START, SEEDS, STEPS, FROM, TO)
ABOUT = Words(text="Copies of the weights and the sgd state after step 400.", tone="muted")
PLAN = Exhibit(blocks=(ABOUT,), controls=CONTROLS, trains="train 5 copies for 100 updates each")


def result(*middles: float, is_fresh: bool = False) -> Exhibit:
    """Return the exhibit of a test for each rate at which the loss falls."""
    tests = tuple(fresh(seed, middle=middle) for seed, middle in enumerate(middles))
    found = suggestion(tests)
    shown = Outcome(
        tests=tests,
        lrs=LRS,
        suggestion=found,
        doubts=doubts(tests, found, SETUP),
        is_fresh=is_fresh,
        step=400,
        schedule="cosine",
        factor=0.5,
    )
    return replace(outcome(shown, ABOUT), controls=CONTROLS)


GOOD, BAD = result(*[0.01] * 5), result(0.001, 0.01, 0.1)


def finds(question: Ask) -> Iterator[Exhibit]:
    if question.mode != "confirmed":
        yield PLAN
        return
    yield replace(progress([fresh(0)], LRS, ABOUT, 0.2), controls=CONTROLS)
    yield GOOD


def doubtful(question: Ask) -> Iterator[Exhibit]:
    yield BAD if question.mode == "confirmed" else PLAN


def for_new_weights(question: Ask) -> Iterator[Exhibit]:
    yield result(*[0.01] * 5, is_fresh=True) if question.mode == "confirmed" else PLAN


def endless(question: Ask) -> Iterator[Exhibit]:
    yield next(finds(question))


async def opened(pilot: Pilot[None], app: MnistTui) -> FindLrScreen:
    await wait_for_events(pilot, app, MID_RUN)
    await pilot.press("L")
    await until(pilot, lambda app: not app.live_run.find_lr.is_waiting, app)
    assert isinstance(app.screen, FindLrScreen)
    return app.screen


async def finished(pilot: Pilot[None], app: MnistTui) -> FindLrScreen:
    screen = await opened(pilot, app)
    await pilot.press("enter")
    await until(pilot, lambda app: app.live_run.find_lr.has_result, app)
    await until(pilot, lambda app: not app.live_run.find_lr.is_waiting, app)
    await pilot.pause()
    return screen


def exhibit_of(app: MnistTui) -> Exhibit:
    return app.live_run.find_lr.exhibit or PLAN


def text(screen: FindLrScreen) -> str:
    return "\n".join(screen.query_one(ExhibitPanel).lines())


def sent(engine: FakeEngine) -> list[commands.Command]:
    return [command for command in engine.received if not isinstance(command, Ask)]


async def test_enter_tests_and_f_takes_the_suggestion_over() -> None:
    app, engine = window(MID_RUN, views=finds)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await opened(pilot, app)
        assert engine.received == [Ask("find-lr")]
        assert "▷ enter: train 5 copies for 100 updates each" in text(screen)
        await pilot.press("f", "1", "plus", "space")  # nothing to take over, no other screen's keys
        assert isinstance(app.screen, FindLrScreen)
        await pilot.press("enter")
        await until(pilot, lambda app: not app.live_run.find_lr.is_waiting, app)
        await pilot.pause()
        assert "Learning rate 0.03" in text(screen)
        await pilot.press("f")
        await pilot.pause()
        assert isinstance(app.screen, TrainScreen)
        base_lr = GOOD.figures["base_lr"]
        assert isinstance(base_lr, float)
        assert sent(engine) == [SetBaseLr(base_lr)]
        assert base_lr == pytest.approx(
            2 * 0.0324, rel=0.05
        )  # half of it is what the schedule gives
        await pilot.press("L")  # the result is still there
        await pilot.pause()
        assert isinstance(app.screen, FindLrScreen)
        assert "Learning rate 0.03" in text(app.screen)
        assert len([each for each in engine.received if isinstance(each, Ask)]) == 2


async def test_controls_are_asked_for() -> None:
    app, engine = window(MID_RUN, views=finds)
    async with app.run_test(size=MEDIUM) as pilot:
        await opened(pilot, app)
        await pilot.press("down", "right")
        await until(pilot, lambda app: not app.live_run.find_lr.is_waiting, app)
        assert engine.received[-1] == Ask("find-lr", (("seeds", 10.0),))


async def test_a_suggestion_for_new_weights_is_not_taken_over_by_a_trained_run() -> None:
    app, engine = window(MID_RUN, views=for_new_weights)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await finished(pilot, app)
        assert screen.suggested is None
        await pilot.press("f")
        await pilot.pause()
        assert app.screen is screen
        assert sent(engine) == []


async def test_escape_stops_running_tests_and_then_leaves() -> None:
    app, engine = window(MID_RUN, views=endless)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda app: exhibit_of(app).progress == 0.2, app)
        await pilot.press("escape")
        assert app.screen is screen
        assert "stopped at 20 %" in text(screen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, TrainScreen)
        assert sent(engine) == [CancelQuestion("find-lr")]


async def test_a_run_of_a_script_states_why_it_has_no_finder() -> None:
    events = [
        replace(event, script="train.py") if isinstance(event, RunStarted) else event
        for event in MID_RUN
    ]
    app, _ = window(events, views=finds)
    async with app.run_test(size=MEDIUM) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("L")
        await pilot.pause(0.1)
        assert isinstance(app.screen, TrainScreen)
        (note,) = app._notifications
        assert "a script trains this run" in note.message


@pytest.mark.parametrize("size", SIZES)
def test_picture_of_a_suggestion(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    app, _ = window(MID_RUN, views=finds)

    async def before(pilot: Pilot[None]) -> None:
        await finished(pilot, app)
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.slow
def test_picture_of_seeds_that_disagree(snap_compare: SnapCompare) -> None:
    app, _ = window(MID_RUN, views=doubtful)

    async def before(pilot: Pilot[None]) -> None:
        await finished(pilot, app)
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=MEDIUM, run_before=before)
