"""Formatting of numbers, the same on every screen and in every report.

Pure functions. Accuracies are passed as fractions of 1 and formatted as percentages; non-finite
numbers never raise.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LEARNING_RATE_WIDTH = 8
"""The width of :func:`learning_rate` with ``fixed``, in columns."""


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction as a percentage: 0.9931 is ``99.31 %``.

    Only 1 itself is ``100.00 %``: one misclassified image of 55,000 must not be rounded away.

    Args:
        fraction: A fraction of 1.
        digits: Decimals of the percentage.
    """
    text = f"{100 * fraction:.{digits}f}"
    if fraction < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return f"{text} %"


def interval(bounds: tuple[float, float]) -> str:
    """Return an interval of two fractions in percent: ``[99.13, 99.45]``."""
    low, high = bounds
    return f"[{100 * low:.2f}, {100 * high:.2f}]"


def accuracy_with_interval(accuracy: float, bounds: tuple[float, float] | None) -> str:
    """Return an accuracy with its interval, if any: ``99.31 % [99.13, 99.45]``.

    Student's interval of a mean can reach beyond 0 or 100 %, which no accuracy does: it is clamped.
    """
    if bounds is None:
        return percent(accuracy)
    low, high = bounds
    return f"{percent(accuracy)} {interval((max(0.0, low), min(1.0, high)))}"


def count(number: int) -> str:
    """Return an integer with thousands separators: ``19,568``."""
    return f"{number:,}"


def by_channel(values: Sequence[float], form: str = ".4f") -> str:
    """Return a number of each channel: ``0.1306``, or ``(0.4914, 0.4822, 0.4465)``."""
    texts = [f"{value:{form}}" for value in values]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def plural(number: int, noun: str, ending: str = "s") -> str:
    """Return a count with its noun: ``1 epoch``, ``1,240 epochs``."""
    return f"{count(number)} {noun}{'' if number == 1 else ending}"


def duration(seconds: float) -> str:
    """Return a duration in seconds as ``5:12`` or ``1:02:03``; ``-:--`` if it is unknown."""
    if not math.isfinite(seconds) or seconds < 0:
        return "-:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def speed(images_per_second: float) -> str:
    """Return a speed: ``2,640 img/s``, ``3.4 img/s``; ``- img/s`` if it is unknown."""
    if not math.isfinite(images_per_second):
        return "- img/s"
    digits = 0 if images_per_second >= 9.95 else 1
    return f"{images_per_second:,.{digits}f} img/s"


def loss(value: float) -> str:
    """Return a loss in nats in six columns: ``0.0412``, ``12.345``; in seven from a million on."""
    if not math.isfinite(value):
        return f"{value:6}"
    for limit, digits in ((9.99995, 4), (99.9995, 3), (999.995, 2), (9999.95, 1)):
        if abs(value) < limit:
            return f"{value:6.{digits}f}"
    return f"{value:.1e}" if abs(value) >= 999_999.5 else f"{value:6.0f}"


def learning_rate(value: float, *, fixed: bool = False) -> str:
    """Return a learning rate with three significant digits: ``0.05``, ``0.0333``, ``1.2e-05``.

    Args:
        value: The learning rate.
        fixed: Keep trailing zeros and pad to ``LEARNING_RATE_WIDTH`` columns (``  0.0500``), for a
            value that updates in place without moving its neighbors.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".rjust(LEARNING_RATE_WIDTH if fixed else 0)
    exponent = int(f"{value:.2e}".partition("e")[2])  # of the rounded value: 0.09996 is 0.1
    is_plain = -4 <= exponent <= 4
    digits = f"{value:.{max(0, 2 - exponent)}f}" if is_plain else f"{value:.2e}"
    if fixed:
        return digits.rjust(LEARNING_RATE_WIDTH)
    mantissa, e, power = digits.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + e + power


def knob(setting: str, value: float) -> str:
    """Return a knob's value as text: ``0.05``, ``1,024``, ``on``.

    Args:
        setting: A name from :data:`tui_trainer.protocol.commands.KNOBS`.
        value: Its value, 0 or 1 for a switch.
    """
    match setting:
        case "base_lr":
            return learning_rate(value)
        case "batch_size":
            return count(int(value))
        case "augmentation":
            return "on" if value else "off"
        case _:
            return f"{value:g}"


KNOB_NAMES = {
    "base_lr": "lr",
    "batch_size": "batch",
    "augmentation": "augmentation",
    "dropout": "dropout",
    "epochs": "epochs",
}
"""The short name of each knob."""


def knob_name(setting: str) -> str:
    """Return the name of a knob in a sentence: ``learning rate``."""
    return "learning rate" if setting == "base_lr" else setting.replace("_", " ")


def megabytes(number: int) -> str:
    """Return bytes in megabytes (10⁶): ``9.9 MB``."""
    return f"{number / 1e6:,.1f} MB"


def size(number: int) -> str:
    """Return bytes with a suitable unit: ``640 B``, ``51.2 kB``, ``9.9 MB``."""
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if number >= 10**power:
            return f"{number / 10**power:,.1f} {unit}"
    return f"{number} B"


def short_count(number: int) -> str:
    """Return a count in three digits: ``640``, ``1.23 k``, ``3.86 M``, ``1.81 G``."""
    for unit, power in (("G", 9), ("M", 6), ("k", 3)):
        if number >= 10**power:
            scaled = number / 10**power
            return f"{scaled:.{max(0, 2 - len(str(int(scaled))) + 1)}f} {unit}"
    return str(number)


def short_number(value: float) -> str:
    """Return a number in about two digits: ``1.5``, ``24``, ``300``."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


