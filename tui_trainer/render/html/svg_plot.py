"""Curves as inline SVG: axes with round ticks, each curve with its own dash and marker."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.text.fmt import percent
from tui_trainer.text.scales import Axis, Scale, apart, nice_step

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44
"""Room around the plot, in pixels."""

LOW = HEIGHT - BOTTOM
"""The y coordinate of the horizontal axis."""

MIN_GAP = 26
"""The minimum distance of two ticks of the vertical axis, in pixels; half the horizontal one."""

X_TICKS = 8
"""The approximate number of ticks of the horizontal axis."""

MAX_POINTS = 600
"""The most points that are drawn of a curve; of more, every second or third."""

MARKS_PER_CURVE = 6
FEW_POINTS = 24
"""Up to this many points, each has a marker."""

BAND_MARGIN = 0.25
"""How far a band may extend the axis beyond the curves, as a share of their range."""

DASHES = ("", "7 3", "2 3", "10 3 2 3")
SHAPES = ("circle", "square", "up", "diamond", "ring", "box", "down", "cross")
"""How curves differ without color, by their index: 32 of them have another dash or marker."""


def curves_html(curves: Curves) -> str:
    """Return curves as a figure with a caption and a legend."""
    kept = [_drawable(curve, curves) for curve in curves.curves]
    head = f"<figcaption>{escape(curves.caption)}</figcaption>" if curves.caption else ""
    if not any(curve.x for curve in kept):
        return f"<figure>{head}<p class='muted'>Nothing to draw.</p></figure>"
    legend = "".join(
        _legend(curve, index, is_accuracy=curves.is_accuracy) for index, curve in enumerate(kept)
    )
    return (
        f"<figure class='plot'>{head}{_plot(curves, kept)}<ul class='legend'>{legend}</ul></figure>"
    )


def _drawable(curve: Curve, block: Curves) -> Curve:
    kept = curve.drawable(is_log=block.is_log, is_log_x=block.is_log_x)
    return replace(kept, x=tuple(map(math.log10, kept.x))) if block.is_log_x else kept


@dataclass(frozen=True, slots=True)
class _Frame:
    """The mapping of data to pixels of a plot.

    Attributes:
        first: The x value at the left end.
        last: The x value at the right end.
        scale: The scale of the vertical axis.
        axis: The vertical axis.
        is_log_x: Whether the x values are logarithms to base 10.
    """

    first: float
    last: float
    scale: Scale
    axis: Axis
    is_log_x: bool = False

    def across(self, x: float) -> float:
        """Return the x coordinate of a value."""
        share = (x - self.first) / ((self.last - self.first) or 1.0)
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def down(self, y: float) -> float:
        """Return the y coordinate of a value."""
        bottom, top, height = self.scale.heights((self.axis.bottom, self.axis.top, y))
        height = min(max(height, bottom), top)  # a band may reach beyond what the axis can show
        return LOW - (height - bottom) / ((top - bottom) or 1.0) * (LOW - TOP)


def _plot(curves: Curves, kept: Sequence[Curve]) -> str:
    """Return the plot: grid and ticks, and the curves over them."""
    xs = [x for curve in kept for x in curve.x]
    ys = [y for curve in kept for y in curve.y]
    scale = Scale(curves.scale)
    ys += _band_ends(kept, scale)
    first = min(xs) if curves.is_log_x else min(0.0, *xs)
    frame = _Frame(first, max(xs), scale, scale.axis(min(ys), max(ys)), curves.is_log_x)
    label = escape(curves.axis_label)
    parts = [
        *_ticks(frame),
        f"<path class='axis' d='M{LEFT} {TOP}V{LOW}H{WIDTH - RIGHT}'/>",
        f"<text x='{WIDTH - RIGHT}' y='{HEIGHT - 6}' class='label'>{label}</text>",
    ]
    parts += [_band(curve, index, frame) for index, curve in enumerate(kept) if curve.low]
    for index, curve in enumerate(kept):
        points = zip(map(frame.across, curve.x), map(frame.down, curve.y), strict=True)
        parts.append(_line(list(points), index))
    names = escape(", ".join(curve.name for curve in kept), quote=True)
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{names}'>"
        f"{''.join(parts)}</svg>"
    )


def _ticks(frame: _Frame) -> Iterator[str]:
    """Yield the ticks and labels of both axes, and horizontal grid lines."""
    right = WIDTH - RIGHT
    heights = [(frame.down(value), label) for value, label in frame.axis.ticks]
    for y, label in apart(heights, MIN_GAP):
        yield f"<path class='grid' d='M{LEFT} {y:.1f}H{right}'/>"
        yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' class='y'>{_minus(label)}</text>"
    step = nice_step((frame.last - frame.first) / X_TICKS or 1.0)
    first, last = math.ceil(frame.first / step), math.floor(frame.last / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    labels = [f"{10**value:.2g}" if frame.is_log_x else f"{value:.6g}" for value in values]
    positions = [(frame.across(x), label) for x, label in zip(values, labels, strict=True)]
    for x, label in apart(positions, 2 * MIN_GAP):
        yield f"<path class='tick' d='M{x:.1f} {LOW}v5'/>"
        yield f"<text x='{x:.1f}' y='{LOW + 19}' class='x'>{_minus(label)}</text>"


def _line(points: Sequence[tuple[float, float]], index: int) -> str:
    """Return a curve and its markers, offset from those of the other curves."""
    if not points:
        return ""
    step = math.ceil(len(points) / MAX_POINTS)
    drawn = [*points[:-1:step], points[-1]]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
    if len(points) <= FEW_POINTS:
        marked = list(points)
    else:
        stride = len(points) / MARKS_PER_CURVE
        offset = stride * (0.5 + index % len(SHAPES)) / len(SHAPES)
        marked = [points[int(offset + stride * number)] for number in range(MARKS_PER_CURVE)]
    marks = "".join(mark(x, y, index) for x, y in marked)
    line = f"<path class='line'{_dash(index)} d='{path}'/>"
    return f"<g class='c{index % len(SHAPES)}'>{line}{marks}</g>"


def _band_ends(curves: Sequence[Curve], scale: Scale) -> list[float]:
    """Return the ends of bands that the axis has room for; a wide band is clipped."""
    heights = scale.heights(y for curve in curves for y in curve.y)
    low, high = min(heights), max(heights)
    margin = BAND_MARGIN * (high - low)
    ends = [y for curve in curves for y in (*curve.low, *curve.high) if scale.has_place_for(y)]
    return [y for y in ends if low - margin <= scale.height(y) <= high + margin]


def _dash(index: int) -> str:
    """Return the dash of a curve: from the ninth curve on, its color and marker have another."""
    dash = DASHES[(index + index // len(SHAPES)) % len(DASHES)]
    return f" stroke-dasharray='{dash}'" if dash else ""


def _band(curve: Curve, index: int, frame: _Frame) -> str:
    """Return the band of a curve: a polygon for each stretch where it has both ends."""
    paths = []
    ends = zip(curve.x, curve.low, curve.high, strict=True)
    for is_there, stretch in groupby(ends, lambda each: all(map(math.isfinite, each[1:]))):
        places = [*stretch]
        if is_there and len(places) > 1:
            upper = [(x, high) for x, _, high in places]
            lower = [(x, low) for x, low, _ in reversed(places)]
            points = (f"{frame.across(x):.1f} {frame.down(y):.1f}" for x, y in (*upper, *lower))
            paths.append(f"M{'L'.join(points)}z")
    return f"<path class='band c{index % len(SHAPES)}' d='{''.join(paths)}'/>" if paths else ""


def mark(x: float, y: float, index: int) -> str:
    """Return a curve's marker at a point of the plot."""
    shape = SHAPES[index % len(SHAPES)]
    kind = "hollow" if shape in ("ring", "box", "down", "cross") else "full"
    if shape in ("circle", "ring"):
        return f"<circle class='{kind}' cx='{x:.1f}' cy='{y:.1f}' r='3.4'/>"
    path = {
        "square": "m-3-3h6v6h-6z",
        "box": "m-3-3h6v6h-6z",
        "up": "m0-4.4 4 7h-8z",
        "down": "m0 4.4 4-7h-8z",
        "diamond": "m0-4.6 4.6 4.6-4.6 4.6-4.6-4.6z",
        "cross": "m-3.4-3.4 6.8 6.8m0-6.8-6.8 6.8",
    }[shape]
    return f"<path class='{kind}' d='M{x:.1f} {y:.1f}{path}'/>"


def _legend(curve: Curve, index: int, *, is_accuracy: bool) -> str:
    """Return a curve's legend entry: its line, its name, and its first and last value."""
    ends = curve.ends
    if is_accuracy and curve.y:
        ends = f"{percent(curve.y[0])} → {percent(curve.y[-1])}"
    sample = (
        f"<svg class='c{index % len(SHAPES)}' viewBox='0 0 40 12' aria-hidden='true'>"
        f"<path class='line'{_dash(index)} d='M2 6H38'/>{mark(20, 6, index)}</svg>"
    )
    return f"<li>{sample}{escape(curve.name)} <span class='muted'>{escape(ends)}</span></li>"


def _minus(label: str) -> str:
    return escape(label.replace("-", "−"))
