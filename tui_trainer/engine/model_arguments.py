"""What a custom model is called with, and advice where its input or its logits do not fit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.run.errors import InputError

_SIZE_NAMES = ("image_size", "input_shape", "in_shape")
_CHANNEL_NAMES = ("in_channels", "channels")
_CLASS_NAMES = ("classes", "num_classes", "n_classes")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a network is built for: N×N pixels, so many channels and classes."""

    image_size: int
    classes: int
    channels: int
    dropout: float | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """What a signature can ask for, by name."""
        shape = (self.channels, self.image_size, self.image_size)
        return {
            **dict(zip(_SIZE_NAMES, (self.image_size, shape, shape), strict=True)),
            **dict.fromkeys(_CHANNEL_NAMES, self.channels),
            **dict.fromkeys(_CLASS_NAMES, self.classes),
            "dropout": self.dropout or 0.0,
        }

    def images(self) -> Tensor:
        """Return two images of noise, of a generator of their own."""
        shape = (2, self.channels, self.image_size, self.image_size)
        noise = torch.Generator().manual_seed(0)
        return torch.rand(shape, generator=noise, dtype=torch.float32)


def arguments_of(target: Any, name: str, wanted: Wanted) -> dict[str, Any]:
    """Return the arguments of a call, by name.

    Raises:
        InputError: If one that has no default is none of those that can be given.
    """
    arguments = {}
    for key, parameter in parameters_of(target).items():
        is_needed = parameter.default is parameter.empty
        is_optional = {"channels": False, "dropout": wanted.dropout is not None}.get(key, True)
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if by_name and key in wanted.values and (is_needed or is_optional):
            arguments[key] = wanted.values[key]
        elif is_needed and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            known = ", ".join(wanted.values)
            raise InputError(
                f"{name}: needs an argument {key!r}, which has no default; those that can be given "
                f"are {known}"
            )
    return arguments


def parameters_of(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a signature by name, none where Python cannot tell."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def input_hint(network: nn.Module, target: Any, wanted: Wanted) -> str:
    """Return what to do where a model fails on images of the given size and channels."""
    size, channels = wanted.image_size, wanted.channels
    told = parameters_of(target)
    missing = [names[0] for names in (_SIZE_NAMES, _CHANNEL_NAMES) if not {*names} & {*told}]
    if {"input_shape", "in_shape"} & {*told}:
        missing = []
    hint = f"; an argument called {' or '.join(missing)} would tell it" if missing else ""
    return f"; it was given {size}×{size}×{channels} images{hint}"


def class_hint(network: nn.Module, target: Any, shape: tuple[int, ...], wanted: Wanted) -> str:
    """Return what to do where the logits have another shape than (2, classes)."""
    if len(shape) != 2 or shape[0] != 2:
        return ""
    has_it = {*_CLASS_NAMES} & {*parameters_of(target)}
    return "" if has_it else f"; an argument called {_CLASS_NAMES[0]} would tell it"
