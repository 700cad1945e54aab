"""Pausing, single steps, test evaluations and stopping, as seen in a run's events."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only, run
from tests.training import train
from tui_trainer.engine import loop
from tui_trainer.engine.run import Run
from tui_trainer.protocol.commands import (
    Command,
    EvaluateTest,
    Inbox,
    Pause,
    Resume,
    RunEpoch,
    RunStep,
    SetBaseLr,
    Stop,
)
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)


def states(events: list[Event]) -> list[tuple[str, int]]:
    received: list[tuple[str, int]] = [(e.state, e.step) for e in of(StateChanged, events)]
    return received[2:]


def steps(events: list[Event]) -> int:
    return len(of(StepDone, events))


# --- pausing


def test_a_pause_lasts_until_resume(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [Pause()]}, paused=[[SetBaseLr(0.01)], [Resume()]])

    events = run(bare_config(tiny), inbox)

    assert inbox.waits == [3, 3]
    assert states(events)[:3] == [("training", 0), ("paused", 3), ("training", 3)]
    assert steps(events) == 14
    assert only(SettingChanged, events).step == 3
    assert only(RunFinished, events).reason == "completed"


def test_pausing_changes_nothing_but_the_states(tiny: Path) -> None:
    plain = run(bare_config(tiny))
    inbox = ScriptedInbox(
        {3: [Pause()], 9: [Pause()]}, paused=[[Resume()], [RunStep()], [Resume()]]
    )

    events = run(bare_config(tiny), inbox)

    kinds = (StepDone, EpochDone, RunFinished)
    assert [e for e in events if isinstance(e, kinds)] == [e for e in plain if isinstance(e, kinds)]


def test_a_pause_sent_before_the_start_comes_before_the_first_step(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({0: [Pause()]}, paused=[[Resume()]]))

    assert states(events)[:2] == [("paused", 0), ("training", 0)]
    assert steps(events) == 14


def test_paused_time_is_not_training_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    train_step, evaluate = loop.train_step, Run.evaluate_test

    def slow_step(run: Run) -> None:
        clock.now += 2
        train_step(run)

    def slow_test(run: Run) -> TestEvaluated:
        clock.now += 500
        return evaluate(run)

    def waiting() -> None:
        clock.now += 1_000

    monkeypatch.setattr(loop, "train_step", slow_step)
    monkeypatch.setattr(Run, "evaluate_test", slow_test)
    script: dict[int, list[Command]] = {0: [Pause()], 3: [Pause()], 5: [EvaluateTest()]}
    inbox = ScriptedInbox(
        script, paused=[[Resume()], [EvaluateTest()], [Resume()]], waiting=waiting
    )

    events = run(bare_config(tiny), inbox, clock)

    assert clock.now == 14 * 2 + 3 * 1_000 + 3 * 500
    assert [step.seconds for step in of(StepDone, events)] == list(range(2, 29, 2))
    assert [epoch.seconds for epoch in of(EpochDone, events)] == [14, 14]
    assert only(RunFinished, events).seconds == 28


def test_a_paused_engine_wakes_when_a_command_arrives(tiny: Path) -> None:
    """With the real inbox and a real second thread, as in the window."""
    inbox = Inbox(Pause())
    received: list[Event] = []
    is_paused = threading.Event()

    def work() -> None:
        for event in train(bare_config(tiny), inbox):
            received.append(event)
            if isinstance(event, StateChanged) and event.state == "paused":
                is_paused.set()

    worker = threading.Thread(target=work)
    worker.start()
    assert is_paused.wait(30)
    inbox.send(Resume())
    worker.join(30)

    assert not worker.is_alive()
    assert only(RunFinished, received).reason == "completed"


# --- one step, one epoch


def test_run_step_trains_one_step(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [Pause()]}, paused=[[RunStep()], [RunStep()], [Stop()]])

    events = run(bare_config(tiny), inbox)

    assert inbox.waits == [3, 4, 5]
    assert steps(events) == 5
    assert states(events)[1:6] == [
        ("paused", 3),
        ("training", 3),
        ("paused", 4),
        ("training", 4),
        ("paused", 5),
    ]


def test_two_run_step_commands_train_two_steps(tiny: Path) -> None:
    inbox = ScriptedInbox({0: [Pause()]}, paused=[[RunStep(), RunStep()], [Stop()]])

    events = run(bare_config(tiny), inbox)

    assert inbox.waits == [0, 2]
    assert steps(events) == 2


def test_run_step_while_training_trains_one_more_step_then_pauses(tiny: Path) -> None:
    inbox = ScriptedInbox({4: [RunStep()]}, paused=[[Resume()]])

    events = run(bare_config(tiny), inbox)

    assert inbox.waits == [5]
    assert steps(events) == 14


def test_a_step_that_completes_an_epoch_ends_it_before_the_pause(tiny: Path) -> None:
    inbox = ScriptedInbox({6: [RunStep()]}, paused=[[Resume()]])

    events = run(bare_config(tiny, probes=False), inbox)

    story = [type(e).__name__ if not isinstance(e, StateChanged) else e.state for e in events]
    place = story.index("EpochDone")
    assert story[place - 2 : place + 2] == ["StepDone", "validating", "EpochDone", "paused"]
    assert inbox.waits == [7]


@pytest.mark.parametrize("command", [Pause(), Resume()])
def test_pause_and_resume_cancel_pending_steps(tiny: Path, command: Command) -> None:
    commands: list[Command] = [RunStep(), RunStep(), command]
    inbox = ScriptedInbox({2: commands}, paused=[[Resume()]])

    run(bare_config(tiny), inbox)

    assert inbox.waits == ([2] if command == Pause() else [])


def test_run_epoch_trains_the_rest_of_this_epoch_and_validates(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [Pause()]}, paused=[[RunEpoch()], [RunEpoch()], [Resume()]])

    events = run(bare_config(tiny, epochs=4), inbox)

    assert inbox.waits == [3, 7, 14]
    for step in (7, 14):
        place = events.index(StateChanged(state="paused", step=step))
        assert isinstance(events[place - 1], EpochDone)
    assert steps(events) == 28


@pytest.mark.parametrize("command", [Pause(), Resume()])
def test_the_pause_after_an_epoch_can_be_canceled(tiny: Path, command: Command) -> None:
    script: dict[int, list[Command]] = {2: [RunEpoch()], 4: [command]}
    inbox = ScriptedInbox(script, paused=[[Resume()]])

    run(bare_config(tiny), inbox)

    assert inbox.waits == ([4] if command == Pause() else [])


def test_run_epoch_in_the_last_epoch_ends_the_run(tiny: Path) -> None:
    inbox = ScriptedInbox({10: [RunEpoch()]})

    assert only(RunFinished, run(bare_config(tiny), inbox)).reason == "completed"
    assert inbox.waits == []


# --- the test set


def test_a_test_evaluation_is_counted_and_reported(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({5: [EvaluateTest()]}))

    first, last = of(TestEvaluated, events)
    assert (first.evaluation, first.step, first.images) == (1, 5, 80)
    assert (last.evaluation, last.step) == (2, 14)
    assert only(RunFinished, events).test_evaluations == 2
    assert states(events)[:3] == [("training", 0), ("testing", 5), ("training", 5)]


def test_a_test_evaluation_does_not_change_training(tiny: Path) -> None:
    config = bare_config(tiny, model="era-s6-dropout", dropout=0.5)

    plain, evaluated = (
        of(StepDone, run(config, ScriptedInbox({step: [EvaluateTest()]}))) for step in (100, 5)
    )

    assert plain == evaluated


def test_a_test_evaluation_while_paused_keeps_the_pause(tiny: Path) -> None:
    inbox = ScriptedInbox({3: [Pause()]}, paused=[[EvaluateTest()], [Resume()]])

    events = run(bare_config(tiny), inbox)

    assert inbox.waits == [3, 3]
    assert states(events)[1:5] == [("paused", 3), ("testing", 3), ("paused", 3), ("training", 3)]


# --- stopping


def test_stop_ends_the_run_after_the_batch_and_evaluates_the_test_set(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({10: [Stop()]}))

    *_, test, end = events
    assert isinstance(test, TestEvaluated)
    assert isinstance(end, RunFinished)
    assert (end.reason, end.step, end.epochs, end.test_evaluations) == ("stopped", 10, 1, 1)
    assert end.val_accuracy == only(EpochDone, events).val_accuracy
    assert steps(events) == 10


def test_an_interrupted_run_reports_its_reason(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({2: [Stop(reason="interrupted")]}))

    assert only(RunFinished, events).reason == "interrupted"


def test_stop_without_test_leaves_the_test_set_unread(tiny: Path) -> None:
    events = run(bare_config(tiny), ScriptedInbox({2: [Stop(test=False)]}))

    end = only(RunFinished, events)
    assert (end.reason, end.test_evaluations, end.test_accuracy) == ("stopped", 0, None)
    assert events[-1] is end
    assert not of(TestEvaluated, events)
    assert ("testing", 2) not in states(events)


def test_a_paused_run_can_be_stopped(tiny: Path) -> None:
    inbox = ScriptedInbox({2: [Pause()]}, paused=[[Stop()]])

    events = run(bare_config(tiny), inbox)

    assert states(events) == [("training", 0), ("paused", 2), ("testing", 2)]
    assert only(RunFinished, events).step == 2


def test_a_run_can_be_stopped_before_its_first_step(tiny: Path) -> None:
    events = run(bare_config(tiny), Inbox(Stop()))

    end = only(RunFinished, events)
    assert (end.reason, end.step, end.epochs, end.val_accuracy) == ("stopped", 0, 0, None)
    assert steps(events) == 0
    assert end.test_total == 40


def test_commands_after_a_stop_are_ignored(tiny: Path) -> None:
    commands: list[Command] = [Stop(), SetBaseLr(0.5), EvaluateTest(), Pause(), Stop(test=False)]

    events = run(bare_config(tiny), ScriptedInbox({3: commands}))

    assert not of(SettingChanged, events)
    assert not of(TestEvaluated, events)  # the last stop skips the test set
    assert only(RunFinished, events).step == 3
