"""The layer table: its rows, and how they are folded into stages and blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

BUDGET = 20_000
"""The course's limit on parameters, which shares are measured against."""

COMPANIONS = ("batch norm", "relu", "activation", "dropout")
"""Kinds of layers that belong to the one before them: they change no shape."""

NO_LAYERS = ("unused", "training only")
"""Kinds of rows that hold parameters which no image meets in evaluation mode."""

_VIEWS = ("input", "flatten")
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels, from its first edges to its last; what is below 0 is off the image.

    The pixel in the image's first row and column has the edges 0 and 1.
    """

    top: float
    left: float
    bottom: float
    right: float

    def within(self, height: int, width: int) -> Box:
        """Return the part of it that lies on an image."""
        top, bottom = (min(max(0.0, edge), float(height)) for edge in (self.top, self.bottom))
        left, right = (min(max(0.0, edge), float(width)) for edge in (self.left, self.right))
        return Box(top, left, bottom, right)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of a network, in the order in which an image passes it.

    Pairs are down, then across. Lengths are in pixels of the input image. A run that was recorded
    by an older version tells only of the first five fields.

    Attributes:
        name: Its dotted name in the network; for an operation without a module of its own, that of
            the module it is in, and the operation: ``layer1.0.add``.
        kind: Its family: ``input``, ``conv``, ``depthwise``, ``max pool``, ``average pool``,
            ``batch norm``, ``relu``, ``activation``, ``dropout``, ``fully connected``, ``flatten``,
            ``softmax``, ``add``, ``multiply``, ``concatenate``, ``pad``, or the operation's name.
        kernel: Kernel and stride as text (``3×3``, ``3×3 /2``), empty where it has none.
        output_shape: Height, width, channels; (1, 1, n) for a flat output.
        parameters: How many numbers it learns.
        type: Its class (``Conv2d``), or the name of its function (``max_pool2d``).
        input_shape: Height, width, channels of the largest map that it reads.
        kernel_size: Of a convolution or a pool.
        stride: Likewise.
        padding: Likewise.
        dilation: Likewise.
        groups: Of a convolution: into how many its channels are split.
        bias: Whether a convolution or a fully connected layer adds one.
        multiply_adds: For one image, in all repeats: those of convolutions at every place, of fully
            connected layers for every token, of recurrent layers in every time step, and of
            products without weights; a bias counts one addition for each feature, a norm each
            parameter once. What is done element by element counts nothing.
        receptive_field: How many pixels one of its features sees; None where that is not defined.
        jump: How far the fields of two neighbouring features are apart.
        start: The centre of the first feature's field, 0 being the centre of the first pixel.
        undefined: Why there is no receptive field.
        unused: How many rows and columns at the end of its input no kernel reaches.
        sources: The places, in the table, of the rows whose output it reads.
        repeats: How often it is run, one time after the other, in a loop.
        over_batch: Whether it is a softmax or a normalization over the images of the batch.
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

    @property
    def shape_text(self) -> str:
        """The output in the course's notation, as in 28×28×16."""
        return shape_text(self.output_shape)

    @property
    def is_layer(self) -> bool:
        """Whether an image goes through it: it is neither the image nor what nothing reads."""
        return self.kind not in ("input", *NO_LAYERS)

    @property
    def kind_text(self) -> str:
        """Its kind, and how often it is run if that is more than once: ``linear × 783``."""
        return f"{self.kind} × {self.repeats:,}" if self.repeats > 1 else self.kind

    @property
    def activation_bytes(self) -> int:
        """What its output takes in memory, for one image, in bytes; a view of another's nothing."""
        numbers = 0 if self.kind in _VIEWS else math.prod(self.output_shape)
        return FLOAT_BYTES * numbers * self.repeats

    def box(self, row: int, column: int) -> Box | None:
        """Return what the feature at a row and column of its map sees; None if not defined."""
        if self.receptive_field is None or self.jump is None or self.start is None:
            return None
        (tall, wide), (down, across) = self.receptive_field, self.jump
        top = self.start[0] + row * down - (tall - 1) / 2
        left = self.start[1] + column * across - (wide - 1) / 2
        return Box(top, left, top + tall, left + wide)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the rows of a table add up to.

    Attributes:
        parameters: How many numbers the network learns.
        multiply_adds: For one image.
        activation_bytes: Of the outputs of all layers, for one image.
        receptive_field: Pixels down and across that a score sees; None where that is not defined.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, int] | None


def totals(rows: Sequence[LayerRow]) -> Totals:
    """Add up a table; it may be empty."""
    last = next((row for row in reversed(rows) if row.kind not in NO_LAYERS), None)
    return Totals(
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
        sum(row.activation_bytes for row in rows),
        last.receptive_field if last else None,
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer and the companions that follow it without changing the shape.

    Attributes:
        name: The first layer's name.
        what: Its kind and kernel, as in ``conv 3×3``.
        companions: The kinds that were folded into it.
        output_shape: Height, width, channels.
        parameters: The parameters of all of them together.
        multiply_adds: Of all of them together.
        receptive_field: Pixels down and across that a feature of the layer sees; None where that
            is not defined.
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
        """The output in the course's notation, as in 28×28×16."""
        return shape_text(self.output_shape)


def shape_text(shape: tuple[int, int, int]) -> str:
    """Return a shape in the course's notation, as in 28×28×16."""
    return "×".join(map(str, shape))


def stages(rows: Sequence[LayerRow]) -> list[Stage]:
    """Fold batch norm, ReLU and dropout into the layer before them, max pools left aside.

    The parameters of the stages add up to those of the network.
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
    """Neighbouring rows of the table that belong together, for a person to fold away.

    Attributes:
        name: The module they are in; or, where the network is flat, the size of their maps.
        places: Their places in the table, the first and the one after the last.
        output_shape: Of the last of them.
        parameters: Of all of them.
        multiply_adds: Of all of them.
    """

    name: str
    places: range
    output_shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int


def blocks(rows: Sequence[LayerRow]) -> list[Block]:
    """Group the rows after the input by the module they are in; where there is none, as follows.

    A block goes up to the pool, or the stride, that makes its maps smaller, as the course draws it.
    It is called by the size of the maps that come into it; the flat rest is called ``scores``.
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
    """Return the name of the block that each row is in."""
    names: list[str] = []
    size, is_over = "", True
    for row in rows:
        height, width, _ = row.input_shape or row.output_shape
        is_flat = (height, width) == (1, 1)
        # What belongs to a layer stays with it, even where the layer has ended a block.
        belongs = len(names) > 1 and row.kind in (*COMPANIONS, *_VIEWS)
        if not belongs and (is_over or is_flat):
            size = "scores" if is_flat else f"{height}×{width}"
        if not belongs:
            is_over = row.kind == "input" or _shrinks(row)
        module, _, _ = row.name.rpartition(".")
        names.append("not in evaluation mode" if row.kind in NO_LAYERS else module or size)
    return names


def _shrinks(row: LayerRow) -> bool:
    """Whether a row makes the map smaller on purpose, not just at its edges."""
    is_smaller = row.output_shape[:2] != (row.input_shape or row.output_shape)[:2]
    return is_smaller and ("pool" in row.kind or (row.stride or (1, 1)) != (1, 1))
