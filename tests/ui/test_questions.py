"""The questions that the window asks of views and lessons: few, and the newest wins."""

from __future__ import annotations

import pytest

from tests.protocol.questions import ask_lesson, ask_view
from tests.ui.exhibits import COUNT, PLACE, tries
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, CancelQuestion, Command
from tui_trainer.protocol.exhibit import Control, Exhibit, at
from tui_trainer.ui.runs.questions import ExhibitQuestions

TRAIN_PART, TRAINED = tries(ask_lesson("dropout", mode="confirmed"))
(QUICK,) = tries(ask_lesson("dropout"))
IMAGES = Control(name="images", label="images", value="validation", steps=("validation", "test"))
PART = Exhibit(blocks=(), controls=(IMAGES,), progress=0.5)
WHOLE = Exhibit(blocks=(), controls=(IMAGES,))
ON_TEST = (("images", "test"),)
KINDS = pytest.mark.parametrize("kind", ["view", "lesson"])


def opened(
    kind: str = "view", subject: str = "confusion"
) -> tuple[ExhibitQuestions, list[Command]]:
    sent: list[Command] = []
    questions = ExhibitQuestions(sent.append, kind)
    questions.open(subject)
    return questions, sent


def answered(question: Command, exhibit: Exhibit = WHOLE, step: int = 7) -> Answered:
    assert isinstance(question, Ask)
    return Answered(question=question, content=exhibit, step=step)


def trained() -> tuple[ExhibitQuestions, list[Command]]:
    """Return a lesson whose training has been begun."""
    experiment, sent = opened("lesson", "dropout")
    experiment.receive(answered(sent[-1], QUICK))
    experiment.confirm()
    experiment.receive(answered(sent[-1], TRAIN_PART))
    return experiment, sent


@KINDS
def test_while_a_question_is_pending_only_the_newest_is_kept(kind: str) -> None:
    questions, sent = opened(kind)
    for value in ("test", "validation", "test"):
        questions.set_control(at(IMAGES, value))
    assert sent == [Ask(f"{kind}/confusion")]
    questions.receive(answered(sent[0]))
    assert sent[1:] == [Ask(f"{kind}/confusion", ON_TEST)]
    questions.receive(answered(sent[1]))
    assert len(sent) == 2
    assert not questions.is_waiting
    assert questions.is_idle


@KINDS
def test_a_control_shows_its_requested_value_until_the_answer_arrives(
    kind: str,
) -> None:
    questions, sent = opened(kind)
    questions.receive(answered(sent[0]))
    questions.set_control(at(IMAGES, "test"))
    assert [control.value for control in questions.controls] == ["test"]
    questions.receive(answered(sent[1]))
    assert [control.value for control in questions.controls] == ["validation"]


def test_a_number_control_also_shows_its_requested_value() -> None:
    experiment, sent = opened("lesson", "dropout")
    experiment.receive(answered(sent[-1], QUICK))
    experiment.set_control(at(COUNT, 900.0))
    assert [control.value for control in experiment.controls] == ["early", 900.0]
    experiment.receive(answered(sent[-1], QUICK))
    assert [control.value for control in experiment.controls] == ["early", 2.0]


def test_a_partly_answered_question_is_replaced_at_once() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[0], PART))
    assert (inspection.exhibit, inspection.step, inspection.answers) == (PART, 7, 1)
    assert inspection.is_waiting
    inspection.set_control(at(IMAGES, "test"))
    assert sent[1:] == [ask_view("confusion", ON_TEST)]
    # A late answer to the older question is ignored.
    inspection.receive(answered(sent[0]))
    assert (inspection.exhibit, inspection.answers) == (PART, 1)
    assert inspection.is_waiting


def test_an_answer_of_another_view_is_ignored() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[0]))
    inspection.open("misclassified")
    assert inspection.exhibit is None
    inspection.receive(answered(sent[0]))
    assert inspection.exhibit is None
    inspection.receive(answered(sent[1], step=9))
    assert inspection.step == 9
    assert inspection.answers == 2


def test_an_answer_to_an_equal_older_question_is_ignored() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[0], PART))
    inspection.ask()
    assert sent[0] == sent[1]
    inspection.receive(answered(sent[0]))
    assert inspection.exhibit == PART
    inspection.receive(answered(sent[1]))
    assert inspection.exhibit == WHOLE


def test_each_view_keeps_its_choices_and_can_be_preset() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[-1]))
    inspection.set_control(at(IMAGES, "test"))
    inspection.receive(answered(sent[-1]))
    inspection.prepare("misclassified", (("true", 4.0), ("predicted", 9.0)))
    inspection.open("misclassified")
    assert sent[-1] == ask_view("misclassified", (("true", 4.0), ("predicted", 9.0)))
    inspection.open("confusion")
    assert sent[-1] == ask_view("confusion", ON_TEST)
    inspection.receive(answered(sent[-1]))
    inspection.reset_controls()
    assert sent[-1] == ask_view("confusion")
    inspection.open("misclassified")
    assert sent[-1] == ask_view("misclassified", (("true", 4.0), ("predicted", 9.0)))


def test_all_controls_are_reset_at_once_but_not_those_of_other_lessons() -> None:
    experiment, sent = opened("lesson", "dropout")
    experiment.receive(answered(sent[-1], QUICK))
    experiment.reset_controls()
    assert len(sent) == 1
    for turned in (at(COUNT, 900.0), at(PLACE, "late")):
        experiment.set_control(turned)
        experiment.receive(answered(sent[-1], QUICK))
    experiment.open("softmax")
    experiment.receive(answered(sent[-1], QUICK))
    experiment.reset_controls()
    experiment.open("dropout")
    assert sent[-1] == ask_lesson("dropout", (("count", 900.0), ("place", "late")))
    experiment.receive(answered(sent[-1], QUICK))
    experiment.reset_controls()
    assert sent[-1] == ask_lesson("dropout")


