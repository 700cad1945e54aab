"""Find the parameters that a model's forward does not use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode

from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.tensors import tensors_in

_TO_PYTHON = (
    "item",
    "tolist",
    "numpy",
    "__array__",
    "__float__",
    "__int__",
    "__bool__",
    "__index__",
)
"""Tensor methods that return values to Python."""


@torch.no_grad()
def unused_parameters(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Run a model in its current mode; return the parameters that no torch function reads.

    A parameter that is read but gets no gradient was disconnected by ``detach`` or ``no_grad``. The
    reads of a scripted module cannot be observed: its parameters count as used.

    Args:
        model: A copy: its forward may change it.
        images: Its input (N, channels, H, W).
    """
    named = dict(model.named_parameters())
    scripted = (module for module in model.modules() if isinstance(module, ScriptModule))
    known = {id(p) for module in scripted for p in module.parameters()}
    read = _read_by(model, images) | known
    return tuple(name for name, parameter in named.items() if id(parameter) not in read)


@torch.no_grad()
def used_in_training(model: nn.Module, images: Tensor) -> set[int]:
    """Return the ids of the parameters that are read in training mode.

    An auxiliary head that is used only in training is no mistake. A copy is run; if that fails, the
    result is empty.

    Args:
        model: Maps (N, channels, height, width) to logits.
        images: At least two, for batch norm.
    """
    try:
        with preserve_rng_state():
            twin = copy_model(model)
            twin.train()
            read = _read_by(twin, images)
    except Exception:  # a model that fails gives no answer
        return set()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return {id(one) for one, other in pairs if id(other) in read}


def _read_by(model: nn.Module, images: Tensor) -> set[int]:
    reads = _Reads()
    with reads:
        model(images)
    return reads.seen


class _Reads(TorchFunctionMode):
    """Records the parameters that are arguments of any torch function."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # Reading the shape, device or dtype of a parameter is no use of its values.
        if any(True for _ in tensors_in(result)) or getattr(func, "__name__", "") in _TO_PYTHON:
            read = tensors_in((args, kwargs))
            self.seen.update(id(tensor) for tensor in read if isinstance(tensor, nn.Parameter))
        return result
