"""The weights that a model uses, now and at initialization, in modules or functional calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.context import Context
from tui_trainer.models.custom.error_lines import CustomModelError
from tui_trainer.models.input_spec import ImageShape
from tui_trainer.models.tensors import magnitudes
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.protocol.layers import LayerRow

_DRAWN = ("conv1d", "conv2d", "linear")
"""The functions whose weights are drawn."""

WEIGHTED = (*CONVOLUTIONS, "fully connected")
"""The kinds of layers whose weights are shown."""

NEAR_ZERO = 0.01
"""A kernel with a norm below this share of the layer's median has no effect."""

ROWS = 16
"""Most rows of a table, the selected layer included."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a layer.

    Attributes:
        place: The index of the layer in the layer table.
        row: Its row there.
        now: The current kernels (kernels, channels, height, width), on the CPU. A fully connected
            layer has a 1×1 kernel for each unit, or one of the image size if it reads the image.
        start: The initial kernels; None if unknown.
    """

    place: int
    row: LayerRow
    now: Tensor
    start: Tensor | None

    @property
    def name(self) -> str:
        """The layer's unique name."""
        return self.row.name

    @property
    def kernel_text(self) -> str:
        """The size of a kernel, as in ``3×3×16``."""
        _, channels, height, width = self.now.shape
        return f"{height}×{width}×{channels}"

    @property
    def is_nonfinite(self) -> bool:
        """Whether some weights are not finite."""
        return not bool(torch.isfinite(self.now).all())


@dataclass(frozen=True, slots=True)
class Kernel:
    """Statistics of one kernel.

    Attributes:
        norm: ‖w‖, the square root of the sum of its squares.
        moved: ‖w − w₀‖ / ‖w₀‖; NaN if w₀ is unknown.
        cosine: The cosine of the angle between w and w₀; NaN if w₀ is unknown.
        is_near_zero: Whether its norm is negligible compared to the others of its layer.
        is_dead: Whether its unit is inactive on the whole sample; None while unknown.
    """

    norm: float
    moved: float
    cosine: float
    is_near_zero: bool
    is_dead: bool | None = None

    @property
    def mark(self) -> str:
        """The mark of the kernel; empty if it is normal."""
        return "dead" if self.is_dead else "near zero" if self.is_near_zero else ""


def weights_of(context: Context, model: nn.Module) -> tuple[list[Weights], str]:
    """Return the weights of every layer, and the reason if the initial ones are unavailable.

    They are read from the traced operations, so modules and functional calls work alike. A weight
    that is used several times is returned once, at its first use.

    Args:
        context: The context of the view.
        model: A copy of its model.

    Returns:
        The weights in layer order; the reason, empty if the initial weights are available.
    """
    shape, rows = context.data.shape, context.layers
    black = context.data.prepare(context.digits.images[:1])
    now = _used(model, rows, black.to(context.device), shape)
    start, reason = dict[int, Tensor](), ""
    try:
        start = _used(context.initial_model(), rows, black.cpu(), shape)
    except (InputError, CustomModelError) as error:
        reason = f"The initial weights cannot be shown: {error}"
    if not reason and any(p not in start or start[p].shape != now[p].shape for p in now):
        start, reason = (
            {},
            "The initial weights cannot be shown: the model is built differently now.",
        )
    found = [Weights(place, rows[place], values, start.get(place)) for place, values in now.items()]
    return found, reason


def _used(
    model: nn.Module, rows: Sequence[LayerRow], image: Tensor, image_shape: ImageShape
) -> dict[int, Tensor]:
    """Return the weights used in a forward pass, by the index of the layer in the table."""
    height, width, channels = image_shape
    found: dict[int, Tensor] = {}
    taken: list[Tensor] = []

    def reached(place: int, step: Step, result: Tensor) -> None:
        weight = step.call.arguments.get("weight")
        if place >= len(rows) or rows[place].kind not in WEIGHTED or not torch.is_tensor(weight):
            return
        if step.call.name not in ("conv1d", "conv2d", "linear") or any(
            weight is other for other in taken
        ):
            return
        taken.append(weight)
        values = magnitudes(weight).clone().cpu()
        if values.ndim == 2:
            is_image = values.shape[1] == prod(image_shape) and _reads_image(rows, place)
            shape = (channels, height, width) if is_image else (-1, 1, 1)
            values = values.reshape(len(values), *shape)
        elif values.ndim == 3:  # of conv1d: kernels of one row
            values = values.unsqueeze(2)
        if values.ndim == 4:
            found[place] = values

    with torch.no_grad():
        trace(model, image, reached=reached)
    return found


def _reads_image(rows: Sequence[LayerRow], place: int) -> bool:
    """Whether a layer reads the image directly or after a flatten only."""
    return all(
        source == 0 or (rows[source].kind == "flatten" and rows[source].sources == (0,))
        for source in rows[place].sources
    )


def reads_color(context: Context, weights: Weights) -> bool:
    """Whether the channels of a layer's kernels are the red, green and blue of the images."""
    _, channels, height, width = weights.now.shape
    return (
        channels == context.data.shape[2] == 3
        and height * width > 1
        and _reads_image(context.layers, weights.place)
    )


def kernels_of(weights: Weights) -> list[Kernel]:
    """Return the statistics of each kernel of a layer."""
    norms = weights.now.flatten(1).norm(dim=1)
    near_zero = norms <= NEAR_ZERO * float(norms.median())
    unknown = float("nan")
    return [
        Kernel(
            norm=float(norms[number]),
            moved=unknown if weights.start is None else change(now, weights.start[number]),
            cosine=unknown if weights.start is None else cosine(now, weights.start[number]),
            is_near_zero=bool(near_zero[number]) and bool(torch.isfinite(norms[number])),
        )
        for number, now in enumerate(weights.now)
    ]


def around(place: int, total: int) -> slice:
    """Return the rows of a table of ``total`` layers around the one at ``place``."""
    first = max(0, min(place - ROWS // 2, total - ROWS))
    return slice(first, first + ROWS)


def nothing_to_see() -> Exhibit:
    """Return what is shown for a model without such layers."""
    text = "The network has no layer whose weights can be shown."
    return Exhibit(blocks=(Words(text=text),))


def change(now: Tensor, start: Tensor) -> float:
    """Return the relative change of the weights, ‖w − w₀‖ / ‖w₀‖."""
    norm = float(start.norm())
    return float((now - start).norm()) / norm if norm > 0 else float("nan")


def cosine(now: Tensor, start: Tensor) -> float:
    """Return the cosine similarity w·w₀ / (‖w‖ ‖w₀‖)."""
    norms = float(now.norm()) * float(start.norm())
    return float((now * start).sum()) / norms if norms > 0 else float("nan")
