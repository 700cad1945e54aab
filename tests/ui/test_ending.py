"""The end of a run in the window: signals, divergence, a full disk."""

from __future__ import annotations

import os
import signal

import pytest
from textual.widgets import Static

from tests.ui.fakes import recording, until, wait_for_events, window
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CheckpointSaved,
    Diverged,
    Event,
    FindingRaised,
    RecordingFailed,
    RecordingStarted,
    RunFinished,
)
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.keys.keymap import KEYMAP
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.screens.runs_screen import RunsScreen
from tui_trainer.ui.widgets.findings_panel import findings_lines

PAUSED = recording("paused")
DIVERGED: list[Event] = [e for e in recording("diverged") if not isinstance(e, RunFinished)]
RECORDED = RecordingStarted(folder="runs/one")
REFUSED = RecordingFailed(path="runs/one/events.jsonl", message="No space left on device")


def rewound_rate() -> float:
    rates = [e.fix_value for e in DIVERGED if isinstance(e, FindingRaised)]
    assert rates[-1] is not None
    return rates[-1]


def question(app: MnistTui) -> str:
    return " ".join(str(static.content) for static in app.screen.query(Static))


async def test_a_diverged_run_offers_a_rewind_and_y_accepts_it() -> None:
    app, engine = window(DIVERGED, config=RunConfig(lr=1_000.0))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, DIVERGED)
        await pilot.pause(0.1)
        assert isinstance(app.screen, ConfirmScreen)
        assert "Go back to step" in question(app)
        await pilot.press("y")
        await pilot.pause(0.1)
        assert engine.received == [commands.Rewind(rewound_rate())]


async def test_the_question_is_closed_when_the_run_ends() -> None:
    app, _ = window(DIVERGED, config=RunConfig(lr=1_000.0))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: isinstance(app.screen, ConfirmScreen), app)
        app.live_run.send(commands.Stop(test=False))
        await until(pilot, lambda app: app.live_run.history.is_over, app)
        await pilot.pause(0.1)
        assert isinstance(app.screen, TrainScreen)


async def test_after_a_no_f_still_rewinds() -> None:
    app, engine = window(DIVERGED, config=RunConfig(lr=1_000.0))
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, DIVERGED)
        await pilot.pause(0.1)
        await pilot.press("n")
        assert isinstance(app.screen, TrainScreen)
        assert engine.received == []
        await pilot.press("f")
        await pilot.pause(0.1)
        assert engine.received == [commands.Rewind(rewound_rate())]


async def test_a_divergence_asks_nothing_on_another_screen() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("5")
        for event in DIVERGED:
            if isinstance(event, Diverged | FindingRaised):
                app.live_run.bridge._take(event)
        await pilot.pause(0.1)
        assert isinstance(app.screen, RunsScreen)
        assert ["then f to fix it" in n.message for n in app._notifications] == [True]
        assert engine.received == []


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (signal.SIGTERM, "terminated", ExitCode.TERMINATED),
        (signal.SIGHUP, "disconnected", ExitCode.DISCONNECTED),
    ],
)
async def test_a_signal_ends_the_run_without_a_test_evaluation(
    number: signal.Signals, reason: str, code: ExitCode
) -> None:
    app, engine = window([RECORDED, *PAUSED])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        os.kill(os.getpid(), number)
        await pilot.pause(0.3)
    assert engine.received == [commands.Stop(reason=reason, test=False)]
    left, words = exit_message(app)
    assert left == code
    resume = f"from step {app.live_run.history.step:,} with: mnist-tui resume runs/one"
    assert words.endswith(f"recorded in runs/one; resume {resume}")


def test_ctrl_z_suspends() -> None:
    assert ("ctrl+z", "suspend_process") in [(b.key, b.action) for b in KEYMAP]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ([], "nothing of it is saved"),
        ([RECORDED], "is saved; `mnist-tui resume` continues it"),
        ([RECORDED, REFUSED], "saving fails: check the disk"),
    ],
)
async def test_the_question_before_quitting_explains_what_happens(
    before: list[Event], words: str
) -> None:
    app, _ = window([*before, *PAUSED])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("q")
        assert words in question(app)


async def test_a_failed_save_is_reported_at_exit_with_its_exit_code() -> None:
    app, _ = window([RECORDED, *PAUSED[:-1], REFUSED, PAUSED[-1]])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("q", "y")
        await pilot.pause(0.3)
    code, words = exit_message(app)
    assert code == ExitCode.UNSAVED
    assert "not saved: runs/one/events.jsonl: No space left on device" in words


async def test_a_window_too_small_recovers_while_events_arrive() -> None:
    app, _ = window(PAUSED[:200])
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED[:200])
        await pilot.resize_terminal(20, 5)
        for event in PAUSED[200:250]:
            app.live_run.bridge._take(event)
        await pilot.pause()
        assert app.screen.query_one("#too-small").display
        await pilot.resize_terminal(120, 40)
        app.live_run.bridge._take(PAUSED[-1])
        await pilot.pause()
        assert not app.screen.query_one("#too-small").display
        assert app.live_run.history.state == "paused"


def test_the_panel_shows_the_folder_of_the_run_and_its_last_checkpoint() -> None:
    run = LiveRun(RunConfig(), lambda config, inbox: iter(()), lambda message: None)
    run.apply((*PAUSED, RECORDED))
    run.history.findings.clear()
    assert "recorded in runs/one" in panel(run)
    run.apply((CheckpointSaved(step=1_234, epoch=3, files=("last",)),))
    assert "recorded in runs/one, saved after step 1,234" in panel(run)
    run.apply((REFUSED,))
    assert "not saved" in panel(run)
    assert "nothing to report" not in panel(run)


def panel(run: LiveRun) -> str:
    lines, _ = findings_lines(run, 80)
    return "\n".join("".join(cell.text for cell in line) for line in lines)
