from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.ui.fakes import recording, until, wait_for_events, window
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    DatasetWarning,
    DecodeProgress,
    Event,
    FindingRaised,
    RunStarted,
    SettingChanged,
    StateChanged,
)
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.keys.keymap import KEYMAP
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.help_screen import FailureScreen, HelpScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.status_lines import ProgressLine, TopLine, state_cells

PAUSED = recording("paused")
FINISHED = recording("finished")
DIVERGED = recording("diverged")
START = [event for event in PAUSED if isinstance(event, RunStarted | StateChanged)][:4]


async def test_keys_send_absolute_values_and_the_window_shows_only_events() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        assert app.live_run.history.settings["base_lr"] == 0.2
        await pilot.press("plus", "minus", "minus", "greater_than_sign", "less_than_sign", "a")
        await pilot.pause(0.1)
        assert engine.received == [
            commands.SetBaseLr(0.5),
            commands.SetBaseLr(0.2),
            commands.SetBaseLr(0.1),
            commands.SetBatchSize(256),
            commands.SetBatchSize(128),
            commands.SetAugmentation(False),
        ]
        settings = app.live_run.history.settings
        assert (settings["base_lr"], settings["batch_size"]) == (0.1, 128)
        assert settings["augmentation"] == 0
        assert app.live_run.requested == {}


async def test_an_unconfirmed_setting_is_shown_as_requested_and_adjusted_further() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        app.live_run.requested["base_lr"] = 0.5  # as if the engine were still in a long batch
        await pilot.press("plus")
        await pilot.pause(0.1)
        assert engine.received[-1] == commands.SetBaseLr(1.0)


async def test_epochs_are_shown_as_requested_until_the_engine_confirms_them() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        epochs = started_epochs(app)
        app.live_run.requested["epochs"] = epochs + 1  # as if the engine were still in a batch
        app.show_requested()
        line = "".join(cell.text for cell in app.screen.query_one(TopLine).cells(118))
        assert line.endswith(f"of {epochs} → {epochs + 1}")
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda app: started_epochs(app) == epochs + 2, app)
        assert engine.received == [commands.SetEpochs(epochs + 2)]
        line = "".join(cell.text for cell in app.screen.query_one(TopLine).cells(118))
        assert line.endswith(f"of {epochs + 2}")
        assert app.live_run.requested == {}


async def test_epochs_do_not_go_below_the_epoch_that_has_started() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        epoch, epochs = app.live_run.history.epoch, started_epochs(app)
        for fewer in range(epochs - 1, epoch - 1, -1):
            await pilot.press("left_curly_bracket")
            await until(pilot, lambda app, fewer=fewer: started_epochs(app) == fewer, app)  # type: ignore[misc]
        assert started_epochs(app) == epoch
        await pilot.press("left_curly_bracket")
        assert engine.received == [
            commands.SetEpochs(fewer) for fewer in range(epochs - 1, epoch - 1, -1)
        ]


def started_epochs(app: MnistTui) -> int:
    """The number of epochs that the run is set to."""
    started = app.live_run.history.started
    assert started is not None
    return started.epochs


async def test_a_rejected_setting_is_dropped_and_its_reason_shown() -> None:
    app, _ = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        app.live_run.set_knob("dropout", 0.1)
        await pilot.pause(0.1)
        assert isinstance(app.live_run.history.rejection, CommandRejected)
        assert app.live_run.requested == {}
        assert [notice.message for notice in app._notifications] == ["no dropout layer"]


async def test_space_pauses_and_resumes_and_steps_are_sent() -> None:
    app, engine = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        for key in ("space", "space", "s", "e", "T"):
            await pilot.press(key)
            await pilot.pause(0.05)
        assert engine.received == [
            commands.Resume(),
            commands.Pause(),
            commands.RunStep(),
            commands.RunEpoch(),
            commands.EvaluateTest(),
        ]


async def test_quit_asks_during_training_and_no_is_the_default() -> None:
    app, engine = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("q")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("enter")
        assert isinstance(app.screen, TrainScreen)
        assert app.is_running
        await pilot.press("q", "y")
        await pilot.pause(0.3)
    assert commands.Stop(test=False) in engine.received
    assert not app.live_run.bridge.is_alive
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    assert words.startswith("small: stopped in epoch 1 of 2, step 300")


async def test_ctrl_c_asks_as_well_and_escape_cancels() -> None:
    app, _ = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("ctrl+c")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, TrainScreen)


async def test_quit_does_not_ask_when_the_run_is_over() -> None:
    app, _ = window(FINISHED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, FINISHED)
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running or app._exit
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    assert "completed in epoch 2 of 2" in words
    assert "evaluations: 1" in words


