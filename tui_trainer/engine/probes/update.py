"""Probe one update: the batch, the gradients, and the change of the weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from tui_trainer.engine.optimizers import Optimizer
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.modes import eval_layers
from tui_trainer.models.tensors import (
    flat,
    flat_gradient,
    gradient_of,
    size_of,
    to_dense_float,
    trainable,
)
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed


class UpdateProbe:
    """Measures one update; call its methods in the order of a step.

    Everything stays on the device until :meth:`result`, which synchronizes once.

    Attributes:
        gradient: The gradient of all parameters, flat; empty before :meth:`record_gradients`.
    """

    def __init__(
        self, model: nn.Module, classes: int, stopwatch: Stopwatch, last_gradient: Tensor | None
    ) -> None:
        self.gradient = torch.empty(0)
        self._model, self._classes, self._stopwatch = model, classes, stopwatch
        self._last_gradient = last_gradient
        self._began = stopwatch.seconds
        self._fetched = self._began
        self._parameters = trainable(model)
        self._before: list[Tensor] = []
        self._replaced = self._optimized = frozenset[str]()
        self._accumulated = False
        self._gradients: list[Tensor | None] = []
        self._counts = torch.empty(0)
        self._eval_layers = eval_layers(model)

    def record_batch(self, labels: Tensor) -> None:
        """Record the labels (N) of the batch, which is ready now."""
        self._fetched = self._stopwatch.seconds
        self._counts = torch.bincount(labels, minlength=self._classes)

    def record_zero_grad(self, optimizer: Optimizer) -> None:
        """Record whether gradients are left that the backward pass will add to."""
        mine = self.record_parameters(optimizer.parameters)
        left = [p.grad for p in self._parameters.values() if p.grad is not None and id(p) in mine]
        self._accumulated = any(bool(gradient.any()) for gradient in left)

    def record_parameters(self, optimized: Iterable[Tensor]) -> set[int]:
        """Record which tensors the optimizer has; return their ids."""
        mine = {id(p) for p in optimized}
        self._optimized = frozenset(n for n, p in self._parameters.items() if id(p) in mine)
        return mine

    @torch.no_grad()
    def record_gradients(self, replaced: frozenset[str]) -> None:
        """Record the gradients, and the weights before the update.

        Args:
            replaced: The parameters that the optimizer did not leave as they are.
        """
        self._replaced = replaced
        parameters = self._parameters.values()
        self._gradients = [gradient_of(p) for p in parameters]
        self._before = [p.detach().clone() for p in parameters]
        self.gradient = flat_gradient(self._model)

    @torch.no_grad()
    def record_again(self, parameters: Collection[int]) -> None:
        """Record the gradients of some parameters, by their ids, as they are now."""
        pairs = zip(self._gradients, self._parameters.values(), strict=True)
        self._gradients = [gradient_of(p) if id(p) in parameters else old for old, p in pairs]
        named = zip(self._gradients, self._parameters.values(), strict=True)
        self.gradient = flat(
            [torch.zeros(size_of(p), device=p.device) if old is None else old for old, p in named]
        )

    @torch.no_grad()
    def result(self, progress: Progress, lr: float) -> UpdateProbed:
        """Return the measurements, after the update and after the step is counted."""
        pairs = zip(self._parameters.values(), self._before, strict=True)
        changes = [to_dense_float(new.detach() - old) for new, old in pairs]
        befores = [to_dense_float(old) for old in self._before]
        change, before = flat(changes), flat(befores)
        last = self._last_gradient
        if last is None or len(last) != len(self.gradient):
            last = None
        gradients = [torch.zeros(1) if g is None else g for g in self._gradients]
        norms = _norms([*befores, *changes, *gradients])
        radial = [_dot(g, w) for g, w in zip(gradients, befores, strict=True)]
        dots: list[float] = torch.stack([d.to(self.gradient.device) for d in radial]).tolist()
        unmoved = self._unmoved(change)
        n = len(self._parameters)
        pair = last if last is not None else self.gradient
        whole = [
            *(self.gradient.norm(), change.norm(), change.dot(self.gradient)),
            *(pair.norm(), pair.dot(self.gradient), before.norm(), change.dot(before)),
        ]
        grad_norm, update_norm, dot_grad, last_norm, dot_last, weight_norm, dot_weight = (
            torch.stack([figure.to(torch.float64) for figure in whole]).tolist()
        )
        spent = self._stopwatch.seconds - self._began
        on_cpu = self.gradient.device.type == "cpu"
        return UpdateProbed(
            step=progress.step,
            epoch=progress.epoch,
            images=progress.images,
            lr=lr,
            batch_size=int(self._counts.sum()),
            label_counts=tuple(self._counts.tolist()),
            eval_layers=self._eval_layers,
            is_training=self._model.training,
            gradient_norm=grad_norm,
            previous_gradient_norm=last_norm if last is not None else None,
            gradient_dot=dot_last if last is not None else None,
            descent_cosine=_ratio(-dot_grad, grad_norm * update_norm),
            shrinkage_cosine=_ratio(-dot_weight, weight_norm * update_norm),
            parameters=tuple(
                ParameterProbe(
                    name=name,
                    numel=parameter.numel(),
                    is_weight=parameter.ndim >= 2,
                    weight_norm=norms[i],
                    gradient_norm=None if self._gradients[i] is None else norms[2 * n + i],
                    update_norm=norms[n + i],
                    frozen=not parameter.requires_grad,
                    eps=torch.finfo(parameter.dtype).eps,
                    optimized=name in self._optimized,
                    radial_cosine=_ratio(dots[i], norms[i] * norms[2 * n + i]),
                    replaced=name in self._replaced,
                    fan_in=parameter.numel() // len(parameter) if parameter.ndim >= 2 else None,
                    unmoved=unmoved[i],
                )
                for i, (name, parameter) in enumerate(self._parameters.items())
            ),
            accumulated=self._accumulated,
            input_share=(self._fetched - self._began) / spent if on_cpu and spent > 0 else None,
        )

    def _unmoved(self, change: Tensor) -> list[float | None]:
        """Return for each parameter the share of elements with a gradient that did not change."""
        sizes = [size_of(parameter) for parameter in self._parameters.values()]
        has_gradient = self.gradient != 0
        still = has_gradient & (change == 0)
        counts = [t.count_nonzero() for m in (still, has_gradient) for t in torch.split(m, sizes)]
        found: list[int] = torch.stack(counts).tolist()
        return [_ratio(a, b) for a, b in zip(found[: len(sizes)], found[len(sizes) :], strict=True)]


def _dot(gradient: Tensor, weights: Tensor) -> Tensor:
    gradient = to_dense_float(gradient)
    same = gradient.shape == weights.shape  # else there is no gradient
    return (gradient * weights).sum() if same else gradient.new_zeros(())


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _norms(tensors: list[Tensor]) -> list[float]:
    device = tensors[0].device
    norms: list[float] = torch.stack([t.to(device).norm().float() for t in tensors]).tolist()
    return norms
