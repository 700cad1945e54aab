"""An experiment in the middle of a run: it does not change the run, and it can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.runs import ScriptedInbox, bare_config, of, only, run
from tests.lab.conftest import Ticking
from tests.protocol.questions import answers, ask_lesson, exhibit_of
from tests.training import train
from tui_trainer.course.lesson import SLUGS
from tui_trainer.lab import ask
from tui_trainer.lab.ask import experiment
from tui_trainer.lab.context import Context
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import CancelQuestion, Command, Inbox, Pause, Stop
from tui_trainer.protocol.events import CommandRejected, Event, RunFinished, StepDone
from tui_trainer.protocol.exhibit import Choices, Exhibit, Words


def training(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit]:
    """An experiment that trains three steps and draws random numbers, one part at a time."""
    trial = context.trial(context.fresh())
    for number in range(3):
        loss = float(trial.step())
        drawn = float(torch.rand(()))
        yield Exhibit(blocks=(Words(text=f"{loss} {drawn}"),), progress=number / 3)


@pytest.fixture(autouse=True)
def _training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "experiment", lambda slug: training)


def tried(inbox: Inbox, tiny: Path, **settings: object) -> list[Event]:
    return run(bare_config(tiny, **settings), inbox)


def texts_shown(events: list[Event]) -> list[str]:
    shown = [exhibit_of(e).blocks[0] for e in answers(events, "lesson")]
    return [block.text for block in shown if isinstance(block, Words)]


def test_an_experiment_does_not_change_the_run(tiny: Path) -> None:
    settings = {"model": "squeeze-dropout", "augment": "light"}
    alone = tried(Inbox(), tiny, **settings)
    asked = tried(ScriptedInbox({5: [ask_lesson("softmax", mode="confirmed")]}), tiny, **settings)

    assert of(StepDone, asked) == of(StepDone, alone)
    assert len(answers(asked, "lesson")) == 3
    assert {event.step for event in answers(asked, "lesson")} == {5}


def test_random_numbers_of_an_experiment_repeat_but_not_within_it(
    tiny: Path,
) -> None:
    again = [ask_lesson("softmax"), ask_lesson("softmax")]
    first = texts_shown(tried(ScriptedInbox({5: again[:1]}), tiny))
    second = texts_shown(tried(ScriptedInbox({9: again[:1]}), tiny))

    assert first == second
    assert len({words.split()[1] for words in first}) == 3


@pytest.mark.parametrize("command", [CancelQuestion("lesson"), ask_lesson("layers"), Stop()])
def test_a_newer_command_ends_an_experiment_between_two_parts(tiny: Path, command: Command) -> None:
    inbox = Inbox(Pause(), ask_lesson("softmax"))
    events: list[Event] = []
    for event in train(bare_config(tiny), inbox, clock=Ticking()):
        events.append(event)
        if isinstance(event, Answered) and len(answers(events, "lesson")) == 2:
            inbox.send(command)
            inbox.send(Stop(test=False))
    shown = answers(events, "lesson")

    assert len([event for event in shown if event.question.name == "softmax"]) == 2
    # Stop ended the other one too.
    assert not [event for event in shown if event.question.name == "layers"]
    assert only(RunFinished, events).reason == "stopped"


def test_lessons_also_work_after_the_end_of_a_run(tiny: Path) -> None:
    inbox = ScriptedInbox(paused=[[ask_lesson("softmax")], [Stop()]])
    events = list(train(bare_config(tiny), inbox, clock=Ticking(), interactive=True))

    assert len(answers(events, "lesson")) == 3


def test_an_unknown_lesson_is_rejected(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "experiment", experiment)
    events = tried(ScriptedInbox({1: [ask_lesson("alchemy")]}), tiny)

    refused = only(CommandRejected, events)
    assert refused.command == "lesson/alchemy"
    assert "alchemy" in refused.reason


def test_a_failing_experiment_is_rejected_and_the_run_continues(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit]:
        yield Exhibit(blocks=())
        raise ValueError("no such layer")

    monkeypatch.setattr(ask, "experiment", lambda slug: broken)
    events = tried(ScriptedInbox({1: [ask_lesson("layers")]}), tiny)

    assert only(CommandRejected, events).reason == "no such layer"
    assert only(RunFinished, events).reason == "completed"


def test_every_lesson_has_an_experiment() -> None:
    assert all(callable(experiment(slug)) for slug in SLUGS)
