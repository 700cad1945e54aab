"""The questions that the Learn screen asks: few, and the newest."""

from __future__ import annotations

from tests.ui.exhibits import COUNT, PLACE, tries
from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import Command, StopTrying, TryLesson
from tui_trainer.protocol.exhibit import Exhibit, at
from tui_trainer.ui.runs.lesson_questions import Learning

PART, WHOLE = tries(TryLesson("dropout", goes=True))
(QUICK,) = tries(TryLesson("dropout"))


def opened() -> tuple[Learning, list[Command]]:
    sent: list[Command] = []
    learning = Learning(sent.append)
    learning.open("dropout")
    return learning, sent


def told(exhibit: Exhibit = QUICK, lesson: str = "dropout") -> LessonTried:
    return LessonTried(lesson=lesson, exhibit=exhibit, step=7)


def trained() -> tuple[Learning, list[Command]]:
    """Return a lesson whose training has been begun."""
    learning, sent = opened()
    learning.take(told())
    learning.go()
    learning.take(told(PART))
    return learning, sent


def test_while_an_answer_is_awaited_only_the_newest_question_is_kept() -> None:
    learning, sent = opened()
    for count in (5.0, 10.0):
        learning.turn(at(COUNT, count))
    assert sent == [TryLesson("dropout")]
    learning.take(told())
    assert sent[1:] == [TryLesson("dropout", (("count", 10.0),))]
    learning.take(told())
    assert len(sent) == 2
    assert not learning.is_asking


def test_a_control_stands_where_it_is_wanted_until_the_answer_says_where_it_stands() -> None:
    learning, _ = opened()
    learning.take(told())
    learning.turn(at(COUNT, 900.0))
    assert [control.value for control in learning.controls] == ["early", 900.0]
    learning.take(told())
    assert [control.value for control in learning.controls] == ["early", 2.0]


def test_all_controls_are_put_back_at_once_those_of_other_lessons_stay() -> None:
    learning, sent = opened()
    learning.take(told())
    learning.put_back()
    assert len(sent) == 1
    for turned in (at(COUNT, 900.0), at(PLACE, "late")):
        learning.turn(turned)
        learning.take(told())
    learning.open("softmax")
    learning.take(told(lesson="softmax"))
    learning.put_back()
    learning.open("dropout")
    assert sent[-1] == TryLesson("dropout", (("count", 900.0), ("place", "late")))
    learning.take(told())
    learning.put_back()
    assert sent[-1] == TryLesson("dropout")


def test_a_lesson_keeps_its_choices_while_another_one_is_tried() -> None:
    learning, sent = opened()
    learning.take(told())
    learning.turn(at(PLACE, "late"))
    learning.take(told())
    learning.open("softmax")
    assert learning.exhibit is None
    assert sent[-1] == TryLesson("softmax")
    learning.open("dropout")
    learning.take(told(lesson="softmax"))
    assert learning.exhibit is None
    assert sent[-1] == TryLesson("dropout", (("place", "late"),))


def test_a_training_is_ended_by_the_next_question_and_its_last_words_are_not_shown() -> None:
    learning, sent = trained()
    assert learning.is_under_way
    assert learning.is_result
    learning.turn(at(COUNT, 5.0))
    assert sent[-1] == TryLesson("dropout", (("count", 5.0),))
    assert not learning.is_under_way
    learning.take(told(PART))
    assert learning.is_asking
    learning.take(told())
    assert learning.exhibit is QUICK
    assert not learning.is_result


def test_what_trains_is_remembered_from_before_it_was_begun() -> None:
    learning, _ = trained()
    assert learning.trains == QUICK.trains
    learning.open("softmax")
    assert learning.trains == ""


def test_a_training_that_is_stopped_stays_as_far_as_it_came() -> None:
    learning, sent = trained()
    learning.stop()
    assert sent[-1] == StopTrying()
    assert learning.is_stopped
    assert not learning.is_asking
    learning.take(told(PART))
    learning.end()
    assert learning.is_stopped
    learning.stop()
    assert sent.count(StopTrying()) == 1
    # It was over before the wish arrived.
    learning.take(told(WHOLE))
    assert not learning.is_stopped


def test_the_end_of_a_run_ends_what_was_asked() -> None:
    learning, _ = trained()
    learning.end()
    assert learning.is_stopped
    quick, _ = opened()
    quick.end()
    assert not quick.is_stopped
    assert not quick.is_asking


def test_a_refusal_is_told_until_the_next_question_and_does_not_stop_it() -> None:
    learning, sent = opened()
    learning.turn(at(COUNT, 5.0))
    learning.refuse("no such network")
    assert len(sent) == 2
    learning.refuse("no such network")
    assert learning.refusal == "no such network"
    learning.open("softmax")
    assert learning.refusal == ""