async def test_stop_asks_and_then_evaluates_the_test_set() -> None:
    app, engine = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("x")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("y")
        await pilot.pause(0.1)
        assert engine.received == [commands.Stop(reason="stopped", test=True)]
        assert app.live_run.history.state == "finished"


async def test_a_run_that_cannot_start_exits_with_its_reason_and_code_2() -> None:
    app, _ = window(error=InputError("--data-dir nowhere: there is no such folder"))
    async with app.run_test() as pilot:
        await pilot.pause(0.2)
    code, words = exit_message(app)
    assert code == ExitCode.BAD_INPUT
    assert words == "mnist-tui: error: --data-dir nowhere: there is no such folder"


async def test_a_file_name_in_a_notification_is_no_markup() -> None:
    name = "[/red] [bold] [@click=app.quit]x[/].png"
    warning = DatasetWarning(folder="cats", message=f"1 of 9 files left out: {name} is empty")
    app, _ = window([*PAUSED, warning])
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda app: bool(app.screen.query("Toast")), app)
        assert name in str(app.screen.query_one("Toast").render())


async def test_decoding_is_shown_with_the_state() -> None:
    start = StateChanged(state="preparing", step=0, detail="reading the images")
    progress = DecodeProgress(folder="cats", done=12_345, total=60_000)
    app, _ = window([start, progress, DatasetWarning(folder="cats", message="a class is empty")])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda app: app.live_run.history.decoding is not None, app)
        cells = state_cells(app.live_run)
        assert "".join(cell.text for cell in cells).startswith(
            "◌ preparing · decoding 12,345 of 60,000 pictures"
        )


async def test_quitting_does_not_wait_for_the_images() -> None:
    is_closed = threading.Event()

    def reading(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        try:
            yield StateChanged(state="preparing", step=0, detail="reading the images")
            for done in itertools.count():
                time.sleep(0.01)
                yield DecodeProgress(folder="cats", done=done, total=1_000_000)
        finally:
            is_closed.set()

    app = MnistTui(reading, RunConfig())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda app: app.live_run.history.decoding is not None, app)
        await pilot.press("q")
        assert "has not begun" in str(app.screen.query(Static).last().content)
        await pilot.press("y")
        await until(pilot, lambda app: not app.live_run.is_alive, app)
    assert is_closed.is_set()


async def test_an_exception_while_training_is_shown_with_its_traceback() -> None:
    app, _ = window(PAUSED[:50], error=ValueError("the loss\nhas no gradient"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda app: app.live_run.history.is_over, app)
        history = app.live_run.history
        assert history.state == "failed"
        assert history.failure is not None
        assert history.failure.message == "ValueError: the loss has no gradient"
        await pilot.press("i")
        assert isinstance(app.screen, FailureScreen)
        assert "Traceback" in str(app.screen.text())
        await pilot.press("escape", "q")
    assert exit_message(app)[0] == ExitCode.FAILED


async def test_out_of_memory_suggests_a_smaller_batch() -> None:
    app, _ = window(PAUSED[:50], error=MemoryError())
    async with app.run_test() as pilot:
        await pilot.pause(0.3)
        failure = app.live_run.history.failure
        assert failure is not None
        assert "smaller batch size" in failure.message


async def test_f_sets_the_knob_that_the_finding_names() -> None:
    finding = FindingRaised(
        code="overfitting",
        severity="warning",
        title="overfitting since epoch 3",
        evidence="",
        advice="switch augmentation on",
        step=9,
        lesson=15,
        fix_setting="augmentation",
        fix_value=1,
    )
    events = [*PAUSED[:-1], finding, PAUSED[-1]]
    app, engine = window(events)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, events)
        await pilot.press("f")
        await pilot.pause(0.1)
        assert engine.received == [commands.SetAugmentation(True)]


async def test_f_after_a_divergence_starts_a_run_with_a_tenth_of_the_learning_rate() -> None:
    app, engine = window(DIVERGED, config=RunConfig(lr=1_000.0))
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, DIVERGED)
        await pilot.press("f")
        await pilot.pause(0.1)
        assert [config.lr for config in engine.configs] == [1_000.0, 100.0]


async def test_r_starts_the_same_run_again_only_when_it_is_over() -> None:
    app, engine = window(FINISHED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, FINISHED)
        first = app.live_run
        await pilot.press("r")
        assert app.live_run is not first
        await wait_for_events(pilot, app, FINISHED)
        assert len(engine.configs) == 2
        assert app.live_run.history.finished is not None


