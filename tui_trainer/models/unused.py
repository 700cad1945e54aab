"""Which parameters does a model's forward read, and which not at all?"""

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
"""Functions that give a tensor's numbers to Python."""


@torch.no_grad()
def unused_parameters(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Run a model in the mode it is in; return the parameters that no function of torch reads.

    One that is read and gets no gradient all the same was cut off, by ``detach`` or ``no_grad``.
    What a scripted module reads cannot be seen: its parameters count as used.

    Args:
        model: A copy: its forward may change it.
        images: What it is run on, (N, channels, H, W).
    """
    named = dict(model.named_parameters())
    scripted = (module for module in model.modules() if isinstance(module, ScriptModule))
    known = {id(p) for module in scripted for p in module.parameters()}
    read = _read_by(model, images) | known
    return tuple(name for name, parameter in named.items() if id(parameter) not in read)


@torch.no_grad()
def used_in_training(model: nn.Module, images: Tensor) -> set[int]:
    """Return the identities of the parameters that functions read in training mode.

    A head that helps in training alone is no mistake. A copy is run; if it cannot be, it is not
    known: none are returned.

    Args:
        model: Maps (N, channels, height, width) to logits.
        images: Two at least, for batch norm.
    """
    try:
        with preserve_rng_state():
            twin = copy_model(model)
            twin.train()
            read = _read_by(twin, images)
    except Exception:  # what cannot be tried says nothing
        return set()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return {id(one) for one, other in pairs if id(other) in read}


def _read_by(model: nn.Module, images: Tensor) -> set[int]:
    reads = _Reads()
    with reads:
        model(images)
    return reads.seen


class _Reads(TorchFunctionMode):
    """Remembers the parameters that are among the arguments of any function."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # The shape, device or type of a parameter is no use of its numbers.
        if any(True for _ in tensors_in(result)) or getattr(func, "__name__", "") in _TO_PYTHON:
            read = tensors_in((args, kwargs))
            self.seen.update(id(tensor) for tensor in read if isinstance(tensor, nn.Parameter))
        return result
