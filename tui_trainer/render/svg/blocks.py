"""The blocks of an exhibit as SVG elements; no meaning depends on color alone."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.protocol.exhibit import (
    Bars,
    Block,
    Curves,
    Matrix,
    Picture,
    Pictures,
    Table,
    Words,
)
from tui_trainer.render.block_lines import sign_of
from tui_trainer.render.svg import plot
from tui_trainer.render.svg.color_key import NAN_KEY, color_keys, has_nan
from tui_trainer.render.svg.drawn import Drawn, lines, moved, rect, stacked, text
from tui_trainer.render.svg.paint import CURVES, QUIET, TONES, by_attributes
from tui_trainer.render.svg.paint import LINE as GRAY
from tui_trainer.render.svg.pixels import data_uri, scale_of
from tui_trainer.render.svg.tables import bars_drawn, caption, matrix_drawn, table_drawn
from tui_trainer.render.svg.text import (
    LINE,
    MONO,
    SIZE,
    clipped,
    mono_width,
    text_width,
    wrapped,
)
from tui_trainer.text.escaping import xml_escape
from tui_trainer.text.lines import kept_lines, plain

SMALL_SIZE = 12.5
"""The font size of captions of pictures, and of keys."""

WIDEST_CAPTION = 136
"""The width up to which a caption widens the column of its picture."""

PAGE = 1.14
"""How much wider than the page a row of pictures may be: five with captions stand side by side."""

BETWEEN = 14
"""The distance of two pictures, and of a picture's row from the next."""

MONO_COLUMNS = 100
"""The columns up to which a preformatted line is not wrapped."""

NO_BREAK = "\u00a0"

RAMP_WIDTH, RAMP_HEIGHT = 99, 10

MOST_TIMES = 8
"""How much pixels are enlarged in a PNG at most: programs that blur them then blur their edges."""


def block_drawn(block: Block, width: float) -> Drawn:
    """Return a block; a matrix, a table or a formula may be wider than ``width``."""
    match block:
        case Words():
            return _words(block, width)
        case Table():
            return table_drawn(block, width)
        case Pictures():
            return _pictures(block, width)
        case Curves():
            return _curves(block, width)
        case Bars():
            return bars_drawn(block, width)
        case Matrix():
            return matrix_drawn(block, width)


def _words(words: Words, width: float) -> Drawn:
    shown, fill = sign_of(words) + words.text, TONES[words.tone]
    if words.is_preformatted:
        return _preformatted(shown, fill)
    is_bold = words.tone == "title"
    parts = (part.replace("\n", " ") for part in shown.split("\n\n"))
    return stacked(
        (
            lines(wrapped(part, width, is_bold=is_bold), fill=fill, is_bold=is_bold)
            for part in parts
        ),
        LINE / 2,
    )


def _preformatted(words: str, fill: str) -> Drawn:
    kept = plain(kept_lines(words, "", MONO_COLUMNS))
    parts = (
        f"<text x='0' y='{index * LINE + SIZE}' fill='{fill}' font-family=\"{MONO}\">"
        f"{xml_escape(line.replace(' ', NO_BREAK))}</text>"
        for index, line in enumerate(kept)
        if line.strip()
    )
    return Drawn("".join(parts), max(map(mono_width, kept), default=0), len(kept) * LINE)


# --- pictures


def _pictures(block: Pictures, width: float) -> Drawn:
    """Return pictures side by side, as many as fit into a row, with a color key."""
    drawings = list(map(_picture, block.items))
    rows = [_pictures_row(row) for row in _rows(drawings, PAGE * width)]
    shown = stacked(rows, BETWEEN)
    return stacked(
        [caption(block.caption, width), stacked([shown, _key(block.items, width)], 12)], 4
    )


def _rows(drawings: Sequence[Drawn], width: float) -> list[list[Drawn]]:
    rows: list[list[Drawn]] = []
    used = 0.0
    for drawn in drawings:
        if rows and used + BETWEEN + drawn.width <= width:
            rows[-1].append(drawn)
            used += BETWEEN + drawn.width
        else:
            rows.append([drawn])
            used = drawn.width
    return rows


