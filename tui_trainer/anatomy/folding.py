"""Loop folding: steps that a model repeats many times become one row each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

MIN_REPEATS = 8
"""The minimum number of consecutive repeats for which a block of steps is folded."""

BLOCKS = (4, 16, 64, 256, 1024)
"""The maximum lengths of a block: short blocks are folded first, as the inner loops."""

_CANDIDATES = 8
"""How many later steps equal to the first are tried as the start of the first repeat."""


@dataclass(frozen=True, slots=True)
class Folding:
    """The mapping of a run's steps to rows.

    Attributes:
        rows: For each row, the indices of its steps in execution order; the last step represents
            the row.
        row_of: For each step, its row.
    """

    rows: tuple[tuple[int, ...], ...]
    row_of: tuple[int, ...]

    def stands_for_its_row(self, step: int) -> bool:
        """Return whether a step is the last of its row, which represents it."""
        return self.rows[self.row_of[step]][-1] == step


def folding(steps: Iterable[Hashable]) -> Folding:
    """Fold the loops of a run, nested loops included.

    Args:
        steps: A key for each step: steps that do the same in the same module are equal.
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
    """Fold each block that repeats often enough; of several candidates, the shortest."""
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
    """Return the length of the block at an index and its number of repeats; (1, 1) for none."""
    candidate = position
    for _ in range(_CANDIDATES):
        candidate = following[candidate]
        length = candidate - position
        if not 0 < length <= longest:
            break
        if position + MIN_REPEATS * length > len(kinds):
            break
        if kinds[candidate + length - 1] != kinds[candidate - 1]:
            continue
        block = kinds[position:candidate]
        times = 1
        while kinds[position + times * length : position + (times + 1) * length] == block:
            times += 1
        if times >= MIN_REPEATS:
            return length, times
    return 1, 1


def _following(kinds: Sequence[int]) -> list[int]:
    """Return, for each step, the index of the next equal step; -1 for the last."""
    found = [-1] * len(kinds)
    seen: dict[int, int] = {}
    for position in reversed(range(len(kinds))):
        found[position] = seen.get(kinds[position], -1)
        seen[kinds[position]] = position
    return found
