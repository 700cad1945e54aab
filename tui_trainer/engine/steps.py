"""Loss and backward pass of a training step, the same wherever a model is trained."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional


def loss_fn(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits (N, classes) and labels (N), in nats.

    Logits of 16 bits are cast to float32, as autocast does: their loss would be too coarse.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context of the forward pass: autocast to bfloat16 for ``bf16``, else nothing.

    Weights, gradients, loss and update stay float32, and so do evaluation, probes and questions.
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def backward(loss: Tensor, parameters: Iterable[nn.Parameter] = ()) -> None:
    """Compute the gradients of a loss, as ``loss.backward()``.

    Sparse gradients of ``parameters``, as of ``nn.Embedding(sparse=True)``, become dense: momentum,
    weight decay and the probes then treat them like any other.
    """
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.layout != torch.strided:
            parameter.grad = parameter.grad.to_dense()