def _pictures_row(row: Sequence[Drawn]) -> Drawn:
    parts, x = [], 0.0
    for drawn in row:
        parts.append(moved(drawn, x, 0))
        x += drawn.width + BETWEEN
    return Drawn("".join(parts), x - BETWEEN, max(drawn.height for drawn in row))


def _picture(picture: Picture) -> Drawn:
    """Return a picture with its caption below it."""
    scale = scale_of(picture)
    width, height = picture.width * scale, picture.height * scale
    words = [text_width(word, SMALL_SIZE) for word in picture.caption.split()]
    natural = text_width(picture.caption, SMALL_SIZE)
    room = max(width, min(natural, WIDEST_CAPTION), *words, 0.0)
    folded = wrapped(picture.caption, room, SMALL_SIZE) if picture.caption else []
    below = lines(folded, fill=QUIET, size=SMALL_SIZE)
    across = max(width, below.width)
    parts = [
        _image(picture, width, height),
        rect(0, 0, width, height, f"fill='none' stroke='{GRAY}'"),
        _frame(picture, scale),
        moved(below, 0, height + 4),
    ]
    return Drawn("".join(parts), across, height + (4 + below.height if below.height else 0))


def _image(picture: Picture, width: float, height: float) -> str:
    """Return the pixels, enlarged: not every program keeps ``pixelated`` ones sharp."""
    times = max(1, min(MOST_TIMES, 2 * scale_of(picture)))
    return (
        f"<image width='{width:g}' height='{height:g}' preserveAspectRatio='none' "
        f"style='image-rendering:pixelated' xlink:href='{data_uri(picture, times)}'/>"
    )


def _frame(picture: Picture, scale: int) -> str:
    if picture.frame is None:
        return ""
    top, left, height, width = (scale * each for each in picture.frame)
    return rect(left, top, width, height, f"fill='none' stroke='{CURVES[2]}' stroke-width='2'")


def _key(pictures: Sequence[Picture], width: float) -> Drawn:
    """Return the color key."""
    keys = []
    for key in color_keys(pictures):
        start = text_width(key.low, SMALL_SIZE) + 6
        end = start + RAMP_WIDTH + 6
        ramp = Drawn(
            _image(key.ramp, RAMP_WIDTH, RAMP_HEIGHT)
            + rect(0, 0, RAMP_WIDTH, RAMP_HEIGHT, f"fill='none' stroke='{GRAY}'"),
            RAMP_WIDTH,
            RAMP_HEIGHT,
        )
        parts = (
            text(key.low, 0, SMALL_SIZE, fill=QUIET, size=SMALL_SIZE),
            moved(ramp, start, 3),
            text(key.high, end, SMALL_SIZE, fill=QUIET, size=SMALL_SIZE),
        )
        keys.append(Drawn("".join(parts), end + text_width(key.high, SMALL_SIZE), 18))
    if has_nan(pictures):
        keys.append(lines([NAN_KEY], fill=QUIET, size=SMALL_SIZE))
    return stacked(_pictures_row(row) for row in _rows(keys, width))


# --- curves


def _curves(block: Curves, width: float) -> Drawn:
    """Return a plot with its caption and a legend."""
    kept = plot.drawable_curves(block)
    head = caption(block.caption, width)
    if not any(curve.x for curve in kept):
        return stacked([head, lines(["Nothing to draw."], fill=QUIET)])
    drawn = Drawn(plot.plot(block, kept, by_attributes), plot.WIDTH, plot.HEIGHT)
    entries = []
    for index, curve in enumerate(kept):
        sample = (
            f"<g{by_attributes(plot.color_name(index))}>{plot.sample(index, by_attributes)}</g>"
        )
        ends = plot.ends(curve, is_accuracy=block.is_accuracy)
        name = clipped(curve.name, width - 48 - 10 - text_width(ends))
        start = 48 + text_width(name) + 10
        parts = (
            moved(Drawn(sample, 40, 12), 0, 4),
            text(name, 48, SIZE),
            text(ends, start, SIZE, fill=QUIET),
        )
        entries.append(Drawn("".join(parts), start + text_width(ends), LINE))
    legend = stacked(_pictures_row(row) for row in _rows(entries, width))
    return stacked([head, drawn, legend], 6)
