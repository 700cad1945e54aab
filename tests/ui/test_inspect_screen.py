"""The Inspect screen in a window on a fake engine.

pytest tests/ui/test_inspect_screen.py --snapshot-update
python -m tests.ui.png          # all of them as PNG, to look at
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.protocol.questions import ask_view
from tests.ui.exhibits import views
from tests.ui.fakes import FakeEngine, InspectFirst, recording, until, wait_for_events, window
from tests.ui.test_snapshots import SIZES, SnapCompare
from tests.ui.test_tour import strip
from tui_trainer.course.guided_tour import SAW_MISCLASSIFIED, GuidedTour
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    Diverged,
    Event,
    RunFinished,
    RunStarted,
    State,
    StateChanged,
    StepDone,
)
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.ui.app import InspectApp, MnistTui
from tui_trainer.ui.bridge import EventsArrived
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.screens.inspect_screen import REFRESH_INTERVAL, InspectScreen, stops_training
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.status_lines import TopLine

MODEL = recording("network")
STEP = [event for event in MODEL if isinstance(event, StepDone)][-1]
SHOWN: list[Event] = [
    *recording("mid-run"),
    StateChanged(state="viewing", step=STEP.step, detail="era · checkpoint best"),
]


def inspection(kind: type[MnistTui] = InspectFirst) -> tuple[MnistTui, FakeEngine]:
    return window(MODEL, kind=kind, views=views)


async def shown(pilot: Pilot[None], app: MnistTui, *keys: str) -> InspectScreen:
    """Press keys, and wait for the answers on the Inspect screen."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.02)
        await until(pilot, lambda app: app.live_run.inspection.is_idle, app, tries=50)
    await until(pilot, lambda app: app.live_run.inspection.is_idle, app, tries=50)
    assert isinstance(app.front, InspectScreen)
    return app.front


def asked(engine: FakeEngine) -> list[Ask]:
    return [command for command in engine.received if isinstance(command, Ask)]


def view_text(screen: InspectScreen) -> str:
    return "\n".join(screen.query_one(ExhibitPanel).lines())


def footer(app: MnistTui) -> str:
    foot = app.front.query_one(KeyFooter)
    return "".join(foot.render_line(y).text for y in range(foot.size.height))


async def train(pilot: Pilot[None], app: MnistTui) -> None:
    """Let a batch be trained."""
    step = replace(STEP, step=STEP.step + 1)
    app.post_message(EventsArrived((step,), app.live_run.bridge))
    await pilot.pause(0.05)


async def test_3_shows_the_matrix_and_n_and_b_choose_a_view() -> None:
    app, engine = inspection(MnistTui)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = await shown(pilot, app, "3")
        assert asked(engine) == [ask_view("confusion")]
        assert "109 misclassified images" in view_text(screen)
        assert "▸ 11◂" in view_text(screen)
        assert screen.check_action("move_view", (-1,)) is None
        # One that cannot be shown says why, and the others can.
        await shown(pilot, app, "n", "n")
        assert screen.chosen_view.name == "classes"
        assert "there is nothing to count" in view_text(screen)
        await shown(pilot, app, "n")
        assert "all of calibration" in view_text(screen)
        assert app.live_run.inspection.answers == 4  # half of it was shown before
        await shown(pilot, app, "b", "b")
        assert screen.chosen_view.name == "misclassified"
        await shown(pilot, app, "shift+tab", "up")
        assert screen.chosen_view.name == "confusion"
        screen.open(NAMES[-1])
        assert screen.check_action("move_view", (1,)) is None


async def test_arrows_choose_a_cell_enter_opens_its_images_and_esc_returns() -> None:
    app, engine = inspection()
    app.live_run.inspection.prepare("confusion", (("true", 2.0), ("predicted", 8.0)))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = await shown(pilot, app, "left", "up")
        assert asked(engine)[-1].choices == (("true", 1.0), ("predicted", 7.0))
        assert "▷ enter: show its 1 images: true 1, predicted 7" in view_text(screen)
        assert not screen.check_action("go_back", ())
        await shown(pilot, app, "enter")
        assert asked(engine)[-1] == ask_view("misclassified", (("true", 1.0), ("predicted", 7.0)))
        assert "true 1, predicted 7" in view_text(screen)
        assert screen.check_action("go_back", ())
        await shown(pilot, app, "escape")
        assert screen.chosen_view.name == "confusion"
        assert "true 1, predicted 7" in view_text(screen)
        # Above the first row are the controls, and below them the matrix again.
        await shown(pilot, app, "up", "up")
        view = screen.query_one(ExhibitPanel).view
        assert not view.is_in_matrix
        assert view.control is not None
        assert view.control.name == "numbers"
        assert [control.name for control in view.controls] == ["images", "numbers"]
        await shown(pilot, app, "right")
        assert "share of the true class" in view_text(screen)
        await shown(pilot, app, "down", "right", "right", "right")
        assert screen.query_one(ExhibitPanel).view.is_in_matrix
        # Beyond the last column nothing happens.
        chosen = {"true": 0.0, "predicted": 9.0, "numbers": "shares"}
        assert dict(asked(engine)[-1].choices) == chosen
        await shown(pilot, app, "backspace")
        assert asked(engine)[-1] == ask_view("confusion")


