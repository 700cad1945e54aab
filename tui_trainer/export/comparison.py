"""How far a program made of a network is from the network itself, image by image."""

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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tui_trainer.models.behaviour import is_coarse, same_logits
from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state, seed_all

_SEED = 20_260_101
"""Both sides of a comparison draw from this seed; a forward that seeds by itself uses another."""

_FIRST_BATCHES = (1, 2)
"""Batch sizes that are always among those compared: one image alone is a case of its own."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far an exported network is from the one it was made from.

    Attributes:
        images: How many images both were shown.
        disagreements: For how many of them the class with the highest logit is another one.
        max_difference: Greatest absolute difference of any logit.
        is_same: Whether the differences are those of rounding.
        is_random: Whether the network's own logits are random in evaluation mode.
        image_kind: What the images are, in the plural.
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
            return "cannot be compared: the network's logits are random in evaluation mode"
        seed = ", both drawing from the same seed" if self.is_random else ""
        return (
            f"{self.disagreements:,} of {self.images:,} {self.image_kind} get another class than "
            f"in torch, scores differ by {self.max_difference:.1g} at most{seed}"
        )

    @property
    def is_wrong(self) -> bool:
        """Whether the exported network gives other answers than the network."""
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
    """Show the same images to a network in evaluation mode and to a program made of it.

    Both get their own copies of the images, in batches of 1, of 2 and of ``batch``. All random
    generators and the network stay as they are. Nothing is written to stdout or stderr.

    Args:
        model: The model.
        other: The program.
        images: Prepared images, float32 (N, 1, H, H).
        batch: Images a pass.
        is_fixed: Whether the program takes batches of this size alone; N is a multiple of it.

    Raises:
        Exception: Whatever the network or the program raises.
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
            # maximum() keeps a logit that is not a number; Python's max() would lose it.
            max_difference = torch.maximum(max_difference, (expected - actual).abs().max())
    return Comparison(len(images), disagreements, float(max_difference), is_same, is_random)


def evaluation_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, on the CPU, laid out as if it had been built there.

    Working on a copy, an export can never leave the network of a run in the wrong mode.
    """
    twin = copy_model(model)
    twin.eval()
    for parameter in twin.parameters():
        if parameter.is_leaf:  # those of a scripted module are not
            parameter.requires_grad_(False)
    return twin.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


@contextmanager
def isolated() -> Iterator[None]:
    """Discard what an exporter or a forward prints; put the random generators back afterwards."""
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


class _Dtypes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees whether anything is computed in 16 bits or fewer."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
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
