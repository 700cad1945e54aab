"""What a forward does stays its own: its input is a copy, the process's settings are put back."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule


def noise(*shape: int) -> Tensor:
    """Return images of noise (N, channels, height, width), the same ones each time.

    Empty images would do for most networks; some look for the ink.
    """
    rng = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=rng, dtype=torch.float32)


def clone_inputs(model: nn.Module) -> nn.Module:
    """Let a model work on a clone of each tensor that it is called with; return the model.

    Every custom model is built like that, and its copies keep it. Scripted modules, which take no
    hooks, stay as they are.
    """
    hooks = model._forward_pre_hooks.values()
    if not isinstance(model, ScriptModule) and _cloned not in hooks:
        model.register_forward_pre_hook(_cloned, prepend=True)
    return model


def contain(model: nn.Module) -> nn.Module:
    """Put the default dtype, gradient mode, folder and streams back after each forward.

    Some models set them, and mean their own computation.
    """
    if not isinstance(model, ScriptModule):
        settings: list[tuple[Any, ...]] = []

        def enter(module: nn.Module, args: Any) -> None:
            settings.append(_settings())

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            if settings and (before := settings.pop()) != _settings():
                _put_back(*before)

        model.register_forward_pre_hook(enter, prepend=True)
        model.register_forward_hook(leave, always_call=True)
    return model


def _settings() -> tuple[Any, ...]:
    folder = None
    with suppress(OSError):  # it has been removed
        folder = os.getcwd()
    return torch.get_default_dtype(), torch.is_grad_enabled(), folder, sys.stdout, sys.stderr


def _put_back(dtype: torch.dtype, grad: bool, folder: str | None, out: Any, err: Any) -> None:
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    if folder is not None:
        os.chdir(folder)
    sys.stdout, sys.stderr = out, err


def _cloned(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(arg.clone() if isinstance(arg, Tensor) else arg for arg in args)
