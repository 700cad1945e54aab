"""The window on a run that another process trains."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.protocol.facts import finished
from tests.protocol.questions import ask_view
from tests.ui.attachments import (
    FOLDER,
    KILLED,
    ME,
    OTHER,
    FakeAttachment,
    FakeScript,
    InspectFirst,
    arrive,
    attached,
)
from tests.ui.exhibits import views
from tests.ui.fakes import recording, until, wait_for_events, window
from tests.ui.test_questions import answered
from tests.ui.test_snapshots import MEDIUM, SIZES, SMALL, SnapCompare, snapshot
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Ask, Command
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    FindingRaised,
    RecordingFailed,
    RecordingStarted,
    RecordRead,
    RunFinished,
    RunStarted,
    SettingChanged,
    StateChanged,
    StepDone,
)
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.ui.app import TRAINING_ACTIONS, MnistTui
from tui_trainer.ui.attach_app import AttachApp
from tui_trainer.ui.bridge import EventsArrived, RunRejected
from tui_trainer.ui.exit_message import exit_message
from tui_trainer.ui.keys.keymap import KEYMAP, with_keys
from tui_trainer.ui.runs.attached_run import AttachedRun
from tui_trainer.ui.screens.dialogs import ConfirmScreen
from tui_trainer.ui.screens.inspect_screen import InspectScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.exhibit_panel import ExhibitPanel
from tui_trainer.ui.widgets.key_footer import KeyFooter
from tui_trainer.ui.widgets.status_lines import TopLine

TRAINING = recording("mid-run")
PAUSED = recording("paused")
MODEL = recording("network")
FINISHED = recording("finished")
DIVERGED: list[Event] = [e for e in recording("diverged") if not isinstance(e, RunFinished)]
STEP = [event for event in TRAINING if isinstance(event, StepDone)][-1]
SIZE = (120, 40)


async def shown(pilot: Pilot[None], app: AttachApp) -> None:
    """Wait until the record is shown."""
    await until(pilot, lambda app: app.live_run.history.started is not None, app)
    await pilot.pause(0.1)


async def pressed(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause(0.1)


async def arrived(pilot: Pilot[None], app: AttachApp, *events: Event) -> None:
    arrive(app, *events)
    await pilot.pause(0.1)


def plain(sent: Iterable[Command]) -> list[Command]:
    """Return commands without their sender and id, which each of them has."""
    assert all(command.by == ME and command.request for command in sent)
    return [replace(command, by="", request="") for command in sent]


def toasts(app: AttachApp) -> list[tuple[str, str]]:
    return [(toast.title, toast.message) for toast in app._notifications]


def line(app: AttachApp, kind: type[TopLine | KeyFooter]) -> str:
    widget = app.front.query_one(kind)
    return "".join(widget.render_line(y).text for y in range(widget.size.height))


def question(app: AttachApp) -> str:
    return " ".join(str(static.content) for static in app.screen.query(Static))


def change(setting: str, old: float, new: float, by: str = ME) -> SettingChanged:
    return SettingChanged(
        setting=setting, old=old, new=new, step=STEP.step, epoch=STEP.epoch, images=1, by=by
    )


def of_script(record: Iterable[Event], **changes: Any) -> list[Event]:
    """Return the record of a script's run."""
    return [
        replace(event, **changes) if isinstance(event, RunStarted) else event for event in record
    ]


# Commands


async def test_the_window_shows_the_run_from_its_beginning_and_that_it_is_attached() -> None:
    app, _ = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert app.live_run.history.last_step == STEP
        assert " · attached" in line(app, TopLine)


async def test_a_knob_is_sent_and_changes_only_with_the_event_of_the_trainer() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        before = app.live_run.history.settings["base_lr"]
        await pressed(pilot, "-", "-")
        first, second = plain(attachment.sent)
        assert isinstance(first, commands.SetBaseLr)
        assert isinstance(second, commands.SetBaseLr)
        assert before > first.value > second.value
        assert app.live_run.history.settings["base_lr"] == before
        assert app.live_run.requested == {"base_lr": second.value}
        await arrived(pilot, app, change("base_lr", before, first.value))
        assert app.live_run.history.settings["base_lr"] == first.value
        assert app.live_run.requested == {"base_lr": second.value}
        await arrived(pilot, app, change("base_lr", first.value, second.value))
        assert app.live_run.requested == {}
        assert toasts(app) == []


