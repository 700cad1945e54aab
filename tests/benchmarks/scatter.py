"""Points with intervals as an SVG file, with a style for light and for dark pages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from tui_trainer.render.svg.plot import mark
from tui_trainer.text.scales import Scale

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 50
LOW = HEIGHT - BOTTOM

ACCURACIES = (0.97, 0.975, 0.98, 0.985, 0.99, 0.992, 0.994, 0.995, 0.996, 0.997)
"""The ticks of the vertical axis."""

CHARACTER, LINE = 7.4, 15.0
"""The width of a character and the height of a line of a name, in pixels, about."""

COLORS = ("ink", "paper", "quiet", "line", "c0", "c1")
OUR_MEAN, MEAN, SINGLE, BEST = 0, 3, 4, 7
"""The marks, by their index in the shapes of a plot: circle, diamond, ring, cross."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter plot.

    Attributes:
        name: The text next to it.
        x: Its horizontal value, above 0.
        accuracy: Its accuracy, below 1.
        mark: The index of its shape.
        color: The index of its color: 0 for ours, 1 for published ones.
        x_range: An interval of ``x``.
        accuracy_range: An interval of the accuracy.
    """

    name: str
    x: float
    accuracy: float
    mark: int
    color: int
    x_range: tuple[float, float] | None = None
    accuracy_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Plane:
    """The mapping of values to pixels, logarithmic in ``x`` and in the error rate."""

    first: float
    last: float
    bottom: float
    top: float

    def across(self, x: float) -> float:
        """Return the x coordinate of a value, within the plot."""
        first, last, at = Scale("log").heights((self.first, self.last, x))
        share = min(1.0, max(0.0, (at - first) / (last - first)))
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def down(self, accuracy: float) -> float:
        """Return the y coordinate of an accuracy, within the plot."""
        bottom, top, at = Scale("nines").heights((self.bottom, self.top, accuracy))
        share = min(1.0, max(0.0, (at - bottom) / (top - bottom)))
        return LOW - share * (LOW - TOP)


def scatter(title: str, label: str, points: Sequence[Point], key: Sequence[Point]) -> str:
    """Return a plot as the text of an SVG file.

    Args:
        title: The text of the vertical axis, above the plot.
        label: The text of the horizontal axis.
        points: At least one point.
        key: What the marks mean: the name, mark and color of each.
    """
    plane = plane_of(points)
    parts = [
        f"<text x='{LEFT - 48}' y='18' class='name'>{escape(title)}</text>",
        *_ticks(plane),
        f"<path class='axis' d='M{LEFT} {TOP}V{LOW}H{WIDTH - RIGHT}'/>",
        f"<text x='{WIDTH - RIGHT}' y='{HEIGHT - 8}' class='end'>{escape(label)}</text>",
        *_key(key),
        *(_point(plane, point) for point in points),
        *_names(plane, points),
    ]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"aria-label='{escape(f'{title} and {label}', quote=True)}'>\n<style>{style()}</style>\n"
        f"<rect class='page' width='{WIDTH}' height='{HEIGHT}'/>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def plane_of(points: Sequence[Point]) -> Plane:
    """Return a plane with room for every point and interval."""
    xs = [x for point in points for x in (point.x, *(point.x_range or ()))]
    ys = [y for point in points for y in (point.accuracy, *(point.accuracy_range or ()))]
    below = [tick for tick in ACCURACIES if tick < min(ys)]
    above = [tick for tick in ACCURACIES if tick > max(ys)]
    bottom, top = below[-1] if below else min(ys) - 0.01, above[0] if above else 0.9998
    return Plane(min(xs) / 1.4, max(xs) * 1.4, bottom, top)


def _ticks(plane: Plane) -> Iterator[str]:
    right = WIDTH - RIGHT
    for accuracy in ACCURACIES:
        if plane.bottom <= accuracy <= plane.top:
            y = plane.down(accuracy)
            yield f"<path class='grid' d='M{LEFT} {y:.1f}H{right}'/>"
            yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' class='end'>{100 * accuracy:g} %</text>"
    powers = range(math.floor(math.log10(plane.first)), math.ceil(math.log10(plane.last)) + 1)
    for x in (step * 10.0**power for power in powers for step in (1, 2, 5)):
        if plane.first <= x <= plane.last:
            at = plane.across(x)
            yield f"<path class='axis' d='M{at:.1f} {LOW}v5'/>"
            yield f"<text x='{at:.1f}' y='{LOW + 20}' class='middle'>{x:,.10g}</text>"


def _key(key: Sequence[Point]) -> Iterator[str]:
    at = WIDTH - RIGHT - sum(24 + CHARACTER * len(each.name) for each in key)
    for each in key:
        yield f"<g class='c{each.color}'>{mark(at, 14, each.mark)}</g>"
        yield f"<text x='{at + 9:.1f}' y='18'>{escape(each.name)}</text>"
        at += 24 + CHARACTER * len(each.name)


def _point(plane: Plane, point: Point) -> str:
    x, y = plane.across(point.x), plane.down(point.accuracy)
    lines = ""
    if point.accuracy_range is not None:
        low, high = map(plane.down, point.accuracy_range)
        lines += (
            f"<path class='line' d='M{x:.1f} {low:.1f}V{high:.1f}m-4 0h8M{x - 4:.1f} {low:.1f}h8'/>"
        )
    if point.x_range is not None:
        low, high = map(plane.across, point.x_range)
        lines += (
            f"<path class='line' d='M{low:.1f} {y:.1f}H{high:.1f}m0-4v8M{low:.1f} {y - 4:.1f}v8'/>"
        )
    return f"<g class='c{point.color}'>{lines}{mark(x, y, point.mark)}</g>"


def _names(plane: Plane, points: Sequence[Point]) -> Iterator[str]:
    """Yield the names, each next to its point and clear of the others where there is room."""
    taken = [_extent(plane, point) for point in points]
    for point in points:
        x, y = plane.across(point.x), plane.down(point.accuracy)
        width = CHARACTER * len(point.name)
        places = [
            (left, y + rise)
            for rise in (0, -12, 12, -24, 24, -36, 36)
            for left in (x + 10, x - 10 - width)
        ]
        boxes = [(left, mid - LINE / 2, left + width, mid + LINE / 2) for left, mid in places]
        inside = [box for box in boxes if box[0] >= LEFT and box[2] <= WIDTH - RIGHT]
        clear = [box for box in inside if not any(_overlap(box, other) for other in taken)]
        box = next(iter(clear or inside or boxes))
        taken.append(box)
        at = f"x='{box[0]:.1f}' y='{box[1] + 12:.1f}'"
        yield f"<text {at} class='name'>{escape(point.name)}</text>"


def _extent(plane: Plane, point: Point) -> Box:
    xs = [plane.across(x) for x in (point.x, *(point.x_range or ()))]
    ys = [plane.down(y) for y in (point.accuracy, *(point.accuracy_range or ()))]
    return min(xs) - 5, min(ys) - 5, max(xs) + 5, max(ys) + 5


def _overlap(first: Box, other: Box) -> bool:
    return (
        first[0] < other[2] and other[0] < first[2] and first[1] < other[3] and other[1] < first[3]
    )


def style() -> str:
    """Return the style of the file, in the colors of the HTML report."""
    css = files("tui_trainer.render.html").joinpath("report.css").read_text("utf-8")
    found = re.findall(rf"--({'|'.join(COLORS)}): (#\w+)", css)
    light, dark = found[: len(COLORS)], found[len(COLORS) : 2 * len(COLORS)]
    return (
        f"svg{{{_variables(light)}}}"
        f"@media(prefers-color-scheme:dark){{svg{{{_variables(dark)}}}}}"
        "text{fill:var(--quiet);font-size:13px;"
        "font-family:system-ui,'Segoe UI',Roboto,Arial,sans-serif}"
        ".name{fill:var(--ink)}.end{text-anchor:end}"
        ".middle{text-anchor:middle}.page,.hollow{fill:var(--paper)}.grid{stroke:var(--line)}"
        ".axis{fill:none;stroke:var(--quiet)}.line{fill:none;stroke:currentColor;opacity:.7}"
        ".full{fill:currentColor}.hollow{stroke:currentColor;stroke-width:1.6}"
        ".c0{color:var(--c0)}.c1{color:var(--c1)}"
    )


def _variables(colors: Iterable[tuple[str, str]]) -> str:
    return "".join(f"--{name}:{color};" for name, color in colors)
