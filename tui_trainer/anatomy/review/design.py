"""A network as a graph of its layer table's rows, for the rules of the review to walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from tui_trainer.protocol.layers import BUDGET, NO_LAYERS, LayerRow

CONVOLUTIONS = ("conv", "depthwise")
POOLS = ("max pool", "average pool")
ACTIVATIONS = ("relu", "activation")
_JOINS = ("add", "multiply", "concatenate")


def is_norm(row: LayerRow) -> bool:
    """Whether a row normalizes by statistics: batch norm, layer norm, group norm and so on."""
    return row.kind.lower().endswith("norm")


def is_weighted(row: LayerRow) -> bool:
    """Whether a row combines features with weights: a convolution, fully connected, or unknown."""
    if row.kind in (*CONVOLUTIONS, "fully connected"):
        return True
    is_known = row.kind in (*ACTIVATIONS, *_JOINS, "input", *NO_LAYERS) or is_norm(row)
    return row.parameters > 0 and not is_known


def map_size(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the height and width of a shape."""
    return shape[0], shape[1]


class Design:
    """The rows of a layer table, what reads what, and the budget they are judged by.

    A place is that of a row in the table. Every row comes after those that it reads.

    Attributes:
        rows: The layer table; the first row is the input.
        budget: The limit on parameters.
        last: The place of the scores: that of the last row which is not ``unused``.
        consumers: For each place those that read it.
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
        """The parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    def positions(self, *kinds: str) -> list[int]:
        """Return the places of all rows of these kinds."""
        return [position for position, row in enumerate(self.rows) if row.kind in kinds]

    def reads(self, position: int) -> tuple[int, int, int]:
        """Return the shape of the largest map that a row reads."""
        row = self.rows[position]
        if row.input_shape is not None:
            return row.input_shape
        return max((self.rows[s].output_shape for s in row.sources), default=row.output_shape)

    def onward(self, position: int) -> Iterator[int]:
        """Yield what follows one by one, up to a fork, a join, or the next weighted layer."""
        while len(self.consumers[position]) == 1:
            position = self.consumers[position][0]
            if len(self.rows[position].sources) > 1:
                return
            yield position
            if is_weighted(self.rows[position]):
                return

    def back(self, position: int) -> Iterator[int]:
        """Yield what comes before one by one, up to a fork, a join, or a weighted layer."""
        while len(self.rows[position].sources) == 1:
            position = self.rows[position].sources[0]
            if len(self.consumers[position]) > 1:
                return
            yield position
            if is_weighted(self.rows[position]):
                return

    def companions_after(self, position: int) -> set[int]:
        """Return all that is reached from a place, on any path, before a weighted layer."""
        found: set[int] = set()
        waiting = list(self.consumers[position])
        while waiting:
            reached = waiting.pop()
            if reached not in found and not is_weighted(self.rows[reached]):
                found.add(reached)
                waiting += self.consumers[reached]
        return found

    def ancestors(self, positions: Iterable[int]) -> set[int]:
        """Return all the rows whose output reaches one of these."""
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
        """The rows without weights behind the prediction, up to the scores."""
        return self._end[0]

    @property
    def heads(self) -> frozenset[int]:
        """The prediction: the weighted layers whose output becomes the scores."""
        return self._end[1]

    @cached_property
    def distances(self) -> dict[int, int]:
        """For each row that reaches the scores, how many weighted layers come behind it.

        The longest path counts, so a shortcut around a block takes nothing off.
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
        """The places of the convolutions, depthwise ones included."""
        return self.positions(*CONVOLUTIONS)

    @cached_property
    def shrinking_pools(self) -> list[int]:
        """The pools within the network that make maps smaller: neither global nor at the end."""
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
        """Whether a row is a 1×1 convolution on a map, not on a flat output."""
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
        """The depthwise convolutions whose 1×1 convolution follows without anything between."""
        pairs = ((position, self.depthwise_of(position)) for position in self.convolutions)
        return frozenset(d for p, d in pairs if d is not None and self.rows[p].sources == (d,))


def at_the_end(design: Design, *kinds: str) -> list[LayerRow]:
    """Return the rows of these kinds that all the scores pass, behind the last layer with weights.

    Where branches are added, it takes one in each of them: the others' part of the sum is free.
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