async def test_every_command_is_sent_to_the_trainer() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        for keys, command in (
            ("s", commands.RunStep()),
            ("e", commands.RunEpoch()),
            ("T", commands.EvaluateTest()),
            ("space", commands.Pause()),
            ("x y", commands.Stop()),
        ):
            await pressed(pilot, *keys.split())
            assert plain(attachment.sent)[-1] == command
            assert app.live_run.history.state == "training"
        assert len(attachment.sent) == 5


async def test_a_rejection_is_shown_to_its_sender_only() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, ">")
        (sent,) = attachment.sent
        refused = CommandRejected(command="SetBatchSize", reason="too large", step=1, by=OTHER)
        await arrived(pilot, app, replace(refused, request="another"))
        assert toasts(app) == []
        await arrived(pilot, app, replace(refused, by=ME, request=sent.request))
        assert toasts(app) == [("not possible", "too large")]
        assert app.live_run.requested == {}


async def test_a_rejection_of_another_user_keeps_the_requested_value() -> None:
    app, _ = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, ">")
        wanted = dict(app.live_run.requested)
        other = CommandRejected(command="Pause", reason="no", step=1, by=OTHER, request="another")
        await arrived(pilot, app, other)
        assert app.live_run.requested == wanted != {}


async def test_what_another_user_does_is_shown_with_the_name() -> None:
    app, _ = attached(TRAINING)
    applied = CommandApplied(command="Pause", step=STEP.step, by=OTHER, request="another")
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, change("base_lr", 0.1, 0.05, OTHER), applied)
        knob, pause = toasts(app)
        assert knob[0] == OTHER
        assert "0.05" in knob[1]
        assert pause == (OTHER, "pauses the run")


async def test_what_this_window_does_is_no_toast() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "space")
        (sent,) = attachment.sent
        done = CommandApplied(command="Pause", step=1, by=ME, request=sent.request)
        await arrived(pilot, app, done, StateChanged(state="paused", step=STEP.step))
        assert app.live_run.is_paused
        assert toasts(app) == []
        await pressed(pilot, "space")
        assert plain(attachment.sent)[-1] == commands.Resume()


