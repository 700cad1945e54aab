"""Untrusted text in other formats: one function per format, used by everything that writes it.

Names of runs, layers, models and classes, notes, tags and targets are typed by people. Each
function returns text that the format shows as it was typed, and never runs. Text from right to
left is isolated, so that it cannot reorder what stands next to it.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

from tui_trainer.text.fmt import one_line

RIGHT_TO_LEFT = ("R", "AL", "AN")
"""The bidirectional classes of letters and digits that are written from right to left."""

ISOLATE, END_ISOLATE = "\u2068", "\u2069"
"""What begins and ends an isolated text: FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE."""


def is_right_to_left(text: str) -> bool:
    """Return whether a part of a text is written from right to left."""
    return not text.isascii() and any(
        unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in text
    )


# --- HTML


def html_escape(text: str) -> str:
    """Return a text for HTML, also within an attribute in quotes."""
    return f"{ISOLATE}{escape(text)}{END_ISOLATE}" if is_right_to_left(text) else escape(text)


# --- Markdown

_MARKDOWN = str.maketrans(
    # Not every renderer knows a backslash before these, but each knows the entities.
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    # Formulas are looked for on the rendered page, too, but not across elements: "$x$", "\\(x\\)".
    | {"$": "<span>&#36;</span>", "\\": "<span>&#92;</span>"}
    # "|" would end a cell.
    | {character: f"\\{character}" for character in "`*_[]{}|~"}
)
_INSIDE_WORD = re.compile(r"(?<=[^\W_])\\_(?=[^\W_])")
"""An escaped ``_`` within a word, where it has no meaning: ``base_lr``."""

_INTERVAL = re.compile(r"\\\[([\d., +−-]+)\\\](?!\\?[(\[:])")
"""The escaped brackets of an interval, which can be no link: ``[99.13, 99.45]``."""

_AUTOLINK = re.compile(r"\b(https?|ftp)(?=://)|\b(www)(?=\.)", re.IGNORECASE)
"""What begins a link without brackets on GitHub."""

_MARKDOWN_START = re.compile(r"^(#|[-+](?=\s|$)|[-=]+$|\d+(?=[.)](?:\s|$)))")
"""What begins a heading, a list item, or underlines a heading, at the start of a line."""


def markdown_escape(text: str) -> str:
    """Return a text on one line for Markdown (CommonMark, GitHub, notebooks).

    It may stand in a paragraph, a heading, a list item or a table cell.
    """
    line = one_line(text)
    escaped = _INSIDE_WORD.sub("_", line.translate(_MARKDOWN))
    escaped = _AUTOLINK.sub(r"\g<0>\\", _INTERVAL.sub(r"[\1]", escaped))
    if start := _MARKDOWN_START.match(escaped):
        # Before a digit, a backslash means nothing: the period after it is escaped instead.
        place = start.end() if start[0].isdigit() else 0
        escaped = f"{escaped[:place]}\\{escaped[place:]}"
    return f"{ISOLATE}{escaped}{END_ISOLATE}" if is_right_to_left(line) else escaped


# --- LaTeX

_LATEX = {
    **{character: f"\\{character}" for character in "_%&#${}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
    **{"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\char34{}"},
    **{"`": "\\textasciigrave{}", "'": "\\textquotesingle{}"},
    **{"×": "$\\times$", "·": "$\\cdot$", "−": "$-$", "±": "$\\pm$", "≤": "$\\le$", "≥": "$\\ge$"},
    **{"→": "$\\to$", "∞": "$\\infty$", "∂": "$\\partial$", "²": "\\texttwosuperior{}"},
    **{
        "–": "\\textendash{}",
        "—": "\\textemdash{}",
        "…": "\\dots{}",
        "°": "\\textdegree{}",
        "µ": "\\textmu{}",
    },
    **{"‘": "\\textquoteleft{}", "’": "\\textquoteright{}", "€": "\\texteuro{}"},
    **{"“": "\\textquotedblleft{}", "”": "\\textquotedblright{}", "§": "\\S{}"},
    **{"ß": "\\ss{}", "æ": "\\ae{}", "Æ": "\\AE{}", "œ": "\\oe{}", "Œ": "\\OE{}"},
    **{"ø": "\\o{}", "Ø": "\\O{}", "ł": "\\l{}", "Ł": "\\L{}", "ı": "\\i{}"},
}
_GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
"""The Greek letters that have a command; the others look like Latin ones."""

_ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u"},
    **{"\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c"},
}
"""The command of each combining accent."""

_LIGATURES = re.compile(r"([-,])(?=\1)")
"""Characters that TeX joins with the same one behind them: two hyphens become a dash."""


def latex_escape(text: str) -> str:
    r"""Return a text on one line for LaTeX: ASCII only, so that every TeX engine compiles it.

    A character without a command is written as its code: ``U+5C42``.
    """
    plain = unicodedata.normalize("NFC", one_line(text))
    return _LIGATURES.sub(r"\1{}", "".join(map(_in_latex, plain)))


def _in_latex(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return character
    if character in _GREEK:
        name = unicodedata.name(character).split()[-1].replace("LAMDA", "LAMBDA").lower()
        return f"$\\{name if character.islower() else name.title()}$"
    base, *accents = [*unicodedata.normalize("NFD", character)]
    if len(accents) == 1 and accents[0] in _ACCENTS and base.isascii():
        return f"\\{_ACCENTS[accents[0]]}{{{base}}}"
    return f"U+{ord(character):04X}"


# --- CSV

_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\t\r＝＋－＠])")
"""Where a spreadsheet would begin a cell with a formula; some of them split cells at ``;``."""


def csv_safe(text: str) -> str:
    """Return a text for a CSV cell; one that a spreadsheet would run as a formula gets a ``'``.

    A number stays as it is. The writer of the file still has to quote commas and quotes.
    """
    try:
        float(text)
    except ValueError:
        return _FORMULA.sub(r"\1'", text)
    return text


# --- XML


def xml_text(text: str) -> str:
    """Return a text for XML 1.0, without the characters that it cannot hold, not even escaped.

    The writer of the file still has to escape ``<``, ``>``, ``&`` and quotes.
    """
    return "".join(c if _is_xml(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_xml(code: int) -> bool:
    """Return whether XML 1.0 allows a character; control characters from 127 on are discouraged."""
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code < 0x7F
        or 0xA0 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )


# --- XML, and SVG


def xml_escape(text: str) -> str:
    """Return a text for an element or an attribute of XML, in either kind of quotes.

    Characters that XML forbids (control characters, lone surrogates), and those that reorder or
    hide text, become U+FFFD: a name must not change what is drawn next to it.
    """
    return escape("".join(map(_in_xml, text)), quote=True)


def _in_xml(character: str) -> str:
    is_shown = character.isprintable() or unicodedata.category(character) == "Zs"
    return character if is_shown else " " if character in "\t\n\r" else "\ufffd"
