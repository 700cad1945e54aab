"""The guided path: what moves it on, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocol import facts
from tests.protocol.questions import ask_lesson, ask_view
from tui_trainer.course.guided_tour import LESSON_OPENED, PREDICATES, Path, steps
from tui_trainer.history.history import History
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import Diverged, Event, Rewound
from tui_trainer.protocol.exhibit import Control, Exhibit
from tui_trainer.ui.keys.keymap import with_keys

REMEDY = Control(
    name="remedy", label="remedy", value="augmentation", steps=("augmentation", "dropout")
)
SAID = Control(name="said", label="said", value=9.0, steps=(4.0, 9.0))

EPOCH: list[Event] = [facts.started(), *(facts.step(n) for n in range(1, 11)), facts.epoch_done()]
RAISED = facts.changed("learning_rate", 0.1, 5.0, images=1_100)
TOO_HIGH = facts.finding(code="learning_rate_high", severity="error", lesson=7)


def told(*events: Event) -> History:
    return History.of(events)


def tried(lesson: str, *controls: Control, progress: float | None = None) -> Answered:
    exhibit = Exhibit(
        blocks=(), controls=controls, progress=progress, result="" if progress else "measured"
    )
    return Answered(question=ask_lesson(lesson), content=exhibit, step=10)


def inspected(
    view: str, choices: tuple[tuple[str, float], ...] = (), *controls: Control
) -> Answered:
    exhibit = Exhibit(blocks=(), controls=controls)
    return Answered(question=ask_view(view, choices), content=exhibit, step=10)


def at_step(name: str) -> Path:
    path = Path()
    while path.step.name != name:
        path.skip()
    return path


def test_every_step_says_what_to_do_in_few_words_and_has_a_predicate() -> None:
    told = steps()
    assert {step.name for step in told} == set(PREDICATES)
    assert [step.name for step in told][-1] == "end"
    for step in told:
        assert step.title
        assert len(with_keys(step.do)) <= 150
        assert 0 < len(step.watch) <= 75


def test_the_whole_walk_moves_on_by_itself() -> None:
    path = Path()
    history = told(facts.started())
    assert path.now(history).name == "train"
    for event in EPOCH[1:-1]:
        history.apply(event)
        assert path.now(history).name == "train"
    history.apply(EPOCH[-1])
    assert path.now(history).name == "break"
    history.apply(RAISED)
    assert path.now(history).name == "break"
    history.apply(TOO_HIGH)
    assert path.now(history).name == "finding"
    assert path.now(history).name == "finding"
    path.tell(LESSON_OPENED)
    assert path.now(history).name == "rewind"
    assert path.now(history).name == "rewind"
    history.findings.clear()
    assert path.now(history).name == "rewind"
    history.apply(facts.changed("learning_rate", 5.0, 0.5, images=1_200))
    assert path.now(history).name == "overfit"
    path.notice(tried("overfitting", REMEDY, progress=0.5))
    assert path.now(history).name == "overfit"
    path.notice(tried("overfitting", REMEDY))
    assert path.now(history).name == "mend"
    path.notice(tried("overfitting", REMEDY, progress=0.5))
    path.notice(tried("overfitting", REMEDY))
    assert path.now(history).name == "mend"
    other = replace(REMEDY, value="dropout")
    path.notice(tried("overfitting", other, progress=0.5))
    path.notice(tried("overfitting", other))
    assert path.now(history).name == "wrong"
    path.notice(inspected("confusion", (("true", 4.0), ("said", 9.0))))
    assert path.now(history).name == "wrong"
    path.notice(inspected("digits", (("true", 4.0), ("said", 4.0))))
    assert path.now(history).name == "wrong"
    path.notice(inspected("digits", (("true", 4.0), ("said", 9.0))))
    assert path.now(history).name == "end"
    assert path.now(history).name == "end"
    assert path.progress == (len(steps()), len(steps()))


def test_a_divergence_breaks_it_and_a_rewind_to_a_lower_rate_mends_it() -> None:
    path = at_step("break")
    history = told(*EPOCH, RAISED)
    assert path.now(history).name == "break"
    history.apply(Diverged(step=12, epoch=2, learning_rate=5.0, good_step=10))
    assert path.now(history).name == "finding"
    path.skip()
    assert path.now(history).name == "rewind"
    history.apply(Rewound(step=10, epoch=1, images=1_000, from_step=12, lines=None))
    history.apply(facts.changed("learning_rate", 0.1, 0.01, images=1_000))
    assert path.now(history).name == "overfit"


def test_a_network_that_forgot_everything_is_not_back_yet() -> None:
    path = at_step("rewind")
    history = told(facts.started(), RAISED)
    path.now(history)
    history.apply(facts.changed("learning_rate", 5.0, 0.5))
    for number in range(1, 60):
        history.apply(facts.step(number, loss=2.2))
    assert path.now(history).name == "rewind"
    for number in range(60, 200):
        history.apply(facts.step(number, loss=0.3))
    assert path.now(history).name == "overfit"


def test_a_cell_is_the_one_that_the_exhibit_shows() -> None:
    path = at_step("wrong")
    path.notice(inspected("digits"))
    assert path.now(told(*EPOCH)).name == "wrong"
    path.notice(inspected("digits", (("true", 9.0),), SAID))
    assert path.now(told(*EPOCH)).name == "wrong"
    path.notice(inspected("digits", (("true", 4.0),), SAID))
    assert path.now(told(*EPOCH)).name == "end"


def test_a_rising_loss_that_is_only_noted_breaks_nothing() -> None:
    path = at_step("break")
    note = facts.finding(code="loss_rising", severity="note", lesson=7)
    assert path.now(told(*EPOCH, note)).name == "break"
    assert path.now(told(*EPOCH, replace(note, severity="error"))).name == "finding"


def test_what_is_shown_at_once_is_no_training() -> None:
    path = at_step("overfit")
    history = told(*EPOCH)
    path.notice(tried("overfitting", REMEDY))
    path.notice(tried("dropout", REMEDY, progress=0.5))
    path.notice(tried("overfitting", REMEDY))
    assert path.now(history).name == "overfit"


def test_who_goes_back_stays_there_until_skipping() -> None:
    path = Path()
    history = told(*EPOCH)
    assert path.now(history).name == "break"
    path.back()
    assert path.now(history).name == "train"
    assert path.now(history).name == "train"
    path.skip()
    assert path.now(history).name == "break"


def test_it_has_a_first_and_a_last_step() -> None:
    path = Path()
    path.back()
    assert path.progress == (1, len(steps()))
    for _ in range(20):
        path.skip()
    assert path.progress == (len(steps()), len(steps()))


@pytest.mark.parametrize("name", [step.name for step in steps()])
def test_before_there_is_a_run_no_step_is_done(name: str) -> None:
    path = at_step(name)
    assert path.now(History()).name == name