async def test_reading_the_record_again_forgets_requests_and_shows_the_other_branch() -> None:
    app, _ = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, ">")
        half = TRAINING[: len(TRAINING) // 2]
        await arrived(pilot, app, RecordRead(events=tuple(half)))
        last = [event for event in half if isinstance(event, StepDone)][-1]
        assert app.live_run.history.last_step == last
        assert app.live_run.requested == {}


# Read only


async def test_a_window_that_only_watches_has_no_key_that_changes_the_run() -> None:
    app, attachment = attached(TRAINING, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert " · read-only" in line(app, TopLine)
        keys = [key for binding in KEYMAP for key in binding.key.split(",")]
        await pressed(pilot, *(key for key in keys if key not in ["q", "p", "t", "i", "?"]))
        await pressed(pilot, "1", "f", "space", "R", "x", "y")
        assert attachment.sent == []
        assert attachment.resumed == []
        names = {command.title for command in app.get_system_commands(app.screen)}
        hidden = {key.description.capitalize() for key in KEYMAP if key.action in TRAINING_ACTIONS}
        assert "Quit" in names
        assert not names & hidden
        assert not names & {"Lr up", "Lr down", "Batch up", "Augment", "Pause", "Stop", "Fix"}
        foot = line(app, KeyFooter)
        assert all(word not in foot for word in ("pause", "batch", "lr", "fix", "stop"))


async def test_a_window_that_only_watches_does_not_offer_a_resume() -> None:
    app, _ = attached(TRAINING, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        assert isinstance(app.screen, TrainScreen)
        assert "killed" in line(app, TopLine)


async def test_a_window_that_only_watches_does_not_offer_a_rewind() -> None:
    app, _ = attached(DIVERGED, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert isinstance(app.screen, TrainScreen)


async def test_a_window_that_only_watches_still_inspects() -> None:
    app, attachment = attached(MODEL, read_only=True, views=views)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "3")
        await until(pilot, lambda app: app.live_run.inspection.is_idle, app)
        assert attachment.asked == [ask_view("confusion")]


# The trainer is gone


async def test_without_a_trainer_y_resumes_the_run() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        assert isinstance(app.screen, ConfirmScreen)
        assert "The trainer is gone." in question(app)
        await pressed(pilot, "y")
        assert attachment.resumed == [None]
        assert toasts(app) == [("", "starting a trainer in the background …")]
        await arrived(pilot, app, RecordRead(events=tuple(TRAINING)))
        assert not app.live_run.history.is_over
        assert "killed" not in line(app, TopLine)


async def test_n_closes_the_question_and_a_key_resumes_later() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        await pressed(pilot, "n")
        assert isinstance(app.screen, TrainScreen)
        assert attachment.resumed == []
        assert "R resume" in line(app, KeyFooter)
        await pressed(pilot, "space", "-", "x")
        assert attachment.sent == []
        await pressed(pilot, "R")
        assert attachment.resumed == [None]


async def test_while_a_trainer_runs_no_key_resumes() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "R")
        assert attachment.resumed == []


async def test_a_run_that_cannot_be_resumed_shows_the_reason() -> None:
    app, _ = attached(TRAINING, problem="runs/one: in use: a process trains this run already")
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        await pressed(pilot, "y")
        assert toasts(app) == [
            ("not resumed", "runs/one: in use: a process trains this run already")
        ]


async def test_a_resume_that_fails_later_shows_the_reason() -> None:
    app, _ = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        await pressed(pilot, "y")
        failed = CommandRejected(command="resume", reason="--data-dir: no such folder", step=1)
        await arrived(pilot, app, failed)
        assert toasts(app)[1:] == [("not possible", "--data-dir: no such folder")]


async def test_on_another_screen_the_loss_of_the_trainer_is_a_toast() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "5")
        await arrived(pilot, app, KILLED)
        ((_, message),) = toasts(app)
        assert with_keys("press {screens.train}, then {run.resume}") in message
        await pressed(pilot, "1", "R")
        assert attachment.resumed == [None]


async def test_a_trainer_that_returns_closes_the_question() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        assert isinstance(app.screen, ConfirmScreen)
        await arrived(pilot, app, RecordRead(events=tuple(TRAINING)))
        assert isinstance(app.screen, TrainScreen)
        assert attachment.resumed == []


# Divergence


def rewound_lr() -> float:
    rates = [event.fix_value for event in DIVERGED if isinstance(event, FindingRaised)]
    assert rates[-1] is not None
    return rates[-1]


@pytest.mark.parametrize("keys", ["y", "n f"])
async def test_a_rewind_is_sent_to_the_trainer(keys: str) -> None:
    app, attachment = attached(DIVERGED, config=RunConfig(lr=1_000.0))
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert isinstance(app.screen, ConfirmScreen)
        await pressed(pilot, *keys.split())
        assert plain(attachment.sent) == [commands.Rewind(rewound_lr())]


async def test_f_resumes_a_diverged_run_that_has_ended() -> None:
    app, attachment = attached(recording("diverged"), config=RunConfig(lr=1_000.0))
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert isinstance(app.screen, TrainScreen)
        await pressed(pilot, "f")
        assert attachment.sent == []
        assert attachment.resumed == [rewound_lr()]


# Questions


def inspecting(answers: object = views) -> tuple[AttachApp, FakeAttachment]:
    return attached(MODEL, kind=InspectFirst, views=answers)  # type: ignore[arg-type]


def view_text(app: AttachApp) -> str:
    assert isinstance(app.front, InspectScreen)
    return "\n".join(app.front.query_one(ExhibitPanel).lines())


async def idle(pilot: Pilot[None], app: AttachApp) -> None:
    await until(pilot, lambda app: app.live_run.inspection.is_idle, app, tries=100)


async def test_a_view_is_answered_on_the_second_thread_with_the_step_of_the_checkpoint() -> None:
    app, attachment = inspecting()
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await idle(pilot, app)
        assert attachment.asked == [ask_view("confusion")]
        assert attachment.sent == []
        assert app.live_run.inspection.step == 7


async def test_the_curves_continue_while_a_question_is_answered() -> None:
    def never(question: Ask) -> Iterable[Exhibit]:
        released.wait(20)
        return views(question)

    released = threading.Event()
    app, _ = inspecting(never)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert app.live_run.inspection.is_waiting
        last = [event for event in MODEL if isinstance(event, StepDone)][-1]
        await arrived(pilot, app, replace(last, step=last.step + 1))
        assert app.live_run.history.step == last.step + 1
        released.set()
        await idle(pilot, app)


async def test_a_question_without_an_answer_shows_why_and_the_next_one_is_another_attempt() -> None:
    problems = ["--data-dir: no such folder"]

    def once(question: Ask) -> Iterable[Exhibit]:
        if problems:
            raise ValueError(problems.pop())
        return views(question)

    app, attachment = inspecting(once)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await idle(pilot, app)
        assert "--data-dir: no such folder" in view_text(app)
        assert toasts(app) == []
        await pressed(pilot, "n")
        await idle(pilot, app)
        await pressed(pilot, "b")
        await idle(pilot, app)
        assert "misclassified" in view_text(app)
        assert len(attachment.asked) == 3


async def test_in_the_background_it_asks_only_about_a_new_checkpoint() -> None:
    app, attachment = inspecting()
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await idle(pilot, app)
        inspection = app.live_run.inspection
        inspection.refresh()
        await idle(pilot, app)
        assert len(attachment.asked) == 1
        attachment.checkpoint = 2
        inspection.refresh()
        await idle(pilot, app)
        inspection.refresh()
        assert attachment.asked == [ask_view("confusion"), ask_view("confusion", mode="background")]


# The end


async def test_the_window_closes_without_a_question_and_stops_nothing() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q")
    assert attachment.sent == []
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    first, *_, last = words.splitlines()
    assert first.startswith("era-s6: watched in epoch ")
    assert last == f"the training continues; watch it again with: mnist-tui attach {FOLDER}"


async def test_quitting_stops_a_script_that_was_started_for_the_window() -> None:
    script = FakeScript()
    app, attachment = attached(TRAINING, script=script)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q")
        assert "goes on behind the loop" in question(app)
        await pressed(pilot, "n")
        assert not script.is_ended
        await pressed(pilot, "q", "y")
        await until(pilot, lambda _: bool(attachment.sent), app)
        assert app.is_running
        await arrived(pilot, app, finished(reason="stopped"))
    assert plain(attachment.sent) == [commands.Stop()]
    assert (script.is_ended, script.interrupts) == (True, 0)
    assert exit_message(app)[1].startswith("era-s6: stopped in epoch ")


async def test_quitting_interrupts_a_script_that_cannot_be_stopped() -> None:
    record = of_script(TRAINING, unavailable=(("Stop", "the loop does not ask"),))
    script = FakeScript()
    app, attachment = attached(record, script=script)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q")
        assert "it is interrupted, as with Ctrl+C" in question(app)
        await pressed(pilot, "y")
    assert attachment.sent == []
    assert (script.is_ended, script.interrupts) == (True, 1)
    assert "the training continues" not in exit_message(app)[1]


async def test_quitting_after_the_run_leaves_the_script_to_the_terminal() -> None:
    script = FakeScript()
    app, attachment = attached(FINISHED, script=script)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q")
    assert attachment.sent == []
    assert (script.is_ended, script.interrupts) == (True, 0)
    assert "the training continues" not in exit_message(app)[1]


@pytest.mark.parametrize("is_running", [True, False])
async def test_quitting_leaves_a_script_running(*, is_running: bool) -> None:
    script = FakeScript(is_running=is_running)
    app, attachment = attached(TRAINING, script=script)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q", *(["l"] if is_running else []))
    assert attachment.sent == []
    assert (script.is_ended, script.interrupts) == (False, 0)
    assert "the training continues; watch it again" in exit_message(app)[1]


@pytest.mark.parametrize("last", [KILLED, finished(reason="diverged")])
async def test_a_window_does_not_resume_the_run_of_a_script(last: Event) -> None:
    app, attachment = attached(of_script(DIVERGED, script="train.py"))
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, last)
        assert isinstance(app.screen, TrainScreen)
        assert "resume" not in line(app, KeyFooter)
        await pressed(pilot, "R", "f")
    assert attachment.resumed == []


