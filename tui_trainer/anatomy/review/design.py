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
        self.last = max(place for place, row in enumerate(self.rows) if row.kind not in NO_LAYERS)
        readers: list[list[int]] = [[] for _ in self.rows]
        for place, row in enumerate(self.rows):
            for source in sorted(set(row.sources)):
                readers[source].append(place)
        self.consumers = tuple(tuple(places) for places in readers)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of the input image."""
        return map_size(self.rows[0].output_shape)

    @property
    def parameters(self) -> int:
        """The parameters of the whole network."""
        return sum(row.parameters for row in self.rows)

    def places(self, *kinds: str) -> list[int]:
        """Return the places of all rows of these kinds."""
        return [place for place, row in enumerate(self.rows) if row.kind in kinds]

    def reads(self, place: int) -> tuple[int, int, int]:
        """Return the shape of the largest map that a row reads."""
        row = self.rows[place]
        if row.input_shape is not None:
            return row.input_shape
        return max((self.rows[s].output_shape for s in row.sources), default=row.output_shape)

    def onward(self, place: int) -> Iterator[int]:
        """Yield what follows one by one, up to a fork, a join, or the next weighted layer."""
        while len(self.consumers[place]) == 1:
            place = self.consumers[place][0]
            if len(self.rows[place].sources) > 1:
                return
            yield place
            if is_weighted(self.rows[place]):
                return

    def back(self, place: int) -> Iterator[int]:
        """Yield what comes before one by one, up to a fork, a join, or a weighted layer."""
        while len(self.rows[place].sources) == 1:
            place = self.rows[place].sources[0]
            if len(self.consumers[place]) > 1:
                return
            yield place
            if is_weighted(self.rows[place]):
                return

    def companions_after(self, place: int) -> set[int]:
        """Return all that is reached from a place, on any path, before a weighted layer."""
        found: set[int] = set()
        waiting = list(self.consumers[place])
        while waiting:
            reached = waiting.pop()
            if reached not in found and not is_weighted(self.rows[reached]):
                found.add(reached)
                waiting += self.consumers[reached]
        return found

    def ancestors(self, places: Iterable[int]) -> set[int]:
        """Return all the rows whose output reaches one of these."""
        found: set[int] = set()
        waiting = list(places)
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
            place = waiting.pop()
            if place in tail or place == 0:
                continue
            if is_weighted(self.rows[place]):
                heads.add(place)
            else:
                tail.add(place)
                waiting += self.rows[place].sources
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
        for place in reversed(range(self.last)):
            behind = [
                found[reader] + is_weighted(self.rows[reader])
                for reader in self.consumers[place]
                if reader in found
            ]
            if behind:
                found[place] = max(behind)
        return found

    @cached_property
    def convolutions(self) -> list[int]:
        """The places of the convolutions, depthwise ones included."""
        return self.places(*CONVOLUTIONS)

    @cached_property
    def shrinking_pools(self) -> list[int]:
        """The pools within the network that make maps smaller: neither global nor at the end."""
        return [
            place
            for place in self.places(*POOLS)
            if place not in self.tail
            and map_size(self.rows[place].output_shape) != (1, 1)
            and map_size(self.rows[place].output_shape) != map_size(self.reads(place))
        ]

    def side(self, place: int) -> int:
        """Return the longer side of a row's kernel, 1 where it has none."""
        return max(self.rows[place].kernel_size or (1, 1))

    def is_pointwise(self, place: int) -> bool:
        """Whether a row is a 1×1 convolution on a map, not on a flat output."""
        return (
            self.rows[place].kind == "conv"
            and self.side(place) == 1
            and map_size(self.reads(place)) != (1, 1)
        )

    def depthwise_of(self, place: int) -> int | None:
        """Return the depthwise convolution that a 1×1 convolution completes, if it does."""
        if not self.is_pointwise(place):
            return None
        before = list(self.back(place))
        is_pair = bool(before) and self.rows[before[-1]].kind == "depthwise"
        return before[-1] if is_pair else None

    @cached_property
    def completed(self) -> frozenset[int]:
        """The depthwise convolutions whose 1×1 convolution follows without anything between."""
        pairs = ((place, self.depthwise_of(place)) for place in self.convolutions)
        return frozenset(d for p, d in pairs if d is not None and self.rows[p].sources == (d,))


def at_the_end(design: Design, *kinds: str) -> list[LayerRow]:
    """Return the rows of these kinds that all the scores pass, behind the last layer with weights.

    Where branches are added, it takes one in each of them: the others' part of the sum is free.
    """
    return [design.rows[place] for place in sorted(_passed(design, design.last, kinds))]


def _passed(design: Design, place: int, kinds: tuple[str, ...]) -> set[int]:
    row = design.rows[place]
    if is_weighted(row) or not row.sources:
        return set()
    here = {place} if row.kind in kinds else set()
    before = [_passed(design, source, kinds) for source in row.sources]
    if len(before) == 1 or (row.kind == "add" and all(before)) or row.kind == "concatenate":
        return here.union(*before)
    return here
