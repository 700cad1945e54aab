"""Compares an exported model with the original, image by image."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tui_trainer.models.behavior import is_coarse, same_logits
from tui_trainer.models.copies import copy_model
from tui_trainer.models.dispatch_mode import DispatchMode
from tui_trainer.models.rng import preserve_rng_state, seed_all

_SEED = 20_260_101
"""The seed for both sides of a comparison; a forward that sets a seed itself uses its own."""

_FIRST_BATCHES = (1, 2)
"""Batch sizes that are always compared: a single image is a special case in many models."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far an exported model is from the original.

    Attributes:
        images: The number of images.
        disagreements: How many of them get another predicted class.
        max_difference: The largest absolute difference of a logit.
        is_same: Whether the differences are only rounding.
        is_random: Whether the original's logits are random in evaluation mode.
        image_kind: The kind of images, in the plural.
    """

    images: int
    disagreements: int
    max_difference: float
    is_same: bool = True
    is_random: bool = False
    image_kind: str = "test images"

    @property
    def words(self) -> str:
        """The comparison as a sentence."""
        if self.is_random and not self.is_same:
            return "cannot be compared: the model's logits are random in evaluation mode"
        seed = ", both with the same random seed" if self.is_random else ""
        return (
            f"{self.disagreements:,} of {self.images:,} {self.image_kind} have another "
            f"predicted class than in torch; logits differ by {self.max_difference:.1g} at "
            f"most{seed}"
        )

    @property
    def is_wrong(self) -> bool:
        """Whether the exported model gives other logits than the original."""
        return not self.is_same and not self.is_random


@torch.no_grad()
def compare(
    model: nn.Module,
    other: Callable[[Tensor], Tensor],
    images: Tensor,
    batch: int,
    *,
    is_fixed: bool = False,
) -> Comparison:
    """Compare a model in evaluation mode with a program exported from it, on the same images.

    Both get their own copies of the images, in batches of 1, of 2 and of ``batch``. All random
    states
    and the model are unchanged. Nothing is written to stdout or stderr.

    Args:
        model: The model.
        other: The program.
        images: Prepared images, float32 (N, 1, H, H).
        batch: Batch size.
        is_fixed: Whether the program takes only this batch size; N is a multiple of it.

    Raises:
        Exception: Any exception of the model or the program.
    """
    images = images.to("cpu", memory_format=torch.contiguous_format)
    disagreements, max_difference, is_same = 0, torch.tensor(0.0, dtype=torch.float64), True
    with isolated():
        is_random, coarse = _is_random(model, images), _uses_low_precision(model, images)
        twin = evaluation_copy(model)
        for chunk in _batches(images, batch, () if is_fixed else _FIRST_BATCHES):
            seed_all(_SEED)
            expected = twin(chunk.clone()).to(torch.float64)
            seed_all(_SEED)
            actual = other(chunk.clone()).to(torch.float64)
            if expected.shape != actual.shape:
                return Comparison(len(images), len(images), float("inf"), False, is_random)
            is_same = is_same and same_logits(expected, actual, coarse=coarse)
            disagreements += int((expected.argmax(dim=1) != actual.argmax(dim=1)).sum())
            # maximum() keeps a NaN logit; Python's max() would lose it.
            max_difference = torch.maximum(max_difference, (expected - actual).abs().max())
    return Comparison(len(images), disagreements, float(max_difference), is_same, is_random)


def evaluation_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, on the CPU, with contiguous memory.

    Because it is a copy, an export cannot leave a run's model in the wrong mode.
    """
    twin = copy_model(model)
    twin.eval()
    for parameter in twin.parameters():
        if parameter.is_leaf:  # not those of a scripted module
            parameter.requires_grad_(False)
    return twin.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


@contextmanager
def isolated() -> Iterator[None]:
    """Discard the output of an exporter or a forward; restore the random states afterwards."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
            preserve_rng_state(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _batches(images: Tensor, batch: int, first: tuple[int, ...]) -> Iterator[Tensor]:
    start, sizes = 0, iter(first)
    while start < len(images):
        chunk = images[start : start + min(batch, next(sizes, batch))]
        start += len(chunk)
        yield chunk


def _is_random(model: nn.Module, images: Tensor) -> bool:
    if not len(images):
        return False
    logits = []
    for seed in (_SEED, _SEED + 1):
        twin = evaluation_copy(model)
        seed_all(seed)
        logits.append(twin(images[:1].clone()))
    return not same_logits(*logits, coarse=False)


class _Dtypes(DispatchMode):  # type: ignore[no-untyped-call]
    """Detects operations in 16 bits or fewer."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse: bool = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor) and part.is_floating_point() and part.element_size() < 4:
                self.coarse = True
        return result


def _uses_low_precision(model: nn.Module, images: Tensor) -> bool:
    if is_coarse(model) or not len(images):
        return is_coarse(model)
    dtypes = _Dtypes()
    with dtypes:
        evaluation_copy(model)(images[:1].clone())
    return dtypes.coarse