async def test_a_window_that_is_closed_before_the_first_step_shows_what_continues() -> None:
    app, _ = attached([])
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.1)
        await pressed(pilot, "q")
    words = f"the training continues; watch it again with: mnist-tui attach {FOLDER}"
    assert exit_message(app) == (ExitCode.FINISHED, words)


async def test_the_exit_message_has_the_last_validation() -> None:
    app, _ = attached(MODEL)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        assert app.live_run.history.last_epoch is not None
    assert "validation " in exit_message(app)[1]


async def test_the_exit_message_of_a_run_without_a_trainer() -> None:
    app, _ = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await arrived(pilot, app, KILLED)
        await pressed(pilot, "n", "q")
    code, words = exit_message(app)
    assert code == ExitCode.FINISHED
    assert "killed in epoch" in words
    assert "the training continues" not in words
    assert words.splitlines()[-1].startswith(f"recorded in {FOLDER}; resume from step")


@pytest.mark.parametrize("record", [FINISHED, [*TRAINING, finished(reason="stopped")]])
async def test_the_exit_message_of_a_run_that_has_ended(record: list[Event]) -> None:
    app, _ = attached(record)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "q")
    _, words = exit_message(app)
    assert "the training continues" not in words
    assert f"recorded in {FOLDER}" in words.splitlines()[-1]


