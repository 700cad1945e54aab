"""A view in the middle of a run: it changes nothing of it, and keeps to its share of the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.runs import FakeClock, ScriptedInbox, of, only, tiny_config
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
    """A view that takes its time, a part after the other, and draws from chance in each."""

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
    """A clock that each batch moves on."""
    ticking, step = FakeClock(), loop.train_step

    def slow_step(run: Run) -> None:
        ticking.now += BATCH
        step(run)

    monkeypatch.setattr(loop, "train_step", slow_step)
    return ticking


def employ(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, parts: int) -> Worker:
    """Let this worker answer for every view."""
    worker = Worker(clock, parts)
    monkeypatch.setattr(ask, "view_named", lambda name: worker)
    return worker


def told_of(
    tiny: Path,
    inbox: Inbox,
    clock: FakeClock | None = None,
    *,
    patient: bool = False,
    **settings: object,
) -> list[Event]:
    # The smallest network: no test here is about what a network sees.
    config = tiny_config(tiny, **{"model": "mlp", **settings})
    return list(train(config, inbox, clock=clock or FakeClock(), interactive=patient))


def without_answers(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Answered)]


def test_a_run_goes_on_as_if_nobody_had_looked(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"model": "squeeze-dropout", "augment": "light"}
    alone = told_of(tiny, Inbox(), **settings)
    wishes = [ask_view("confusion", mode="background")]
    looked = told_of(tiny, ScriptedInbox({5: wishes, 9: wishes}), **settings)
    assert len(answers(looked, "view")) == 2
    assert without_answers(looked) == alone

    employ(monkeypatch, FakeClock(), parts=20)
    drawn = told_of(tiny, ScriptedInbox({5: [ask_view("draw")]}), **settings)
    assert len(answers(drawn, "view")) == 20
    assert without_answers(drawn) == alone


def test_what_is_drawn_is_the_same_each_time_and_never_twice_within(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, FakeClock(), parts=3)
    first, second = (
        [exhibit_of(event) for event in answers(told_of(tiny, ScriptedInbox({at: [wish]})))]
        for at, wish in ((5, ask_view("attribution")), (9, ask_view("activation")))
    )
    assert first == second
    assert len(set(map(str, first))) == 3


def test_its_weights_stay_those_of_the_step_at_which_it_was_asked_for(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def weigh(context: Context, choices: Choices, confirmed: bool) -> Parts:
        while True:
            clock.now += 10 * PART
            seen.append(sum(float(p.abs().sum()) for p in context.model.parameters()))
            yield Exhibit(blocks=(), progress=0.5)

    monkeypatch.setattr(ask, "view_named", lambda name: weigh)
    events = told_of(tiny, ScriptedInbox({5: [ask_view("kernels")]}), clock)
    assert {event.step for event in answers(events, "view")} == {5}
    assert len(seen) > 3
    assert len(set(seen)) == 1


def test_one_that_follows_keeps_to_its_share_and_a_person_gets_more(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = {}
    for is_background in (True, False):
        worker = employ(monkeypatch, clock, parts=100_000)
        clock.now = 0.0
        wish = ask_view("maps", mode="background" if is_background else "interactive")
        told_of(tiny, ScriptedInbox({1: [wish]}), clock, epochs=5)
        done[is_background] = worker.done * PART
        if is_background:
            assert (
                BACKGROUND_SHARE * clock.now - PART
                <= done[is_background]
                <= BACKGROUND_SHARE * clock.now + CREDIT + PART
            )
    assert done[False] > 5 * done[True]


def test_a_newer_wish_takes_the_place_of_an_older_one(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, clock, parts=100_000)
    older, newer = ask_view("maps"), ask_view("kernels")
    events = told_of(tiny, ScriptedInbox({3: [older], 6: [newer]}), clock)
    wishes = [event.question for event in answers(events, "view")]
    change = wishes.index(newer)
    assert set(wishes[:change]) == {older}
    assert set(wishes[change:]) == {newer}
    assert {event.step for event in answers(events, "view")} == {3, 6}


def test_while_paused_it_is_worked_on_to_its_end_but_for_a_newer_wish(
    tiny: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = employ(monkeypatch, clock, parts=60)
    paused: list[list[Command]] = [[ask_view("maps", mode="background")], [Stop(test=False)]]
    events = told_of(tiny, ScriptedInbox({4: [Pause()]}, paused), clock)
    assert worker.done == 60
    assert exhibit_of(answers(events, "view")[-1]).progress is None

    worker = employ(monkeypatch, clock, parts=60)
    inbox = Inbox(Pause(), ask_view("maps"))
    for event in train(tiny_config(tiny, model="mlp"), inbox, clock=clock):
        if isinstance(event, Answered) and worker.done == 3:
            inbox.send(Stop(test=False))
    assert worker.done == 3


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "later"])
def test_a_view_that_fails_is_refused_and_the_run_goes_on(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def broken(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit | None]:
        if not at_once:
            yield Exhibit(blocks=(), progress=0.5)
        raise ValueError("no such layer")

    monkeypatch.setattr(ask, "view_named", lambda name: broken)
    events = told_of(tiny, ScriptedInbox({3: [ask_view("maps")]}))
    refused = only(CommandRejected, events)
    assert (refused.command, refused.reason) == ("view/maps", "no such layer")
    assert only(RunFinished, events).reason == "completed"
    assert len(of(StepDone, events)) == 14


def test_a_view_that_does_not_exist_is_refused(tiny: Path) -> None:
    events = told_of(tiny, ScriptedInbox({3: [ask_view("palmistry")]}))
    refused = only(CommandRejected, events)
    assert refused.command == "view/palmistry"
    assert "palmistry" in refused.reason
    assert not answers(events, "view")


def test_no_look_is_spent_on_a_view_that_does_not_exist(tiny: Path) -> None:
    opened = ask_view("palmistry", ON_TEST, mode="confirmed")
    events = told_of(tiny, ScriptedInbox({3: [opened]}))
    assert only(CommandRejected, events).command == "view/palmistry"
    assert only(TestEvaluated, events).step == 14  # at the end of the run


def test_the_test_set_stays_sealed_until_enter_and_each_look_is_counted_once(tiny: Path) -> None:
    closed, opened = (
        ask_view("confusion", ON_TEST),
        ask_view("confusion", ON_TEST, mode="confirmed"),
    )
    other = ask_view("confusion", (*ON_TEST, ("numbers", "shares")), mode="confirmed")
    inbox = ScriptedInbox({3: [closed], 5: [opened], 6: [opened], 7: [closed]})
    # While paused no step is trained: what was found holds for every view.
    inbox._at[9], inbox._paused = [Pause()], [[opened], [other], [Stop(test=False)]]
    events = told_of(tiny, inbox)
    assert [(look.evaluation, look.step) for look in of(TestEvaluated, events)] == [
        (1, 5),
        (2, 6),
        (3, 9),
    ]
    sealed, first, second, later, *paused = (exhibit_of(event) for event in answers(events, "view"))
    assert sealed.trains
    assert not sealed.certainty
    assert "test evaluation 1" in first.certainty
    assert "test evaluation 2" in second.certainty
    assert later.certainty == second.certainty
    assert ["test evaluation 3" in exhibit.certainty for exhibit in paused] == [True, True]


def test_what_the_end_of_a_run_has_found_on_the_test_set_is_no_further_look(tiny: Path) -> None:
    wish = ask_view("confusion", ON_TEST, mode="confirmed")
    events = told_of(tiny, ScriptedInbox(paused=[[wish], [Stop()]]), patient=True)
    assert only(TestEvaluated, events).evaluation == 1
    assert only(RunFinished, events).test_evaluations == 1
    assert "test evaluation 1" in exhibit_of(only(Answered, events)).certainty


def test_validation_is_judged_once_by_the_run_and_the_view(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    probabilities = Context.probabilities

    def counting(context: Context, images: torch.Tensor) -> torch.Tensor:
        judged.append(len(images))
        return probabilities(context, images)

    monkeypatch.setattr(Context, "probabilities", counting)
    events = told_of(tiny, ScriptedInbox({3: [ask_view("confusion")], 14: [ask_view("confusion")]}))
    assert len(of(EpochDone, events)) == 2
    assert sum(judged) == 10  # after step 14 the run has just validated


def test_after_a_divergence_there_is_nothing_to_look_at_on_the_test_set(tiny: Path) -> None:
    paused: list[list[Command]] = [
        [ask_view("confusion", ON_TEST, mode="confirmed")],
        [ask_view("confusion")],
        [Stop(test=False)],
    ]
    events = told_of(
        tiny,
        ScriptedInbox({3: [SetBaseLr(1_000.0)]}, paused),
        patient=True,
        model="era-s6-plain",
        schedule="constant",
        weight_decay=0.0,
    )
    assert of(Diverged, events)
    assert "lost" in only(CommandRejected, events).reason
    assert not of(TestEvaluated, events)
    # Another view is answered all the same, be it that there is nothing to see.
    assert only(Answered, events).question == ask_view("confusion")


def test_views_are_answered_after_the_end_of_a_run_too(tiny: Path) -> None:
    events = told_of(tiny, ScriptedInbox(paused=[[ask_view("confusion")], [Stop()]]), patient=True)
    over = events.index(only(RunFinished, events))
    assert isinstance(events[over + 1], Answered)
    assert answers(events, "view")[0].step == 14


def test_a_part_is_worked_on_by_one_thread_and_the_run_by_as_many_as_before(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(context: Context, choices: Choices, confirmed: bool) -> Parts:
        yield Exhibit(blocks=(Words(text=str(torch.get_num_threads())),))

    monkeypatch.setattr(ask, "view_named", lambda name: show)
    before = torch.get_num_threads()
    try:
        events = told_of(tiny, ScriptedInbox({2: [ask_view("confusion")]}), threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert exhibit_of(only(Answered, events)).blocks == (Words(text="1"),)


def test_who_follows_is_told_of_what_is_whole_alone(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    employ(monkeypatch, FakeClock(), parts=4)
    waited, followed = (
        answers(told_of(tiny, ScriptedInbox({3: [ask_view("activation", mode=mode)]})))
        for mode in MODES
    )
    assert len(waited) == 4
    assert [exhibit_of(event) for event in followed] == [exhibit_of(waited[-1])]
