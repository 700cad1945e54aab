"""The race in the window, on a fake engine.

pytest tests/ui/test_race_screen.py --snapshot-update
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.ui.fakes import FakeEngine, until, wait_for_events, window
from tests.ui.found import MID_RUN
from tests.ui.test_snapshots import MEDIUM, SIZES, SMALL, SnapCompare
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import AdoptArm, Ask, CancelQuestion, Pause, Resume
from tui_trainer.protocol.events import RunStarted
from tui_trainer.protocol.exhibit import Control, Curve, Curves, Exhibit, Table
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.race_screen import RaceScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel

CONTROLS = (
    Control(name="what", label="race", value="lr", steps=("lr", "batch size", "augmentation")),
    Control(name="factor", label="factor", value=3.0, steps=(1.5, 2.0, 3.0, 10.0)),
    Control(name="batches", label="batches", value=100.0, steps=(50.0, 100.0, 200.0)),
    Control(name="repeats", label="repeats", value=1.0, steps=(1.0, 2.0, 3.0)),
)
NAMES = ("lr 0.0333", "lr 0.1", "lr 0.3", "lr 0.1 again")
CURVES = Curves(
    caption="training loss, smoothed",
    x_label="training images since the fork",
    curves=tuple(
        Curve(
            name=name,
            x=tuple(128.0 * step for step in range(1, 101)),
            y=tuple(0.4 * math.exp(-step / (40 + 15 * place)) + 0.1 for step in range(100)),
        )
        for place, name in enumerate(NAMES)
    ),
    is_log=True,
)
PLAN = Exhibit(
    blocks=(
        Table(
            caption="from here, 100 batches each",
            heads=("key", "arm", ""),
            rows=tuple(zip(("a", "b", "c", ""), NAMES, ("", "as it is", "", "once"), strict=True)),
            marked=1,
        ),
    ),
    controls=CONTROLS,
    trains="train 4 × 100 batches: about 12 s",
)
RESULT = Exhibit(
    blocks=(
        Table(
            caption="after 100 batches",
            heads=("key", "arm", "steps", "train loss", "val loss", "accuracy"),
            rows=(
                ("a", NAMES[0], "100", "0.1204", "0.1312", "96.02 %"),
                ("b", NAMES[1], "100", "0.1188", "0.1270", "96.18 %"),
                ("", NAMES[2], "37", "–", "–", "diverged at step 1187"),
                ("", NAMES[3], "100", "0.1201", "0.1333", "95.96 %"),
            ),
            marked=1,
        ),
        Table(
            caption="minus lr 0.1, 5,000 validation images in pairs",
            heads=("arm", "val loss ± 95 %", "points ± 95 %", "verdict"),
            rows=(
                (NAMES[0], "+0.0042 ± 0.0031", "−0.16 ± 0.41", "within chance"),
                (NAMES[3], "+0.0063 ± 0.0035", "−0.22 ± 0.44", "chance"),
            ),
        ),
        CURVES,
    ),
    controls=CONTROLS,
    result="No arm differs from lr 0.1 by more than chance. lr 0.3 diverged.",
    evidence="From step 1,150, each arm has seen 12,800 training images.",
)


def races(question: Ask) -> Iterator[Exhibit]:
    if question.mode != "confirmed":
        yield PLAN
        return
    yield replace(PLAN, blocks=(CURVES,), trains="", progress=0.4)
    yield RESULT


def rejects(question: Ask) -> Iterator[Exhibit]:
    raise ValueError("only 8 batches left in this epoch, and a race needs 10")


async def opened(pilot: Pilot[None], app: MnistTui) -> RaceScreen:
    await wait_for_events(pilot, app, MID_RUN)
    await pilot.press("F")
    await until(pilot, lambda app: not app.live_run.race.is_waiting, app)
    assert isinstance(app.screen, RaceScreen)
    return app.screen


async def raced(pilot: Pilot[None], app: MnistTui) -> RaceScreen:
    screen = await opened(pilot, app)
    await pilot.press("enter")
    await until(pilot, lambda app: bool(app.screen.arms), app)  # type: ignore[attr-defined]
    return screen


def text(screen: RaceScreen) -> str:
    return "\n".join(screen.query_one(ExhibitPanel).lines())


def sent(engine: FakeEngine) -> list[commands.Command]:
    return [c for c in engine.received if not isinstance(c, Ask)]


async def test_a_race_pauses_the_run_and_leaving_it_resumes_the_run() -> None:
    app, engine = window(MID_RUN, views=races)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await opened(pilot, app)
        assert engine.received == [Ask("race")]
        assert "▷ enter: train 4 × 100 batches: about 12 s" in text(screen)
        await pilot.press("a", "1", "plus", "space")  # no arm yet, and no other screen's keys
        assert isinstance(app.screen, RaceScreen)
        await pilot.press("right")
        await until(pilot, lambda app: not app.live_run.race.is_waiting, app)
        await pilot.press("enter")
        await until(pilot, lambda app: bool(app.screen.arms), app)  # type: ignore[attr-defined]
        assert "No arm differs" in text(screen)
        choices = (("what", "batch size"),)
        assert engine.received[1:] == [
            Ask("race", choices),
            Pause(),
            Ask("race", choices, "confirmed"),
        ]
        assert app.live_run.is_paused
        await pilot.press("escape")
        await until(pilot, lambda app: not app.live_run.is_paused, app)
        assert isinstance(app.screen, TrainScreen)
        assert sent(engine) == [Pause(), Resume()]


@pytest.mark.parametrize(("key", "at_end"), [("y", True), ("l", False)])
async def test_a_chosen_arm_is_adopted_and_the_run_resumes(key: str, at_end: bool) -> None:
    app, engine = window(MID_RUN, views=races)
    async with app.run_test(size=SMALL) as pilot:
        screen = await raced(pilot, app)
        assert screen.arms == {"a": "lr 0.0333", "b": "lr 0.1"}
        await pilot.press("c")  # it has diverged
        assert app.screen is screen
        await pilot.press("a")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("n", "a", key)
        await until(pilot, lambda app: not app.live_run.is_paused, app)
        assert isinstance(app.screen, TrainScreen)
        assert sent(engine) == [Pause(), AdoptArm(1, at_end=at_end), Resume()]


async def test_a_paused_run_stays_paused() -> None:
    app, engine = window(MID_RUN, views=races)
    async with app.run_test(size=MEDIUM) as pilot:
        await wait_for_events(pilot, app, MID_RUN)
        await pilot.press("space")
        await until(pilot, lambda app: app.live_run.is_paused, app)
        await raced(pilot, app)
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert isinstance(app.screen, TrainScreen)
        assert sent(engine) == [Pause()]


def endless(question: Ask) -> Iterator[Exhibit]:
    yield next(races(question))


async def test_escape_stops_a_running_race_and_then_leaves_it() -> None:
    app, engine = window(MID_RUN, views=endless)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda app: screen.query_one(ExhibitPanel).view.share == 0.4, app)
        await pilot.press("escape")
        assert app.screen is screen
        assert "stopped at 40 %" in text(screen)
        await pilot.press("escape")
        await until(pilot, lambda app: not app.live_run.is_paused, app)
        assert sent(engine) == [Pause(), CancelQuestion("race"), Resume()]


async def test_the_reason_why_there_is_no_race_is_shown_in_its_place() -> None:
    app, engine = window(MID_RUN, views=rejects)
    async with app.run_test(size=MEDIUM) as pilot:
        screen = await opened(pilot, app)
        await pilot.pause(0.1)
        assert "only 8 batches left in this epoch, and a race needs 10" in text(screen)
        assert not app._notifications
        await pilot.press("enter", "escape")
        assert sent(engine) == []


async def test_the_key_shows_the_reason_in_the_run_of_a_script() -> None:
    events = [
        replace(event, script="train.py") if isinstance(event, RunStarted) else event
        for event in MID_RUN
    ]
    app, _ = window(events, views=races)
    async with app.run_test(size=MEDIUM) as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("F")
        await pilot.pause(0.1)
        assert isinstance(app.screen, TrainScreen)
        (note,) = app._notifications
        assert "a script trains this run" in note.message


@pytest.mark.parametrize("size", SIZES)
def test_result(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    app, _ = window(MID_RUN, views=races)

    async def before(pilot: Pilot[None]) -> None:
        await raced(pilot, app)
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=before)