async def test_events_of_an_earlier_run_are_ignored() -> None:
    app, _ = window(FINISHED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, FINISHED)
        old = app.live_run.bridge
        await pilot.press("r")
        await wait_for_events(pilot, app, FINISHED)
        steps = len(app.live_run.history.train_loss)
        old._take(next(e for e in FINISHED if isinstance(e, RunStarted)))
        await pilot.pause(0.1)
        assert len(app.live_run.history.train_loss) == steps


async def test_keys_that_have_no_effect_are_dimmed_or_hidden() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        assert app.check_action("apply_fix", ()) is None
        assert app.check_action("adjust", ("dropout", 1)) is False
        assert app.check_action("next_view", ()) is False
        assert app.check_action("run_again", ()) is False
        assert app.check_action("toggle_pause", ()) is True
    app, _ = window(FINISHED)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, FINISHED)
        assert app.check_action("toggle_pause", ()) is False
        assert app.check_action("run_again", ()) is True
        assert app.check_action("next_view", ()) is True


async def test_v_cycles_through_the_views_of_a_small_window() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_events(pilot, app, PAUSED)

        def shown() -> set[str | None]:
            return {panel.id for panel in app.screen.query("#panels > *") if panel.display}

        assert shown() == {"loss", "accuracy"}
        await pilot.press("v")
        assert shown() == {"layers"}
        await pilot.press("v")
        assert shown() == {"findings"}
        await pilot.press("v")
        assert shown() == {"loss", "accuracy"}


@pytest.mark.parametrize(
    ("size", "is_small"), [((59, 30), True), ((80, 15), True), ((60, 16), False)]
)
async def test_a_window_too_small_shows_a_message_and_recovers(
    size: tuple[int, int], is_small: bool
) -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=size) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        assert app.screen.query_one("#too-small").display is is_small
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        assert app.screen.query_one("#too-small").display
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert not app.screen.query_one("#too-small").display


async def test_help_opens_and_closes_and_names_every_key() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        words = str(app.screen.text())
        for binding in KEYMAP:
            if not binding.system:
                assert binding.tooltip in words
        await pilot.press("question_mark")
        assert isinstance(app.screen, TrainScreen)


async def test_t_cycles_through_our_themes_only() -> None:
    app, _ = window(PAUSED)
    async with app.run_test() as pilot:
        seen = [app.theme]
        for _ in range(len(app.available_themes)):
            await pilot.press("t")
            seen.append(app.theme)
        assert seen[0] == seen[-1] == "midnight"
        assert len(set(seen)) >= 6
        assert "textual-dark" not in seen


async def test_a_screenshot_is_saved_in_the_given_folder(tmp_path: Path) -> None:
    app, _ = window(PAUSED, pictures=tmp_path / "new")
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("p")
        await pilot.pause(0.1)
    (picture,) = (tmp_path / "new").glob("*.svg")
    assert picture.read_text(encoding="utf-8").startswith("<svg")


async def test_a_screenshot_that_cannot_be_saved_shows_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    app, _ = window(PAUSED, pictures=blocked)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("p")
        await pilot.pause(0.1)
        assert app.is_running
        assert [n.severity for n in app._notifications] == ["error"]


async def test_the_palette_has_every_action_that_has_an_effect() -> None:
    app, _ = window(PAUSED)
    async with app.run_test() as pilot:
        await wait_for_events(pilot, app, PAUSED)
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Pause", "Step", "Epoch", "Stop", "Lr up", "Batch down", "Picture"} <= titles
        assert {"Theme", "Help", "Quit", "Choose a theme"} <= titles
        assert "Run again" not in titles


async def test_a_click_on_the_footer_is_a_key() -> None:
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        pieces = [piece.text for piece in app.screen.query_one(KeyFooter).pieces]
        await pilot.click("KeyFooter", offset=("".join(pieces).index("space"), 0))
        await pilot.pause(0.1)
        assert engine.received == [commands.Resume()]


async def test_interventions_are_marked_on_the_curves() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        changes = [event for event in PAUSED if isinstance(event, SettingChanged)]
        assert len(changes) == 1
        loss = app.screen.query_one("#loss")
        picture = "\n".join(
            "".join(segment.text for segment in loss.render_line(y))
            for y in range(loss.size.height)
        )
        assert "▼" in picture
        assert "lr 0.1 → 0.2" in picture


async def test_a_requested_setting_is_shown_before_the_engine_answers() -> None:
    app, engine = window(PAUSED)
    engine.answers = False
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await pilot.press("plus")
        await pilot.pause()
        line = app.screen.query_one(ProgressLine).render_line(0).text
        assert "lr 0.2" in line
        assert "→ 0.5" in line
