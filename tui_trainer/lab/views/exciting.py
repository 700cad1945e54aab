"""What excites a unit: how much an image does, and an image that is made to do it most."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.engine.evaluation import are_probabilities
from tui_trainer.models.numbers import tensors_in
from tui_trainer.protocol.layers import LayerRow

STEPS = 60
"""Steps of gradient ascent."""

RATE, BETAS = 0.05, (0.9, 0.999)
"""Its learning rate, in greys from 0 to 1, and what it remembers of former slopes (Adam)."""

ROUGHNESS, BRIGHTNESS = 2.0, 0.5
"""What the mean difference of neighbours, and the mean grey, take from what is climbed."""

JITTER_FROM = 9
"""A unit that sees so many pixels a side has its image moved by one pixel before each step."""

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Unit:
    """A channel of a layer, or a score.

    Attributes:
        place: Of the layer in the layer table; None for the network's scores.
        number: The channel, or the class.
    """

    place: int | None
    number: int


class _ReachedError(BaseException):
    """The layer was reached. No network's own ``except Exception`` is to hold it up."""

    def __init__(self, result: Tensor) -> None:
        super().__init__()
        self.result = result


def responses(
    network: nn.Module, rows: Sequence[LayerRow], unit: Unit, inputs: Tensor
) -> Tensor | None:
    """Return what a unit gives at each place of its map (N, h, w), with its gradient.

    Of a score it is what the network gives before a softmax, or the logarithm of a probability.

    Args:
        network: A copy of the network, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        inputs: Images as the network gets them (N, channels, H, W).

    Returns:
        What it gives; None where the layer is not reached, or gives neither maps nor a row.
    """
    if unit.place is None:
        scores = network(inputs)
        if are_probabilities(scores.detach()):
            scores = scores.clamp(min=EPSILON).log()
        found: Tensor | None = scores
    else:
        found = _result(network, rows, unit.place, inputs)
    if found is None or found.ndim not in (2, 4) or unit.number >= found.shape[1]:
        return None
    chosen = found[:, unit.number]
    return chosen[:, None, None] if chosen.ndim == 1 else chosen


def _result(
    network: nn.Module, rows: Sequence[LayerRow], place: int, inputs: Tensor
) -> Tensor | None:
    """Return the result of the layer at a place; what comes after it is not run."""
    module = dict(network.named_modules()).get(rows[place].name)

    def hooked(module: nn.Module, given: object, result: object) -> None:
        if (first := next(tensors_in(result), None)) is not None:
            raise _ReachedError(first)

    def reached(at: int, step: Step, result: Tensor) -> None:
        if at == place:
            raise _ReachedError(result)

    # A row has its module's own name where that is all that it does, for the first time.
    handle = None if module is None else module.register_forward_hook(hooked)
    try:
        if handle is None:
            trace(network, inputs, reached=reached)
        else:
            network(inputs)
    except _ReachedError as found:
        return found.result
    finally:
        if handle is not None:
            handle.remove()
    return None


def made(
    network: nn.Module,
    rows: Sequence[LayerRow],
    unit: Unit,
    start: Tensor,
    *,
    black: float,
    white: float,
    scale: float,
    is_moved: bool,
    part: int,
) -> Generator[Tensor, None, None]:
    """Climb from noise to an image that excites a unit most; yield it (N, 1, H, H) on the way.

    The unit is the one in the middle of its map. What is climbed is its value in units of
    ``scale``, less a little for roughness (total variation) and for brightness; greys stay between
    0 and 1. A picture made so shows what moves the unit, not what it meets in digits.

    Source: D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a
    deep network" (2009); total variation: A. Mahendran, A. Vedaldi, "Understanding deep image
    representations by inverting them", CVPR 2015.

    Args:
        network: A copy of the network, in evaluation mode.
        rows: Its layer table.
        unit: The unit.
        start: Greys from 0 to 1 to begin from (N, channels, H, H).
        black: What a black pixel is to the network.
        white: What a white one is.
        scale: How much the unit differs from image to image.
        is_moved: Whether the image is moved about by a pixel, so that nothing hangs on one.
        part: Steps before it yields.
    """
    greys = start.clone().requires_grad_(True)
    # By hand: the first step of one of torch's optimizers imports for seconds.
    first, second = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, STEPS + 1):
        with torch.enable_grad():
            moves = torch.randint(-1, 2, (2,)).tolist() if is_moved else [0, 0]
            moved = greys.roll(moves, dims=(2, 3))
            values = responses(network, rows, unit, black + (white - black) * moved)
            if values is None or not values.requires_grad:
                return
            middle = values[:, values.shape[1] // 2, values.shape[2] // 2]
            height = (middle / scale - _price(greys)).sum()
            (slope,) = torch.autograd.grad(-height, greys, allow_unused=True)
        if slope is None:
            return
        first.lerp_(slope, 1 - BETAS[0])
        second.lerp_(slope**2, 1 - BETAS[1])
        mean, square = first / (1 - BETAS[0] ** step), second / (1 - BETAS[1] ** step)
        with torch.no_grad():
            greys.sub_(RATE * mean / (square.sqrt() + EPSILON)).clamp_(0, 1)
        if step % part == 0 or step == STEPS:
            yield greys.detach().clone()


def _price(greys: Tensor) -> Tensor:
    """Return what the roughness and the brightness of each image cost (N)."""
    down = (greys[:, :, 1:] - greys[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (greys[:, :, :, 1:] - greys[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return ROUGHNESS * (down + across) + BRIGHTNESS * greys.mean(dim=(1, 2, 3))
