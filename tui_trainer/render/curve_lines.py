"""The curves of an exhibit as a plot in lines of cells."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.render.block_lines import caption_lines
from tui_trainer.render.plots import Line, Points, Scale, chart
from tui_trainer.text.fmt import Cell, columns
from tui_trainer.text.lines import Lines, flowed, padded, paragraph

WIDTH = 100
"""The maximum width of a plot: wider curves do not read better."""

ROLES = ("train", "validation", "intervention", "test", "title", "warning", "ok", "error")
GLYPHS = "●■▲◆○□△◇"
LETTERS = "abcdefgh"
"""Glyphs, or letters where there is no color, that identify a curve by its index."""

MARKS, LETTERS_SHOWN = 5, 8
"""How often a curve is marked with its glyph, or its letter."""


def curves_lines(block: Curves, width: int, height: int, *, has_color: bool) -> Lines:
    """Return curves in one plot of ``height`` lines, with the x label and a legend below.

    Each curve has its own role and mark.
    """
    width = min(width, WIDTH)
    lines = caption_lines(block.caption, width)
    curves = [curve.drawable(is_log=block.is_log) for curve in block.curves]
    end = max((x for curve in curves for x in curve.x), default=0.0)
    if end <= 0:
        return [*lines, *paragraph("nothing to draw yet", "muted", width)]
    roles = curve_roles(block.curves)
    # Without color there is no legend to explain the letter of a single curve.
    marks = (GLYPHS if has_color else LETTERS) if has_color or len(curves) > 1 else ""
    rows = chart(
        width,
        height,
        x_max=end,
        scale=Scale(block.scale),
        lines=[Line(c.x, c.y, role) for c, role in zip(curves, roles, strict=True)],
        points=[
            _marks(
                curve,
                role,
                mark,
                (index + 0.5) / len(curves),
                end,
                MARKS if has_color else LETTERS_SHOWN,
            )
            for index, (curve, role, mark) in enumerate(zip(curves, roles, marks, strict=False))
        ],
    )
    lines += [[Cell(run.text, style=run.role) for run in row] for row in rows]
    lines.append([Cell(padded(block.axis_label, width, is_right=True), style="muted")])
    if not has_color:
        return lines + _values(block.curves, marks)
    names = zip(block.curves, roles, GLYPHS, strict=False)
    legend = [[Cell(f"{glyph} {curve.name}", style=role)] for curve, role, glyph in names]
    return lines + flowed(legend, width, 3)


def curve_roles(curves: Sequence[Curve]) -> list[str]:
    """Return a role for each curve: ``train`` and ``validation`` by name, the rest in order."""
    roles: dict[int, str] = {}
    for index, curve in enumerate(curves):
        for role in ("train", "validation"):
            if curve.name.startswith(role) and role not in roles.values():
                roles[index] = role
    left = iter([role for role in ROLES if role not in roles.values()])
    return [roles.get(index) or next(left, "muted") for index in range(len(curves))]


def _marks(curve: Curve, role: str, mark: str, offset: float, end: float, count: int) -> Points:
    """Return a few points of a curve, offset from the marks of the other curves."""
    x: list[float] = []
    y: list[float] = []
    for number in range(count):
        wanted = end * (number + offset) / count
        after = next((i for i, at in enumerate(curve.x) if at >= wanted), None)
        if after is not None and (not x or curve.x[after] != x[-1]):
            x.append(curve.x[after])
            y.append(curve.y[after])
    if not x and curve.x:
        x, y = [curve.x[-1]], [curve.y[-1]]
    return Points(x, y, role, mark)


def _values(curves: Sequence[Curve], marks: str) -> Lines:
    """Return each curve's letter, name, and first and last value."""
    widest = max(columns(curve.name) for curve in curves)
    lines: Lines = []
    for index, curve in enumerate(curves):
        lead = f"{marks[index]}  " if marks else ""
        lines.append([Cell(f"{lead}{padded(curve.name, widest)}  {curve.ends}")])
    return lines
