"""Text in an SVG document: escaping, and widths without a font at hand."""

from __future__ import annotations

import re
import unicodedata

SANS = "'DejaVu Sans', Verdana, Arial, Helvetica, sans-serif"
MONO = "'DejaVu Sans Mono', Menlo, Consolas, monospace"

SIZE = 15
"""The font size in pixels; 640 pixels on 12 cm of paper make it 8 points."""

LINE = 21
"""The distance of two baselines, in pixels."""

FIGURE_SPACE = "\u2007"

_MONO_WIDTH = 0.6021
_WIDE, _OTHER, _NARROW_OTHER = 1.05, 0.9, 0.7
"""The widths of East Asian characters, of symbols, and of letters outside ASCII, in em."""

_WIDTHS = {
    character: width
    for width, characters in (
        (0.30, "'IJijl"),
        (0.35, " ,./:;\\|·\u00a0"),
        (0.40, "()-[]ft"),
        (0.45, "!r"),
        (0.50, '"*_`'),
        (0.55, "?csz"),
        (0.60, "FLkvxy"),
        (0.65, "$0123456789EPSTYabdeghnopqu{}\u2007"),
        (0.70, "ABCKRVXZ"),
        (0.75, "NU"),
        (0.80, "&DGHOQ"),
        (0.85, "#+<=>^w~×→−"),
        (0.90, "M"),
        (1.00, "%@Wm—…"),
    )
    for character in characters
}
"""Widths in em, not below those of DejaVu Sans: Arial and Helvetica are narrower."""

_BOLD = 1.17
"""How much wider bold text is at most, on the average of a word."""


def kept_blanks(text: str) -> str:
    """Return a text whose runs of blanks, which XML and HTML join, are figure spaces."""
    return re.sub(" {2,}", lambda blanks: FIGURE_SPACE * len(blanks.group()), text)


def text_width(text: str, size: float = SIZE, *, is_bold: bool = False) -> float:
    """Return the width of a text in pixels, rather too wide than too narrow."""
    return size * (_BOLD if is_bold else 1.0) * sum(map(_em, kept_blanks(text)))


def mono_width(text: str, size: float = SIZE) -> float:
    """Return the width of a text in a monospaced font, in pixels."""
    return size * sum(
        _MONO_WIDTH if ord(each) < 0x2000 else max(_MONO_WIDTH, _em(each)) for each in text
    )


def _em(character: str) -> float:
    width = _WIDTHS.get(character)
    if width is not None:
        return width
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    return _NARROW_OTHER if character.isalnum() else _OTHER


def clipped(text: str, width: float, size: float = SIZE) -> str:
    """Return a text of at most ``width`` pixels, with ``…`` where it is cut."""
    if text_width(text, size) <= width:
        return text
    first, *_ = _broken(text, width - text_width("…", size), size, is_bold=False)
    return f"{first}…"


def wrapped(text: str, width: float, size: float = SIZE, *, is_bold: bool = False) -> list[str]:
    """Return a text as lines of at most ``width`` pixels; a longer word is broken."""
    lines, line = list[str](), ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if text_width(longer, size, is_bold=is_bold) <= width:
            line = longer
            continue
        lines += [line] if line else []
        *full, line = _broken(word, width, size, is_bold=is_bold)
        lines += full
    return [*lines, line]


def _broken(word: str, width: float, size: float, *, is_bold: bool) -> list[str]:
    """Return a word in pieces of at most ``width`` pixels, of at least one character."""
    pieces = [""]
    for character in word:
        if pieces[-1] and text_width(pieces[-1] + character, size, is_bold=is_bold) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces
