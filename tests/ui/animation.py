"""Screenshots of the window as one SVG picture, still or moving, that depends on no font.

Textual's own screenshots name a web font, which a page like the README may not load. Here every
braille, block and line character is drawn as a shape, so that curves and pictures look the same
everywhere; text stays text, and is stretched to its columns. Of frames that follow one another, a
row that does not change is stored once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape, unescape

CELL, LINE = 12.2, 24.4
"""Width and height of a character in Textual's screenshots, in pixels."""

MARGIN, HEAD = 16, 56
"""Space around the terminal, and the height of the bar above it, in pixels."""

_RECT = re.compile(
    r'<rect fill="([^"]+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="[\d.]+"'
)
_TEXT = re.compile(
    r'<text class="[\w-]+-(r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>([^<]*)<'
)
_STYLE = re.compile(r"\.[\w-]+-(r\d+) \{ ([^}]+) \}")

_LINES = {
    # left, right, up, down: which arms of the character there are.
    "─": "lr", "│": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu", "┌": "rd", "┐": "ld",
    "└": "ru", "┘": "lu", "├": "udr", "┤": "udl", "┬": "lrd", "┴": "lru", "┼": "lrud",
}  # fmt: skip
_BLOCKS = {
    # x, y, width, height as shares of the cell.
    "█": (0, 0, 1, 1), "▀": (0, 0, 1, 0.5), "▐": (0.5, 0, 0.5, 1), "▔": (0, 0, 1, 0.125),
    "▕": (0.875, 0, 0.125, 1),
    **{sign: (0, 1 - n / 8, 1, n / 8) for n, sign in enumerate("▁▂▃▄▅▆▇", 1)},
    **{sign: (0, 0, 1 - n / 8, 1) for n, sign in enumerate("▉▊▋▌▍▎▏", 1)},
}  # fmt: skip
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each dot of a braille character, by its bit."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one style within a row; without a text it is the background."""

    left: float
    width: float
    style: str
    text: str = ""


