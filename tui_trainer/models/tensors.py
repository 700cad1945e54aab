"""Values of any tensor as dense real numbers: complex, sparse, 16-bit or empty ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in the arguments or the result of a call, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, Mapping):
        yield from tensors_in(tuple(value.values()))


def can_require_grad(tensor: Tensor) -> bool:
    """Return whether a tensor's dtype can require gradients: floating point or complex."""
    return tensor.is_floating_point() or tensor.is_complex()


def is_trainable(tensor: Tensor) -> bool:
    """Return whether a tensor can require gradients and has elements."""
    return can_require_grad(tensor) and tensor.numel() > 0


def to_dense_float(tensor: Tensor) -> Tensor:
    """Return a tensor as a dense real tensor of float32, or of float64 if it is float64.

    A complex number counts as two. A dense float32 tensor is returned itself, detached.
    """
    numbers = as_real(tensor)
    return numbers if numbers.dtype == torch.float64 else numbers.to(torch.float32)


def as_real(tensor: Tensor) -> Tensor:
    """Return a dense real view of a tensor, detached; a complex number becomes a pair."""
    numbers = tensor.detach()
    if numbers.layout != torch.strided:
        numbers = numbers.to_dense()
    return torch.view_as_real(numbers.resolve_conj()) if numbers.is_complex() else numbers


def magnitudes(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape as float32; of complex numbers, the magnitudes."""
    numbers = tensor.detach()
    return (numbers.abs() if numbers.is_complex() else numbers).to(torch.float32)


def gradient_of(parameter: nn.Parameter) -> Tensor | None:
    """Return a parameter's gradient as a dense real tensor; None if it has none."""
    return None if parameter.grad is None else to_dense_float(parameter.grad)


def mean_and_std(values: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation; much faster than ``torch.std_mean`` on the CPU."""
    mean = float(values.mean())
    square = float(values.norm()) ** 2 / values.numel()
    return mean, max(0.0, square - mean * mean) ** 0.5


def rms(values: Tensor) -> float:
    """Return the root mean square, summed in float64; 0 for an empty tensor."""
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0


REPLACED = 0.1
"""The change between two updates, relative to the norm, from which a parameter is replaced."""


@torch.no_grad()
def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the parameters that can be trained, by name."""
    return {name: p.detach().clone() for name, p in trainable(model).items()}


@torch.no_grad()
def replaced_weights(model: nn.Module, before: dict[str, Tensor]) -> frozenset[str]:
    """Return the parameters that are no longer those of a copy made by :func:`weights_of`."""
    now = trainable(model)
    return frozenset(
        name
        for name, old in before.items()
        if name not in now
        or now[name].shape != old.shape
        or bool((now[name].detach() - old).norm() > REPLACED * old.norm())
    )


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that can be trained, by name."""
    return {name: p for name, p in model.named_parameters() if is_trainable(p)}


def flat_gradient(model: nn.Module) -> Tensor:
    """Return all gradients as one flat float32 tensor; 0 where a parameter has none.

    Parameters that are not trainable are left out; a complex number counts as two.
    """
    parameters = list(trainable(model).values())
    found = [gradient_of(p) for p in parameters]
    return flat(
        [
            torch.zeros(size_of(p), device=p.device) if gradient is None else gradient
            for p, gradient in zip(parameters, found, strict=True)
        ]
    )


def gradient_size(model: nn.Module) -> int:
    """Return the length of :func:`flat_gradient`."""
    return sum(size_of(p) for p in trainable(model).values())


def size_of(parameter: nn.Parameter) -> int:
    """Return the number of a parameter's elements; a complex number counts as two."""
    return parameter.numel() * (2 if parameter.is_complex() else 1)


def flat(tensors: list[Tensor]) -> Tensor:
    """Return tensors as one flat float32 tensor."""
    return torch.cat([tensor.reshape(-1).to(torch.float32) for tensor in tensors])


def logits_of(output: Any) -> Tensor | None:
    """Return the logits in the output of a model: ``logits``, or its first tensor."""
    if isinstance(output, Tensor):
        return output
    found = getattr(output, "logits", None)
    if isinstance(found, Tensor):
        return found
    if isinstance(output, Mapping):
        return logits_of(output.get("logits", next(iter(output.values()), None)))
    if isinstance(output, list | tuple) and output:
        return logits_of(output[0])
    return None


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Return the confusion matrix (classes, classes); rows: true class, columns: predicted."""
    pairs = labels * classes + predicted
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def probabilities_of(logits: Tensor) -> Tensor:
    """Return softmax(logits), or the model's output itself where it already is probabilities."""
    return logits if are_probabilities(logits) else logits.softmax(dim=1)


def are_probabilities(logits: Tensor) -> bool:
    """Return whether each row (N, classes) is non-negative and sums to 1."""
    return bool((logits >= 0).all()) and bool(((logits.sum(dim=1) - 1).abs() < 1e-3).all())
