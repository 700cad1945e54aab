"""The ten digits as handwritten pen strokes, and their position on a pad."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_trainer.protocol.strokes import Drawing, Point

PAD = 56

Stroke = tuple[Point, ...]


def arc(
    center: Point, across: float, down: float, first: float, last: float, steps: int = 24
) -> Stroke:
    """Points of an ellipse from one angle to another; 0 is to the right, 90 below (y is down)."""
    angles = [math.radians(first + (last - first) * step / steps) for step in range(steps + 1)]
    return tuple(
        (center[0] + across * math.cos(angle), center[1] + down * math.sin(angle))
        for angle in angles
    )


GLYPHS: dict[int, tuple[Stroke, ...]] = {
    0: (arc((0.5, 0.5), 0.32, 0.5, -90, -450),),
    1: (((0.56, 0.0), (0.44, 1.0)),),
    2: ((*arc((0.45, 0.27), 0.33, 0.27, -170, 40), (0.08, 0.98), (0.9, 0.95)),),
    3: ((*arc((0.42, 0.25), 0.32, 0.25, -150, 80), *arc((0.42, 0.73), 0.36, 0.27, -85, 150)),),
    4: (((0.2, 0.0), (0.12, 0.5), (0.8, 0.46)), ((0.76, 0.0), (0.62, 1.0))),
    5: (((0.82, 0.02), (0.3, 0.04), (0.24, 0.42), *arc((0.4, 0.7), 0.34, 0.3, -85, 140)),),
    6: (((0.68, 0.0), (0.4, 0.25), (0.22, 0.6), *arc((0.48, 0.74), 0.27, 0.26, 180, -180)),),
    7: (((0.1, 0.06), (0.86, 0.04), (0.66, 0.4), (0.42, 1.0)),),
    8: (
        (
            *arc((0.5, 0.25), 0.26, 0.25, -60, -270),
            *arc((0.5, 0.75), 0.3, 0.25, -90, 270),
            *arc((0.5, 0.25), 0.26, 0.25, 90, -60),
        ),
    ),
    9: ((*arc((0.46, 0.27), 0.28, 0.27, -20, -360), (0.72, 0.55), (0.6, 1.0)),),
}
"""Strokes of each digit on the unit square, y downwards."""

RADII = {"thin": 0.7, "normal": 2.2, "thick": 4.5}
"""Half the width of a stroke, in pixels of the pad, for a digit of nearly its height."""

PLACES: dict[str, tuple[float, float, float]] = {
    "center": (14.0, 8.0, 40.0),
    "top left": (5.0, 5.0, 30.0),
    "top right": (28.0, 5.0, 30.0),
    "bottom left": (5.0, 21.0, 30.0),
    "bottom right": (28.0, 21.0, 30.0),
    "small": (30.0, 12.0, 14.0),
}
"""Left edge, upper edge and height of the digit, in pixels; its width is 0.75 of its height."""


def drawn(digit: int, *, place: str = "center", thickness: str = "normal") -> Drawing:
    """Return a digit drawn on the pad; stroke widths scale with its height."""
    left, top, height = PLACES[place]
    radius = RADII[thickness] * max(0.4, height / PLACES["center"][2])
    return painted(GLYPHS[digit], (left, top, height), radius)


def painted(
    strokes: Sequence[Stroke], where: tuple[float, float, float], radius: float, *, pad: int = PAD
) -> Drawing:
    """Return strokes painted on a square pad."""
    left, top, height = where
    drawing = Drawing.blank(pad, pad)
    for stroke in strokes:
        points = [(left + 0.75 * height * x, top + height * y) for x, y in stroke]
        drawing = drawing.stroke(points, radius)
    return drawing