async def test_it_refreshes_at_intervals_and_only_while_active() -> None:
    app, engine = inspection()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = await shown(pilot, app)
        now = 100.0
        screen._clock = lambda: now
        screen.show_exhibit()
        await train(pilot, app)
        assert len(asked(engine)) == 1
        now += REFRESH_INTERVAL + 0.1
        await train(pilot, app)
        await shown(pilot, app)
        assert asked(engine)[1:] == [ask_view("confusion", mode="background")]
        await train(pilot, app)
        assert len(asked(engine)) == 2
        await pilot.press("1")
        await until(pilot, lambda app: isinstance(app.front, TrainScreen), app)
        now += 10 * REFRESH_INTERVAL
        await train(pilot, app)
        assert len(asked(engine)) == 2
        # Coming back shows the current weights.
        await shown(pilot, app, "3")
        assert asked(engine)[2:] == [ask_view("confusion")]


@pytest.mark.parametrize("state", ["paused", "training"])
async def test_a_pause_shows_the_current_weights(state: State) -> None:
    app, engine = inspection()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)
        halt = StateChanged(state=state, step=STEP.step)
        app.post_message(EventsArrived((halt,), app.live_run.bridge))
        await pilot.pause(0.05)
        await shown(pilot, app)
        assert asked(engine) == [ask_view("confusion")] * (2 if state == "paused" else 1)


def test_events_after_which_a_view_must_catch_up() -> None:
    ended = recording("finished")
    assert [type(event) for event in ended if stops_training(event)] == [RunStarted, RunFinished]
    diverged = Diverged(step=9, epoch=1, lr=1.0)
    assert stops_training(diverged)
    assert not stops_training(STEP)


async def test_the_test_set_is_evaluated_only_on_enter_and_not_refreshed() -> None:
    app, engine = inspection()
    app.live_run.inspection.prepare("confusion", (("true", 0.0),))
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        screen = await shown(pilot, app, "up", "up", "right")
        on_test = asked(engine)[-1]
        assert dict(on_test.choices)["images"] == "test"
        assert on_test.mode == "interactive"
        assert "The test set is sealed." in view_text(screen)
        assert "▷ enter: evaluate the test set: evaluation 2" in view_text(screen)
        await shown(pilot, app, "enter")
        assert asked(engine)[-1] == replace(on_test, mode="confirmed")
        assert "109 misclassified images" in view_text(screen)
        questions = len(asked(engine))
        screen._clock = lambda: 1e9
        await train(pilot, app)
        assert len(asked(engine)) == questions


async def test_the_tour_advances_once_misclassified_images_were_shown() -> None:
    app, _ = inspection()
    app.tour = GuidedTour()
    while app.tour.step.name != "misclassified":
        app.tour.skip()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)
        await until(pilot, lambda app: "Look at its mistakes" in strip(app), app)
        await shown(pilot, app, "enter")
        assert SAW_MISCLASSIFIED in app.tour.done
        await until(pilot, lambda app: "The end of the tour" in strip(app), app)


async def test_a_recorded_run_has_no_keys_that_train_and_quits_without_a_question() -> None:
    engine = FakeEngine(SHOWN, views=views)
    app = InspectApp(engine, RunConfig(epochs=5), theme="midnight", view="misclassified")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, SHOWN)
        await until(pilot, lambda app: app.live_run.inspection.is_idle, app)
        screen = app.front
        assert isinstance(screen, InspectScreen)
        assert asked(engine)[-1].name == "misclassified"
        assert "true 9, predicted 7" in view_text(screen)
        top = screen.query_one(TopLine).render_line(0).text
        assert "◇ viewing · era · checkpoint best · epoch" in top
        for action in ("run_again", "apply_fix", "toggle_pause", "toggle_tour", "stop_run"):
            assert app.check_action(action, ()) is False
        await pilot.press("1")
        await until(pilot, lambda app: isinstance(app.front, TrainScreen), app)
        await pilot.press("r", "f", "space", "g", "x", "plus")
        assert "run again" not in footer(app)
        assert "fix" not in footer(app)
        assert app.live_run.fixable() is None
        assert engine.received == asked(engine)
        await pilot.press("q")
        await until(pilot, lambda app: not app.is_running, app)
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    assert words.startswith("era-s6: inspected in epoch 4 of 5, step ")
    assert "resume" not in words


@pytest.mark.parametrize(
    "size",
    SIZES,
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_confusion(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    app, _ = inspection()

    async def before(pilot: Pilot[None]) -> None:
        await wait_for_events(pilot, app, MODEL)
        await shown(pilot, app)

    assert snap_compare(app, terminal_size=size, run_before=before)
