"""Curves as SVG elements: axes with round ticks, each curve with its own dash and marker."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tui_trainer.protocol.exhibit import Curve, Curves
from tui_trainer.render.svg.paint import Paint, by_class
from tui_trainer.render.svg.text import text_width
from tui_trainer.text.escaping import xml_escape as escape
from tui_trainer.text.fmt import percent
from tui_trainer.text.scales import Axis, Scale, apart, nice_step

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44
"""Room around the plot, in pixels."""

LOW = HEIGHT - BOTTOM
"""The y coordinate of the horizontal axis."""

TICK_GAP = 8
"""The distance of a label of the vertical axis from the axis, in pixels."""

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


def drawable_curves(block: Curves) -> list[Curve]:
    """Return the curves of a plot without points that cannot be drawn; x as on its axis."""
    return [_drawable(curve, block) for curve in block.curves]


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
        left: The x coordinate of the vertical axis.
    """

    first: float
    last: float
    scale: Scale
    axis: Axis
    is_log_x: bool = False
    left: float = LEFT

    def across(self, x: float) -> float:
        """Return the x coordinate of a value."""
        share = (x - self.first) / ((self.last - self.first) or 1.0)
        return self.left + share * (WIDTH - RIGHT - self.left)

    def down(self, y: float) -> float:
        """Return the y coordinate of a value."""
        bottom, top, height = self.scale.heights((self.axis.bottom, self.axis.top, y))
        height = min(max(height, bottom), top)  # a band may reach beyond what the axis can show
        return LOW - (height - bottom) / ((top - bottom) or 1.0) * (LOW - TOP)


def plot(curves: Curves, kept: Sequence[Curve], paint: Paint) -> str:
    """Return the elements of a plot of ``WIDTH`` × ``HEIGHT``: grid, ticks, and curves over them.

    Args:
        curves: The plot.
        kept: Its :func:`drawable_curves`, at least one of them with a point.
        paint: How the elements are painted.
    """
    xs = [x for curve in kept for x in curve.x]
    ys = [y for curve in kept for y in curve.y]
    scale = Scale(curves.scale)
    ys += _band_ends(kept, scale)
    first = min(xs) if curves.is_log_x else min(0.0, *xs)
    axis = scale.axis(min(ys), max(ys))
    widest = max(text_width(_minus(label)) for _, label in axis.ticks)
    left = max(float(LEFT), math.ceil(widest) + TICK_GAP + 2)
    frame = _Frame(first, max(xs), scale, axis, curves.is_log_x, left)
    label = escape(curves.axis_label)
    parts = [
        *_ticks(frame, paint),
        f"<path{paint('axis')} d='M{left:g} {TOP}V{LOW}H{WIDTH - RIGHT}'/>",
        f"<text x='{WIDTH - RIGHT}' y='{HEIGHT - 6}'{paint('label')}>{label}</text>",
    ]
    parts += [_band(curve, index, frame, paint) for index, curve in enumerate(kept) if curve.low]
    for index, curve in enumerate(kept):
        points = zip(map(frame.across, curve.x), map(frame.down, curve.y), strict=True)
        parts.append(_line(list(points), index, paint))
    return "".join(parts)


def _ticks(frame: _Frame, paint: Paint) -> Iterator[str]:
    """Yield the ticks and labels of both axes, and horizontal grid lines."""
    right = WIDTH - RIGHT
    heights = [(frame.down(value), label) for value, label in frame.axis.ticks]
    for y, label in apart(heights, MIN_GAP):
        yield f"<path{paint('grid')} d='M{frame.left:g} {y:.1f}H{right}'/>"
        yield (
            f"<text x='{frame.left - TICK_GAP:g}' y='{y + 4:.1f}'{paint('y')}>"
            f"{escape(_minus(label))}</text>"
        )
    step = nice_step((frame.last - frame.first) / X_TICKS or 1.0)
    first, last = math.ceil(frame.first / step), math.floor(frame.last / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    labels = [f"{10**value:.2g}" if frame.is_log_x else f"{value:.6g}" for value in values]
    positions = [(frame.across(x), label) for x, label in zip(values, labels, strict=True)]
    for x, label in apart(positions, 2 * MIN_GAP):
        shown = _minus(label)
        middle = min(x, WIDTH - text_width(shown) / 2)  # the last label must not be cut
        yield f"<path{paint('tick')} d='M{x:.1f} {LOW}v5'/>"
        yield f"<text x='{middle:.1f}' y='{LOW + 19}'{paint('x')}>{escape(shown)}</text>"


def _line(points: Sequence[tuple[float, float]], index: int, paint: Paint) -> str:
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
    marks = "".join(mark(x, y, index, paint) for x, y in marked)
    line = f"<path{paint('line')}{_dash(index)} d='{path}'/>"
    return f"<g{paint(color_name(index))}>{line}{marks}</g>"


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


def _band(curve: Curve, index: int, frame: _Frame, paint: Paint) -> str:
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
    names = f"band {color_name(index)}"
    return f"<path{paint(names)} d='{''.join(paths)}'/>" if paths else ""


def mark(x: float, y: float, index: int, paint: Paint = by_class) -> str:
    """Return a curve's marker at a point of the plot."""
    shape = SHAPES[index % len(SHAPES)]
    kind = "hollow" if shape in ("ring", "box", "down", "cross") else "full"
    if shape in ("circle", "ring"):
        return f"<circle{paint(kind)} cx='{x:.1f}' cy='{y:.1f}' r='3.4'/>"
    path = {
        "square": "m-3-3h6v6h-6z",
        "box": "m-3-3h6v6h-6z",
        "up": "m0-4.4 4 7h-8z",
        "down": "m0 4.4 4-7h-8z",
        "diamond": "m0-4.6 4.6 4.6-4.6 4.6-4.6-4.6z",
        "cross": "m-3.4-3.4 6.8 6.8m0-6.8-6.8 6.8",
    }[shape]
    return f"<path{paint(kind)} d='M{x:.1f} {y:.1f}{path}'/>"


def sample(index: int, paint: Paint) -> str:
    """Return the elements of a legend's sample of a curve, 40 × 12: its line and its marker."""
    return f"<path{paint('line')}{_dash(index)} d='M2 6H38'/>{mark(20, 6, index, paint)}"


def color_name(index: int) -> str:
    """Return the name of the color of a curve, by its index."""
    return f"c{index % len(SHAPES)}"


def ends(curve: Curve, *, is_accuracy: bool) -> str:
    """Return the first and the last value of a curve for its legend."""
    if is_accuracy and curve.y:
        return f"{percent(curve.y[0])} → {percent(curve.y[-1])}"
    return curve.ends


def _minus(label: str) -> str:
    return label.replace("-", "−")
