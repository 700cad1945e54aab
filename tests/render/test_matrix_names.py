"""A matrix whose rows and columns have names, in terminals of several widths."""

from __future__ import annotations

import pytest

from tests.names import CIFAR, HOSTILE
from tui_trainer.protocol.class_names import class_names
from tui_trainer.protocol.exhibit import Matrix
from tui_trainer.render.block_lines import matrix_lines, matrix_width
from tui_trainer.render.html.blocks import blocks_html
from tui_trainer.render.svg.tables import matrix_drawn
from tui_trainer.text.fmt import columns
from tui_trainer.text.lines import plain


def matrix(names: tuple[str, ...], count: int = 12) -> Matrix:
    heads = tuple(class_names(names, 10))
    return Matrix(
        caption="number of images",
        row_label="true",
        column_label="predicted",
        heads=heads,
        texts=tuple(tuple(str(count) for _ in heads) for _ in heads),
        intensities=tuple(tuple(0.5 for _ in heads) for _ in heads),
        cell=(3, 5),
        controls=("true", "predicted"),
    )


def test_columns_have_the_first_letters_of_names_or_all_of_them() -> None:
    narrow = plain(matrix_lines(matrix(CIFAR), 70))
    wide = plain(matrix_lines(matrix(CIFAR), 160))

    assert narrow[1].split() == [
        "true",
        "airp",
        "auto",
        "bird",
        *("cat", "deer", "dog", "frog"),
        *("hors", "ship", "truc"),
    ]
    assert wide[1].split() == ["true", *CIFAR]
    assert narrow[5].startswith("cat ")


def test_names_with_one_beginning_are_numbered() -> None:
    names = tuple(f"norwegian terrier {each}" for each in "abcdefghij")
    lines = plain(matrix_lines(matrix(names), 76))

    assert lines[1].split() == ["true", *map(str, range(10))]
    assert lines[2].startswith("0 norwegian")


@pytest.mark.parametrize("names", [(), CIFAR, HOSTILE])
@pytest.mark.parametrize("width", [60, 76, 118, 198])
def test_lines_have_one_width_and_fit(names: tuple[str, ...], width: int) -> None:
    lines = plain(matrix_lines(matrix(names), width))

    assert max(map(columns, lines)) <= max(width, matrix_width(matrix(names)))
    ends = {columns(line) for line in lines[2:]}
    assert len(ends) <= 2  # the selected cell has a mark behind its number


def test_pages_and_pictures_have_the_names() -> None:
    shown = matrix(CIFAR)

    assert "upright" in blocks_html([shown])
    assert "upright" not in blocks_html([matrix(())])
    assert all(name in matrix_drawn(shown, 800).svg for name in CIFAR)
