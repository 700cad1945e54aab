"""The questions that the window asks of views and lessons: few, and the newest wins."""

from __future__ import annotations

import pytest

from tests.protocol.questions import ask_lesson, ask_view
from tests.ui.exhibits import COUNT, PLACE, tries
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command, Withdraw
from tui_trainer.protocol.exhibit import Control, Exhibit, at
from tui_trainer.ui.runs.asking import ExhibitAsking

TRAIN_PART, TRAINED = tries(ask_lesson("dropout", mode="confirmed"))
(QUICK,) = tries(ask_lesson("dropout"))
IMAGES = Control(name="images", label="images", value="validation", steps=("validation", "test"))
PART = Exhibit(blocks=(), controls=(IMAGES,), progress=0.5)
WHOLE = Exhibit(blocks=(), controls=(IMAGES,))
ON_TEST = (("images", "test"),)
KINDS = pytest.mark.parametrize("kind", ["view", "lesson"])


def opened(kind: str = "view", subject: str = "confusion") -> tuple[ExhibitAsking, list[Command]]:
    sent: list[Command] = []
    asking = ExhibitAsking(sent.append, kind)
    asking.open(subject)
    return asking, sent


def told(question: Command, exhibit: Exhibit = WHOLE, step: int = 7) -> Answered:
    assert isinstance(question, Ask)
    return Answered(question=question, content=exhibit, step=step)


def trained() -> tuple[ExhibitAsking, list[Command]]:
    """Return a lesson whose training has been begun."""
    learning, sent = opened("lesson", "dropout")
    learning.take(told(sent[-1], QUICK))
    learning.go()
    learning.take(told(sent[-1], TRAIN_PART))
    return learning, sent


@KINDS
def test_while_an_answer_is_awaited_only_the_newest_question_is_kept(kind: str) -> None:
    asking, sent = opened(kind)
    for value in ("test", "validation", "test"):
        asking.turn(at(IMAGES, value))
    assert sent == [Ask(f"{kind}/confusion")]
    asking.take(told(sent[0]))
    assert sent[1:] == [Ask(f"{kind}/confusion", ON_TEST)]
    asking.take(told(sent[1]))
    assert len(sent) == 2
    assert not asking.is_asking
    assert asking.is_free


@KINDS
def test_a_control_stands_where_it_is_wanted_until_the_answer_says_where_it_stands(
    kind: str,
) -> None:
    asking, sent = opened(kind)
    asking.take(told(sent[0]))
    asking.turn(at(IMAGES, "test"))
    assert [control.value for control in asking.controls] == ["test"]
    asking.take(told(sent[1]))
    assert [control.value for control in asking.controls] == ["validation"]


def test_a_control_of_numbers_stands_where_it_is_wanted_too() -> None:
    learning, sent = opened("lesson", "dropout")
    learning.take(told(sent[-1], QUICK))
    learning.turn(at(COUNT, 900.0))
    assert [control.value for control in learning.controls] == ["early", 900.0]
    learning.take(told(sent[-1], QUICK))
    assert [control.value for control in learning.controls] == ["early", 2.0]


def test_of_an_answer_in_parts_the_rest_is_not_waited_for() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[0], PART))
    assert (inspecting.exhibit, inspecting.step, inspecting.answers) == (PART, 7, 1)
    assert inspecting.is_asking
    inspecting.turn(at(IMAGES, "test"))
    assert sent[1:] == [ask_view("confusion", ON_TEST)]
    # What the engine still told of the older one is left out.
    inspecting.take(told(sent[0]))
    assert (inspecting.exhibit, inspecting.answers) == (PART, 1)
    assert inspecting.is_asking


def test_an_answer_of_another_view_is_left_out() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[0]))
    inspecting.open("digits")
    assert inspecting.exhibit is None
    inspecting.take(told(sent[0]))
    assert inspecting.exhibit is None
    inspecting.take(told(sent[1], step=9))
    assert inspecting.step == 9
    assert inspecting.answers == 2


def test_an_answer_to_an_older_question_that_is_equal_is_left_out() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[0], PART))
    inspecting.ask()
    assert sent[0] == sent[1]
    inspecting.take(told(sent[0]))
    assert inspecting.exhibit == PART
    inspecting.take(told(sent[1]))
    assert inspecting.exhibit == WHOLE


def test_each_view_keeps_its_choices_and_can_be_opened_with_others() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.turn(at(IMAGES, "test"))
    inspecting.take(told(sent[-1]))
    inspecting.prepare("digits", (("true", 4.0), ("said", 9.0)))
    inspecting.open("digits")
    assert sent[-1] == ask_view("digits", (("true", 4.0), ("said", 9.0)))
    inspecting.open("confusion")
    assert sent[-1] == ask_view("confusion", ON_TEST)
    inspecting.take(told(sent[-1]))
    inspecting.put_back()
    assert sent[-1] == ask_view("confusion")
    inspecting.open("digits")
    assert sent[-1] == ask_view("digits", (("true", 4.0), ("said", 9.0)))


