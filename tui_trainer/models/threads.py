"""Find the number of CPU threads that trains a model fastest on this machine at this moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

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
        functional.cross_entropy(trial(images[:count]), labels[:count]).backward()  # type: ignore[no-untyped-call]

    try:
        trial = copy_model(model)
        begin_training(trial)
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
