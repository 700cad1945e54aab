"""The lessons in plain text: blocks as characters, choices, and the page as a whole."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator

import pytest

from tests.headless.fakes import started
from tests.protocol.questions import ask_lesson
from tui_trainer.course.lesson import lesson
from tui_trainer.headless.asking import Trying, chosen_value, follow, parse_choices
from tui_trainer.headless.lesson_list import print_list, print_rows
from tui_trainer.headless.lesson_page import WIDTH, lesson_lines, print_lesson
from tui_trainer.headless.streams import OutputLost
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Mode
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.exhibit import (
    Bar,
    Bars,
    Block,
    Control,
    Curve,
    Curves,
    Exhibit,
    Picture,
    Pictures,
    Table,
    Words,
    at,
)
from tui_trainer.render.characters import RAMP, SIGNED, picture_lines
from tui_trainer.render.plain_exhibit import control_lines, plain_lines

KIND = Control(name="kind", label="kind", value="max", steps=("max", "mean"))
SIZE = Control(name="size", label="size", value=2.0, steps=(2.0, 3.0))
HEAT = Control(name="heat", label="heat", value=1.0, steps=(0.5, 1.0), low=0.1, high=9.0)


def drawn(*blocks: Block, width: int = 74) -> list[str]:
    return plain_lines(Exhibit(blocks=blocks), width)


def picture(*values: float, width: int, is_signed: bool = False, **more: object) -> Picture:
    bound = max(map(abs, values))
    fields: dict[str, object] = {
        "caption": "a map",
        "height": len(values) // width,
        "width": width,
        "values": values,
        "low": -bound if is_signed else 0.0,
        "high": bound,
        "is_signed": is_signed,
        **more,
    }
    return Picture(**fields)  # type: ignore[arg-type]


# --- blocks


def test_words_are_wrapped_and_sums_keep_their_lines() -> None:
    lines = drawn(Words(text="one two " * 20), Words(text="  a\n  + b", keeps_lines=True), width=20)

    assert max(map(len, lines)) <= 20
    assert lines[-3:] == ["", "  a", "  + b"]
    assert " ".join(lines[:-3]).split() == ["one", "two"] * 20


def test_numbers_in_a_table_are_flush_right_and_a_row_is_marked() -> None:
    table = Table(
        caption="layers",
        heads=("layer", "parameters"),
        rows=(("conv1", "144"), ("conv2 3×3", "4,608"), ("all", "−1")),
        marked=1,
    )
    assert drawn(table) == [
        "layers",
        "  layer      parameters",
        "  " + "─" * 21,
        "  conv1             144",
        "▸ conv2 3×3       4,608",
        "  all                −1",
    ]


def test_a_table_that_is_too_wide_is_folded_where_it_is_widest() -> None:
    table = Table(caption="", heads=("what", "why", "n"), rows=(("a", "word " * 9, "1,234"),))
    assert drawn(table, width=30) == [
        "what  why                    n",
        "─" * 30,
        "a     word word word     1,234",
        "      word word word",
        "      word word word",
    ]


def test_bars_are_as_long_as_their_shares() -> None:
    bars = Bars(
        caption="",
        bars=(
            Bar(label="0", share=1.0, number="1.00"),
            Bar(label="10", share=0.5, number="0.50", is_marked=True),
            Bar(label="2", share=math.nan, number="nan"),
            Bar(label="3", share=7.0, number="7"),
        ),
    )
    assert [line.count("█") for line in drawn(bars)] == [40, 20, 0, 40]
    assert [line[:2] for line in drawn(bars)] == ["  ", "▸ ", "  ", "  "]
    assert (
        len(
            {
                line.index(number)
                for line, number in zip(drawn(bars), ("1.00", "0.50"), strict=False)
            }
        )
        == 1
    )


def test_bars_are_shorter_beside_long_numbers() -> None:
    long = Bars(caption="", bars=(Bar(label="0", share=1.0, number="p " * 25 + "."),))
    (line,) = drawn(long, width=70)
    assert (len(line), line.count("█")) == (70, 14)


def test_a_small_picture_has_two_characters_a_pixel() -> None:
    assert picture_lines(picture(0, 5, 10, 10, 5, 0, width=3)) == [
        "  ==@@".replace("=", RAMP[5]),
        "@@==  ".replace("=", RAMP[5]),
    ]


def test_a_large_picture_has_a_character_for_two_rows() -> None:
    tall = picture(
        *(10.0 for _ in range(28)), *(0.0 for _ in range(28)), *(10.0 for _ in range(28)), width=28
    )
    assert picture_lines(tall) == [RAMP[5] * 28, "@" * 28]


def test_plus_and_minus_are_different_signs() -> None:
    (line,) = picture_lines(picture(-1.0, -0.5, 0.0, 0.5, 1.0, width=5, is_signed=True))
    signs = line[::2]
    assert signs == SIGNED[0] + SIGNED[1] + " " + SIGNED[5] + SIGNED[6]
    assert len(set(signs)) == 5


def test_of_two_signed_pixels_the_stronger_shows() -> None:
    rows = (*(0.1 for _ in range(20)), *(-1.0 for _ in range(20)))
    assert picture_lines(picture(*rows, width=20, is_signed=True)) == [SIGNED[0] * 20]


def test_what_is_no_number_and_what_is_flat_can_be_drawn() -> None:
    assert picture_lines(
        picture(math.nan, math.inf, -math.inf, 1.0, width=4, low=0.0, high=1.0)
    ) == ["??@@  @@"]
    assert picture_lines(picture(0.0, 0.0, width=2)) == ["    "]
    assert picture_lines(picture(0.0, 0.0, width=2, is_signed=True)) == ["    "]


@pytest.mark.parametrize(("top", "left"), [(0, 0), (1, 2), (2, 3)])
def test_a_frame_stands_around_its_pixels(top: int, left: int) -> None:
    lines = picture_lines(picture(*([1.0] * 20), width=5, frame=(top, left, 2, 2)))

    framed = [place for place, line in enumerate(lines) if "[" in line]
    assert framed == [place for place in (top, top + 1) if place < 4]
    for place in framed:
        assert lines[place].index("]") - lines[place].index("[") == 5
        assert lines[place].index("[") == 2 * left


def test_pictures_stand_beside_each_other_as_far_as_there_is_room() -> None:
    small = picture(*([1.0] * 32), width=8)
    narrow = drawn(Pictures(caption="maps", items=(small,) * 3), width=40)
    wide = drawn(Pictures(caption="maps", items=(small,) * 3), width=74)

    assert narrow[0] == wide[0] == "maps"
    assert [line.count("a map") for line in wide if "a map" in line] == [3]
    assert [line.count("a map") for line in narrow if "a map" in line] == [2, 1]
    assert max(map(len, narrow)) <= 40
    assert RAMP in wide[1]


def test_each_of_several_curves_carries_its_letter() -> None:
    x = tuple(float(at) for at in range(200))
    curves = Curves(
        caption="loss",
        x_label="steps",
        curves=(
            Curve(name="slow", x=x, y=tuple(2.0 - at / 400 for at in x)),
            Curve(name="fast", x=x, y=tuple(2.0 - at / 101 for at in x)),
        ),
        is_log=True,
    )
    lines = drawn(curves)
    plot, legend = lines[:-2], lines[-2:]

    assert legend == ["a  slow  2 → 1.502", "b  fast  2 → 0.0297"]
    assert sum(line.count("a") for line in plot[1:-1]) >= 6
    assert sum(line.count("b") for line in plot[1:-1]) >= 6
    assert plot[-1].endswith("steps · logarithmic y")
    assert max(map(len, lines)) <= 74


def test_a_single_curve_needs_no_letter_and_one_without_points_is_said() -> None:
    x = (0.0, 1.0, 2.0)
    single = drawn(Curves(caption="", x_label="x", curves=(Curve(name="only", x=x, y=x),)))
    assert single[-1] == "only  0 → 2"
    assert not any("a" in line for line in single[:-1])

    nothing = Curve(name="lost", x=(), y=())
    assert drawn(Curves(caption="", x_label="x", curves=(nothing,))) == ["nothing to draw yet"]
    both = Curves(caption="", x_label="x", curves=(nothing, Curve(name="only", x=x, y=x)))
    assert "a  lost  no points yet" in drawn(both)


def test_a_single_point_has_its_letter() -> None:
    point = Curve(name="now", x=(0.1,), y=(1.5,))
    line = Curve(name="line", x=(0.0, 50.0), y=(1.0, 2.0))
    plot = drawn(Curves(caption="", x_label="x", curves=(line, point)))[:-3]
    assert sum(row.count("b") for row in plot) == 1


def test_a_curve_without_numbers_leaves_the_others() -> None:
    bad = Curve(name="bad", x=(0.0, 1.0, 2.0), y=(1.0, math.nan, math.inf))
    good = Curve(name="good", x=(0.0, 1.0, 2.0), y=(1.0, 0.5, 0.0))
    lines = drawn(Curves(caption="", x_label="x", curves=(bad, good), is_log=True))
    assert lines[-1] == "b  good  1 → 0"


def test_controls_tell_what_they_can_be_turned_to() -> None:
    many = Control(name="digit", label="digit", value=3.0, steps=tuple(map(float, range(100))))
    assert control_lines((KIND, SIZE, HEAT, many), 74) == [
        "kind = max  (max, mean)",
        "size = 2  (2, 3)",
        "heat = 1  (0.1 to 9)",
        "digit = 3  (0 to 99)",
    ]


# --- choices


@pytest.mark.parametrize(
    ("control", "written", "value"),
    [(KIND, "Mean", "mean"), (SIZE, "3", 3.0), (HEAT, "0.7", 0.7), (HEAT, " 9 ", 9.0)],
)
def test_what_fits_a_control(control: Control, written: str, value: str | float) -> None:
    assert chosen_value(control, written) == value


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
        chosen_value(control, written)
    assert str(refused.value).startswith(f"--set {control.name}={written}: ")


def test_choices_are_written_as_pairs() -> None:
    assert parse_choices(["a=1", "b = x=y", "a=2"]) == {"a": "2", "b": "x=y"}
    for wrong in ("a", "=1", "a="):
        with pytest.raises(InputError, match="write NAME=VALUE"):
            parse_choices([wrong])


def answered(trying: Trying, asked: list[Ask]) -> Iterator[Event]:
    """An engine whose experiment has a second control for one choice of the first."""
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    yield started()
    for question in trying.questions():
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
    trying = Trying("softmax", {"size": "3", "kind": "mean"}, mode)
    begun = follow(answered(trying, asked), trying)

    assert begun == started()
    assert trying.exhibit is not None
    assert trying.exhibit.blocks == (Words(text="[('kind', 'mean'), ('size', 3.0)]"),)
    assert trying.exhibit.result == ("measured" if mode == "confirmed" else "")
    assert trying.step == 7
    assert [question.mode for question in asked] == ["interactive", "interactive", mode]


def test_what_goes_goes_once_without_choices() -> None:
    asked = list[Ask]()
    trying = Trying("softmax", {}, "confirmed")
    follow(answered(trying, asked), trying)
    assert asked == [ask_lesson("softmax", mode="confirmed")]


def test_an_unknown_control_is_named_with_those_that_there_are() -> None:
    trying = Trying("softmax", {"kind": "max", "colour": "red"}, "interactive")
    with pytest.raises(
        InputError, match=r"--set colour=red: softmax has no such control; it has kind$"
    ):
        follow(answered(trying, []), trying)


def test_how_far_it_is_stands_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    trying = Trying("softmax", {}, "confirmed")
    follow(answered(trying, []), trying)
    assert capsys.readouterr() == ("", "")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    seconds = iter(range(100))
    trying = Trying("softmax", {}, "confirmed")
    follow(answered(trying, []), trying, clock=lambda: float(next(seconds)))
    assert "trying: 50 % done" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


# --- the page

EXHIBIT = Exhibit(
    blocks=(Words(text="what it shows"),),
    controls=(HEAT,),
    result="It is 7.",
    certainty="One image.",
    trains="train three times: about 15 s",
)


def page(exhibit: Exhibit = EXHIBIT, command: str = "mnist-tui learn softmax --try") -> list[str]:
    return lesson_lines(lesson("softmax"), exhibit, ["It has 7.", "And 8."], "tiny", command)


def test_a_lesson_says_all_in_order_without_colour() -> None:
    lines = page()
    heads = [line for line in lines if line.isupper() and not line.startswith(" ")]

    assert lines[:3] == ["Softmax", "=======", "topic 6 of the course"]
    assert heads == [
        *("WHAT IT IS", "WHY IT MATTERS", "RULE OF THUMB", "TRAP", "FORMULAS", "EXPERIMENT"),
        *("IN YOUR NETWORK", "QUESTION", "SEE ALSO"),
    ]
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    for said in ("  It has 7.", "  And 8.", "  what it shows", "  result: It is 7."):
        assert said in lines
    assert lines.index("  answer:") > lines.index("QUESTION")
    assert "softmax before the loss" in "\n".join(lines[-8:])


def test_what_trains_says_how_until_it_has() -> None:
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
    assert b"loss = -ln p(right)" in kept.getvalue()


def test_the_list_has_a_line_a_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    print_list([lesson("softmax")])
    assert capsys.readouterr().out.splitlines()[:2] == ["   lesson   title", "6  softmax  Softmax"]


def test_rows_keep_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("n", "x"), [(0, 0.1), (1, 1 / 3), (2, math.inf)])
    assert capsys.readouterr().out == f"n,x\n0,0.1\n1,{1 / 3!r}\n2,inf\n"


def test_a_closed_pipe_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OutputLost):
        print_rows(("n",), [(0,)])
