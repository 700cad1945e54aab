"""A view during a run: it does not change the run, and keeps to its share of the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, bare_config, of, only
from tests.protocol.questions import answers, ask_view, exhibit_of
from tests.training import train
from tui_trainer.engine import loop
from tui_trainer.engine.run import Run
from tui_trainer.lab import ask
from tui_trainer.lab.ask import BACKGROUND_SHARE, CREDIT
from tui_trainer.lab.context import Context, Parts
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Command, Inbox, Mode, Pause, SetBaseLr, Stop
from tui_trainer.protocol.events import (
    CommandRejected,
    Diverged,
    EpochDone,
    Event,
    RunFinished,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.exhibit import Choices, Exhibit, Words

ON_TEST = (("images", "test"),)
MODES: tuple[Mode, Mode] = ("interactive", "background")
BATCH, PART = 1.0, 0.05
"""Seconds."""


class Worker:
    """A view with slow slices that use the rng."""

    def __init__(self, clock: FakeClock, parts: int) -> None:
        self.clock, self.parts, self.done = clock, parts, 0

    def __call__(self, context: Context, choices: Choices, confirmed: bool) -> Parts:
        for number in range(self.parts):
            self.clock.now += PART
            self.done += 1
            drawn = float(torch.rand(()))
            progress = None if number + 1 == self.parts else number / self.parts
            yield Exhibit(blocks=(Words(text=f"{drawn}"),), progress=progress)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """A clock that advances with each batch."""
    ticking, step = FakeClock(), loop.train_step

    def slow_step(run: Run) -> None:
        ticking.now += BATCH
        step(run)

    monkeypatch.setattr(loop, "train_step", slow_step)
    return ticking


def employ(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, parts: int) -> Worker:
    """Use this worker for every view."""
    worker = Worker(clock, parts)
    monkeypatch.setattr(ask, "view_named", lambda name: worker)
    return worker


def events_of(
    tiny: Path,
    inbox: Inbox,
    clock: FakeClock | None = None,
    *,
    interactive: bool = False,
    **settings: object,
) -> list[Event]:
    # The smallest model: the predictions do not matter here.
    config = bare_config(tiny, **{"model": "mlp", **settings})
    return list(train(config, inbox, clock=clock or FakeClock(), interactive=interactive))


def without_answers(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Answered)]


def test_views_do_not_change_the_run(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"model": "squeeze-dropout", "augment": "light"}
    alone = events_of(tiny, Inbox(), **settings)
    questions = [ask_view("confusion", mode="background")]
    inspected = events_of(tiny, ScriptedInbox({5: questions, 9: questions}), **settings)
    assert len(answers(inspected, "view")) == 2
    assert without_answers(inspected) == alone

    grad_cam = ask_view("attribution", (("method", "Grad-CAM"),))
    inspected = events_of(tiny, ScriptedInbox({5: [grad_cam]}), **settings)
    exhibit = exhibit_of(answers(inspected, "view")[-1])
    assert "coarse" in exhibit.figures
    assert without_answers(inspected) == alone

    employ(monkeypatch, FakeClock(), parts=20)
    drawn = events_of(tiny, ScriptedInbox({5: [ask_view("draw")]}), **settings)
    assert len(answers(drawn, "view")) == 20
    assert without_answers(drawn) == alone


def test_each_slice_has_a_different_reproducible_seed(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, FakeClock(), parts=3)
    first, second = (
        [exhibit_of(event) for event in answers(events_of(tiny, ScriptedInbox({at: [question]})))]
        for at, question in ((5, ask_view("attribution")), (9, ask_view("activation")))
    )
    assert first == second
    assert len(set(map(str, first))) == 3


def test_a_view_keeps_the_weights_of_the_step_of_its_question(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def weigh(context: Context, choices: Choices, confirmed: bool) -> Parts:
        while True:
            clock.now += 10 * PART
            seen.append(sum(float(p.abs().sum()) for p in context.model.parameters()))
            yield Exhibit(blocks=(), progress=0.5)

    monkeypatch.setattr(ask, "view_named", lambda name: weigh)
    events = events_of(tiny, ScriptedInbox({5: [ask_view("kernels")]}), clock)
    assert {event.step for event in answers(events, "view")} == {5}
    assert len(seen) > 3
    assert len(set(seen)) == 1


def test_background_views_get_less_time_than_interactive_ones(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = {}
    for is_background in (True, False):
        worker = employ(monkeypatch, clock, parts=100_000)
        clock.now = 0.0
        question = ask_view("maps", mode="background" if is_background else "interactive")
        events_of(tiny, ScriptedInbox({1: [question]}), clock, epochs=5)
        done[is_background] = worker.done * PART
        if is_background:
            assert (
                BACKGROUND_SHARE * clock.now - PART
                <= done[is_background]
                <= BACKGROUND_SHARE * clock.now + CREDIT + PART
            )
    assert done[False] > 5 * done[True]


def test_a_newer_question_replaces_an_older_one(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, clock, parts=100_000)
    older, newer = ask_view("maps"), ask_view("kernels")
    events = events_of(tiny, ScriptedInbox({3: [older], 6: [newer]}), clock)
    questions = [event.question for event in answers(events, "view")]
    change = questions.index(newer)
    assert set(questions[:change]) == {older}
    assert set(questions[change:]) == {newer}
    assert {event.step for event in answers(events, "view")} == {3, 6}


def test_a_paused_run_finishes_a_view_unless_a_command_arrives(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = employ(monkeypatch, clock, parts=60)
    paused: list[list[Command]] = [[ask_view("maps", mode="background")], [Stop(test=False)]]
    events = events_of(tiny, ScriptedInbox({4: [Pause()]}, paused), clock)
    assert worker.done == 60
    assert exhibit_of(answers(events, "view")[-1]).progress is None

    worker = employ(monkeypatch, clock, parts=60)
    inbox = Inbox(Pause(), ask_view("maps"))
    for event in train(bare_config(tiny, model="mlp"), inbox, clock=clock):
        if isinstance(event, Answered) and worker.done == 3:
            inbox.send(Stop(test=False))
    assert worker.done == 3


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "later"])
def test_a_failing_view_is_rejected_and_the_run_continues(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def broken(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit | None]:
        if not at_once:
            yield Exhibit(blocks=(), progress=0.5)
        raise ValueError("no such layer")

    monkeypatch.setattr(ask, "view_named", lambda name: broken)
    events = events_of(tiny, ScriptedInbox({3: [ask_view("maps")]}))
    refused = only(CommandRejected, events)
    assert (refused.command, refused.reason) == ("view/maps", "no such layer")
    assert only(RunFinished, events).reason == "completed"
    assert len(of(StepDone, events)) == 14


def test_an_unknown_view_is_rejected(tiny: Path) -> None:
    events = events_of(tiny, ScriptedInbox({3: [ask_view("palmistry")]}))
    refused = only(CommandRejected, events)
    assert refused.command == "view/palmistry"
    assert "palmistry" in refused.reason
    assert not answers(events, "view")


def test_an_unknown_view_evaluates_no_test_set(tiny: Path) -> None:
    opened = ask_view("palmistry", ON_TEST, mode="confirmed")
    events = events_of(tiny, ScriptedInbox({3: [opened]}))
    assert only(CommandRejected, events).command == "view/palmistry"
    assert only(TestEvaluated, events).step == 14  # at the end of the run


def test_each_confirmed_test_evaluation_is_counted_once(tiny: Path) -> None:
    closed, opened = (
        ask_view("confusion", ON_TEST),
        ask_view("confusion", ON_TEST, mode="confirmed"),
    )
    other = ask_view("confusion", (*ON_TEST, ("numbers", "shares")), mode="confirmed")
    inbox = ScriptedInbox({3: [closed], 5: [opened], 6: [opened], 7: [closed]})
    # While paused no step is trained: the predictions hold for every view.
    inbox._at[9], inbox._paused = [Pause()], [[opened], [other], [Stop(test=False)]]
    events = events_of(tiny, inbox)
    assert [(event.evaluation, event.step) for event in of(TestEvaluated, events)] == [
        (1, 5),
        (2, 6),
        (3, 9),
    ]
    sealed, first, second, later, *paused = (exhibit_of(event) for event in answers(events, "view"))
    assert sealed.trains
    assert not sealed.evidence
    assert "test evaluation 1" in first.evidence
    assert "test evaluation 2" in second.evidence
    assert later.evidence == second.evidence
    assert ["test evaluation 3" in exhibit.evidence for exhibit in paused] == [True, True]


def test_the_final_test_evaluation_is_reused(tiny: Path) -> None:
    question = ask_view("confusion", ON_TEST, mode="confirmed")
    events = events_of(tiny, ScriptedInbox(paused=[[question], [Stop()]]), interactive=True)
    assert only(TestEvaluated, events).evaluation == 1
    assert only(RunFinished, events).test_evaluations == 1
    assert "test evaluation 1" in exhibit_of(only(Answered, events)).evidence


def test_the_view_reuses_the_predictions_of_the_validation(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    probabilities = Context.probabilities

    def counting(context: Context, images: torch.Tensor) -> torch.Tensor:
        judged.append(len(images))
        return probabilities(context, images)

    monkeypatch.setattr(Context, "probabilities", counting)
    events = events_of(
        tiny, ScriptedInbox({3: [ask_view("confusion")], 14: [ask_view("confusion")]})
    )
    assert len(of(EpochDone, events)) == 2
    assert sum(judged) == 10  # the run has validated after step 14


def test_a_diverged_run_evaluates_no_test_set(tiny: Path) -> None:
    paused: list[list[Command]] = [
        [ask_view("confusion", ON_TEST, mode="confirmed")],
        [ask_view("confusion")],
        [Stop(test=False)],
    ]
    events = events_of(
        tiny,
        ScriptedInbox({3: [SetBaseLr(1_000.0)]}, paused),
        interactive=True,
        model="era-s6-plain",
        schedule="constant",
        weight_decay=0.0,
    )
    assert of(Diverged, events)
    assert "not finite" in only(CommandRejected, events).reason
    assert not of(TestEvaluated, events)
    # Another view is still answered, even if it has nothing to show.
    assert only(Answered, events).question == ask_view("confusion")


def test_views_are_answered_after_the_end_of_a_run(tiny: Path) -> None:
    events = events_of(
        tiny, ScriptedInbox(paused=[[ask_view("confusion")], [Stop()]]), interactive=True
    )
    over = events.index(only(RunFinished, events))
    assert isinstance(events[over + 1], Answered)
    assert answers(events, "view")[0].step == 14


def test_slices_use_one_thread_and_the_run_all_of_its_threads(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(context: Context, choices: Choices, confirmed: bool) -> Parts:
        yield Exhibit(blocks=(Words(text=str(torch.get_num_threads())),))

    monkeypatch.setattr(ask, "view_named", lambda name: show)
    before = torch.get_num_threads()
    try:
        events = events_of(tiny, ScriptedInbox({2: [ask_view("confusion")]}), threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert exhibit_of(only(Answered, events)).blocks == (Words(text="1"),)


def test_the_background_gets_complete_results_only(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, FakeClock(), parts=4)
    waited, followed = (
        answers(events_of(tiny, ScriptedInbox({3: [ask_view("activation", mode=mode)]})))
        for mode in MODES
    )
    assert len(waited) == 4
    assert [exhibit_of(event) for event in followed] == [exhibit_of(waited[-1])]
