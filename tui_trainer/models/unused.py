"""Which parameters does a model's forward not use at all?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode

from tui_trainer.models.numbers import tensors_in

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
    reads = _Reads(p for module in scripted for p in module.parameters())
    with reads:
        model(images)
    return tuple(name for name, parameter in named.items() if id(parameter) not in reads.seen)


class _Reads(TorchFunctionMode):
    """Remembers the parameters that are among the arguments of any function."""

    def __init__(self, known: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.seen = {id(parameter) for parameter in known}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # The shape, device or type of a parameter is no use of its numbers.
        if any(True for _ in tensors_in(result)) or getattr(func, "__name__", "") in _TO_PYTHON:
            read = tensors_in((args, kwargs))
            self.seen.update(id(tensor) for tensor in read if isinstance(tensor, nn.Parameter))
        return result
