"""The guided tour: what advances it, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocol import facts
from tests.protocol.questions import ask_lesson, ask_view
from tui_trainer.course.guided_tour import LESSON_OPENED, PREDICATES, GuidedTour, steps
from tui_trainer.history.history import History
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import Diverged, Event, Rewound
from tui_trainer.protocol.exhibit import Control, Exhibit
from tui_trainer.ui.keys.keymap import with_keys

REMEDY = Control(
    name="remedy", label="remedy", value="augmentation", steps=("augmentation", "dropout")
)
PREDICTED = Control(name="predicted", label="predicted", value=9.0, steps=(4.0, 9.0))

EPOCH: list[Event] = [facts.started(), *(facts.step(n) for n in range(1, 11)), facts.epoch_done()]
RAISED = facts.changed("base_lr", 0.1, 5.0, images=1_100)
TOO_HIGH = facts.finding(code="learning_rate_high", severity="error", lesson=7)


def history_of(*events: Event) -> History:
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


def at_step(name: str) -> GuidedTour:
    tour = GuidedTour()
    while tour.step.name != name:
        tour.skip()
    return tour


def test_every_step_is_short_and_has_a_predicate() -> None:
    all_steps = steps()
    assert {step.name for step in all_steps} == set(PREDICATES)
    assert [step.name for step in all_steps][-1] == "end"
    for step in all_steps:
        assert step.title
        assert len(with_keys(step.do)) <= 150
        assert 0 < len(step.watch) <= 75


def test_the_whole_tour_advances_by_itself() -> None:
    tour = GuidedTour()
    history = history_of(facts.started())
    assert tour.advance(history).name == "train"
    for event in EPOCH[1:-1]:
        history.apply(event)
        assert tour.advance(history).name == "train"
    history.apply(EPOCH[-1])
    assert tour.advance(history).name == "break"
    history.apply(RAISED)
    assert tour.advance(history).name == "break"
    history.apply(TOO_HIGH)
    assert tour.advance(history).name == "finding"
    assert tour.advance(history).name == "finding"
    tour.record(LESSON_OPENED)
    assert tour.advance(history).name == "rewind"
    assert tour.advance(history).name == "rewind"
    history.findings.clear()
    assert tour.advance(history).name == "rewind"
    history.apply(facts.changed("base_lr", 5.0, 0.5, images=1_200))
    assert tour.advance(history).name == "overfit"
    tour.notice(tried("overfitting", REMEDY, progress=0.5))
    assert tour.advance(history).name == "overfit"
    tour.notice(tried("overfitting", REMEDY))
    assert tour.advance(history).name == "fix"
    tour.notice(tried("overfitting", REMEDY, progress=0.5))
    tour.notice(tried("overfitting", REMEDY))
    assert tour.advance(history).name == "fix"
    other = replace(REMEDY, value="dropout")
    tour.notice(tried("overfitting", other, progress=0.5))
    tour.notice(tried("overfitting", other))
    assert tour.advance(history).name == "misclassified"
    tour.notice(inspected("confusion", (("true", 4.0), ("predicted", 9.0))))
    assert tour.advance(history).name == "misclassified"
    tour.notice(inspected("misclassified", (("true", 4.0), ("predicted", 4.0))))
    assert tour.advance(history).name == "misclassified"
    tour.notice(inspected("misclassified", (("true", 4.0), ("predicted", 9.0))))
    assert tour.advance(history).name == "end"
    assert tour.advance(history).name == "end"
    assert tour.progress == (len(steps()), len(steps()))


def test_a_divergence_breaks_it_and_a_rewind_to_a_lower_rate_fixes_it() -> None:
    tour = at_step("break")
    history = history_of(*EPOCH, RAISED)
    assert tour.advance(history).name == "break"
    history.apply(Diverged(step=12, epoch=2, lr=5.0, last_good_step=10))
    assert tour.advance(history).name == "finding"
    tour.skip()
    assert tour.advance(history).name == "rewind"
    history.apply(Rewound(step=10, epoch=1, images=1_000, from_step=12, lines=None))
    history.apply(facts.changed("base_lr", 0.1, 0.01, images=1_000))
    assert tour.advance(history).name == "overfit"


def test_a_model_that_forgot_everything_has_not_recovered_yet() -> None:
    tour = at_step("rewind")
    history = history_of(facts.started(), RAISED)
    tour.advance(history)
    history.apply(facts.changed("base_lr", 5.0, 0.5))
    for number in range(1, 60):
        history.apply(facts.step(number, loss=2.2))
    assert tour.advance(history).name == "rewind"
    for number in range(60, 200):
        history.apply(facts.step(number, loss=0.3))
    assert tour.advance(history).name == "overfit"


def test_the_cell_is_that_of_the_exhibit() -> None:
    tour = at_step("misclassified")
    tour.notice(inspected("misclassified"))
    assert tour.advance(history_of(*EPOCH)).name == "misclassified"
    tour.notice(inspected("misclassified", (("true", 9.0),), PREDICTED))
    assert tour.advance(history_of(*EPOCH)).name == "misclassified"
    tour.notice(inspected("misclassified", (("true", 4.0),), PREDICTED))
    assert tour.advance(history_of(*EPOCH)).name == "end"


def test_a_note_of_a_rising_loss_does_not_count_as_broken() -> None:
    tour = at_step("break")
    note = facts.finding(code="loss_rising", severity="note", lesson=7)
    assert tour.advance(history_of(*EPOCH, note)).name == "break"
    assert tour.advance(history_of(*EPOCH, replace(note, severity="error"))).name == "finding"


def test_an_immediate_exhibit_is_not_a_training() -> None:
    tour = at_step("overfit")
    history = history_of(*EPOCH)
    tour.notice(tried("overfitting", REMEDY))
    tour.notice(tried("dropout", REMEDY, progress=0.5))
    tour.notice(tried("overfitting", REMEDY))
    assert tour.advance(history).name == "overfit"


def test_back_stays_at_the_step_until_skipped() -> None:
    tour = GuidedTour()
    history = history_of(*EPOCH)
    assert tour.advance(history).name == "break"
    tour.back()
    assert tour.advance(history).name == "train"
    assert tour.advance(history).name == "train"
    tour.skip()
    assert tour.advance(history).name == "break"


def test_it_has_a_first_and_a_last_step() -> None:
    tour = GuidedTour()
    tour.back()
    assert tour.progress == (1, len(steps()))
    for _ in range(20):
        tour.skip()
    assert tour.progress == (len(steps()), len(steps()))


@pytest.mark.parametrize("name", [step.name for step in steps()])
def test_before_there_is_a_run_no_step_is_done(name: str) -> None:
    tour = at_step(name)
    assert tour.advance(History()).name == name