def test_all_controls_are_put_back_at_once_those_of_other_lessons_stay() -> None:
    learning, sent = opened("lesson", "dropout")
    learning.take(told(sent[-1], QUICK))
    learning.put_back()
    assert len(sent) == 1
    for turned in (at(COUNT, 900.0), at(PLACE, "late")):
        learning.turn(turned)
        learning.take(told(sent[-1], QUICK))
    learning.open("softmax")
    learning.take(told(sent[-1], QUICK))
    learning.put_back()
    learning.open("dropout")
    assert sent[-1] == ask_lesson("dropout", (("count", 900.0), ("place", "late")))
    learning.take(told(sent[-1], QUICK))
    learning.put_back()
    assert sent[-1] == ask_lesson("dropout")


def test_a_lesson_keeps_its_choices_while_another_one_is_tried() -> None:
    learning, sent = opened("lesson", "dropout")
    learning.take(told(sent[-1], QUICK))
    learning.turn(at(PLACE, "late"))
    learning.take(told(sent[-1], QUICK))
    learning.open("softmax")
    assert learning.exhibit is None
    assert sent[-1] == ask_lesson("softmax")
    softmax = sent[-1]
    learning.open("dropout")
    learning.take(told(softmax, QUICK))
    assert learning.exhibit is None
    assert sent[-1] == ask_lesson("dropout", (("place", "late"),))


def test_a_training_is_ended_by_the_next_question_and_its_last_words_are_not_shown() -> None:
    learning, sent = trained()
    assert learning.is_under_way
    assert learning.is_result
    learning.turn(at(COUNT, 5.0))
    assert sent[-1] == ask_lesson("dropout", (("count", 5.0),))
    assert not learning.is_under_way
    learning.take(told(sent[-2], TRAIN_PART))
    assert learning.is_asking
    learning.take(told(sent[-1], QUICK))
    assert learning.exhibit is QUICK
    assert not learning.is_result


def test_what_trains_is_remembered_from_before_it_was_begun() -> None:
    learning, _ = trained()
    assert learning.trains == QUICK.trains
    learning.open("softmax")
    assert learning.trains == ""


def test_a_training_that_is_stopped_stays_as_far_as_it_came() -> None:
    learning, sent = trained()
    training = sent[-1]
    learning.stop()
    assert sent[-1] == Withdraw("lesson")
    assert learning.is_stopped
    assert not learning.is_asking
    learning.take(told(training, TRAIN_PART))
    learning.end()
    assert learning.is_stopped
    learning.stop()
    assert sent.count(Withdraw("lesson")) == 1
    # It was over before the command arrived.
    learning.take(told(training, TRAINED))
    assert not learning.is_stopped


def test_the_end_of_a_run_ends_what_was_asked() -> None:
    learning, _ = trained()
    learning.end()
    assert learning.is_stopped
    quick, sent = opened("lesson", "dropout")
    quick.end()
    assert not quick.is_stopped
    assert not quick.is_asking
    # A run that is over still answers.
    quick.take(told(sent[-1], QUICK))
    assert quick.exhibit is QUICK


def test_the_end_of_a_run_leaves_what_is_shown() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.ask()
    inspecting.end()
    assert inspecting.is_free
    assert inspecting.exhibit == WHOLE
    inspecting.take(told(sent[-1], PART))
    assert inspecting.exhibit == WHOLE


def test_enter_goes_and_what_follows_does_not() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.go()
    assert sent[-1] == ask_view("confusion", mode="confirmed")
    inspecting.take(told(sent[-1]))
    inspecting.follow()
    assert sent[-1] == ask_view("confusion", mode="background")


@KINDS
def test_enter_counts_once_however_often_it_is_pressed(kind: str) -> None:
    asking, sent = opened(kind)
    asking.take(told(sent[-1]))
    asking.go()
    assert asking.is_under_way
    asking.go()
    asking.take(told(sent[-1]))
    assert sent[1:] == [Ask(f"{kind}/confusion", mode="confirmed")]
    assert not asking.is_under_way
    asking.go()
    assert len(sent) == 3


def test_it_follows_when_no_answer_is_awaited_and_gives_way_to_the_reader() -> None:
    inspecting, sent = opened()
    inspecting.follow()
    assert len(sent) == 1
    inspecting.take(told(sent[-1]))
    inspecting.follow()
    inspecting.follow()
    assert sent[1:] == [ask_view("confusion", mode="background")]
    assert not inspecting.is_asking
    inspecting.turn(at(IMAGES, "test"))
    assert sent[2:] == [ask_view("confusion", ON_TEST)]
    inspecting.take(told(sent[1], step=8))
    assert inspecting.step == 7


def test_a_refusal_is_told_until_the_reader_asks_again() -> None:
    inspecting, sent = opened()
    inspecting.turn(at(IMAGES, "test"))
    inspecting.refuse("the weights are lost")
    # What waited is asked then, and takes the refusal away.
    assert sent[1:] == [ask_view("confusion", ON_TEST)]
    assert inspecting.refusal == ""
    inspecting.refuse("the weights are lost")
    inspecting.follow()
    assert inspecting.refusal == "the weights are lost"
    inspecting.refuse("again")
    inspecting.refuse("of nothing that was asked")
    assert inspecting.refusal == "again"
    inspecting.open("digits")
    assert inspecting.refusal == ""


def test_a_refusal_of_a_lesson_is_told_until_the_next_question_and_does_not_stop_it() -> None:
    learning, sent = opened("lesson", "dropout")
    learning.turn(at(COUNT, 5.0))
    learning.refuse("no such network")
    assert len(sent) == 2
    learning.refuse("no such network")
    assert learning.refusal == "no such network"
    learning.open("softmax")
    assert learning.refusal == ""