async def test_a_run_whose_folder_was_moved_is_one_error_and_exit_code_2() -> None:
    app, attachment = attached(TRAINING)
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        app.on_run_rejected(RunRejected("runs/one: moved or deleted while it was followed"))
        await pilot.pause()
    code, words = exit_message(app)
    assert code == ExitCode.BAD_INPUT
    assert words == "mnist-tui: error: runs/one: moved or deleted while it was followed"
    assert attachment.sent == []


# Leaving a training


async def leaving(pilot: Pilot[None], app: MnistTui) -> None:
    await wait_for_events(pilot, app, PAUSED)
    await pressed(pilot, "q")
    assert isinstance(app.screen, ConfirmScreen)


async def test_l_stops_the_run_for_a_process_in_the_background() -> None:
    app, engine = window([RecordingStarted(folder=FOLDER), *PAUSED])
    async with app.run_test(size=SIZE) as pilot:
        await leaving(pilot, app)
        await pressed(pilot, "l")
    assert engine.received == [commands.Stop(reason="detached", test=False)]
    assert app.leaves_training
    assert "resume" not in exit_message(app)[1]


async def test_a_run_that_ends_while_the_question_is_open_is_not_left() -> None:
    app, _ = window([RecordingStarted(folder=FOLDER), *PAUSED])
    async with app.run_test(size=SIZE) as pilot:
        await leaving(pilot, app)
        app.post_message(EventsArrived((finished(reason="completed"),), app.live_run.bridge))
        await pilot.pause(0.1)
        await pressed(pilot, "l")
    assert not app.leaves_training
    assert f"recorded in {FOLDER}" in exit_message(app)[1]


@pytest.mark.parametrize(
    "before",
    [
        [],
        [RecordingStarted(folder=FOLDER), RecordingFailed(path="x", message="disk full")],
    ],
    ids=["not recorded", "not saved"],
)
async def test_a_run_that_no_process_could_continue_is_not_left(before: list[Event]) -> None:
    app, engine = window([*before, *PAUSED])
    async with app.run_test(size=SIZE) as pilot:
        await leaving(pilot, app)
        assert not app.screen.query("#other")
        await pressed(pilot, "l")
        assert isinstance(app.screen, ConfirmScreen)
        assert engine.received == []


async def test_another_key_of_the_question_leaves_nothing() -> None:
    app, engine = window([RecordingStarted(folder=FOLDER), *PAUSED])
    async with app.run_test(size=SIZE) as pilot:
        await leaving(pilot, app)
        await pressed(pilot, "n")
        assert engine.received == []
        await pressed(pilot, "q", "y")
    assert engine.received == [commands.Stop(reason="stopped", test=False)]
    assert not app.leaves_training


# Pictures


async def picture(pilot: Pilot[None], app: AttachApp, *acts: str | Event) -> None:
    await shown(pilot, app)
    for act in acts:
        await (pressed(pilot, act) if isinstance(act, str) else arrived(pilot, app, act))
    await pilot.pause(0.2)


