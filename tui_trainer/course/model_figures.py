"""The figures of a model that lesson texts can use, from its layer table, formatted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from tui_trainer.protocol.layers import NO_LAYERS, LayerRow
from tui_trainer.text import fmt

CONVOLUTIONS = ("conv", "depthwise")
FULLY_CONNECTED = "fully connected"
SHOWN_AT_START, SHOWN_AT_END = 6, 3
"""The steps shown of a sequence that is too long."""


def model_figures(rows: Sequence[LayerRow]) -> dict[str, str]:
    """Return the figures of a layer table by their names in the lesson texts.

    These names need an explanation. ``receptive_field``, ``jump`` and ``last_map`` belong to the
    last layer with weights that combines several positions, as in the design review; averaging
    after it combines no more. A distance counts the layers with weights after a row, on the longest
    path, the output layer included. ``pool_places`` counts convolutions and fully connected layers.
    ``first_layer_share`` is the first weighted layer's share of all multiply-adds.
    """
    table = _Table(rows)
    if not table.layers:
        return {}
    return {**_counts(table), **_kernels(table), **_pools(table), **_ends(table), **_work(table)}


class _Table:
    """A layer table as a graph.

    Rows recorded by an older version have no sources; each is assumed to read the row before it.
    """

    def __init__(self, rows: Sequence[LayerRow]) -> None:
        self.rows = tuple(row for row in rows if row.kind not in NO_LAYERS)
        self.has_sources = any(row.sources for row in self.rows)

    def indices(self, *kinds: str) -> list[int]:
        return [index for index, row in enumerate(self.rows) if row.kind in kinds]

    @cached_property
    def convolutions(self) -> list[int]:
        return self.indices(*CONVOLUTIONS)

    @cached_property
    def layers(self) -> list[int]:
        """The indices of the convolutions and the fully connected layers."""
        return self.indices(*CONVOLUTIONS, FULLY_CONNECTED)

    def sources(self, index: int) -> tuple[int, ...]:
        if self.has_sources:
            return self.rows[index].sources
        return (index - 1,) if index else ()

    def reads(self, index: int) -> tuple[int, int, int]:
        """Return the shape of the largest map that a row reads."""
        shape = self.rows[index].input_shape
        before = (self.rows[source].output_shape for source in self.sources(index))
        return shape or max(before, default=self.rows[index].output_shape)

    def is_global(self, index: int) -> bool:
        """Whether a row reduces feature maps to single numbers."""
        return _size(self.rows[index].output_shape) == (1, 1) != _size(self.reads(index))

    def back(self, index: int) -> Iterator[int]:
        """Yield the rows before this one, following the first source of each."""
        while self.sources(index):
            index = self.sources(index)[0]
            yield index

    @cached_property
    def remaining(self) -> dict[int, int]:
        """The number of layers with weights after each row that leads to the logits."""
        last, layers = len(self.rows) - 1, set(self.layers)
        found = {last: 0}
        for index in range(last, 0, -1):
            if index in found:
                for source in self.sources(index):
                    found[source] = max(found.get(source, 0), found[index] + (index in layers))
        return found

    def is_transition(self, index: int) -> bool:
        """Whether a row is a 1×1 convolution to fewer channels, but not the output layer.

        The pointwise half of a depthwise separable convolution is not a transition.
        """
        row = self.rows[index]
        is_pointwise = row.kind == "conv" and _kernel(row) == "1×1"
        if not is_pointwise or _size(self.reads(index)) == (1, 1) or not self.remaining.get(index):
            return False
        before = next((at for at in self.back(index) if at in self.layers), 0)
        is_pair = self.rows[before].kind == "depthwise"
        return not is_pair and row.output_shape[2] < self.reads(index)[2]

    @cached_property
    def final(self) -> LayerRow | None:
        """The last layer that combines features of different positions."""
        for index in reversed(self.layers):
            if self.rows[index].kind in CONVOLUTIONS and _size(self.reads(index)) != (1, 1):
                return self.rows[index]
            steps = [at for at in self.back(index) if self.rows[at].kind != "dropout"]
            if steps and self.rows[steps[0]].kind == "flatten" and self.is_global(steps[0]):
                return self.rows[index]
        return None


def _counts(table: _Table) -> dict[str, str]:
    transitions = [index for index in table.convolutions if table.is_transition(index)]
    mixing = sum(table.rows[index].parameters for index in transitions)
    total = sum(row.parameters for row in table.rows)
    found = {
        "layer_count": str(len(table.layers)),
        "conv_count": str(len(table.convolutions)),
        "pool_count": str(len(table.indices("max pool"))),
        "norm_count": str(len(table.indices("batch norm"))),
        "dropout_count": str(len(table.indices("dropout"))),
        "transition_count": str(len(transitions)),
    }
    return found | ({"transition_share": fmt.percent(mixing / total, 1)} if transitions else {})


def _kernels(table: _Table) -> dict[str, str]:
    rows = [table.rows[index] for index in table.convolutions]
    if not rows:
        return {}
    channels = [row.output_shape[2] for row in rows]
    kinds = dict.fromkeys(sorted(map(_kernel, rows), key=_reversed_sides))
    return {
        "kernel_sizes": _listed(list(kinds)),
        "count_1x1": str(sum(_kernel(row) == "1×1" for row in rows)),
        "count_3x3": str(sum(_kernel(row) == "3×3" for row in rows)),
        "first_kernels": fmt.count(channels[0]),
        "most_kernels": fmt.count(max(channels)),
        "kernels_by_layer": _sequence([fmt.count(number) for number in channels]),
    }


def _pools(table: _Table) -> dict[str, str]:
    found = {}
    norms = [table.remaining[at] for at in table.indices("batch norm") if at in table.remaining]
    if norms:
        found["norm_distance"] = str(min(norms))
    pools = [index for index in table.indices("max pool") if index in table.remaining]
    if not pools:
        return found
    after = dict.fromkeys(sum(layer < pool for layer in table.layers) for pool in pools)
    maps = [table.rows[0].output_shape, *(table.rows[pool].output_shape for pool in pools)]
    return {
        **found,
        "pool_places": f"{_after(list(after))} of {len(table.layers)}",
        "pool_maps": " → ".join(dict.fromkeys(fmt.field(_size(shape)) for shape in maps)),
        "pool_distance": str(min(table.remaining[pool] for pool in pools)),
    }


def _ends(table: _Table) -> dict[str, str]:
    found = {"head": head} if (head := _head(table)) else {}
    row = table.final
    if row is None:
        return found
    if row.kind in CONVOLUTIONS:
        found["last_map"] = fmt.field(_size(row.output_shape))
    if row.receptive_field is not None and row.jump is not None:
        found["receptive_field"] = fmt.field(row.receptive_field)
        found["jump"] = _square(row.jump)
        until = table.rows.index(row) + 1
        fields = [at.receptive_field for at in table.rows[1:until] if at.receptive_field]
        widening = [pair for pair in dict.fromkeys(fields) if max(pair) > 1]
        found["fields_by_layer"] = _sequence([_square(pair) for pair in widening])
    return found


def _head(table: _Table) -> str:
    """Return the layers from the last map to the logits, in words; empty without a map."""
    end = next((at for at in range(len(table.rows)) if table.is_global(at)), None)
    if end is None:
        return ""
    head = table.rows[end:]
    parts = []
    if head[0].kind in ("average pool", "max pool", "mean"):
        name = head[0].kind.removesuffix(" pool").replace("mean", "average")
        parts.append(f"{'' if any(head[0].unused) else 'global '}{name} pooling")
    parts += [f"a {_kernel(row)} convolution" for row in head if row.kind in CONVOLUTIONS]
    connected = sum(row.kind == FULLY_CONNECTED for row in head)
    if connected:
        words = "a fully connected layer"
        parts.append(words if connected == 1 else f"{connected} fully connected layers")
    return _listed(parts)


def _work(table: _Table) -> dict[str, str]:
    total = sum(row.multiply_adds for row in table.rows)
    if not total:
        return {}
    first = table.rows[table.layers[0]].multiply_adds
    return {"multiply_adds": fmt.count(total), "first_layer_share": fmt.percent(first / total, 1)}


def _size(shape: tuple[int, int, int]) -> tuple[int, int]:
    return shape[0], shape[1]


def _square(pair: tuple[int, int]) -> str:
    """Return one side if both are equal, else both."""
    return str(pair[0]) if pair[0] == pair[1] else fmt.field(pair)


def _kernel(row: LayerRow) -> str:
    """Return a row's kernel without its stride; older records have it only as text."""
    return row.kernel.split()[0] if row.kernel else ""


def _reversed_sides(kernel: str) -> tuple[int, ...]:
    return tuple(-int(side) for side in kernel.split("×") if side.isdecimal())


def _sequence(steps: Sequence[str]) -> str:
    """Return a figure layer by layer; the middle of a long sequence is left out."""
    if len(steps) > SHOWN_AT_START + SHOWN_AT_END + 1:
        steps = [*steps[:SHOWN_AT_START], "…", *steps[-SHOWN_AT_END:]]
    return " → ".join(steps)


def _listed(items: Sequence[str]) -> str:
    *most, last = items or ("",)
    return f"{', '.join(most)} and {last}" if most else last


def _after(layers: list[int]) -> str:
    """Return the positions of pools: after layers 3 and 6."""
    start = ["before layer 1"] if 0 in layers else []
    numbers = [str(number) for number in layers if number]
    if numbers:
        start.append(f"after layer{'s' if len(numbers) > 1 else ''} {_listed(numbers)}")
    return _listed(start)
