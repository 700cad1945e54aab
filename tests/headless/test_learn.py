"""The lessons in plain text: choices, and the page as a whole."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator

import pytest

from tests.headless.fakes import started
from tests.protocol.questions import ask_lesson
from tui_trainer.course.lesson import lesson
from tui_trainer.headless.lesson_list import print_list, print_rows
from tui_trainer.headless.lesson_page import lesson_lines, print_lesson
from tui_trainer.headless.questions import (
    LessonQuestions,
    parse_choice,
    parse_choices,
    run_questions,
)
from tui_trainer.headless.streams import OutputError
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Mode
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.exhibit import Bar, Bars, Control, Exhibit, Words, at
from tui_trainer.render.plain_exhibit import WIDTH

KIND = Control(name="kind", label="kind", value="max", steps=("max", "mean"))
SIZE = Control(name="size", label="size", value=2.0, steps=(2.0, 3.0))
HEAT = Control(name="heat", label="heat", value=1.0, steps=(0.5, 1.0), low=0.1, high=9.0)


# --- choices


@pytest.mark.parametrize(
    ("control", "written", "value"),
    [(KIND, "Mean", "mean"), (SIZE, "3", 3.0), (HEAT, "0.7", 0.7), (HEAT, " 9 ", 9.0)],
)
def test_what_fits_a_control(control: Control, written: str, value: str | float) -> None:
    assert parse_choice(control, written) == value


@pytest.mark.parametrize(
    ("control", "written", "there_is"),
    [
        (KIND, "least", "choose max, mean"),
        (SIZE, "2.5", "choose 2, 3"),
        (SIZE, "nan", "choose 2, 3"),
        (HEAT, "10", "choose 0.1 to 9"),
        (HEAT, "hot", "choose 0.1 to 9"),
        (HEAT, "nan", "choose 0.1 to 9"),
    ],
)
def test_what_does_not(control: Control, written: str, there_is: str) -> None:
    with pytest.raises(InputError, match=there_is) as refused:
        parse_choice(control, written)
    assert str(refused.value).startswith(f"--set {control.name}={written}: ")


def test_choices_are_written_as_pairs() -> None:
    assert parse_choices(["a=1", "b = x=y", "a=2"]) == {"a": "2", "b": "x=y"}
    for wrong in ("a", "=1", "a="):
        with pytest.raises(InputError, match="write NAME=VALUE"):
            parse_choices([wrong])


def answered(sequence: LessonQuestions, asked: list[Ask]) -> Iterator[Event]:
    """An engine whose experiment has a second control for one choice of the first."""
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    yield started()
    for question in sequence.questions():
        asked.append(question)
        choices = dict(question.choices)
        kind = choices.get("kind", "max")
        controls = [at(KIND, kind), *([SIZE] if kind == "mean" else [])]
        result = "measured" if question.mode == "confirmed" else ""
        for progress in (0.5, None):
            exhibit = Exhibit(
                blocks=(Words(text=f"{sorted(choices.items())}"),),
                controls=tuple(controls),
                result=result,
                progress=progress,
            )
            yield Answered(question=question, content=exhibit, step=7)


@pytest.mark.parametrize("mode", ["interactive", "confirmed"])
def test_a_control_that_another_choice_brings_can_be_turned(mode: Mode) -> None:
    asked = list[Ask]()
    sequence = LessonQuestions("softmax", {"size": "3", "kind": "mean"}, mode)
    begun = run_questions(answered(sequence, asked), sequence)

    assert begun == started()
    assert sequence.exhibit is not None
    assert sequence.exhibit.blocks == (Words(text="[('kind', 'mean'), ('size', 3.0)]"),)
    assert sequence.exhibit.result == ("measured" if mode == "confirmed" else "")
    assert sequence.step == 7
    assert [question.mode for question in asked] == ["interactive", "interactive", mode]


def test_without_choices_the_question_is_asked_once() -> None:
    asked = list[Ask]()
    sequence = LessonQuestions("softmax", {}, "confirmed")
    run_questions(answered(sequence, asked), sequence)
    assert asked == [ask_lesson("softmax", mode="confirmed")]


def test_an_unknown_control_is_named_with_those_that_there_are() -> None:
    sequence = LessonQuestions("softmax", {"kind": "max", "color": "red"}, "interactive")
    with pytest.raises(
        InputError, match=r"--set color=red: softmax has no such control; it has kind$"
    ):
        run_questions(answered(sequence, []), sequence)


def test_how_far_it_is_stands_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    sequence = LessonQuestions("softmax", {}, "confirmed")
    run_questions(answered(sequence, []), sequence)
    assert capsys.readouterr() == ("", "")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    seconds = iter(range(100))
    sequence = LessonQuestions("softmax", {}, "confirmed")
    run_questions(answered(sequence, []), sequence, clock=lambda: float(next(seconds)))
    assert "experiment: 50 % done" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


# --- the page

EXHIBIT = Exhibit(
    blocks=(Words(text="what it shows"),),
    controls=(HEAT,),
    result="It is 7.",
    evidence="One image.",
    trains="train three times: about 15 s",
)


def page(exhibit: Exhibit = EXHIBIT, command: str = "mnist-tui learn softmax --try") -> list[str]:
    return lesson_lines(lesson("softmax"), exhibit, ["It has 7.", "And 8."], "tiny", command)


def test_a_lesson_has_all_parts_in_order_without_color() -> None:
    lines = page()
    heads = [line for line in lines if line.isupper() and not line.startswith(" ")]

    assert lines[:3] == ["Softmax", "=======", "lesson 6 of the course"]
    assert heads == [
        *("WHAT IT IS", "WHY IT MATTERS", "RULE OF THUMB", "TRAP", "FORMULAS", "EXPERIMENT"),
        *("IN YOUR NETWORK", "QUESTION", "SEE ALSO"),
    ]
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    for printed in ("  It has 7.", "  And 8.", "  what it shows", "  result: It is 7."):
        assert printed in lines
    assert lines.index("  answer:") > lines.index("QUESTION")
    assert "softmax before the loss" in "\n".join(lines[-9:])


def test_an_untrained_experiment_prints_its_command() -> None:
    assert "    mnist-tui learn softmax --try" in page()
    assert not any("--try" in line for line in page(command=""))
    still = Exhibit(blocks=(Words(text="nothing to train"),))
    assert not any("--try" in line for line in page(still))


def test_a_narrow_terminal_gets_narrow_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_lesson(lesson("softmax"), EXHIBIT, ["It has 7."], "tiny", "")
    assert max(map(len, capsys.readouterr().out.splitlines())) > 60

    monkeypatch.setattr("tui_trainer.headless.streams.is_terminal", lambda stream: True)
    monkeypatch.setattr("tui_trainer.headless.streams.terminal_width", lambda stream: 51)
    print_lesson(lesson("softmax"), EXHIBIT, ["It has 7."], "tiny", "")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 50


def test_without_unicode_a_minus_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii"))
    bars = Bars(caption="", bars=(Bar(label="0", share=1.0, number="−1", is_marked=True),))
    print_lesson(lesson("softmax"), Exhibit(blocks=(bars,)), [], "tiny", "")

    assert b"> 0 ######################################## -1" in kept.getvalue()
    assert b"loss = -ln p(true class)" in kept.getvalue()


def test_the_list_has_a_line_a_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    print_list([lesson("softmax")])
    assert capsys.readouterr().out.splitlines()[:2] == ["   lesson   title", "6  softmax  Softmax"]


def test_rows_keep_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("n", "x"), [(0, 0.1), (1, 1 / 3), (2, math.inf)])
    assert capsys.readouterr().out == f"n,x\n0,0.1\n1,{1 / 3!r}\n2,inf\n"


def test_a_closed_pipe_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OutputError):
        print_rows(("n",), [(0,)])
