"""Check a model's gradient against its loss, and its initial weights.

A custom backward pass (an ``autograd.Function``, a hook) can return another gradient than that of
cross-entropy: of another loss, with the wrong sign, scaled or clipped. The loss itself shows that.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import train_alone
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.tensors import as_real, can_require_grad, gradient_of
from tui_trainer.models.unregistered_state import preserve_globals

CHANGES = (1e-2, 1e-3)
"""Changes of the loss, in nats, that the two step sizes should make."""

LARGEST_STEP = 1e-2
"""The largest step, as a share of the norm of the weights."""

AGREE = 0.3
"""The relative difference between the two results up to which they are one."""

PARALLEL = 1e-3
"""The share of a gradient outside one direction up to which rounding explains it."""

Loss = Callable[[Tensor, Tensor], Tensor]


def gradient_ratio(model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Loss) -> float | None:
    """Return the slope of the loss along its gradient, divided by the gradient's norm.

    The slope is a central difference in training mode, with the same random numbers in each pass. 1
    means that the gradient is that of the loss; below 0 it points uphill; None if two step sizes
    disagree, or if the gradient is 0 or not finite.

    Args:
        model: The model; a copy is used.
        images: Its input (N, channels, H, W).
        labels: Their classes (N).
        loss_fn: The loss of logits and labels.

    Raises:
        Exception: Any error of the model.
    """
    with preserve_rng_state(images.device), preserve_globals(model):
        twin = copy_model(model)
        learnable = [p for p in twin.parameters() if p.requires_grad and can_require_grad(p)]
        for parameter in learnable:
            parameter.grad = None

        def loss() -> Tensor:
            seed_all(0)
            return loss_fn(twin(images.clone()), labels)

        loss().backward()  # type: ignore[no-untyped-call]
        moved = [p for p in learnable if p.grad is not None and p.grad.layout == torch.strided]
        gradients = [p.grad.detach().clone() for p in moved if p.grad is not None]
        norm, size = _norm(gradients), _norm([p.detach() for p in moved])
        if not 0 < norm < float("inf"):
            return None
        ratios = []
        for change in CHANGES:
            step = min(change / norm, LARGEST_STEP * size or 1.0)
            ends = []
            with torch.no_grad():
                for factor in (step, -2 * step, step):
                    for parameter, gradient in zip(moved, gradients, strict=True):
                        parameter.add_(gradient, alpha=factor / norm)
                    ends.append(float(loss()))
            ratios.append((ends[0] - ends[1]) / (2 * step * norm))
    low, high = sorted(ratios, key=abs)
    agree = low * high > 0 and abs(high - low) <= AGREE * abs(high)
    return ratios[0] if agree else None


def _norm(tensors: list[Tensor]) -> float:
    total = sum(float(as_real(t).double().square().sum()) for t in tensors)
    return float(total**0.5)


def equal_units(model: nn.Module, images: Tensor, labels: Tensor, loss_fn: Loss) -> tuple[str, ...]:
    """Return the weights whose units are all equal and stay so, or nearly so.

    Units with equal weights remain one unit (its symmetry) if their gradients are parallel. Weights
    of zeros behind which the units differ, as the last ones of a residual branch, are a usual
    initialization: there the gradients are not parallel.

    Args:
        model: The model; a copy is used.
        images: Its input (N, channels, H, W).
        labels: Their classes (N).
        loss_fn: The loss of logits and labels.

    Raises:
        Exception: Any error of the model.
    """
    equal = [
        name
        for name, p in model.named_parameters()
        if p.ndim >= 2
        and len(p) > 1
        and p[0].numel() > 1
        and can_require_grad(p)
        and bool((p == p[:1]).all())
    ]
    if not equal:
        return ()
    with preserve_rng_state(images.device), preserve_globals(model):
        twin = copy_model(model)
        seed_all(0)
        loss_fn(twin(images.clone()), labels).backward()  # type: ignore[no-untyped-call]
    found = dict(twin.named_parameters())
    return tuple(name for name in equal if _is_parallel(gradient_of(found[name])))


def _is_parallel(gradient: Tensor | None) -> bool:
    """Return whether all rows of a gradient are parallel; one without elements is."""
    if gradient is None:
        return False
    rows = gradient.flatten(1).double()
    largest = rows[rows.norm(dim=1).argmax()]
    size = float(largest.norm())
    if not size:
        return True
    rest = rows - torch.outer(rows @ largest / size**2, largest)
    return float(rest.norm()) <= PARALLEL * float(rows.norm())


def frozen_statistics(model: nn.Module) -> tuple[str, ...]:
    """Return the batch norms whose running statistics are no average: momentum 0 or 1."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.track_running_stats
        and module.momentum in (0, 1)
    )


@torch.no_grad()
def training_gap(model: nn.Module, images: Tensor) -> tuple[float, float]:
    """Compare training mode with evaluation mode, where norms and dropout are in evaluation mode.

    What differs then is in the model's own ``forward``: a transform that only training images get.

    Returns:
        The gap between both modes, and between two passes in training mode with different random
        numbers. A gap is the greatest difference between two logits, divided by the greatest one
        between two logits of an image.

    Raises:
        Exception: Any error of the model.
    """

    def logits(seed: int, *, training: bool) -> Tensor:
        twin = copy_model(model)
        if training:
            train_alone(twin)
        else:
            twin.eval()
        seed_all(seed)
        found: Tensor = twin(images.clone())
        return found.float().nan_to_num()

    with preserve_rng_state(images.device), preserve_globals(model):
        evaluated = logits(0, training=False)
        first, again = (logits(seed, training=True) for seed in (0, 1))
    spread = float((evaluated.amax(dim=1) - evaluated.amin(dim=1)).amax()) or 1.0
    gaps = [
        float((one - other).abs().max()) / spread
        for one, other in ((first, evaluated), (first, again))
    ]
    return gaps[0], gaps[1]
