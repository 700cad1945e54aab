"""How a network can end: what stands between its last map and the scores, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONVOLUTION, KERNEL, CONNECTED, AVERAGE = ENDINGS = (
    "one more conv",
    "map-sized",
    "fully connected",
    "average",
)
"""The endings by name, as a reader chooses among them."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What leads from a map to the scores.

    Attributes:
        name: One of :data:`ENDINGS`.
        layers: Its layers in a few words.
        parameters: How many numbers it learns.
        multiply_adds: For one image, as the layer table counts them: each weight of a convolution
            once for each place of its output, any other parameter once.
    """

    name: str
    layers: str
    parameters: int
    multiply_adds: int


def endings(height: int, width: int, channels: int, classes: int) -> tuple[Ending, ...]:
    """Return the endings for a map of ``channels``, in the order of :data:`ENDINGS`.

    With C channels and K classes: a 3×3 convolution has 9·C·K weights, used at every place; a
    kernel of the map's size H·W·C·K, used once; a fully connected layer the same and K biases, for
    it is the same sum; behind the mean of each map C·K weights and K biases are enough.
    """
    places, weights = height * width, channels * classes
    last = f"{channels} → {classes}"
    return (
        Ending(CONVOLUTION, f"conv 3×3, {last}; mean", 9 * weights, 9 * weights * places),
        Ending(KERNEL, f"conv {height}×{width}, {last}", places * weights, places * weights),
        Ending(
            CONNECTED,
            f"all {places * channels:,} → {classes}",
            places * weights + classes,
            places * weights + classes,
        ),
        Ending(AVERAGE, f"means, {last}", weights + classes, weights + classes),
    )


def place_to_stop(
    maps: Sequence[tuple[int, int]],
    fields: Sequence[tuple[int, int] | None],
    extent: tuple[int, int],
    most: int = 7,
) -> int | None:
    """Return the first layer behind which convolving may stop; None if there is none.

    That is where a feature sees all that is to be told apart, and the map is so small that a larger
    kernel, or a mean, has only few places to join.

    Args:
        maps: Height and width of each layer's map.
        fields: The receptive field of each, in pixels; None where it is not defined.
        extent: Height and width of what is to be seen, in pixels.
        most: The longest side of such a map: 7 in the course.
    """
    for place, (size, field) in enumerate(zip(maps, fields, strict=True)):
        sees = field is not None and field[0] >= extent[0] and field[1] >= extent[1]
        if sees and max(size) <= most:
            return place
    return None
