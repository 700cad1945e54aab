"""Capabilities of a terminal and its streams: type, size, and ASCII fallbacks."""

from __future__ import annotations

import codecs
import os
import shutil
import unicodedata
from contextlib import suppress
from typing import TextIO

DUMB = frozenset({"", "dumb", "unknown", "emacs", "network", "dialup", "plugboard", "patch"})
"""Values of ``TERM`` without cursor movement: the generic types of terminfo, and an empty one."""

LARGEST = 10_000
"""The largest plausible value of ``COLUMNS`` and ``LINES``."""

FALLBACK = "mnist-tui-ascii"
"""The error handler that writes ASCII for characters an encoding lacks: ``x`` for ``×``."""

CELL_FALLBACK = "mnist-tui-ascii-cell"
"""The same, but as wide as the character itself, for the cells of a screen."""

_ASCII = str.maketrans(
    {"▲": "!", "✗": "x", "✓": "+", "▼": "*", "◆": "o", "·": "|", "×": "x", "→": "->", "←": "<-"}
    | {"—": "-", "–": "-", "−": "-", "…": "...", "▸": ">", "◂": "<", "•": "*", "●": "o", "°": "'"}
    | {"±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "≠": "!=", "≡": "=", "÷": "/", "√": "sqrt"}
    | {"∂": "d", "∇": "grad", "η": "eta", "σ": "sigma", "μ": "mu", "µ": "mu", "Σ": "sum"}
    | {"γ": "gamma", "ε": "eps", "β": "beta", "λ": "lambda", "½": "1/2", "‖": "||", "\xa0": " "}
    | {"²": "^2", "³": "^3", "⁻": "^-", "ⁿ": "^n", "ˣ": "^x", "ᵀ": "^T", "ʰ": "^h"}
    | {"₀": "_0", "ᵢ": "_i", "ⱼ": "_j", "⌊": "[", "⌋": "]", "↓": "v", "↑": "^"}
    | {"‘": "'", "’": "'", "“": '"', "”": '"'}
    | dict.fromkeys("─━═╌┄┈", "-")
    | dict.fromkeys("│┃║┊┆╎▏▕▎▍", "|")
    | dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝", "+")
    | dict.fromkeys("█▉▊▋▌▐▇▆▅", "#")
    | dict.fromkeys("▄▃▀▓", "=")
    | dict.fromkeys("▂▁▒░", ".")
    | {"╱": "/", "╲": "\\", "╳": "x", "▾": "v"}
)


def _in_ascii(error: UnicodeError, *, one_cell: bool) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    fallbacks = [_fallback(letter) for letter in error.object[error.start : error.end]]
    if one_cell:
        # The most informative character: the first of sigma, the last of -> and ^2.
        fallbacks = [
            each if each == "??" else each[0] if each[0].isalpha() else each[-1]
            for each in fallbacks
        ]
    return "".join(fallbacks), error.end


def _fallback(letter: str) -> str:
    if (ascii_letters := letter.translate(_ASCII)).isascii():
        return ascii_letters
    return "??" if unicodedata.east_asian_width(letter) in "WF" else "?"


codecs.register_error(FALLBACK, lambda error: _in_ascii(error, one_cell=False))
codecs.register_error(CELL_FALLBACK, lambda error: _in_ascii(error, one_cell=True))


def use_fallback(stream: TextIO | None, *, line_buffering: bool | None = None) -> None:
    """Let a stream write ASCII for characters that it cannot encode, instead of raising."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        with suppress(OSError, ValueError):
            reconfigure(errors=FALLBACK, line_buffering=line_buffering)


def encodable(text: str, stream: TextIO | None) -> str:
    """Return the text as a stream can encode it: ASCII for known glyphs, ``?`` for others."""
    encoding = _encoding(stream)
    return text.encode(encoding, FALLBACK).decode(encoding)


def can_encode(text: str, stream: TextIO | None) -> bool:
    """Return whether a stream can encode a text."""
    try:
        text.encode(_encoding(stream))
    except UnicodeEncodeError:
        return False
    return True


def _encoding(stream: TextIO | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def is_dumb() -> bool:
    """Return whether ``TERM`` names a terminal without cursor movement, or is empty."""
    return os.environ.get("TERM", "").strip().lower() in DUMB and os.name != "nt"


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal; a closed or missing one is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def terminal_size(stream: TextIO | None) -> os.terminal_size:
    """Return columns and lines: of the terminal, else of ``COLUMNS`` and ``LINES``, else 80×24.

    The variables may be left over from another terminal, so they are used only if the terminal of
    the stream does not report its size.
    """
    columns, lines = reported_size(stream)
    fallback = shutil.get_terminal_size()
    return os.terminal_size(
        (columns or _plausible(fallback.columns, 80), lines or _plausible(fallback.lines, 24))
    )


def reported_size(stream: TextIO | None) -> os.terminal_size:
    """Return the columns and lines that the terminal of a stream reports; 0 if it does not."""
    with suppress(OSError, ValueError, AttributeError):
        if stream is not None:
            return os.get_terminal_size(stream.fileno())
    return os.terminal_size((0, 0))


def is_plausible(number: str) -> bool:
    """Return whether a value of ``COLUMNS`` or ``LINES`` is plausible."""
    return number.isascii() and number.isdigit() and len(number) < 6 and 0 < int(number) <= LARGEST


def _plausible(number: int, otherwise: int) -> int:
    return number if 0 < number <= LARGEST else otherwise
