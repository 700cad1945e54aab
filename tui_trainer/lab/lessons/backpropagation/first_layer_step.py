"""One step of one kernel of the first layer of the run's network, worked out on a copy."""

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

BATCH = 8
"""Digits in the batch: enough for a batch norm, and few: double precision takes its time."""

NUDGES = {torch.float64: 1e-7, torch.float32: 1e-2}
"""How far the finite difference goes to either side: rounding must not drown it, and in between
there should be no corner of a ReLU or a pool, of which a network has very many."""

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True, slots=True)
class FirstLayer:
    """A network's first layer of weights, and a batch of digits to try it on.

    Attributes:
        network: The whole network, a copy on the CPU as it is in training.
        name: The layer's dotted name.
        layer: The layer.
        places: At how many places of an image its weights are used.
        images: The batch (N, 1, H, H).
        labels: Its classes (N).
        smoothing: The label smoothing of the run.
    """

    network: nn.Module
    name: str
    layer: Layer
    places: int
    images: Tensor
    labels: Tensor
    smoothing: float

    def loss(self) -> Tensor:
        """Return the mean loss of the batch; dropout leaves out the same features each time."""
        seed_all(SEED)
        scores = self.network(self.images)
        return functional.cross_entropy(scores, self.labels, label_smoothing=self.smoothing)

    def loss_with(self, kernel: int, weights: Tensor) -> float:
        """Return the loss with other weights in one kernel, and put its own back."""
        own = self.layer.weight.detach()[kernel].clone()
        with torch.no_grad():
            self.layer.weight[kernel] = weights
            loss = float(self.loss())
            self.layer.weight[kernel] = own
        return loss


@dataclass(frozen=True, slots=True)
class KernelStep:
    """One step of gradient descent of one kernel; all the rest of the network stands still.

    Attributes:
        before: Its weights (channels, height, width), or (1, height, width) of a unit.
        gradient: ∂loss/∂weight, of the same shape.
        rate: The learning rate.
        loss_before: The mean loss of the batch.
        loss_after: The same after the step.
        steepest: The place, in the flattened kernel, of the largest slope.
        finite: The finite difference there.
    """

    before: Tensor
    gradient: Tensor
    rate: float
    loss_before: float
    loss_after: float
    steepest: int
    finite: float

    @property
    def update(self) -> Tensor:
        """What is added to the weights."""
        return -self.rate * self.gradient

    @property
    def after(self) -> Tensor:
        """The weights after it."""
        return self.before + self.update


def first_layer(context: Context, network: nn.Module) -> FirstLayer | None:
    """Return the layer of weights that images meet first; None if there is none.

    In double precision if the network can be run in it, else in its own single one.
    """
    train = context.data.train
    images = context.data.prepare(train.images[:BATCH]).cpu()
    labels = train.labels[:BATCH].cpu()
    for kind in NUDGES:
        own = copy_model(network).cpu()
        own = own.double() if kind is torch.float64 else own.float()
        begin_training(own)
        try:
            met = _first_met(own, images[:2].to(kind))
        except RuntimeError:  # It makes tensors of one kind, or on one device, by itself.
            continue
        if met is None:
            return None
        name, layer, places = met
        layer.weight.requires_grad_()
        smoothing = context.config.label_smoothing
        return FirstLayer(own, name, layer, places, images.to(kind), labels, smoothing)
    return None


def _first_met(network: nn.Module, images: Tensor) -> tuple[str, Layer, int] | None:
    """Return the layer that a batch meets first, its name, and the places of its output map."""
    met: list[tuple[str, Layer, int]] = []
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Layer) and isinstance(module.weight, nn.Parameter):

            def note(module: Layer, _: object, output: Tensor, name: str = name) -> None:
                places = math.prod(output.shape[2:]) if isinstance(module, nn.Conv2d) else 1
                met.append((name, module, places))

            hooks.append(module.register_forward_hook(note))
    with torch.no_grad():
        seed_all(SEED)
        network(images)
    for hook in hooks:
        hook.remove()
    return met[0] if met else None


def kernel_step(first: FirstLayer, kernel: int, rate: float) -> KernelStep:
    """Return one step of a kernel, with the losses before and after, and a finite difference."""
    with torch.enable_grad():
        loss = first.loss()
        slopes = torch.zeros_like(first.layer.weight)
        if loss.requires_grad:
            (found,) = torch.autograd.grad(loss, first.layer.weight, allow_unused=True)
            slopes = slopes if found is None else found
    before = first.layer.weight.detach()[kernel].clone()
    slope = slopes[kernel]
    steepest = int(slope.abs().flatten().argsort(descending=True, stable=True)[0])
    nudge = torch.zeros(before.numel(), dtype=before.dtype)
    nudge[steepest] = NUDGES[before.dtype]
    nudge = nudge.view_as(before)
    up, down = (first.loss_with(kernel, before + sign * nudge) for sign in (1, -1))
    return KernelStep(
        before=_as_maps(before),
        gradient=_as_maps(slope),
        rate=rate,
        loss_before=float(loss.detach()),
        loss_after=first.loss_with(kernel, before - rate * slope),
        steepest=steepest,
        finite=(up - down) / (2 * NUDGES[before.dtype]),
    )


def _as_maps(weights: Tensor) -> Tensor:
    """Return a kernel as it is; a unit's row of weights as one map, square if it can be."""
    if weights.dim() == 3:
        return weights
    side = math.isqrt(weights.numel())
    return weights.view(1, side, side) if side**2 == weights.numel() else weights.view(1, 1, -1)
