"""One step of one kernel in the first layer of the run's model, on a copy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.lab.context import SEED, Context
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import seed_all

BATCH_SIZE = 8
"""Digits in the batch: enough for batch norm, and few, because double precision is slow."""

EPSILONS = {torch.float64: 1e-7, torch.float32: 1e-2}
"""Step of the central finite difference: large enough to exceed rounding errors, and small enough
to cross no kink of a ReLU or a pool, of which a model has very many."""

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True, slots=True)
class FirstLayer:
    """The first layer with weights, and a batch of digits.

    Attributes:
        model: A copy of the whole model on the CPU, in training mode.
        name: The dotted name of the layer.
        layer: The layer.
        positions: The number of positions of an image at which its weights are used.
        images: The batch (N, 1, H, H).
        labels: Its classes (N).
        smoothing: The label smoothing of the run.
    """

    model: nn.Module
    name: str
    layer: Layer
    positions: int
    images: Tensor
    labels: Tensor
    smoothing: float

    def loss(self) -> Tensor:
        """Return the mean loss of the batch; dropout drops the same features each time."""
        seed_all(SEED)
        logits = self.model(self.images)
        return functional.cross_entropy(logits, self.labels, label_smoothing=self.smoothing)

    def loss_with(self, kernel: int, weights: Tensor) -> float:
        """Return the loss with other weights in one kernel, then restore the kernel."""
        original = self.layer.weight.detach()[kernel].clone()
        with torch.no_grad():
            self.layer.weight[kernel] = weights
            loss = float(self.loss())
            self.layer.weight[kernel] = original
        return loss


@dataclass(frozen=True, slots=True)
class KernelStep:
    """One step of gradient descent of one kernel; all other weights stay fixed.

    Attributes:
        before: Its weights (channels, height, width), or (1, height, width) of a unit.
        gradient: ∂loss/∂weight, of the same shape.
        lr: The learning rate.
        loss_before: The mean loss of the batch.
        loss_after: The same after the step.
        steepest: The index of the largest gradient in the flattened kernel.
        finite: The finite difference at this index.
    """

    before: Tensor
    gradient: Tensor
    lr: float
    loss_before: float
    loss_after: float
    steepest: int
    finite: float

    @property
    def update(self) -> Tensor:
        """The update that is added to the weights."""
        return -self.lr * self.gradient

    @property
    def after(self) -> Tensor:
        """The weights after the update."""
        return self.before + self.update


def first_layer(context: Context, model: nn.Module) -> FirstLayer | None:
    """Return the first layer with weights on the path of an image; None if there is none.

    It runs in double precision if the model can, else in single precision.
    """
    train = context.data.train
    images = context.data.prepare(train.images[:BATCH_SIZE]).cpu()
    labels = train.labels[:BATCH_SIZE].cpu()
    for kind in EPSILONS:
        copy = copy_model(model).cpu()
        copy = copy.double() if kind is torch.float64 else copy.float()
        begin_training(copy)
        try:
            reached = _first_reached(copy, images[:2].to(kind))
        except RuntimeError:  # The model creates tensors of a fixed dtype or device.
            continue
        if reached is None:
            return None
        name, layer, positions = reached
        layer.weight.requires_grad_()
        smoothing = context.config.label_smoothing
        return FirstLayer(copy, name, layer, positions, images.to(kind), labels, smoothing)
    return None


def _first_reached(model: nn.Module, images: Tensor) -> tuple[str, Layer, int] | None:
    """Return the name of the layer that a batch reaches first, the layer, and its positions."""
    reached: list[tuple[str, Layer, int]] = []
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, Layer) and isinstance(module.weight, nn.Parameter):

            def note(module: Layer, _: object, output: Tensor, name: str = name) -> None:
                positions = math.prod(output.shape[2:]) if isinstance(module, nn.Conv2d) else 1
                reached.append((name, module, positions))

            hooks.append(module.register_forward_hook(note))
    with torch.no_grad():
        seed_all(SEED)
        model(images)
    for hook in hooks:
        hook.remove()
    return reached[0] if reached else None


def kernel_step(first: FirstLayer, kernel: int, lr: float) -> KernelStep:
    """Return one step of a kernel, the loss before and after, and a finite difference."""
    with torch.enable_grad():
        loss = first.loss()
        slopes = torch.zeros_like(first.layer.weight)
        if loss.requires_grad:
            (found,) = torch.autograd.grad(loss, first.layer.weight, allow_unused=True)
            slopes = slopes if found is None else found
    before = first.layer.weight.detach()[kernel].clone()
    slope = slopes[kernel]
    steepest = int(slope.abs().flatten().argsort(descending=True, stable=True)[0])
    epsilon = torch.zeros(before.numel(), dtype=before.dtype)
    epsilon[steepest] = EPSILONS[before.dtype]
    epsilon = epsilon.view_as(before)
    up, down = (first.loss_with(kernel, before + sign * epsilon) for sign in (1, -1))
    return KernelStep(
        before=_as_maps(before),
        gradient=_as_maps(slope),
        lr=lr,
        loss_before=float(loss.detach()),
        loss_after=first.loss_with(kernel, before - lr * slope),
        steepest=steepest,
        finite=(up - down) / (2 * EPSILONS[before.dtype]),
    )


def _as_maps(weights: Tensor) -> Tensor:
    """Return a kernel unchanged, and the weights of a unit as one map, square if possible."""
    if weights.dim() == 3:
        return weights
    side = math.isqrt(weights.numel())
    return weights.view(1, side, side) if side**2 == weights.numel() else weights.view(1, 1, -1)
