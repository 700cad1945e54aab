"""The curves of an exhibit as a plot in lines of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.render.block_lines import caption_lines
from tui_trainer.render.plots import Line, Mark, Points, Scale, draw
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

    Each curve has its own role and mark, except for faint ones, which are drawn first.
    """
    width = min(width, WIDTH)
    lines = caption_lines(block.caption, width)
    faint, named = (
        [curve for curve in block.curves if curve.is_faint is is_faint]
        for is_faint in (True, False)
    )
    roles = [*["muted"] * len(faint), *curve_roles(named)]
    curves = [_drawable(curve, block) for curve in (*faint, *named)]
    xs = [x for curve in curves for x in curve.x]
    start, end = (min(xs, default=0.0) if block.is_log_x else 0.0), max(xs, default=0.0)
    if end <= start:
        return [*lines, *paragraph("nothing to draw yet", "muted", width)]
    # Without color there is no legend to explain the letter of a single curve.
    marks = (GLYPHS if has_color else LETTERS) if has_color or len(curves) > 1 else ""
    drawing = draw(
        width,
        height,
        x_range=(start, end),
        x_unit="log" if block.is_log_x else "number",
        scale=Scale(block.scale),
        lines=[
            _line(curve, role, has_band=has_color)
            for curve, role in zip(curves, roles, strict=True)
        ],
        points=[
            _marks(
                curve,
                role,
                mark,
                (index + 0.5) / len(named),
                (start, end),
                MARKS if has_color else LETTERS_SHOWN,
            )
            for index, (curve, role, mark) in enumerate(
                zip(curves[len(faint) :], roles[len(faint) :], marks, strict=False)
            )
        ],
        marks=[
            Mark(
                math.log10(place.x) if block.is_log_x else place.x,
                "intervention",
                place.glyph,
                place.label,
            )
            for place in block.places
        ],
    )
    lines += [[Cell(run.text, style=run.role) for run in row] for row in drawing.rows]
    lines.append([Cell(padded(block.axis_label, width, is_right=True), style="muted")])
    if not has_color:
        return lines + (_values(named, marks) if named else [])
    names = zip(named, roles[len(faint) :], GLYPHS, strict=False)
    legend = [[Cell(f"{glyph} {curve.name}", style=role)] for curve, role, glyph in names]
    return lines + flowed(legend, width, 3)


def _drawable(curve: Curve, block: Curves) -> Curve:
    """Return a curve as it is drawn: on a logarithmic axis, x is the logarithm."""
    kept = curve.drawable(is_log=block.is_log, is_log_x=block.is_log_x)
    return replace(kept, x=tuple(map(math.log10, kept.x))) if block.is_log_x else kept


def _line(curve: Curve, role: str, *, has_band: bool) -> Line:
    """Return a curve, without color without its band: nothing would tell one from the other."""
    if not curve.low or not has_band:
        return Line(curve.x, curve.y, role)
    return Line(curve.x, curve.y, role, curve.low, curve.high, band_role=f"dim:{role}")


def curve_roles(curves: Sequence[Curve]) -> list[str]:
    """Return a role for each curve: ``train`` and ``validation`` by name, the rest in order."""
    roles: dict[int, str] = {}
    for index, curve in enumerate(curves):
        for role in ("train", "validation"):
            if curve.name.startswith(role) and role not in roles.values():
                roles[index] = role
    left = iter([role for role in ROLES if role not in roles.values()])
    return [roles.get(index) or next(left, "muted") for index in range(len(curves))]


def _marks(
    curve: Curve, role: str, mark: str, offset: float, ends: tuple[float, float], count: int
) -> Points:
    """Return a few points of a curve, offset from the marks of the other curves."""
    x: list[float] = []
    y: list[float] = []
    for number in range(count):
        wanted = ends[0] + (ends[1] - ends[0]) * (number + offset) / count
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
