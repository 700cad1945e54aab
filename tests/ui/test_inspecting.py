"""The view that is looked at: what is asked, what waits, and which answers count."""

from __future__ import annotations

from tui_trainer.protocol.answers import Inspected
from tui_trainer.protocol.commands import Command, Inspect
from tui_trainer.protocol.exhibit import Control, Exhibit, at
from tui_trainer.ui.runs.inspect_questions import Inspecting

IMAGES = Control(name="images", label="images", value="validation", steps=("validation", "test"))
PART = Exhibit(blocks=(), controls=(IMAGES,), progress=0.5)
WHOLE = Exhibit(blocks=(), controls=(IMAGES,))
ON_TEST = (("images", "test"),)


def opened(view: str = "confusion") -> tuple[Inspecting, list[Inspect]]:
    sent: list[Inspect] = []

    def send(command: Command) -> None:
        assert isinstance(command, Inspect)
        sent.append(command)

    inspecting = Inspecting(send)
    inspecting.open(view)
    return inspecting, sent


def told(wish: Inspect, exhibit: Exhibit = WHOLE, step: int = 7) -> Inspected:
    return Inspected(wish=wish, exhibit=exhibit, step=step)


def test_while_an_answer_is_awaited_only_the_newest_question_is_kept() -> None:
    inspecting, sent = opened()
    for value in ("test", "validation", "test"):
        inspecting.turn(at(IMAGES, value))
    assert sent == [Inspect("confusion")]
    inspecting.take(told(sent[0]))
    assert sent[1:] == [Inspect("confusion", ON_TEST)]
    inspecting.take(told(sent[1]))
    assert len(sent) == 2
    assert inspecting.is_free


def test_a_control_stands_where_it_is_wanted_until_the_answer_says_where_it_stands() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[0]))
    inspecting.turn(at(IMAGES, "test"))
    assert [control.value for control in inspecting.controls] == ["test"]
    inspecting.take(told(sent[1]))
    assert [control.value for control in inspecting.controls] == ["validation"]


def test_of_an_answer_in_parts_the_rest_is_not_waited_for() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[0], PART))
    assert (inspecting.exhibit, inspecting.step, inspecting.drawn) == (PART, 7, 1)
    assert inspecting.is_asking
    inspecting.turn(at(IMAGES, "test"))
    assert sent[1:] == [Inspect("confusion", ON_TEST)]
    # What the engine still told of the older one is left out.
    inspecting.take(told(sent[0]))
    assert (inspecting.exhibit, inspecting.drawn) == (PART, 1)
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
    assert inspecting.drawn == 2


def test_each_view_keeps_its_choices_and_can_be_opened_with_others() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.turn(at(IMAGES, "test"))
    inspecting.take(told(sent[-1]))
    inspecting.prepare("digits", (("true", 4.0), ("said", 9.0)))
    inspecting.open("digits")
    assert sent[-1] == Inspect("digits", (("true", 4.0), ("said", 9.0)))
    inspecting.open("confusion")
    assert sent[-1] == Inspect("confusion", ON_TEST)
    inspecting.take(told(sent[-1]))
    inspecting.put_back()
    assert sent[-1] == Inspect("confusion")
    inspecting.open("digits")
    assert sent[-1].choices == (("true", 4.0), ("said", 9.0))


def test_enter_goes_and_what_follows_does_not() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.go()
    assert sent[-1] == Inspect("confusion", goes=True)
    inspecting.take(told(sent[-1]))
    inspecting.follow()
    assert sent[-1] == Inspect("confusion", follows=True)


def test_enter_counts_once_however_often_it_is_pressed() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.go()
    assert inspecting.is_going
    inspecting.go()
    inspecting.take(told(sent[-1]))
    assert sent[1:] == [Inspect("confusion", goes=True)]
    assert not inspecting.is_going
    inspecting.go()
    assert len(sent) == 3


def test_it_follows_when_no_answer_is_awaited_and_gives_way_to_the_reader() -> None:
    inspecting, sent = opened()
    inspecting.follow()
    assert len(sent) == 1
    inspecting.take(told(sent[-1]))
    inspecting.follow()
    inspecting.follow()
    assert sent[1:] == [Inspect("confusion", follows=True)]
    assert not inspecting.is_asking
    inspecting.turn(at(IMAGES, "test"))
    assert sent[2:] == [Inspect("confusion", ON_TEST)]
    inspecting.take(told(sent[1], step=8))
    assert inspecting.step == 7


def test_a_refusal_is_told_until_the_reader_asks_again() -> None:
    inspecting, sent = opened()
    inspecting.turn(at(IMAGES, "test"))
    inspecting.refuse("the weights are lost")
    # What waited is asked then, and takes the refusal away.
    assert sent[1:] == [Inspect("confusion", ON_TEST)]
    assert inspecting.refusal == ""
    inspecting.refuse("the weights are lost")
    inspecting.follow()
    assert inspecting.refusal == "the weights are lost"
    inspecting.refuse("again")
    inspecting.refuse("of nothing that was asked")
    assert inspecting.refusal == "again"
    inspecting.open("digits")
    assert inspecting.refusal == ""


def test_the_end_of_a_run_leaves_what_is_shown() -> None:
    inspecting, sent = opened()
    inspecting.take(told(sent[-1]))
    inspecting.ask()
    inspecting.end()
    assert inspecting.is_free
    assert inspecting.exhibit == WHOLE
    inspecting.take(told(sent[-1], PART))
    assert inspecting.exhibit == WHOLE
