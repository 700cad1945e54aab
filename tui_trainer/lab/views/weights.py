"""The weights that a network uses, now and at its start, whatever it is written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.lab.context import Context
from tui_trainer.models.custom.error_lines import CustomModelError
from tui_trainer.models.tensors import magnitudes
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.protocol.layers import LayerRow

WEIGHTED = (*CONVOLUTIONS, "fully connected")
"""The kinds of layers whose weights are shown."""

FAINT = 0.01
"""A kernel whose norm is below this share of the layer's median is as good as none."""

ROWS = 16
"""Layers that a table has at most, the chosen one among them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a layer multiplies with.

    Attributes:
        place: The layer's place in the layer table.
        row: Its row there.
        now: Its kernels (kernels, channels, height, width), on the CPU. A fully connected layer has
            one of 1×1 for each unit; where it reads the image itself, one as large as that.
        start: The same before the first batch; None where it is not known.
    """

    place: int
    row: LayerRow
    now: Tensor
    start: Tensor | None

    @property
    def name(self) -> str:
        """The layer's name: no other has it."""
        return self.row.name

    @property
    def kernel_text(self) -> str:
        """The size of a kernel, as in ``3×3×16``."""
        _, channels, height, width = self.now.shape
        return f"{height}×{width}×{channels}"

    @property
    def is_nonfinite(self) -> bool:
        """Whether some weights are no finite numbers."""
        return not bool(torch.isfinite(self.now).all())


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is told of one kernel.

    Attributes:
        norm: ‖w‖, the square root of the sum of its squares.
        moved: ‖w − w₀‖ / ‖w₀‖; NaN where the start is not known.
        cosine: Of the angle between w and w₀; NaN likewise.
        is_faint: Whether it is next to nothing beside the others of its layer.
        is_dead: Whether its unit gives nothing on the sample; None while that is not known.
    """

    norm: float
    moved: float
    cosine: float
    is_faint: bool
    is_dead: bool | None = None

    @property
    def mark(self) -> str:
        """What it is marked with; empty where nothing is the matter."""
        return "dead" if self.is_dead else "faint" if self.is_faint else ""


def weights_of(context: Context, model: nn.Module) -> tuple[list[Weights], str]:
    """Return the weights of every layer that has some, and why those of the start are missing.

    They are taken from the operations that use them, so that it is all the same whether a module
    or a function does. What is used several times is told once, where it is used first.

    Args:
        context: What is looked at.
        model: A copy of its network.

    Returns:
        The weights in the order of the layers; the reason, empty where none is missing.
    """
    side, rows = context.data.image_size, context.layers
    black = context.data.prepare(torch.zeros(1, side, side, dtype=torch.uint8))
    now = _used(model, rows, black.to(context.device), side)
    start, reason = dict[int, Tensor](), ""
    try:
        start = _used(context.at_start(), rows, black.cpu(), side)
    except (InputError, CustomModelError) as error:
        reason = f"The start cannot be shown: {error}"
    if not reason and any(p not in start or start[p].shape != now[p].shape for p in now):
        start, reason = {}, "The start cannot be shown: the network is built in another way now."
    found = [Weights(place, rows[place], values, start.get(place)) for place, values in now.items()]
    return found, reason


def _used(
    model: nn.Module, rows: Sequence[LayerRow], image: Tensor, side: int
) -> dict[int, Tensor]:
    """Return the weights that are used on an image, by the place of the layer in its table."""
    found: dict[int, Tensor] = {}
    taken: list[Tensor] = []

    def reached(place: int, step: Step, result: Tensor) -> None:
        weight = step.call.arguments.get("weight")
        if place >= len(rows) or rows[place].kind not in WEIGHTED or not torch.is_tensor(weight):
            return
        if step.call.name not in ("conv2d", "linear") or any(weight is other for other in taken):
            return
        taken.append(weight)
        values = magnitudes(weight).clone().cpu()
        if values.ndim == 2:
            is_image = values.shape[1] == side * side and _reads_image(rows, place)
            shape = (1, side, side) if is_image else (-1, 1, 1)
            values = values.reshape(len(values), *shape)
        if values.ndim == 4:
            found[place] = values

    with torch.no_grad():
        trace(model, image, reached=reached)
    return found


def _reads_image(rows: Sequence[LayerRow], place: int) -> bool:
    """Whether a layer reads the image with nothing before it but a flattening."""
    return all(
        source == 0 or (rows[source].kind == "flatten" and rows[source].sources == (0,))
        for source in rows[place].sources
    )


def kernels_of(weights: Weights) -> list[Kernel]:
    """Return what is told of each kernel of a layer."""
    norms = weights.now.flatten(1).norm(dim=1)
    faint = norms <= FAINT * float(norms.median())
    unknown = float("nan")
    return [
        Kernel(
            norm=float(norms[number]),
            moved=unknown if weights.start is None else change(now, weights.start[number]),
            cosine=unknown if weights.start is None else cosine(now, weights.start[number]),
            is_faint=bool(faint[number]) and bool(torch.isfinite(norms[number])),
        )
        for number, now in enumerate(weights.now)
    ]


def around(place: int, total: int) -> slice:
    """Return which of so many layers a table has: those around the one at a place."""
    first = max(0, min(place - ROWS // 2, total - ROWS))
    return slice(first, first + ROWS)


def nothing_to_see() -> Exhibit:
    """Return what is shown of a network without such layers."""
    text = "It has no layer whose weights can be seen."
    return Exhibit(blocks=(Words(text=text),))


def change(now: Tensor, start: Tensor) -> float:
    """Return how far weights have moved, as a share of their norm then: ‖w − w₀‖ / ‖w₀‖."""
    norm = float(start.norm())
    return float((now - start).norm()) / norm if norm > 0 else float("nan")


def cosine(now: Tensor, start: Tensor) -> float:
    """Return the cosine of the angle by which weights have turned, w·w₀ / (‖w‖ ‖w₀‖)."""
    norms = float(now.norm()) * float(start.norm())
    return float((now * start).sum()) / norms if norms > 0 else float("nan")
