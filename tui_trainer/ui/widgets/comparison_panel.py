"""A comparison of two networks as lines."""

from __future__ import annotations

from tui_trainer.protocol.layers import Stage
from tui_trainer.render.layer_comparison import Comparison, Figure, Line
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines

MIDDLE = 3
"""Columns of the sign between both sides."""

HEADS = ("layer", "output", "parameters", "sees")
SHORT_HEADS = ("layer", "output", "params", "sees")

Columns = tuple[str, ...]


def comparison_lines(names: tuple[str, str], comparison: Comparison, width: int) -> Lines:
    """Return the figures, then the stages of both in rows, in ``width`` columns."""
    lines = _figure_lines(names, comparison.figures)
    sides = [[_columns(stage) for stage in _stages(comparison, side)] for side in (0, 1)]
    room = (width - MIDDLE) // 2
    # The receptive field goes where there is no room for it.
    heads, kept = HEADS, 4
    if _needed(heads, sides, kept) > room:
        heads, kept = SHORT_HEADS, 3
    widths = [_widths([heads, *side], kept, room) for side in sides]
    left, right = (_line(heads, widths[side], "muted") for side in (0, 1))
    lines += [[], [*left, Cell(" " * MIDDLE), *right]]
    lines += [_stage_line(line, widths) for line in comparison.lines]
    return lines


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
                *_figure(figure.left, left, figure.better == "left"),
                *_figure(figure.right, right, figure.better == "right"),
            ]
        )
    return lines


def _figure(words: str, width: int, is_better: bool) -> list[Cell]:
    sign = "✓ " if is_better else ""
    return [Cell(f"  {sign + words:>{width}}", style="good" if is_better else "")]


def _stages(comparison: Comparison, side: int) -> list[Stage]:
    pairs = [(line.left, line.right)[side] for line in comparison.lines]
    return [stage for stage in pairs if stage is not None]


def _columns(stage: Stage) -> Columns:
    return (
        stage.what,
        stage.shape_text,
        fmt.count(stage.parameters) if stage.parameters else "·",
        fmt.field(stage.receptive_field),
    )


def _needed(heads: Columns, sides: list[list[Columns]], kept: int) -> int:
    """Return how wide the wider side is with its first columns."""
    return max(
        sum(max(fmt.columns(row[place]) for row in [heads, *side]) for place in range(kept))
        + 2 * (kept - 1)
        for side in sides
    )


def _widths(rows: list[Columns], kept: int, room: int) -> list[int]:
    widths = [max(fmt.columns(row[place]) for row in rows) for place in range(kept)]
    # The first column takes what is left, so that both sides are as wide.
    widths[0] = max(5, min(widths[0] + 8, room - sum(widths[1:]) - 2 * (kept - 1)))
    return widths


def _line(columns: Columns, widths: list[int], role: str) -> list[Cell]:
    cells = [Cell(f"{fmt.clip(columns[0], widths[0]):<{widths[0]}}", style=role)]
    pairs = list(zip(columns, widths, strict=False))[1:]
    return cells + [Cell(f"  {words:>{width}}", style=role) for words, width in pairs]


def _stage_line(line: Line, widths: list[list[int]]) -> list[Cell]:
    role = "" if line.differs else "muted"
    sides = [
        _line(_columns(stage), widths[side], role)
        if stage is not None
        else [Cell(" " * (sum(widths[side]) + 2 * (len(widths[side]) - 1)))]
        for side, stage in enumerate((line.left, line.right))
    ]
    sign = Cell(" ≠ ", style="look") if line.differs else Cell(" = ", style="muted")
    return [*sides[0], sign, *sides[1]]
