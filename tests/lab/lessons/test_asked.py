"""A lesson's experiment in the middle of a run: it changes nothing of it, and it can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.runs import ScriptedInbox, of, only, run, tiny_config
from tests.lab.lessons.conftest import Ticking
from tests.training import train
from tui_trainer.course.lesson import SLUGS
from tui_trainer.lab import lesson_answers
from tui_trainer.lab.context import Bench
from tui_trainer.lab.lesson_answers import experiment
from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import Command, Inbox, Pause, Stop, StopTrying, TryLesson
from tui_trainer.protocol.events import CommandRejected, Event, RunFinished, StepDone
from tui_trainer.protocol.exhibit import Choices, Exhibit, Words


def training(bench: Bench, choices: Choices, goes: bool) -> Iterator[Exhibit]:
    """An experiment that trains three steps and draws from chance, a part at a time."""
    trial = bench.trial(bench.fresh())
    for number in range(3):
        loss = float(trial.step())
        drawn = float(torch.rand(()))
        yield Exhibit(blocks=(Words(text=f"{loss} {drawn}"),), progress=number / 3)


@pytest.fixture(autouse=True)
def _training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_answers, "experiment", lambda slug: training)


def tried(inbox: Inbox, tiny: Path, **settings: object) -> list[Event]:
    return run(tiny_config(tiny, **settings), inbox)


def said(events: list[Event]) -> list[str]:
    told = [e.exhibit.blocks[0] for e in of(LessonTried, events)]
    return [block.text for block in told if isinstance(block, Words)]


def test_a_run_goes_on_as_if_nothing_had_been_tried(tiny: Path) -> None:
    settings = {"model": "squeeze-dropout", "augment": "light"}
    alone = tried(Inbox(), tiny, **settings)
    asked = tried(ScriptedInbox({5: [TryLesson("softmax", goes=True)]}), tiny, **settings)

    assert of(StepDone, asked) == of(StepDone, alone)
    assert len(of(LessonTried, asked)) == 3
    assert {event.step for event in of(LessonTried, asked)} == {5}


def test_what_is_drawn_in_an_experiment_is_the_same_each_time_and_never_twice_within(
    tiny: Path,
) -> None:
    again = [TryLesson("softmax"), TryLesson("softmax")]
    first = said(tried(ScriptedInbox({5: again[:1]}), tiny))
    second = said(tried(ScriptedInbox({9: again[:1]}), tiny))

    assert first == second
    assert len({words.split()[1] for words in first}) == 3


@pytest.mark.parametrize("wish", [StopTrying(), TryLesson("layers"), Stop()])
def test_a_newer_wish_ends_an_experiment_between_two_parts(tiny: Path, wish: Command) -> None:
    inbox = Inbox(Pause(), TryLesson("softmax"))
    events: list[Event] = []
    for event in train(tiny_config(tiny), inbox, clock=Ticking()):
        events.append(event)
        if isinstance(event, LessonTried) and len(of(LessonTried, events)) == 2:
            inbox.send(wish)
            inbox.send(Stop(test=False))
    told = of(LessonTried, events)

    assert len([event for event in told if event.lesson == "softmax"]) == 2
    assert not [event for event in told if event.lesson == "layers"]  # the Stop ended it as well
    assert only(RunFinished, events).reason == "stopped"


def test_lessons_are_tried_after_the_end_of_a_run_too(tiny: Path) -> None:
    inbox = ScriptedInbox(paused=[[TryLesson("softmax")], [Stop()]])
    events = list(train(tiny_config(tiny), inbox, clock=Ticking(), interactive=True))

    assert len(of(LessonTried, events)) == 3


def test_a_lesson_that_does_not_exist_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_answers, "experiment", experiment)
    events = tried(ScriptedInbox({1: [TryLesson("alchemy")]}), tiny)

    refused = only(CommandRejected, events)
    assert refused.command == "TryLesson"
    assert "alchemy" in refused.reason


def test_an_experiment_that_fails_is_refused_and_the_run_goes_on(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(bench: Bench, choices: Choices, goes: bool) -> Iterator[Exhibit]:
        yield Exhibit(blocks=())
        raise ValueError("no such layer")

    monkeypatch.setattr(lesson_answers, "experiment", lambda slug: broken)
    events = tried(ScriptedInbox({1: [TryLesson("layers")]}), tiny)

    assert only(CommandRejected, events).reason == "no such layer"
    assert only(RunFinished, events).reason == "completed"


def test_every_lesson_has_an_experiment() -> None:
    assert all(callable(experiment(slug)) for slug in SLUGS)
