"""A matrix in plain text."""

from __future__ import annotations

from tui_trainer.protocol.exhibit import Exhibit, Matrix
from tui_trainer.render.plain_exhibit import plain_lines

MATRIX = Matrix(
    caption="images",
    row_label="true",
    column_label="said",
    heads=("0", "1"),
    texts=(("980", "·"), ("12", "1,100")),
    heats=((0.0, 0.0), (1.0, 0.0)),
    cell=(1, 0),
    controls=("true", "said"),
)


def test_every_number_stands_flush_right_below_its_class() -> None:
    assert plain_lines(Exhibit(blocks=(MATRIX,)), 60) == [
        "images · rows true,",
        "columns said",
        "true      0      1",
        "   0    980      ·",
        "   1 ▸   12◂ 1,100",
    ]