Row = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A screenshot.

    Attributes:
        rows: Its rows, from the top.
        columns: Its width in characters.
        background: The color of the terminal.
        key: The key that was pressed, to be shown above; empty for none.
        caption: A sentence to be shown next to it.
        seconds: How long it is shown.
    """

    rows: tuple[Row, ...]
    columns: int
    background: str
    key: str
    caption: str
    seconds: float


def frame_of(screenshot: str, key: str, caption: str, seconds: float) -> Frame:
    """Read a screenshot that ``App.export_screenshot`` has made."""
    styles = dict(_STYLE.findall(screenshot))
    view = re.search(r'clip-terminal">\s*<rect[^>]* width="([\d.]+)" height="([\d.]+)"', screenshot)
    assert view is not None
    columns, lines = round(float(view[1]) / CELL), round(float(view[2]) / LINE)
    rows: list[list[Piece]] = [[] for _ in range(lines)]
    backgrounds: dict[str, float] = {}
    body = screenshot[screenshot.index("-clip-terminal)") :]
    for color, x, y, width in _RECT.findall(body):
        rows[min(lines - 1, int(float(y) / LINE))].append(
            Piece(float(x), float(width), f"fill:{color}")
        )
        backgrounds[color] = backgrounds.get(color, 0) + float(width)
    for name, x, y, width, text in _TEXT.findall(body):
        shown = unescape(text)
        if shown.strip():
            place = round((float(y) - 20) / LINE)
            rows[place].append(Piece(float(x), float(width), styles[name].strip(), shown))
    most = max(backgrounds, key=lambda color: backgrounds[color])
    return Frame(tuple(map(tuple, rows)), columns, most, key, caption, seconds)


def picture(frames: Sequence[Frame], poster: int = 0) -> str:
    """Return frames as one SVG that repeats for ever, or one frame as a still picture.

    Args:
        frames: What is shown, one after the other.
        poster: The frame for readers whose programs do not animate, or who asked for less motion.
    """
    first = frames[0]
    width = round(first.columns * CELL) + 2 * MARGIN
    height = round(len(first.rows) * LINE) + HEAD + MARGIN
    classes: dict[str, str] = {}
    times: dict[frozenset[int], str] = {}
    body = [
        _shown(_caption(first.columns, frame), {number}, len(frames), times)
        for number, frame in enumerate(frames)
    ]
    for place in range(len(first.rows)):
        variants: dict[Row, set[int]] = {}
        for number, frame in enumerate(frames):
            variants.setdefault(frame.rows[place], set()).add(number)
        drawn = "".join(
            _shown("".join(_drawn(row, first.background, classes)), numbers, len(frames), times)
            for row, numbers in variants.items()
        )
        if drawn:
            body.append(f'<g transform="translate(0 {place * LINE:.1f})">{drawn}</g>')
    styles = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
        "<style>text{font:20px Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
        ".b{shape-rendering:crispEdges}"
        ".head text{font-family:-apple-system,'Segoe UI','DejaVu Sans',sans-serif}"
        f"{styles}{_animation(frames, times, poster)}</style>\n"
        f'<rect width="{width}" height="{height}" rx="9" fill="{first.background}"/>'
        f'<g transform="translate({MARGIN} {HEAD})">\n' + "\n".join(body) + "\n</g></svg>\n"
    )


def _shown(drawn: str, numbers: set[int], total: int, times: dict[frozenset[int], str]) -> str:
    """Wrap shapes so that they are seen in these frames alone."""
    if not drawn or len(numbers) == total:
        return drawn
    name = times.setdefault(frozenset(numbers), f"t{len(times)}")
    return f'<g class="{name}">{drawn}</g>'


def _animation(frames: Sequence[Frame], times: dict[frozenset[int], str], poster: int) -> str:
    total = sum(frame.seconds for frame in frames)
    starts = [sum(frame.seconds for frame in frames[:n]) / total * 100 for n in range(len(frames))]
    rules = []
    for numbers, name in times.items():
        steps = "".join(
            f"{starts[n]:.2f}%{{visibility:{'visible' if n in numbers else 'hidden'}}}"
            for n in range(len(frames))
            if n == 0 or (n in numbers) != (n - 1 in numbers)
        )
        still = "" if poster in numbers else "visibility:hidden;"
        rules.append(
            f".{name}{{{still}animation:{name} {total:.1f}s step-end infinite}}"
            f"@keyframes {name}{{{steps}}}"
        )
    if rules:
        rules.append("@media (prefers-reduced-motion:reduce){g{animation:none!important}}")
    return "".join(rules)


def _caption(columns: int, frame: Frame) -> str:
    if not frame.caption:
        return ""
    shapes, left = [], 4
    if frame.key:
        width = 24 + 13 * len(frame.key)
        shapes.append(
            f'<rect x="0" y="-44" width="{width}" height="32" rx="6" fill="#3d4a5c" '
            'stroke="#7f8c9d"/>'
            f'<text x="{width / 2:g}" y="-21" text-anchor="middle" fill="#fff" '
            f'font-weight="bold">{escape(frame.key)}</text>'
        )
        left = width + 14
    shapes.append(f'<text x="{left}" y="-21" fill="#e6edf3">{escape(frame.caption)}</text>')
    return f'<g class="head">{"".join(shapes)}</g>'


def _drawn(row: Row, background: str, classes: dict[str, str]) -> Iterator[str]:
    for piece in row:
        if not piece.text:
            color = piece.style.removeprefix("fill:")
            if color != background:
                yield (
                    f'<path class="b" fill="{color}" d="M{piece.left:.4g} 0h{piece.width:.5g}v24.5'
                    f'h-{piece.width:.5g}z"/>'
                )
            continue
        name = classes.setdefault(piece.style.replace(": ", ":"), f"c{len(classes)}")
        shapes = [
            (sign, _shape(sign, piece.left + place * CELL)) for place, sign in enumerate(piece.text)
        ]
        for crisp, more in ((True, " b"), (False, "")):
            path = "".join(shape for sign, shape in shapes if (sign in _BLOCKS) is crisp)
            if path:
                yield f'<path class="{name}{more}" d="{path}"/>'
        for found in re.finditer(r"[^\s\xa0]+(?:[\s\xa0][^\s\xa0]+)*", _without_shapes(piece.text)):
            left = piece.left + found.start() * CELL
            yield (
                f'<text class="{name}" x="{left:.1f}" y="18.5" '
                f'textLength="{len(found[0]) * CELL:.1f}">{escape(found[0], quote=False)}</text>'
            )


def _without_shapes(text: str) -> str:
    return "".join(" " if _is_shape(sign) else sign for sign in text)


def _is_shape(sign: str) -> bool:
    return sign in _LINES or sign in _BLOCKS or "\u2800" <= sign <= "\u28ff"


def _shape(sign: str, left: float) -> str:
    """Return the path of a character, or nothing if a font draws it."""
    if sign in _BLOCKS:
        x, y, width, height = _BLOCKS[sign]
        return _box(left + x * CELL, y * LINE, width * CELL, height * LINE)
    if sign in _LINES:
        return "".join(_arms(_LINES[sign], left))
    if "\u2800" < sign <= "\u28ff":
        bits = ord(sign) - 0x2800
        return "".join(
            _box(left + 1.9 + 6.1 * x, 1.9 + 6.1 * y, 2.9, 2.9)
            for n, (x, y) in enumerate(_DOTS)
            if bits >> n & 1
        )
    return ""


def _arms(arms: str, left: float) -> Iterable[str]:
    middle, center, thick = left + CELL / 2, LINE / 2, 1.4
    half = thick / 2
    boxes = {
        "l": (left, center - half, CELL / 2 + half, thick),
        "r": (middle - half, center - half, CELL / 2 + half, thick),
        "u": (middle - half, 0, thick, LINE / 2 + half),
        "d": (middle - half, center - half, thick, LINE / 2 + half),
    }
    return (_box(*boxes[arm]) for arm in arms)


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:.1f}h{width:.4g}v{height:.4g}h-{width:.4g}z"
