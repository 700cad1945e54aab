"""The rows of a layer table as a graph that the review's rules can walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from tui_trainer.protocol.layers import BUDGET, NO_LAYERS, LayerRow

CONVOLUTIONS = ("conv", "depthwise")
POOLS = ("max pool", "average pool")
ACTIVATIONS = ("relu", "activation")
_JOINS = ("add", "multiply", "concatenate")


def is_norm(row: LayerRow) -> bool:
    """Whether a row normalizes by statistics: batch, layer, group norm."""
    return row.kind.lower().endswith("norm")


def is_weighted(row: LayerRow) -> bool:
    """Whether a row is a convolution, fully connected, or an unknown layer with parameters."""
    if row.kind in (*CONVOLUTIONS, "fully connected"):
        return True
    is_known = row.kind in (*ACTIVATIONS, *_JOINS, "input", *NO_LAYERS) or is_norm(row)
    return row.parameters > 0 and not is_known


def map_size(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the height and width of a shape."""
    return shape[0], shape[1]


class Design:
    """The rows of a layer table, the edges between them, and the parameter budget.

    A position is the index of a row in the table. Every row comes after the rows it reads.

    Attributes:
        rows: The layer table; the first row is the input.
        budget: The limit on parameters.
        last: The position of the logits: the last row that is not ``unused``.
        consumers: For each position, the positions that read it.
    """

    def __init__(self, rows: Sequence[LayerRow], budget: int = BUDGET) -> None:
        self.rows = tuple(rows)
        self.budget = budget
        self.last = max(
            position for position, row in enumerate(self.rows) if row.kind not in NO_LAYERS
        )
        readers: list[list[int]] = [[] for _ in self.rows]
        for position, row in enumerate(self.rows):
            for source in sorted(set(row.sources)):
                readers[source].append(position)
        self.consumers = tuple(tuple(positions) for positions in readers)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of the input image."""
        return map_size(self.rows[0].output_shape)

    @property
    def parameters(self) -> int:
        """The number of parameters of the whole model."""
        return sum(row.parameters for row in self.rows)

    def positions(self, *kinds: str) -> list[int]:
        """Return the positions of all rows of these kinds."""
        return [position for position, row in enumerate(self.rows) if row.kind in kinds]

    def reads(self, position: int) -> tuple[int, int, int]:
        """Return the shape of the largest map that a row reads."""
        row = self.rows[position]
        if row.input_shape is not None:
            return row.input_shape
        return max((self.rows[s].output_shape for s in row.sources), default=row.output_shape)

    def onward(self, position: int) -> Iterator[int]:
        """Yield the following rows one by one, up to a fork, a join, or the next weighted layer."""
        while len(self.consumers[position]) == 1:
            position = self.consumers[position][0]
            if len(self.rows[position].sources) > 1:
                return
            yield position
            if is_weighted(self.rows[position]):
                return

    def back(self, position: int) -> Iterator[int]:
        """Yield the preceding rows one by one, up to a fork, a join, or a weighted layer."""
        while len(self.rows[position].sources) == 1:
            position = self.rows[position].sources[0]
            if len(self.consumers[position]) > 1:
                return
            yield position
            if is_weighted(self.rows[position]):
                return

    def companions_after(self, position: int) -> set[int]:
        """Return the rows that any path from a position reaches before a weighted layer."""
        found: set[int] = set()
        waiting = list(self.consumers[position])
        while waiting:
            reached = waiting.pop()
            if reached not in found and not is_weighted(self.rows[reached]):
                found.add(reached)
                waiting += self.consumers[reached]
        return found

    def ancestors(self, positions: Iterable[int]) -> set[int]:
        """Return all rows whose output reaches one of these."""
        found: set[int] = set()
        waiting = list(positions)
        while waiting:
            for source in self.rows[waiting.pop()].sources:
                if source not in found:
                    found.add(source)
                    waiting.append(source)
        return found

    @cached_property
    def _end(self) -> tuple[frozenset[int], frozenset[int]]:
        tail: set[int] = set()
        heads: set[int] = set()
        waiting = [self.last]
        while waiting:
            position = waiting.pop()
            if position in tail or position == 0:
                continue
            if is_weighted(self.rows[position]):
                heads.add(position)
            else:
                tail.add(position)
                waiting += self.rows[position].sources
        return frozenset(tail), frozenset(heads)

    @property
    def tail(self) -> frozenset[int]:
        """The rows without weights after the output layer, up to the logits."""
        return self._end[0]

    @property
    def heads(self) -> frozenset[int]:
        """The output layers: the weighted layers whose output becomes the logits."""
        return self._end[1]

    @cached_property
    def distances(self) -> dict[int, int]:
        """For each row that reaches the logits, the number of weighted layers after it.

        The longest path counts, so a shortcut around a block does not shorten it.
        """
        found = {self.last: 0}
        for position in reversed(range(self.last)):
            behind = [
                found[reader] + is_weighted(self.rows[reader])
                for reader in self.consumers[position]
                if reader in found
            ]
            if behind:
                found[position] = max(behind)
        return found

    @cached_property
    def convolutions(self) -> list[int]:
        """The positions of the convolutions, depthwise ones included."""
        return self.positions(*CONVOLUTIONS)

    @cached_property
    def shrinking_pools(self) -> list[int]:
        """The pools inside the model that downsample: neither global nor in the tail."""
        return [
            position
            for position in self.positions(*POOLS)
            if position not in self.tail
            and map_size(self.rows[position].output_shape) != (1, 1)
            and map_size(self.rows[position].output_shape) != map_size(self.reads(position))
        ]

    def side(self, position: int) -> int:
        """Return the longer side of a row's kernel, 1 where it has none."""
        return max(self.rows[position].kernel_size or (1, 1))

    def is_pointwise(self, position: int) -> bool:
        """Whether a row is a 1×1 convolution of a map, not of a flat output."""
        return (
            self.rows[position].kind == "conv"
            and self.side(position) == 1
            and map_size(self.reads(position)) != (1, 1)
        )

    def depthwise_of(self, position: int) -> int | None:
        """Return the depthwise convolution that a 1×1 convolution completes, if it does."""
        if not self.is_pointwise(position):
            return None
        before = list(self.back(position))
        is_pair = bool(before) and self.rows[before[-1]].kind == "depthwise"
        return before[-1] if is_pair else None

    @cached_property
    def completed(self) -> frozenset[int]:
        """The depthwise convolutions that their 1×1 convolution directly follows."""
        pairs = ((position, self.depthwise_of(position)) for position in self.convolutions)
        return frozenset(d for p, d in pairs if d is not None and self.rows[p].sources == (d,))


def at_the_end(design: Design, *kinds: str) -> list[LayerRow]:
    """Return the rows of these kinds that all logits pass after the last layer with weights.

    Where branches are added, each of them needs one: otherwise part of the sum bypasses it.
    """
    return [design.rows[position] for position in sorted(_passed(design, design.last, kinds))]


def _passed(design: Design, position: int, kinds: tuple[str, ...]) -> set[int]:
    row = design.rows[position]
    if is_weighted(row) or not row.sources:
        return set()
    here = {position} if row.kind in kinds else set()
    before = [_passed(design, source, kinds) for source in row.sources]
    if len(before) == 1 or (row.kind == "add" and all(before)) or row.kind == "concatenate":
        return here.union(*before)
    return here
