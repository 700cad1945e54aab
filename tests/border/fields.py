"""The pixels that the last maps of a composed model see, counted independently of the package.

The model's text is rewritten to compute in float64, and its weights are randomized, all positive
in every other round. A pixel is seen by one position of the last maps if that has a gradient with
respect to it in any of many random images (a maximum or a ReLU that hides it in one image does
not in others), or changes with the pixel (detached values and indices have no gradient).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tests.anatomy.comparing import bounds
from tests.border.generator import LAST, Composed
from tests.border.writer import SIDE
from tui_trainer.protocol.layers import Box

IMAGES = 256
MOST_ROUNDS = 12
"""Batches of images, each with other weights: a pixel without a gradient in all is not seen."""

ROUNDING = 1e-11
"""A share of the largest value: smaller changes are rounding."""

_WIDER = (
    (r'torch\.autocast\("cpu", dtype=torch\.bfloat16\)', 'torch.autocast("cpu", enabled=False)'),
    (r"\.(float|half|bfloat16)\(\)", ".double()"),
    (r"torch\.(float32|float16|bfloat16)", "torch.float64"),
    (r"torch\.complex64", "torch.complex128"),
)
_STATISTICS = (*("batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm"),)


class _StatisticsGiven(TorchFunctionMode):
    """Norms do not mix positions: the layer table takes their statistics as given."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in _STATISTICS:
            return args[0]
        return func(*args, **(kwargs or {}))


def widened(source: str) -> str:
    """Return a model's text, rewritten to compute in float64."""
    for pattern, wide in _WIDER:
        source = re.sub(pattern, wide, source)
    return source


def field_problem(composed: Composed, measured: Tensor) -> str:
    """Return the problem with the reported field of the middle of the last maps.

    It must see all pixels with a gradient, and only those and the pixels whose change changes it.

    Args:
        composed: The model.
        measured: (SIDE, SIDE) of bool.

    Returns:
        A short text; empty if there is no problem.
    """
    least = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    most = least.clone()
    for number in range(MOST_ROUNDS):
        rng = torch.Generator().manual_seed(number)
        model = _model(composed, number)
        least |= _with_gradient(model, rng)
        most |= least | _with_change(model, rng)
        if bool((least & ~measured).any()):
            return f"sees {_size(measured)} pixels, counted {_size(least)}"
        if number and not bool((measured & ~most).any()):
            return ""
    return f"sees {_size(measured)} pixels, counted {_size(most)}"


def box_problem(composed: Composed, box: Box) -> str:
    """Return the pixels with a gradient outside a box of the layer table, as a short text."""
    rng = torch.Generator().manual_seed(0)
    edges = bounds(_with_gradient(_model(composed, 0), rng))
    if edges is None:
        return ""
    before = box.top <= edges.top and box.left <= edges.left
    behind = box.bottom >= edges.bottom and box.right >= edges.right
    return "" if before and behind else f"reported field {box}, counted {edges}"


def _size(seen: Tensor) -> str:
    down, across = int(seen.any(1).sum()), int(seen.any(0).sum())
    return f"{int(seen.sum())} in {down}×{across}"


def _with_gradient(model: nn.Module, rng: torch.Generator) -> Tensor:
    """Return the pixels that have a gradient in any of many images."""
    images = torch.rand(IMAGES, 1, SIDE, SIDE, generator=rng, dtype=torch.float64)
    # In some images, the pixels differ so much that each is once the maximum of its window.
    images[IMAGES // 2 :] = 10 ** (4 * images[IMAGES // 2 :] - 2)
    images.requires_grad_()
    place = _middle(model, images.clone())
    weights = torch.rand(place.shape[1], generator=rng, dtype=torch.float64) + 0.5
    value = (place * weights).sum()
    if not value.requires_grad:
        return torch.zeros(SIDE, SIDE, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(value, images, allow_unused=True)
    if gradient is None:
        return torch.zeros(SIDE, SIDE, dtype=torch.bool)
    return (gradient != 0).any(dim=0)[0]


@torch.no_grad()
def _with_change(model: nn.Module, rng: torch.Generator) -> Tensor:
    """Return the pixels of an image whose change alone changes the position."""
    image = torch.rand(SIDE * SIDE, generator=rng, dtype=torch.float64)
    images = image + torch.diag(torch.full((SIDE * SIDE,), 0.4, dtype=torch.float64))
    images = torch.cat([image[None], images]).view(-1, 1, SIDE, SIDE)
    torch.manual_seed(0)
    place = _middle(model, images)
    change = (place[1:] - place[:1]).abs().amax(dim=1)
    return (change > ROUNDING * place.abs().max()).view(SIDE, SIDE)


def _middle(model: nn.Module, images: Tensor) -> Tensor:
    maps = _last_maps(model, images)
    return maps[:, :, maps.shape[-2] // 2, maps.shape[-1] // 2]


def _last_maps(model: nn.Module, images: Tensor) -> Tensor:
    """Return the output of the last maps' layer in a forward pass."""
    found: list[Tensor] = []
    layer = model.get_submodule(LAST)
    handle = layer.register_forward_hook(lambda module, given, maps: found.append(maps))
    with _StatisticsGiven():
        model(images)
    handle.remove()
    return found[-1]


def _model(composed: Composed, number: int) -> nn.Module:
    """Build the model in float64, in evaluation mode; with positive weights for even numbers."""
    module: dict[str, Any] = {"__name__": composed.name}
    torch.manual_seed(number)
    torch.set_default_dtype(torch.float64)
    try:
        exec(compile(widened(composed.source), composed.name, "exec"), module)
        model: nn.Module = module["Net"]()
        model.eval()
        with torch.no_grad():
            model(torch.rand(2, 1, SIDE, SIDE))  # lazy layers
            for name, parameter in model.named_parameters():
                _draw(name, parameter)
                if number % 2 and parameter.is_floating_point():
                    parameter.mul_(torch.randint(0, 2, parameter.shape) * 2 - 1)
            for name, buffer in model.named_buffers():
                if name.endswith("_mask"):
                    buffer.fill_(1)
    finally:
        torch.set_default_dtype(torch.float32)
    return model


def _draw(name: str, parameter: Tensor) -> None:
    if parameter.is_complex():
        torch.view_as_real(parameter).uniform_(0.5, 1.5)
    elif parameter.is_floating_point():
        fan = max(1, parameter[0].numel()) if parameter.dim() > 1 and len(parameter) else 1
        parameter.uniform_(0.5, 1.5).div_(fan)
        if name.endswith("bias"):
            parameter.mul_(0.01)
