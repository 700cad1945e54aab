"""The names of classes as text: :func:`class_name` is the way to name a class.

A dataset's class names are untrusted: names of folders, lines of a file, in any script and of any
length. A dataset without names has classes called by their numbers. Records and JSON keep the
names as the data has them (``class_names``); what is shown is short and on one line, and no two
classes are shown alike.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from tui_trainer.text.fmt import clip, columns, one_line

WIDEST = 32
"""Columns of a name where it is shown."""

MOST_CHARACTERS = 200
"""Characters of a name that a dataset keeps."""


def clean_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the class names of a dataset: each on one line, none empty, no two alike.

    Control characters and those that reorder text (bidirectional overrides, lone surrogates)
    become blanks. A class without a name gets its number. Numbers in order, as in folders 0 to 9,
    are no names: the result is empty.
    """
    found = [_clean(name) or str(label) for label, name in enumerate(names)]
    if found == [str(label) for label in range(len(found))]:
        return ()
    return _distinct(found, lambda name, label: f"{name} ({label})")


def class_name(names: Sequence[str], label: int) -> str:
    """Return how a class is called where it is shown: ``cat``, or ``7`` without names.

    Args:
        names: The names of all classes, as ``RunStarted.class_names``; empty without names.
        label: The number of the class.
    """
    return _shown(tuple(names))[label] if 0 <= label < len(names) else str(label)


def full_name(names: Sequence[str], label: int) -> str | None:
    """Return the name of a class as its dataset has it, for JSON; None without a name."""
    return names[label] if 0 <= label < len(names) else None


def class_number(names: Sequence[str], word: str) -> int | None:
    """Return the number of the class with a name; None if there is none.

    Upper and lower case are equal, unless two names differ by it alone.
    """
    for known in (list(names), class_names(names, len(names))):
        if word in known:
            return known.index(word)
    folded, wanted = [name.casefold() for name in names], word.casefold()
    return folded.index(wanted) if folded.count(wanted) == 1 else None


def class_names(names: Sequence[str], classes: int) -> list[str]:
    """Return how each class is called where it is shown; see :func:`class_name`."""
    shown = _shown(tuple(names))[:classes]
    return [*shown, *map(str, range(len(shown), classes))]


@lru_cache(maxsize=64)
def short_names(names: tuple[str, ...], classes: int, width: int) -> tuple[str, ...]:
    """Return the shortest names of the classes that fit in ``width`` columns, all different.

    Names are cut at their end, else in their middle. If two would still be equal, all classes get
    their numbers.
    """
    shown = class_names(names, classes)
    for cut in (clip, _cut_in_the_middle):
        short = tuple(cut(name, width) for name in shown)
        if len(set(short)) == len(short):
            return short
    return tuple(map(str, range(classes)))


@lru_cache(maxsize=64)
def _shown(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names in at most ``WIDEST`` columns, all different."""
    cleaned = [_clean(name) or str(label) for label, name in enumerate(names)]
    short = [clip(name, WIDEST) for name in cleaned]
    alike = _repeated(short)
    middle = [
        _cut_in_the_middle(name, WIDEST) if cut in alike else cut
        for name, cut in zip(cleaned, short, strict=True)
    ]
    return _distinct(middle, _with_number)


def _clean(name: str) -> str:
    plain = name if name.isascii() else unicodedata.normalize("NFC", name)
    line = one_line(plain)[:MOST_CHARACTERS].strip()
    return line if columns(line) else ""


def _with_number(name: str, label: int) -> str:
    number = f" ({label})"
    return f"{clip(name, WIDEST - len(number))}{number}"


def _distinct(names: Sequence[str], distinguish: Callable[[str, int], str]) -> tuple[str, ...]:
    """Return names of which no two are equal; those that were get the number of their class."""
    found = list(names)
    for _ in range(len(found)):
        alike = _repeated(found)
        if not alike:
            break
        found = [
            distinguish(name, label) if name in alike else name for label, name in enumerate(found)
        ]
    return tuple(found)


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name, times in Counter(names).items() if times > 1}


def _cut_in_the_middle(name: str, width: int) -> str:
    """Return a name in ``width`` columns with its beginning and its end."""
    if columns(name) <= width or width < 3:
        return clip(name, width)
    tail = next(
        name[start:]
        for start in range(len(name) + 1)
        if columns(name[start:]) <= width // 2 and columns(name[start : start + 1]) > 0
    )
    return clip(name, width - columns(tail)) + tail
