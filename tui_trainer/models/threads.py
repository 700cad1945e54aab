"""CPU threads: the number that trains a model fastest, and a forward pass that gains from them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.unregistered_state import preserve_globals

ROUNDS = 3
"""Measurements of each number of threads; the best counts, for noise only adds time."""

SLACK = 1.05
"""Fewer threads win unless more are faster by this factor: each thread must be waited for."""

MOST_IMAGES = 128
"""Images of the trial step: enough to share between the threads, few enough to be quick …"""

FEW_IMAGES, FEW_SECONDS = 32, 0.02
"""… and where a first step of so few takes so long, they are enough: the first step of the run does
not wait half a second for the trial."""


CACHE_LINE = 16
"""Floats in a cache line of 64 bytes."""

Forward = Callable[[Tensor], Tensor]


def choose_threads(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Time a training step with several numbers of threads, and set torch to the best.

    Trains a copy and restores all rng states. A model whose step fails keeps all threads: its error
    is reported by the trial of the first steps.

    Args:
        model: On the CPU, in the memory format in which it will be trained.
        images: A prepared batch (N, 1, H, H); ``MOST_IMAGES`` are enough.
        labels: (N).
        clock: A monotonic clock, in seconds.
    """
    most = torch.get_num_threads()

    def step() -> None:
        functional.cross_entropy(forward(images[:count]), labels[:count]).backward()  # type: ignore[no-untyped-call]

    try:
        trial = copy_model(model)
        begin_training(trial)
        forward = training_forward(trial)
        with preserve_rng_state(), preserve_globals(model):
            count = FEW_IMAGES
            began = clock()
            step()
            if clock() - began < FEW_SECONDS:
                count = len(images)
            return fastest_threads(step, most, clock=clock)
    except Exception:  # a custom model can raise anything
        torch.set_num_threads(most)
        return most


def fastest_threads(
    step: Callable[[], object], most: int, *, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Time ``step`` with 1, 2, 4, … ``most`` threads in turn; set and return the best number."""
    counts = sorted({most, *(2**power for power in range(most.bit_length()) if 2**power < most)})
    if len(counts) > 1:
        best = dict.fromkeys(counts, math.inf)
        for _ in range(ROUNDS):
            for count in counts:
                torch.set_num_threads(count)
                began = clock()
                step()
                best[count] = min(best[count], clock() - began)
        limit = min(best.values()) * SLACK
        most = min(count for count in counts if best[count] <= limit)
    torch.set_num_threads(most)
    return most


def training_forward(model: nn.Module) -> Forward:
    """Return the forward pass of a training step; its logits are those of ``model(images)``.

    In a plain ``nn.Sequential`` on the CPU, a ReLU before a max pool runs after it, on a quarter of
    the values: outputs and gradients are the same to the bit. The backward pass of some batch norms
    uses one thread, see :class:`_BatchNorm`. Any other model is returned as it is.

    Args:
        model: Without hooks; its layers are not replaced later.
    """
    if type(model) is not nn.Sequential or not all(p.is_cpu for p in model.parameters()):
        return model
    layers = list(model)
    for place, (first, second) in enumerate(itertools.pairwise(layers)):
        if type(first) is nn.ReLU and type(second) is nn.MaxPool2d:
            layers[place : place + 2] = second, first
    steps: list[Forward] = [
        _BatchNorm(layer) if type(layer) is nn.BatchNorm2d else layer for layer in layers
    ]

    def forward(images: Tensor) -> Tensor:
        for step in steps:
            images = step(images)
        return images

    return forward


class _BatchNorm:
    """Batch norm without false sharing in its backward pass.

    For channels_last, PyTorch adds up the gradients of the channels in one row of floats per
    thread. Where a row is not a multiple of a cache line, two threads write to the same line, and
    the pass takes four to eight times as long as with one thread: for 8, 20 or 24 channels that was
    a quarter of a training step of ``small``. There it uses one thread.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self._norm = norm

    def __call__(self, maps: Tensor) -> Tensor:
        norm = self._norm
        if (
            norm.num_features % CACHE_LINE == 0
            or torch.get_num_threads() == 1
            or not norm.training
            or not norm.affine
            or not norm.track_running_stats
            or norm.momentum is None
        ):
            result: Tensor = norm(maps)
            return result
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        output: Tensor = _Normalize.apply(maps, norm.weight, norm.bias, norm)  # type: ignore[no-untyped-call]
        return output


class _Normalize(torch.autograd.Function):
    """Batch norm in training mode, whose backward pass uses one thread."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d
    ) -> Tensor:
        state, momentum = (norm.running_mean, norm.running_var), norm.momentum or 0.0
        output, mean, invstd = torch.native_batch_norm(
            maps, weight, bias, *state, True, momentum, norm.eps
        )
        ctx.save_for_backward(maps, weight, mean, invstd)
        ctx.eps = norm.eps
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, *statistics = ctx.saved_tensors
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            found = torch.ops.aten.native_batch_norm_backward(
                gradients[0], maps, weight, None, None, *statistics, True, ctx.eps, [True] * 3
            )
        finally:
            torch.set_num_threads(threads)
        return (*found, None)
