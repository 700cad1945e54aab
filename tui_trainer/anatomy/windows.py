"""The kernels that convolutions and pools slide over a map, read from their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.anatomy import shapes
from tui_trainer.anatomy.field import Field, Undefined
from tui_trainer.anatomy.sliding import pooled_to

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A kernel and how it slides; pairs are down, then across.

    Attributes:
        kernel: Its height and width.
        stride: From one of its places to the next.
        padding: How much is added before the map's first row and column.
        dilation: From one of its weights to the next.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def steps(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Kernel, stride, padding and dilation, down and across."""
        down, across = zip(self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return down, across

    def unreached(self, size: Pair, places: Pair) -> Pair:
        """Return how many of the map's last rows and columns none of its places reaches.

        Args:
            size: Rows and columns of the map.
            places: How many places the kernel has down and across.
        """
        left = []
        for (kernel, stride, before, dilation), length, count in zip(
            self.steps, size, places, strict=True
        ):
            end = (count - 1) * stride + dilation * (kernel - 1) + 1 - before
            left.append(max(0, length - end))
        return left[0], left[1]


def convolution(
    arguments: Mapping[str, Any], shape: tuple[int, ...], field: Field | None
) -> Window:
    """Return a two-dimensional convolution's kernel."""
    height, width = arguments["weight"].shape[-2:]
    dilation = _pair(arguments.get("dilation", 1))
    padding = arguments.get("padding", 0)
    if padding == "same":  # torch adds the odd one behind
        padding = (dilation[0] * (height - 1) // 2, dilation[1] * (width - 1) // 2)
    elif padding == "valid":
        padding = 0
    return Window((height, width), _pair(arguments.get("stride", 1)), _pair(padding), dilation)


def pool(arguments: Mapping[str, Any], shape: Shape, field: Field | None) -> Window:
    """Return a two-dimensional pool's kernel."""
    kernel = _pair(arguments["kernel_size"])
    stride = arguments.get("stride")
    return Window(
        kernel,
        _pair(stride) if stride else kernel,
        _pair(arguments.get("padding", 0)),
        _pair(arguments.get("dilation", 1)),
    )


def adaptive(arguments: Mapping[str, Any], shape: Shape, field: Field | None) -> Window:
    """Return the kernel of a pool that is told the size of its output.

    Raises:
        Undefined: If its places differ in size: then no one kernel does what it does.
    """
    wanted = arguments["output_size"]
    down, across = (wanted, wanted) if isinstance(wanted, int) else tuple(wanted)
    height, width = shape[-2:]
    down, across = down or height, across or width
    steps = [pooled_to(height, down), pooled_to(width, across)]
    if None in steps:
        raise Undefined(f"{height}×{width} features do not divide into {down}×{across} places")
    kernel, stride, padding, _ = zip(*(step for step in steps if step), strict=True)
    return Window(_pair(kernel), _pair(stride), _pair(padding))


def reduced(
    arguments: Mapping[str, Any], shape: tuple[int, ...], field: Field | None
) -> Window | None:
    """Return the kernel of a mean over rows and columns, None for one over anything else."""
    dims = shapes.dims_of(arguments.get("dim"), len(shape))
    if dims is None or field is None or field.down.dim == field.across.dim:
        return None
    down, across = (axis.features if axis.dim in dims else 1 for axis in field.axes)
    over = any(axis.dim in dims for axis in field.axes)
    return Window((down, across), (down, across)) if over else None


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    return (int(value[0]), int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