@pytest.mark.parametrize(
    ("size", "acts", "read_only"),
    [
        pytest.param(MEDIUM, ["-"], False, id="attached-120x40"),
        pytest.param(SMALL, [], True, id="read-only-80x24"),
        pytest.param(SMALL, [KILLED], False, id="killed-80x24"),
    ],
)
def test_attached(
    snap_compare: SnapCompare, size: tuple[int, int], acts: list[str | Event], read_only: bool
) -> None:
    app, _ = attached(TRAINING, read_only=read_only)

    async def before(pilot: Pilot[None]) -> None:
        await picture(pilot, app, *acts)

    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [(60, 16), *SIZES[:2]], ids=lambda size: f"{size[0]}x{size[1]}")
def test_leaving(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    snapshot(snap_compare, [RecordingStarted(folder=FOLDER), *recording("paused")], "q", size=size)


# A silent trainer


def test_the_window_shows_how_long_a_busy_trainer_has_recorded_nothing() -> None:
    now = [0.0]
    run = AttachedRun(
        RunConfig(), FakeAttachment(TRAINING), lambda message: None, by=ME, clock=lambda: now[0]
    )
    run.apply((RecordRead(events=tuple(TRAINING)),))
    now[0] = 9.0
    assert run.role == "attached"
    now[0] = 12.0
    assert run.role == "attached, no event for 12 s"
    run.apply((STEP,))
    assert run.role == "attached"
    run.apply((StateChanged(state="paused", step=STEP.step),))
    now[0] = 99.0
    assert run.role == "attached", "a paused trainer has nothing to record"


def test_a_view_shows_what_the_first_answer_waits_for() -> None:
    run = AttachedRun(RunConfig(), FakeAttachment(TRAINING), lambda message: None, by=ME)
    question = Ask("view/confusion")
    assert "checkpoint" in run.preparing
    run.apply((answered(question),))
    assert run.preparing == ""


# --- what a script cannot do

LIMITS = (
    ("augmentation", "the script prepares its own images"),
    ("EvaluateTest", "the script has its own test set"),
    ("batch_size", "the loader draws whole batches"),
)


async def test_what_a_script_cannot_do_is_dimmed_with_the_reason() -> None:
    app, attachment = attached(of_script(TRAINING, script="train.py", unavailable=LIMITS))
    async with app.run_test(size=(200, 55)) as pilot:
        await shown(pilot, app)
        pieces = {p.action: p for p in app.screen.query_one(KeyFooter).pieces if p.is_key}
        dimmed = {action for action, piece in pieces.items() if not piece.is_enabled}
        assert {"adjust('batch_size', 1)", "adjust('augmentation', 1)"} <= dimmed
        tooltip = pieces["adjust('augmentation', 1)"].tooltip
        assert tooltip == "the script prepares its own images"
        assert pieces["toggle_pause"].is_enabled
        assert app.check_action("check", ()) is None

        await pressed(pilot, "T")
        (notice,) = app._notifications
        assert notice.message == "not possible: the script has its own test set"
        assert not attachment.sent

        await pressed(pilot, "space")
        assert [type(command) for command in attachment.sent] == [commands.Pause]


async def test_a_script_whose_model_cannot_be_built_answers_no_questions() -> None:
    app, attachment = attached(of_script(TRAINING, unavailable=(("Ask", "it has a lock"),)))
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "3")
        await until(pilot, lambda app: isinstance(app.screen, InspectScreen), app)
        await pilot.pause(0.3)
        assert not attachment.asked
        text = app.export_screenshot()
        assert "cannot" in text
        assert "lock" in text


async def test_no_receptive_field_is_asked_for_inputs_that_are_no_square_images() -> None:
    (started,) = (event for event in MODEL if isinstance(event, RunStarted))
    first = replace(started.layers[0], output_shape=(1, 1, 12))
    layers = (first, *started.layers[1:])
    app, attachment = attached(of_script(MODEL, script="train.py", layers=layers))
    async with app.run_test(size=SIZE) as pilot:
        await shown(pilot, app)
        await pressed(pilot, "2", "down", "down")
        assert not attachment.asked
        assert "square" in app.export_screenshot()
