"""The heads that a model can have between its last map and the logits, and their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONVOLUTION, KERNEL, CONNECTED, AVERAGE = HEADS = (
    "one more conv",
    "map-sized",
    "fully connected",
    "average",
)
"""The names of the heads, as the reader chooses them."""


@dataclass(frozen=True, slots=True)
class Head:
    """The layers from the last map to the logits.

    Attributes:
        name: One of :data:`HEADS`.
        layers: Its layers in a few words.
        parameters: Its number of parameters.
        multiply_adds: For one image, as in the layer table: each weight of a convolution once per
            output position, any other parameter once.
    """

    name: str
    layers: str
    parameters: int
    multiply_adds: int


def heads(height: int, width: int, channels: int, classes: int) -> tuple[Head, ...]:
    """Return the heads for a last map, in the order of :data:`HEADS`.

    With C channels and K classes, a 3×3 convolution has 9·C·K weights, used at every position. A
    map-sized kernel has H·W·C·K weights, used once. A fully connected layer computes the same sum
    and adds K biases. After global average pooling, C·K weights and K biases are enough.
    """
    places, weights = height * width, channels * classes
    last = f"{channels} → {classes}"
    return (
        Head(CONVOLUTION, f"conv 3×3, {last}; mean", 9 * weights, 9 * weights * places),
        Head(KERNEL, f"conv {height}×{width}, {last}", places * weights, places * weights),
        Head(
            CONNECTED,
            f"all {places * channels:,} → {classes}",
            places * weights + classes,
            places * weights + classes,
        ),
        Head(AVERAGE, f"means, {last}", weights + classes, weights + classes),
    )


def place_to_stop(
    maps: Sequence[tuple[int, int]],
    fields: Sequence[tuple[int, int] | None],
    extent: tuple[int, int],
    most: int = 7,
) -> int | None:
    """Return the index of the first layer after which convolving may stop; None if there is none.

    There the receptive field covers the object, and the map is so small that a larger kernel or a
    mean has only a few positions to combine.

    Args:
        maps: Height and width of the map of each layer.
        fields: The receptive field of each layer, in pixels; None if it is undefined.
        extent: Height and width of the object, in pixels.
        most: The longest side of such a map: 7 in the course.
    """
    for place, (size, field) in enumerate(zip(maps, fields, strict=True)):
        sees = field is not None and field[0] >= extent[0] and field[1] >= extent[1]
        if sees and max(size) <= most:
            return place
    return None