def test_a_lesson_keeps_its_choices_while_another_is_open() -> None:
    experiment, sent = opened("lesson", "dropout")
    experiment.receive(answered(sent[-1], QUICK))
    experiment.set_control(at(PLACE, "late"))
    experiment.receive(answered(sent[-1], QUICK))
    experiment.open("softmax")
    assert experiment.exhibit is None
    assert sent[-1] == ask_lesson("softmax")
    softmax = sent[-1]
    experiment.open("dropout")
    experiment.receive(answered(softmax, QUICK))
    assert experiment.exhibit is None
    assert sent[-1] == ask_lesson("dropout", (("place", "late"),))


def test_a_new_question_ends_an_experiment_and_hides_its_last_answers() -> None:
    experiment, sent = trained()
    assert experiment.is_running
    assert experiment.has_result
    experiment.set_control(at(COUNT, 5.0))
    assert sent[-1] == ask_lesson("dropout", (("count", 5.0),))
    assert not experiment.is_running
    experiment.receive(answered(sent[-2], TRAIN_PART))
    assert experiment.is_waiting
    experiment.receive(answered(sent[-1], QUICK))
    assert experiment.exhibit is QUICK
    assert not experiment.has_result


def test_what_would_be_trained_is_remembered_from_before_the_start() -> None:
    experiment, _ = trained()
    assert experiment.trains == QUICK.trains
    experiment.open("softmax")
    assert experiment.trains == ""


def test_a_stopped_experiment_keeps_its_partial_result() -> None:
    experiment, sent = trained()
    training = sent[-1]
    experiment.stop()
    assert sent[-1] == CancelQuestion("lesson")
    assert experiment.is_stopped
    assert not experiment.is_waiting
    experiment.receive(answered(training, TRAIN_PART))
    experiment.end()
    assert experiment.is_stopped
    experiment.stop()
    assert sent.count(CancelQuestion("lesson")) == 1
    # It was over before the command arrived.
    experiment.receive(answered(training, TRAINED))
    assert not experiment.is_stopped


def test_the_end_of_a_run_ends_pending_questions() -> None:
    experiment, _ = trained()
    experiment.end()
    assert experiment.is_stopped
    quick, sent = opened("lesson", "dropout")
    quick.end()
    assert not quick.is_stopped
    assert not quick.is_waiting
    # A run that is over still answers.
    quick.receive(answered(sent[-1], QUICK))
    assert quick.exhibit is QUICK


def test_the_end_of_a_run_keeps_the_exhibit() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[-1]))
    inspection.ask()
    inspection.end()
    assert inspection.is_idle
    assert inspection.exhibit == WHOLE
    inspection.receive(answered(sent[-1], PART))
    assert inspection.exhibit == WHOLE


def test_enter_confirms_and_a_refresh_does_not() -> None:
    inspection, sent = opened()
    inspection.receive(answered(sent[-1]))
    inspection.confirm()
    assert sent[-1] == ask_view("confusion", mode="confirmed")
    inspection.receive(answered(sent[-1]))
    inspection.refresh()
    assert sent[-1] == ask_view("confusion", mode="background")


@KINDS
def test_repeated_enter_confirms_once(kind: str) -> None:
    questions, sent = opened(kind)
    questions.receive(answered(sent[-1]))
    questions.confirm()
    assert questions.is_running
    questions.confirm()
    questions.receive(answered(sent[-1]))
    assert sent[1:] == [Ask(f"{kind}/confusion", mode="confirmed")]
    assert not questions.is_running
    questions.confirm()
    assert len(sent) == 3


def test_it_refreshes_when_idle_and_yields_to_the_user() -> None:
    inspection, sent = opened()
    inspection.refresh()
    assert len(sent) == 1
    inspection.receive(answered(sent[-1]))
    inspection.refresh()
    inspection.refresh()
    assert sent[1:] == [ask_view("confusion", mode="background")]
    assert not inspection.is_waiting
    inspection.set_control(at(IMAGES, "test"))
    assert sent[2:] == [ask_view("confusion", ON_TEST)]
    inspection.receive(answered(sent[1], step=8))
    assert inspection.step == 7


def test_a_rejection_is_shown_until_the_next_question() -> None:
    inspection, sent = opened()
    inspection.set_control(at(IMAGES, "test"))
    inspection.reject("the weights are not finite")
    # The kept question is sent then, and clears the rejection.
    assert sent[1:] == [ask_view("confusion", ON_TEST)]
    assert inspection.rejection == ""
    inspection.reject("the weights are not finite")
    inspection.refresh()
    assert inspection.rejection == "the weights are not finite"
    inspection.reject("again")
    inspection.reject("of nothing that was asked")
    assert inspection.rejection == "again"
    inspection.open("misclassified")
    assert inspection.rejection == ""


def test_a_rejected_lesson_is_shown_until_the_next_question_and_does_not_stop_it() -> None:
    experiment, sent = opened("lesson", "dropout")
    experiment.set_control(at(COUNT, 5.0))
    experiment.reject("no such network")
    assert len(sent) == 2
    experiment.reject("no such network")
    assert experiment.rejection == "no such network"
    experiment.open("softmax")
    assert experiment.rejection == ""
