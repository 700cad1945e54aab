"""The numbers of any tensor: complex, sparse, of 16 bits or of none at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a call's arguments or in its result, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, Mapping):
        yield from tensors_in(tuple(value.values()))


def can_require_grad(tensor: Tensor) -> bool:
    """Say whether a tensor's type can have a gradient: integers and truth values cannot."""
    return tensor.is_floating_point() or tensor.is_complex()


def is_trainable(tensor: Tensor) -> bool:
    """Say whether a tensor can have a gradient that moves it: integers and truths have none."""
    return can_require_grad(tensor) and tensor.numel() > 0


def to_dense_float(tensor: Tensor) -> Tensor:
    """Return a tensor's numbers as a dense real tensor of float32, or float64 where it has that.

    A complex number counts as two. An ordinary tensor of float32 is returned itself, detached.
    """
    numbers = as_real(tensor)
    return numbers if numbers.dtype == torch.float64 else numbers.to(torch.float32)


def as_real(tensor: Tensor) -> Tensor:
    """Return a dense real view of a tensor, detached: pairs of numbers where it is complex."""
    numbers = tensor.detach()
    if numbers.layout != torch.strided:
        numbers = numbers.to_dense()
    return torch.view_as_real(numbers.resolve_conj()) if numbers.is_complex() else numbers


def magnitudes(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape to be shown: float32, of complex numbers the magnitudes."""
    numbers = tensor.detach()
    return (numbers.abs() if numbers.is_complex() else numbers).to(torch.float32)


def gradient_of(parameter: nn.Parameter) -> Tensor | None:
    """Return the numbers of a parameter's gradient, None where it has none."""
    return None if parameter.grad is None else to_dense_float(parameter.grad)


def mean_and_std(values: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation; much faster than ``torch.std_mean`` on the CPU."""
    mean = float(values.mean())
    square = float(values.norm()) ** 2 / values.numel()
    return mean, max(0.0, square - mean * mean) ** 0.5


def rms(values: Tensor) -> float:
    """Return the root mean square, summed in float64; 0 of no numbers."""
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0
