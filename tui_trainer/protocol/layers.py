"""The layer table: its rows, and their grouping into stages and blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

BUDGET = 20_000
"""The parameter budget of the course, the default budget."""

COMPANIONS = ("batch norm", "group norm", "instance norm", "relu", "activation", "dropout")
"""Kinds of layers that are folded into the layer before them; they do not change the shape."""

NO_LAYERS = ("unused", "training only")
"""Kinds of rows with parameters that a forward pass in evaluation mode does not use."""

_VIEWS = ("input", "flatten")
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixel coordinates; it may extend beyond the image.

    The first pixel of the image extends from 0 to 1 in both directions.
    """

    top: float
    left: float
    bottom: float
    right: float

    def within(self, height: int, width: int) -> Box:
        """Return its intersection with the image."""
        top, bottom = (min(max(0.0, edge), float(height)) for edge in (self.top, self.bottom))
        left, right = (min(max(0.0, edge), float(width)) for edge in (self.left, self.right))
        return Box(top, left, bottom, right)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of a model; rows are in the order of the forward pass.

    Pairs are (vertical, horizontal). Lengths are in pixels of the input image. Runs recorded by
    version 0.1 have only the first five fields.

    Attributes:
        name: Its name in ``named_modules``; for an operation that is no module, the name of the
            module that calls it and the operation: ``layer1.0.add``.
        kind: Its family: ``input``, ``conv``, ``depthwise``, ``max pool``, ``average pool``,
            ``batch norm``, ``relu``, ``activation``, ``dropout``, ``fully connected``, ``flatten``,
            ``softmax``, ``add``, ``multiply``, ``concatenate``, ``pad``, or the operation's name.
        kernel: Kernel size and stride as text (``3×3``, ``3×3 /2``), empty without a kernel.
        output_shape: Height, width, channels; (1, 1, n) for a flat output.
        parameters: The number of its learnable parameters.
        type: Its class (``Conv2d``) or function (``max_pool2d``).
        input_shape: Height, width and channels of its largest input.
        kernel_size: The kernel size of a convolution or a pooling layer.
        stride: The stride of such a layer.
        padding: The padding of such a layer.
        dilation: The dilation of such a layer.
        groups: The number of groups of a convolution.
        bias: Whether a convolution or a fully connected layer has a bias.
        multiply_adds: Multiply-adds for one image, over all repeats: of convolutions at every
            position, of fully connected layers for every token, of recurrent layers in every time
            step, and of matrix products without weights; a bias counts one addition per feature, a
            norm each of its parameters once. Elementwise operations count nothing.
        receptive_field: The size of the receptive field of one feature; None if undefined.
        jump: The distance between the receptive fields of neighboring features.
        start: The center of the first feature's receptive field; 0 is the center of the first
            pixel.
        undefined: Why the receptive field is undefined.
        unused: How many rows and columns at the end of its input no kernel reaches.
        sources: The rows whose outputs it reads, as indices into the table.
        repeats: How often it runs per forward pass, in a loop.
        over_batch: Whether it is a softmax or a normalization over the images of the batch.
        momentum: The weight of a batch in the running statistics of a batch norm; None if it has
            none, or averages all batches.
    """

    name: str
    kind: str
    kernel: str
    output_shape: tuple[int, int, int]
    parameters: int
    type: str = ""
    input_shape: tuple[int, int, int] | None = None
    kernel_size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    groups: int = 1
    bias: bool = False
    multiply_adds: int = 0
    receptive_field: tuple[int, int] | None = None
    jump: tuple[int, int] | None = None
    start: tuple[float, float] | None = None
    undefined: str = ""
    unused: tuple[int, int] = (0, 0)
    sources: tuple[int, ...] = ()
    repeats: int = 1
    over_batch: bool = False
    momentum: float | None = None

    @property
    def shape_text(self) -> str:
        """The output shape as text: ``28×28×16``."""
        return shape_text(self.output_shape)

    @property
    def is_layer(self) -> bool:
        """Whether it is part of the forward pass: neither the input nor unused parameters."""
        return self.kind not in ("input", *NO_LAYERS)

    @property
    def kind_text(self) -> str:
        """Its kind, and its repeats if it runs more than once: ``linear × 783``."""
        return f"{self.kind} × {self.repeats:,}" if self.repeats > 1 else self.kind

    @property
    def activation_bytes(self) -> int:
        """The memory of its output for one image, in bytes; 0 for a view of another tensor."""
        numbers = 0 if self.kind in _VIEWS else math.prod(self.output_shape)
        return FLOAT_BYTES * numbers * self.repeats

    def box(self, row: int, column: int) -> Box | None:
        """Return the receptive field of the feature at a row and column; None if undefined."""
        if self.receptive_field is None or self.jump is None or self.start is None:
            return None
        (tall, wide), (down, across) = self.receptive_field, self.jump
        top = self.start[0] + row * down - (tall - 1) / 2
        left = self.start[1] + column * across - (wide - 1) / 2
        return Box(top, left, top + tall, left + wide)


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a layer table.

    Attributes:
        parameters: The number of learnable parameters.
        multiply_adds: Multiply-adds for one image.
        activation_bytes: The memory of all layer outputs for one image, in bytes.
        receptive_field: The size of the receptive field of a logit; None if undefined.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, int] | None


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Return the totals of a table, which may be empty."""
    last = next((row for row in reversed(rows) if row.kind not in NO_LAYERS), None)
    return Totals(
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
        sum(row.activation_bytes for row in rows),
        last.receptive_field if last else None,
    )


