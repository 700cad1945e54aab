"""What a factory does to the initial weights of its layers, as statements."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from tui_trainer.export.source_code.formatting import literal

Calls = list[tuple[str, Tensor, tuple[Any, ...], dict[str, Any]]]
"""The function of ``torch.nn.init``, its tensor, and its other arguments."""


@contextmanager
def recorded_initialization() -> Iterator[Calls]:
    """Record the calls of ``torch.nn.init`` that are not made by PyTorch's own layers."""
    calls: Calls = []
    names = [name for name in vars(nn.init) if name.endswith("_") and not name.startswith("_")]
    originals = {name: getattr(nn.init, name) for name in names}

    def recording(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def record(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if not caller.startswith("torch."):
                calls.append((name, tensor, args, kwargs))
            return function(tensor, *args, **kwargs)

        return record

    try:
        for name, function in originals.items():
            setattr(nn.init, name, recording(name, function))
        yield calls
    finally:
        for name, function in originals.items():
            setattr(nn.init, name, function)


def statements(model: nn.Module, calls: Calls) -> dict[str, list[str]]:
    """Return the recorded calls as statements, by the name of the layer; ``{}`` stands for it."""
    found: dict[str, list[str]] = {}
    owners = {
        id(tensor): (name, key)
        for name, layer in model.named_modules()
        for key, tensor in layer.named_parameters(recurse=False)
    }
    for function, tensor, args, kwargs in calls:
        layer, key = owners[id(tensor)]
        given = [*map(literal, args), *(f"{name}={literal(v)}" for name, v in kwargs.items())]
        arguments = ", ".join([f"{{}}.{key}", *given])
        found.setdefault(layer, []).append(f"nn.init.{function}({arguments})")
    return found
