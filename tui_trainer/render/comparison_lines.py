"""A comparison of two models as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui_trainer.protocol.layers import Stage
from tui_trainer.render.layer_comparison import Comparison, Figure, Line
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, padded

MIDDLE = 3
"""The width of the sign between both sides."""

GAP = 2
NAME, TYPE, OUTPUT, PARAMETERS, FIELD = range(5)

LAYOUTS = (
    {NAME: "layer", TYPE: "type", OUTPUT: "output", PARAMETERS: "parameters", FIELD: "field"},
    {TYPE: "layer", OUTPUT: "output", PARAMETERS: "parameters", FIELD: "field"},
    {TYPE: "layer", OUTPUT: "output", PARAMETERS: "params"},
)
"""The columns of a side and their heads, from the most to the least informative layout."""

ELASTIC = 8
"""The most columns that a type column may grow so that both sides are equally wide."""


def comparison_lines(names: tuple[str, str], comparison: Comparison, width: int) -> Lines:
    """Return the figures, then the stages of both models row by row, in ``width`` columns."""
    room = (width - MIDDLE) // 2
    for heads in LAYOUTS:
        sides = [
            [[*heads.values()], *(_texts(line.sides[side], heads) for line in comparison.lines)]
            for side in (0, 1)
        ]
        widths = [[max(map(fmt.columns, column)) for column in zip(*rows)] for rows in sides]  # noqa: B905
        spare = [room - sum(side) - GAP * (len(heads) - 1) for side in widths]
        if min(spare) >= 0:
            break
    elastic = list(heads).index(TYPE)
    for side, rest in zip(widths, spare, strict=True):
        side[elastic] = max(5, side[elastic] + min(ELASTIC, rest))
    lines = [*_figure_lines(names, comparison.figures), []]
    signs = [("   ", "", "muted"), *map(_sign, comparison.lines)]
    for (sign, color, role), *texts in zip(signs, *sides, strict=True):
        left, right = (
            Cell(_joined(words, sizes, elastic), style=role)
            for words, sizes in zip(texts, widths, strict=True)
        )
        lines.append([left, Cell(sign, style=color), right])
    return lines


def _sign(line: Line) -> tuple[str, str, str]:
    """Return the sign between two stages, its role, and the role of the stages."""
    return (" ≠ ", "warning", "") if line.differs else (" = ", "muted", "muted")


def _figure_lines(names: tuple[str, str], figures: tuple[Figure, ...]) -> Lines:
    titles = max(len(figure.name) for figure in figures)
    left = max(len(names[0]), *(len(figure.left) for figure in figures)) + 2
    right = max(len(names[1]), *(len(figure.right) for figure in figures)) + 2
    lines: Lines = [
        [
            Cell(" " * titles),
            Cell(f"  {names[0]:>{left}}", style="title bold"),
            Cell(f"  {names[1]:>{right}}", style="title bold"),
        ]
    ]
    for figure in figures:
        lines.append(
            [
                Cell(f"{figure.name:<{titles}}", style="muted"),
                _figure(figure.left, left, figure.better == "left"),
                _figure(figure.right, right, figure.better == "right"),
            ]
        )
    return lines


def _figure(words: str, width: int, is_better: bool) -> Cell:
    sign = "✓ " if is_better else ""
    return Cell(f"  {sign + words:>{width}}", style="ok" if is_better else "")


def _texts(stage: Stage | None, kept: Iterable[int]) -> list[str]:
    """Return the texts of a stage's kept columns; empty texts where there is no stage."""
    if stage is None:
        return ["" for _ in kept]
    parameters = fmt.count(stage.parameters) if stage.parameters else "·"
    field = fmt.field(stage.receptive_field)
    texts = (stage.name, stage.what, stage.shape_text, parameters, field)
    return [texts[index] for index in kept]


def _joined(texts: Sequence[str], widths: Sequence[int], elastic: int) -> str:
    return (" " * GAP).join(
        padded(text, width, is_right=index > elastic)
        for index, (text, width) in enumerate(zip(texts, widths, strict=True))
    )
