"""The content of a screen over time, reconstructed from the bytes that a program wrote."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.terminal import COLUMNS, LINES, Chunk

FRAME = 0.02
"""Changes closer together than this, in seconds, are one frame read in pieces."""

MAX_DELAY = 2.0
"""Seconds after a key beyond which a learning rate on the screen is another key's."""

_LR = re.compile(r"\blr (\d\S*)(?: ×\S+)?(?: → (\S+))?")
_CONFIRMED = {
    "base_lr": re.compile(r"\blr (\d\S*)"),
    "batch_size": re.compile(r"\bbatch (\d\S*)"),
}
_BRAILLE = re.compile("[\u2801-\u28ff]")
# Private forms of "m" and "u" (keyboard protocols), which pyte mistakes for colors and text.
_PRIVATE = re.compile(rb"\x1b\[[<=>?][0-9;:]*[mu]")


@dataclass(frozen=True, slots=True)
class Change:
    """A row of the screen that changed at ``at``; ``text`` is its new content."""

    at: float
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class ScreenHistory:
    """Every change of a screen, oldest first, and its final rows."""

    changes: list[Change]
    rows: list[str]


def read_screen(
    chunks: Iterable[Chunk], *, columns: int = COLUMNS, lines: int = LINES
) -> ScreenHistory:
    """Replay a program's output in an emulated terminal.

    Raises:
        ImportError: If pyte is not installed.
    """
    pyte: Any = importlib.import_module("pyte")
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    rows_seen: list[list[tuple[str, str, str]]] = [[] for _ in range(lines)]
    texts = [""] * lines
    changes = []
    for at, raw in _whole_sequences(chunks):
        screen.dirty.clear()
        stream.feed(_PRIVATE.sub(b"", raw))
        for row in sorted(screen.dirty):
            cells = screen.buffer[row]
            cells_now = [(cells[x].data, cells[x].fg, cells[x].bg) for x in range(columns)]
            if cells_now != rows_seen[row]:
                rows_seen[row] = cells_now
                texts[row] = "".join(data for data, _, _ in cells_now).rstrip()
                changes.append(Change(at, row, texts[row]))
    return ScreenHistory(changes, texts)


def _whole_sequences(chunks: Iterable[Chunk]) -> Iterable[Chunk]:
    """Move a control sequence that was split to the piece with its end."""
    rest = b""
    for at, raw in chunks:
        whole = rest + raw
        cut = whole.rfind(b"\x1b")
        is_open = cut >= 0 and re.fullmatch(rb"\x1b(\[[0-?]*[ -/]*)?", whole[cut:]) is not None
        rest = whole[cut:] if is_open else b""
        yield at, whole[:cut] if is_open else whole


def status_row(story: ScreenHistory) -> int | None:
    """Return the lowest row with a learning rate, None without one."""
    found = [row for row, text in enumerate(story.rows) if _LR.search(text)]
    return max(found, default=None)


def curve_rows(story: ScreenHistory) -> set[int]:
    """Return the rows with curves."""
    return {row for row, text in enumerate(story.rows) if _BRAILLE.search(text)}


def frames(times: Iterable[float], began: float, ended: float) -> float:
    """Return the frames per second between two times."""
    count, last = 0, float("-inf")
    for at in sorted(times):
        if began <= at <= ended:
            count += at - last > FRAME
            last = at
    return count / (ended - began)


def number_frames(story: ScreenHistory, began: float, ended: float) -> float:
    """Return the updates per second of the status line."""
    row, before, times = status_row(story), "", []
    for change in story.changes:
        if change.row == row and change.text != before:
            before = change.text
            times.append(change.at)
    return frames(times, began, ended)


def curve_frames(story: ScreenHistory, began: float, ended: float) -> float:
    """Return the updates per second of the curves."""
    rows = curve_rows(story)
    return frames((c.at for c in story.changes if c.row in rows), began, ended)


def lrs_shown(story: ScreenHistory) -> list[tuple[float, str]]:
    """Return the times and values of new learning rates in the status line.

    A requested one (``lr 0.1 → 0.2``) counts.
    """

    def lr(text: str) -> str | None:
        found = _LR.search(text)
        return (found[2] or found[1]) if found else None

    return _values_shown(story, lr)


def confirmed_shown(story: ScreenHistory, setting: str) -> list[tuple[float, str]]:
    """Return the times and values of a knob in the status line; a requested one does not count.

    Args:
        story: The screen over time.
        setting: ``base_lr`` or ``batch_size``.
    """

    def value(text: str) -> str | None:
        found = _CONFIRMED[setting].search(text)
        return found[1] if found else None

    return _values_shown(story, value)


def _values_shown(
    story: ScreenHistory, value_of: Callable[[str], str | None]
) -> list[tuple[float, str]]:
    row, before, shown = status_row(story), "", []
    for change in story.changes:
        value = (value_of(change.text) if change.row == row else None) or before
        if value != before:
            before = value
            shown.append((change.at, value))
    return shown


def effect_seconds(
    pressed: Sequence[tuple[float, str]], shown: Sequence[tuple[float, str]]
) -> list[float]:
    """Return the seconds from each key to its effect on the screen; unseen keys are left out.

    If the screen shows the learning rate of one of the next two keys, this key has had its effect
    too,
    unless that rate was already there before the key.

    Args:
        pressed: The time of each key, and the learning rate it sets.
        shown: As of :func:`lrs_shown`.
    """
    seconds = []
    for number, (at, lr) in enumerate(pressed):
        old = {before for _, before in pressed[max(0, number - 2) : number]}
        later = {after for _, after in pressed[number + 1 : number + 3]}
        signs = {lr} | (later - old)
        waits = (when - at for when, what in shown if what in signs and 0 <= when - at <= MAX_DELAY)
        seconds += [wait for wait in (next(waits, None),) if wait is not None]
    return seconds
