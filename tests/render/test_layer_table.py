"""The layer table that the course asks for."""

from __future__ import annotations

from dataclasses import replace

from tests.protocol.test_layers import row
from tui_trainer.protocol.layers import field_in, jump_in
from tui_trainer.render.layer_table import CSV_HEADS, HEADS, course_csv, course_table

INPUT = row("input", "input", 0, receptive_field=(1, 1), jump=(1, 1))
CONV = row(
    "conv1",
    "conv",
    1_500,
    input_shape=(28, 28, 1),
    kernel_size=(3, 5),
    stride=(2, 1),
    padding=(1, 1),
    dilation=(1, 1),
    multiply_adds=9_000,
    receptive_field=(3, 5),
    jump=(2, 1),
    sources=(0,),
)
ADD = row("add", "add", 0, receptive_field=(3, 5), jump=(2, 1), sources=(0, 1))


def test_the_columns_are_those_of_the_course() -> None:
    table = course_table([INPUT, CONV])
    assert table.heads[4:12] == ("Rin", "K", "S", "P", "D", "Jin", "Jout", "Rout")
    assert table.rows[0][4:12] == ("—", "—", "—", "—", "—", "—", "1", "1")
    assert table.rows[1] == (
        *("conv1", "conv", "28×28×1", "28×28×16"),
        *("1", "3×5", "2×1", "1", "1", "1", "2×1", "3×5", "1,500", "9,000"),
    )
    assert table.rows[2][0] == "total"
    assert table.rows[2][-3:] == ("3×5", "1,500", "9,000")
    assert {len(cells) for cells in table.rows} == {len(HEADS)}


def test_of_several_inputs_the_largest_counts() -> None:
    rows = [INPUT, CONV, ADD]
    assert (field_in(ADD, rows), jump_in(ADD, rows)) == ((3, 5), (2, 1))
    undefined = replace(CONV, receptive_field=None, jump=None)
    assert field_in(ADD, [INPUT, undefined, ADD]) is None
    assert field_in(INPUT, rows) is None


def test_csv_has_plain_numbers_and_no_total() -> None:
    head, first, second = course_csv([INPUT, CONV]).splitlines()
    assert head == ",".join(CSV_HEADS)
    assert first == "input,input,input,1,,28x28x16,,,,,,,1,1,0,0,"
    assert second == "conv1,conv,conv,1,28x28x1,28x28x16,1,3x5,2x1,1,1,1,2x1,3x5,1500,9000,"
