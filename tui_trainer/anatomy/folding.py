"""Loops: steps that a network repeats over and over become one row each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

LEAST_REPEATS = 8
"""A block of steps is folded if it is done at least so often, one time after the other."""

BLOCKS = (4, 16, 64, 256, 1024)
"""Steps of a block, at most: short ones are looked for first, they are the inner loops."""

_CANDIDATES = 8
"""How many of the next steps that are like the first one may begin the second time."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Which row each step of a run belongs to.

    Attributes:
        rows: For each row, the numbers of its steps, in the order in which they were done; the last
            one stands for all of them.
        row_of: For each step, its row.
    """

    rows: tuple[tuple[int, ...], ...]
    row_of: tuple[int, ...]

    def stands_for_its_row(self, step: int) -> bool:
        """Say whether a step is the last of its row."""
        return self.rows[self.row_of[step]][-1] == step


def folding(steps: Iterable[Hashable]) -> Folding:
    """Fold the loops of a run, also those within loops.

    Args:
        steps: What each step is: those that do the same, in the same module, are equal.
    """
    numbers: dict[Hashable, int] = {}
    kinds = [numbers.setdefault(step, len(numbers)) for step in steps]
    rows: list[tuple[int, ...]] = [(position,) for position in range(len(kinds))]
    for longest in BLOCKS:
        before = 0
        while before != len(rows):
            before = len(rows)
            kinds, rows = _fold(kinds, rows, numbers, longest)
    row_of = [0] * sum(map(len, rows))
    for row, members in enumerate(rows):
        for step in members:
            row_of[step] = row
    return Folding(tuple(rows), tuple(row_of))


def _fold(
    kinds: list[int], rows: Sequence[tuple[int, ...]], numbers: dict[Hashable, int], longest: int
) -> tuple[list[int], list[tuple[int, ...]]]:
    """Fold each block that follows itself often enough; of several, the shortest."""
    following = _following(kinds)
    new_kinds: list[int] = []
    new_rows: list[tuple[int, ...]] = []
    position = 0
    while position < len(kinds):
        length, times = _repeated(kinds, position, following, longest)
        for offset in range(length):
            first = position + offset
            if times == 1:
                new_kinds.append(kinds[first])
            else:
                new_kinds.append(numbers.setdefault((kinds[first], times), len(numbers)))
            copies = range(first, first + times * length, length)
            new_rows.append(tuple(step for copy in copies for step in rows[copy]))
        position += length * times
    return new_kinds, new_rows


def _repeated(
    kinds: list[int], position: int, following: Sequence[int], longest: int
) -> tuple[int, int]:
    """Return the length of the block at a place and how often it is done; (1, 1) for none."""
    candidate = position
    for _ in range(_CANDIDATES):
        candidate = following[candidate]
        length = candidate - position
        if not 0 < length <= longest:
            break
        if position + LEAST_REPEATS * length > len(kinds):
            break
        if kinds[candidate + length - 1] != kinds[candidate - 1]:
            continue
        block = kinds[position:candidate]
        times = 1
        while kinds[position + times * length : position + (times + 1) * length] == block:
            times += 1
        if times >= LEAST_REPEATS:
            return length, times
    return 1, 1


def _following(kinds: Sequence[int]) -> list[int]:
    """Return, for each step, the next one like it; -1 for the last."""
    found = [-1] * len(kinds)
    seen: dict[int, int] = {}
    for position in reversed(range(len(kinds))):
        found[position] = seen.get(kinds[position], -1)
        seen[kinds[position]] = position
    return found