def field(pixels: tuple[int, int] | None) -> str:
    """Return the size of a receptive field: ``5×5``; ``—`` if it is undefined."""
    return "—" if pixels is None else f"{pixels[0]}×{pixels[1]}"


def listed(items: Sequence[str], most: int = 4) -> str:
    """Return the first items, and the number of the others: ``a, b, c, d and 3 more``."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: invisible, but part of how words and emoji are written."""


def one_line(text: str) -> str:
    """Return a text without line breaks, control characters and repeated blanks."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join("".join(c if c.isprintable() or c in JOINERS else " " for c in text).split())


def printable(text: object) -> str:
    """Return a path or an external text; quoted if it has characters that cannot be shown."""
    shown = str(text)
    return shown if shown.isprintable() else repr(shown)


def columns(text: str) -> int:
    """Return the width of a printable text in terminal columns; a wide character has two."""
    return len(text) if text.isascii() else sum(width for _, width in _clusters(text))


def clip(text: str, width: int) -> str:
    """Return a text truncated to ``width`` columns, with ``…`` where it is cut."""
    if columns(text) <= width:
        return text
    return f"{cut(text, width - 1)}…" if width > 0 else ""


def cut(text: str, width: int) -> str:
    """Return the beginning of a text, of at most ``width`` columns."""
    kept, used = "", 0
    for cluster, across in _clusters(text):
        used += across
        if used > width:
            break
        kept += cluster
    return kept


_EMOJI_STYLE = "\ufe0f"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_MEDIAL_JAMO = range(0x1160, 0x1200)


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield the characters of a text as a reader sees them, each with its width in columns.

    Accents, vowel signs, skin tones and what a zero-width joiner joins belong to the character
    before them. The widths are those of Rich, which lays the window out.
    """
    cluster, width, is_joined = "", 0, False
    for character in text:
        code = ord(character)
        is_part = is_joined or _is_mark(character) or (code in _SKIN_TONES and width == 2)
        if cluster and not is_part:
            yield cluster, width
            cluster, width = "", 0
        if not cluster:
            width = _columns_of(character)
        elif character == _EMOJI_STYLE:
            width = 2
        cluster += character
        is_joined = character == "\u200d" and width > 0
    if cluster:
        yield cluster, width


def _is_mark(character: str) -> bool:
    """Return whether a character is drawn over or into the one before it."""
    return not character.isascii() and (
        unicodedata.category(character) in ("Mn", "Me", "Cf") or ord(character) in _MEDIAL_JAMO
    )


def _columns_of(character: str) -> int:
    if _is_mark(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a line, including the blanks before it.

    Attributes:
        text: Its text.
        rank: When it is dropped from a line that is too long: highest first, 0 never.
        style: The color role, empty for none.
    """

    text: str
    rank: int = 0
    style: str = ""


def fit(cells: Sequence[Cell], width: int) -> list[Cell]:
    """Return the cells that fit into ``width`` columns, dropping the highest ranks first.

    Cells of the same rank are dropped together. Those of rank 0 are never dropped.
    """
    kept = list(cells)
    while sum(columns(cell.text) for cell in kept) > width:
        worst = max((cell.rank for cell in kept), default=0)
        if worst == 0:
            break
        kept = [cell for cell in kept if cell.rank < worst]
    return kept


EIGHTHS = " ▏▎▍▌▋▊▉"


def share_bar(share: float, width: int) -> str:
    """Return a bar in ``width`` columns; a share above 0 is always visible."""
    eighths = min(width * 8, max(1 if share > 0 else 0, round(share * width * 8)))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def bar(fraction: float, width: int, *, ascii_only: bool = False) -> str:
    """Return a bar of ``width`` columns with end caps, filled in eighths of a column.

    Args:
        fraction: The filled fraction, clamped to 0 to 1.
        width: Columns, at least 3.
        ascii_only: Draw it with ``[#. ]`` for terminals without block characters.
    """
    inner = width - 2
    share = min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else 0.0
    if ascii_only:
        return f"[{'#' * int(share * inner):.<{inner}}]"
    eighths = inner * 8
    return f"▕{share_bar(int(share * eighths) / eighths, inner)}▏"