def field_in(row: LayerRow, rows: Sequence[LayerRow]) -> tuple[int, int] | None:
    """Return the receptive field of a layer's input; None if undefined.

    Of several inputs, as of an addition or a concatenation, it is the largest in each direction:
    the layer sees at least as much.

    Args:
        row: The layer.
        rows: Its table.
    """
    return _largest([rows[source].receptive_field for source in row.sources])


def jump_in(row: LayerRow, rows: Sequence[LayerRow]) -> tuple[int, int] | None:
    """Return the jump of a layer's input, the largest of several; None if undefined."""
    return _largest([rows[source].jump for source in row.sources])


def _largest(pairs: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    known = [pair for pair in pairs if pair is not None]
    if not known or len(known) < len(pairs):
        return None
    return max(down for down, _ in known), max(across for _, across in known)


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer with the following layers that do not change the shape.

    Attributes:
        name: The name of the first layer.
        what: Its kind and kernel, as in ``conv 3×3``.
        companions: The kinds of the layers folded into it.
        output_shape: Height, width, channels.
        parameters: The parameters of all of them.
        multiply_adds: The multiply-adds of all of them.
        receptive_field: The size of the receptive field of one feature; None if undefined.
    """

    name: str
    what: str
    companions: tuple[str, ...]
    output_shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int = 0
    receptive_field: tuple[int, int] | None = None

    @property
    def shape_text(self) -> str:
        """The output shape as text: ``28×28×16``."""
        return shape_text(self.output_shape)


def shape_text(shape: tuple[int, int, int]) -> str:
    """Return a shape in the notation of the course: ``28×28×16``."""
    return "×".join(map(str, shape))


def stages(rows: Sequence[LayerRow]) -> list[Stage]:
    """Fold each companion into the layer before it, skipping max pools.

    The parameters of the stages add up to those of the model.
    """
    folded: list[Stage] = []
    owner = 0
    for row in rows:
        if row.kind in COMPANIONS and folded:
            folded[owner] = replace(
                folded[owner],
                companions=(*folded[owner].companions, row.kind),
                parameters=folded[owner].parameters + row.parameters,
                multiply_adds=folded[owner].multiply_adds + row.multiply_adds,
            )
            continue
        if row.kind != "max pool" or not folded:
            owner = len(folded)
        what = f"{row.kind_text} {row.kernel}".strip()
        folded.append(
            Stage(
                row.name,
                what,
                (),
                row.output_shape,
                row.parameters,
                row.multiply_adds,
                row.receptive_field,
            )
        )
    return folded


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of the table that can be collapsed together.

    Attributes:
        name: Their parent module; without one, the size of their feature maps.
        places: Their indices in the table.
        output_shape: The output shape of the last row.
        parameters: The parameters of all rows.
        multiply_adds: The multiply-adds of all rows.
    """

    name: str
    places: range
    output_shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int


def blocks(rows: Sequence[LayerRow]) -> list[Block]:
    """Group the rows after the input by their parent module; rows without one as follows.

    A block ends with the pooling layer or the stride that downsamples its feature maps, as the
    course draws it. Its name is the size of its input maps; the flat rows at the end are called
    ``classifier``.
    """
    names = _block_names(rows)
    found: list[Block] = []
    start = 1
    for place in range(1, len(rows)):
        if place + 1 < len(rows) and names[place + 1] == names[start]:
            continue
        inside = rows[start : place + 1]
        found.append(
            Block(
                names[start],
                range(start, place + 1),
                inside[-1].output_shape,
                sum(row.parameters for row in inside),
                sum(row.multiply_adds for row in inside),
            )
        )
        start = place + 1
    return found


def _block_names(rows: Sequence[LayerRow]) -> list[str]:
    """Return the name of the block of each row."""
    names: list[str] = []
    size, is_over = "", True
    for row in rows:
        height, width, _ = row.input_shape or row.output_shape
        is_flat = (height, width) == (1, 1)
        # A companion stays with its layer, even if that layer ends a block.
        belongs = len(names) > 1 and row.kind in (*COMPANIONS, *_VIEWS)
        if not belongs and (is_over or is_flat):
            size = "classifier" if is_flat else f"{height}×{width}"
        if not belongs:
            is_over = row.kind == "input" or _shrinks(row)
        module, _, _ = row.name.rpartition(".")
        names.append("not in evaluation mode" if row.kind in NO_LAYERS else module or size)
    return names


def _shrinks(row: LayerRow) -> bool:
    """Whether a row downsamples, rather than only losing edge pixels without padding."""
    is_smaller = row.output_shape[:2] != (row.input_shape or row.output_shape)[:2]
    return is_smaller and ("pool" in row.kind or (row.stride or (1, 1)) != (1, 1))
