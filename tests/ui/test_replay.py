from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.ui.fakes import recording, until, wait_for_events, window
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.ui.app import ReplayApp
from tui_trainer.ui.keys.keymap import KNOB_KEYS, REPLAY_KEYS, RUN_KEYS
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.help_screen import HelpScreen
from tui_trainer.ui.screens.replay_screen import ReplayScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.findings_panel import FindingLine
from tui_trainer.ui.widgets.status_lines import ProgressLine, TopLine

FINISHED = recording("finished")
PAUSED = recording("paused")
OVERFITTING = recording("overfitting")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(events: list[Event] | None = None, speed: float = 1.0) -> tuple[ReplayApp, RecordedRun]:
    events = FINISHED if events is None else events
    run = RecordedRun("2026-11-22-2015-small", RunConfig(model="small"), events, speed=speed)
    return ReplayApp(run, theme="midnight"), run


def top(app: ReplayApp) -> str:
    return app.screen.query_one(TopLine).render_line(0).text


async def stand(pilot: Pilot[None], run: RecordedRun) -> None:
    """Wait for the window, then pause the replay at its start."""
    await pilot.pause()
    await pilot.press("space")
    run.is_paused = True
    await pilot.press("home")


async def test_it_plays_by_the_clock_and_space_pauses_it() -> None:
    run = RecordedRun("one", RunConfig(model="small"), FINISHED, speed=2.0)
    clock = Clock()
    screen = ReplayScreen(run, clock)
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await app.push_screen(screen)
        await pilot.pause()
        clock.now = 0.5
        screen.tick()
        assert run.position == 1.0
        clock.now = 100.0  # the process was asleep
        screen.tick()
        assert run.position == 3.0
        await pilot.press("space")
        clock.now = 100.5
        screen.tick()
        assert run.position == 3.0


async def test_the_top_line_has_replay_its_name_and_speed() -> None:
    app, run = replay(speed=10.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await stand(pilot, run)
        assert "‖ replay 2026-11-22-2015-small ×10" in top(app)
        await pilot.press("plus")
        assert "×20" in top(app)
        await pilot.press("minus", "minus")
        assert "×5 " in top(app)
        await pilot.press("end")
        assert "epoch 2 of 2 · completed" in top(app)


async def test_keys_jump_and_the_progress_line_shows_the_position() -> None:
    app, run = replay()
    async with app.run_test(size=(120, 40)) as pilot:
        await stand(pilot, run)
        await pilot.press("right", "right")
        assert run.position == pytest.approx(run.total / 10)
        await pilot.press("left")
        assert run.position == pytest.approx(run.total / 20)
        await pilot.press("full_stop")
        assert len(run.history.epochs) == 1
        await pilot.press("comma")
        assert run.position == 0.0
        await pilot.press("n", "n")
        line = app.screen.query_one(ProgressLine).render_line(0).text
        assert len(run.history.epochs) == 2
        assert f"step {run.history.last_step.step if run.history.last_step else 0:>6}" in line


async def test_arrows_seek_even_if_a_panel_could_scroll() -> None:
    app, run = replay()
    async with app.run_test(size=(120, 40)) as pilot:
        await stand(pilot, run)
        app.screen.query_one("#findings").focus()
        await pilot.press("right", "end")
        assert run.is_at_end


async def test_later_state_is_gone_after_seeking_back() -> None:
    app, run = replay(OVERFITTING)
    async with app.run_test(size=(200, 55)) as pilot:
        await stand(pilot, run)
        await pilot.press("end")
        assert (
            "press f" not in app.screen.query_one("#finding-line", FindingLine).render_line(0).text
        )
        assert app.screen.query_one("#findings").border_title == "findings · 1"
        await pilot.press("home")
        assert app.screen.query_one("#findings").border_title == "findings"
        assert app.screen.query_one("#classes").border_subtitle == ""


async def test_escape_quits_if_the_replay_is_the_only_screen() -> None:
    app, _ = replay()
    async with app.run_test() as pilot:
        await pilot.press("escape")
        await pilot.pause()
        assert app._exit


@pytest.mark.slow
async def test_keys_of_the_run_neither_act_nor_show_in_a_replay() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        run = RecordedRun("one", RunConfig(model="small"), FINISHED)
        app.push_screen(ReplayScreen(run))
        await pilot.pause()
        shown = {active.binding.action for active in app.screen.active_bindings.values()}
        assert not shown & {binding.action for binding in [*RUN_KEYS, *KNOB_KEYS]}
        assert {binding.action for binding in REPLAY_KEYS} <= shown
        await pilot.press("x", "r", "T", "a", "f", "e", "s", "space", "plus", "comma")
        await pilot.press("left_square_bracket", "right_square_bracket", "greater_than_sign")
        await pilot.pause()
        assert engine.received == []
        assert isinstance(app.screen, ReplayScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, TrainScreen)
        await pilot.press("space")
        await until(pilot, lambda _: bool(engine.received), app)
        assert engine.received == [commands.Resume()]


async def test_the_help_lists_the_keys_of_a_replay_and_pauses_it() -> None:
    app, _ = replay()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        words = str(app.screen.text())
        assert "A recorded run" in words
        for binding in REPLAY_KEYS:
            assert binding.tooltip in words


async def test_the_palette_offers_the_keys_of_a_replay() -> None:
    app, _ = replay()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Play", "Forward", "Faster", "Theme", "Quit"} <= titles
        assert not titles & {"Pause", "Stop", "Run again", "Runs"}


async def test_a_replay_survives_a_window_too_small_and_back() -> None:
    app, run = replay()
    async with app.run_test(size=(80, 24)) as pilot:
        await stand(pilot, run)
        await pilot.resize_terminal(20, 5)
        await pilot.press("end")
        assert app.screen.query_one("#too-small").display
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert not app.screen.query_one("#too-small").display
        assert "completed" in top(app)
