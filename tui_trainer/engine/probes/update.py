"""One update, looked at closely: the batch, the gradients, and what they changed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.models.tensors import gradient_of, is_trainable, to_dense_float
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed


class UpdateProbe:
    """Measures one update; its methods are called in the order of a step.

    Everything stays on the device until :meth:`result`, which waits for it once.

    Attributes:
        gradient: The gradient of all parameters, flat; empty before :meth:`record_gradients`.
    """

    def __init__(
        self, model: nn.Module, classes: int, stopwatch: Stopwatch, last_gradient: Tensor | None
    ) -> None:
        self.gradient = torch.empty(0)
        self._model, self._classes, self._stopwatch = model, classes, stopwatch
        self._last = last_gradient
        self._began = stopwatch.seconds
        self._fetched = self._began
        self._parameters = dict(_learning(model))
        self._before: list[Tensor] = []
        self._gradients: list[Tensor | None] = []
        self._counts = torch.empty(0)
        self._still = still_layers(model)

    def record_batch(self, labels: Tensor) -> None:
        """Take in the classes (N) of the batch, which is ready now."""
        self._fetched = self._stopwatch.seconds
        self._counts = torch.bincount(labels, minlength=self._classes)

    @torch.no_grad()
    def record_gradients(self) -> None:
        """Take in the gradients, and the weights before the update."""
        parameters = self._parameters.values()
        self._gradients = [gradient_of(p) for p in parameters]
        self._before = [p.detach().clone() for p in parameters]
        self.gradient = flat_gradient(self._model)

    @torch.no_grad()
    def result(self, progress: Progress, lr: float) -> UpdateProbed:
        """Return what was measured, now that the weights are new and the step is counted."""
        pairs = zip(self._parameters.values(), self._before, strict=True)
        changes = [to_dense_float(new.detach() - old) for new, old in pairs]
        befores = [to_dense_float(old) for old in self._before]
        change, before = _flat(changes), _flat(befores)
        last = self._last
        if last is None or len(last) != len(self.gradient):
            last = None
        norms = _norms([*befores, *changes, *[_or_nothing(g) for g in self._gradients]])
        n = len(self._parameters)
        pair = last if last is not None else self.gradient
        whole = [
            *(self.gradient.norm(), change.norm(), change.dot(self.gradient)),
            *(pair.norm(), pair.dot(self.gradient), before.norm(), change.dot(before)),
        ]
        size, length, slope, last_size, product, weight, outward = torch.stack(
            [figure.to(torch.float64) for figure in whole]
        ).tolist()
        spent = self._stopwatch.seconds - self._began
        on_cpu = self.gradient.device.type == "cpu"
        return UpdateProbed(
            step=progress.step,
            epoch=progress.epoch,
            images=progress.images,
            learning_rate=lr,
            batch_size=int(self._counts.sum()),
            label_counts=tuple(self._counts.tolist()),
            still_layers=self._still,
            is_training=self._model.training,
            gradient=size,
            last_gradient=last_size if last is not None else None,
            agreement=product if last is not None else None,
            descent=-slope / (size * length) if size * length else None,
            pull=-outward / (weight * length) if weight * length else None,
            parameters=tuple(
                ParameterProbe(
                    name=name,
                    count=parameter.numel(),
                    is_weight=parameter.ndim >= 2,
                    weight=norms[i],
                    gradient=None if self._gradients[i] is None else norms[2 * n + i],
                    update=norms[n + i],
                    frozen=not parameter.requires_grad,
                    epsilon=torch.finfo(parameter.dtype).eps,
                )
                for i, (name, parameter) in enumerate(self._parameters.items())
            ),
            input_share=(self._fetched - self._began) / spent if on_cpu and spent > 0 else None,
        )


def flat_gradient(model: nn.Module) -> Tensor:
    """Return a copy of all gradients as float32, one after another, 0 where there is none.

    Parameters that cannot learn are left out, and complex numbers count as two.
    """
    parameters = [p for _, p in _learning(model)]
    found = [gradient_of(p) for p in parameters]
    return _flat(
        [
            torch.zeros(_size(p), device=p.device) if gradient is None else gradient
            for p, gradient in zip(parameters, found, strict=True)
        ]
    )


def gradient_size(model: nn.Module) -> int:
    """Return how many numbers :func:`flat_gradient` has."""
    return sum(_size(p) for _, p in _learning(model))


def _learning(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if is_trainable(p))


def _size(parameter: nn.Parameter) -> int:
    return parameter.numel() * (2 if parameter.is_complex() else 1)


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1).to(torch.float32) for tensor in tensors])


def still_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the batch norms and dropouts that are in evaluation mode, by name."""
    return tuple(
        name
        for name, module in model.named_modules()
        if not module.training
        and (
            (isinstance(module, _BatchNorm) and module.track_running_stats)
            or (isinstance(module, _DropoutNd) and module.p > 0)
        )
    )


def _or_nothing(gradient: Tensor | None) -> Tensor:
    return torch.zeros(1) if gradient is None else gradient


def _norms(tensors: list[Tensor]) -> list[float]:
    """Return the Euclidean norm of each."""
    device = tensors[0].device
    norms: list[float] = torch.stack([t.to(device).norm().float() for t in tensors]).tolist()
    return norms
