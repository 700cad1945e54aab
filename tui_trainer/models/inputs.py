"""What a model is called with."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule


def clone_inputs(model: nn.Module) -> nn.Module:
    """Let a model work on a clone of each tensor that it is called with; return the model.

    Every custom model is built like that, and its copies keep it. Scripted modules, which take no
    hooks, stay as they are.
    """
    hooks = model._forward_pre_hooks.values()
    if not isinstance(model, ScriptModule) and _cloned not in hooks:
        model.register_forward_pre_hook(_cloned, prepend=True)
    return model


def _cloned(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(arg.clone() if isinstance(arg, Tensor) else arg for arg in args)
