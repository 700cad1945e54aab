"""The arguments of a custom model, and advice where its input or its logits do not fit."""

from __future__ import annotations

import inspect
import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tui_trainer.models.input_spec import InputSize, InputSpec, spec_of
from tui_trainer.models.modes import evaluating
from tui_trainer.models.rng import rng_tensors, set_rng_tensors
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import clip, plural

SIZE_NAMES = ("image_size", "img_size")
SHAPE_NAMES = ("input_shape", "in_shape")
CHANNEL_NAMES = ("in_channels", "in_chans", "in_channel", "input_channels", "channels")
CLASS_NAMES = ("num_classes", "classes", "n_classes", "num_class", "n_class", "nb_classes")

SECONDS = 5.0
"""The time limit of the search for an input shape that a model accepts."""

USUAL_SIZES = (32, 28, 64, 96, 128, 224, 256, 299, 227, 16, 8)
"""Sides of the images that models are usually built for, in pixels."""

LONGEST_LIST = 80

COLOR = 3
"""The channels of color images: red, green and blue."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The images and classes for which a model is built.

    Attributes:
        image_size: The side of square images, in pixels, or a model's input of any shape.
        is_adjustable: Whether the command has options for image size, channels and classes.
    """

    image_size: InputSize
    classes: int
    channels: int
    dropout: float | None = None
    is_adjustable: bool = False

    @classmethod
    def of(
        cls,
        image_size: InputSize,
        classes: int,
        channels: int = 1,
        dropout: float | None = None,
        *,
        is_adjustable: bool = False,
    ) -> ModelSpec:
        """Return the same for any input; ``channels`` is of images whose side is given.

        Square images of several channels are described by their side, too: then advice can name
        the side and the channels that a model accepts.
        """
        if isinstance(image_size, InputSpec):
            shape = image_size.shape
            is_square = image_size == InputSpec(shape) and len(shape) == 3 and shape[1] == shape[2]
            if not is_square:
                return cls(image_size, classes, 1, dropout, is_adjustable)
            channels, image_size = shape[0], shape[1]
        return cls(image_size, classes, channels, dropout, is_adjustable)

    @property
    def values(self) -> Mapping[str, Any]:
        """The arguments that a signature can name, with their values."""
        shape = self.input.shape
        return {
            **dict.fromkeys(SIZE_NAMES, shape[-1] if shape else 1),
            **dict.fromkeys(SHAPE_NAMES, shape),
            **dict.fromkeys(CHANNEL_NAMES, shape[0] if shape else 1),
            **dict.fromkeys(CLASS_NAMES, self.classes),
            "dropout": self.dropout or 0.0,
        }

    @property
    def input(self) -> InputSpec:
        """The input of the model."""
        return spec_of(self.image_size, self.channels)

    @property
    def words(self) -> str:
        """The images in words: ``32×32 images with 3 channels``."""
        if isinstance(self.image_size, InputSpec):
            return self.image_size.words
        return f"{self.image_size}×{self.image_size} images with {plural(self.channels, 'channel')}"

    def images(self) -> Tensor:
        """Return two images of noise; the global rngs are not used."""
        return self.input.noise(2)


def arguments_of(target: Any, name: str, spec: ModelSpec) -> dict[str, Any]:
    """Return the keyword arguments with which to call a target.

    Raises:
        InputError: If an argument without default has an unknown name.
    """
    arguments, missing = {}, []
    for key, parameter in parameters_of(target).items():
        is_needed = parameter.default is parameter.empty
        is_optional = {
            "channels": parameter.default == 1 and spec.channels == COLOR,
            "dropout": spec.dropout is not None,
        }.get(key, True)
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if by_name and key in spec.values and (is_needed or is_optional):
            arguments[key] = spec.values[key]
        elif is_needed and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            missing.append(key)
    if missing:
        raise InputError(f"{name}: {_needs(missing)}; {_how_to_give(target, name, missing)}")
    return arguments


def call_target(
    target: Any, arguments: dict[str, Any], spec: ModelSpec
) -> tuple[Any, dict[str, Any]]:
    """Build a model; return it with the arguments that were passed.

    Raises:
        Exception: Any error of the target.
    """
    if may_hide_classes(target):
        name = CLASS_NAMES[0]
        given, before = {**arguments, name: spec.classes}, rng_tensors()
        try:
            return target(**given), given
        except TypeError as error:
            if name not in str(error):
                raise
            set_rng_tensors(before)
    return target(**arguments), arguments


def may_hide_classes(target: Any) -> bool:
    """Return whether a target may take the number of classes through ``**kwargs``.

    The factories of torchvision and timm do: without it they build a model for 1,000 classes.
    """
    parameters = parameters_of(target)
    is_open = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return is_open and not {*parameters} & {*CLASS_NAMES}


def _needs(missing: list[str]) -> str:
    names = clip(", ".join(map(repr, missing)), LONGEST_LIST)
    if len(missing) == 1:
        return f"needs an argument {names}, which has no default"
    return f"needs arguments {names}, which have no default"


def _how_to_give(target: Any, name: str, missing: list[str]) -> str:
    """Return advice on arguments whose values only the author knows."""
    known = f"{SIZE_NAMES[0]}, {CHANNEL_NAMES[0]}, {CLASS_NAMES[0]} and dropout are passed by name"
    if factories := clip(", ".join(_factories(target)), LONGEST_LIST):
        return f"use a function that needs none: {factories}; {known}"
    place, _, short = name.rpartition(":")
    given = clip(", ".join(f"{key}=..." for key in missing), LONGEST_LIST)
    return (
        f"write a function that passes {'it' if len(missing) == 1 else 'them'}, "
        f"`def net(): return {short}({given})`, and use {place}:net; {known}"
    )


def _factories(target: Any) -> Iterator[str]:
    """Yield the functions of the same module that call a class or function."""
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    called = getattr(target, "__name__", "")
    for name, value in vars(module).items() if module else ():
        is_here = isinstance(value, FunctionType) and value.__module__ == target.__module__
        if is_here and value is not target and called in value.__code__.co_names:
            given = ModelSpec(1, 1, 1).values
            parameters = parameters_of(value).items()
            if all(
                key in given
                or p.default is not p.empty
                or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
                for key, p in parameters
            ):
                yield name


def parameters_of(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a signature by name; none if Python has no signature for it."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def input_hint(model: nn.Module, target: Any, spec: ModelSpec) -> str:
    """Return advice for a model that fails on images of the given size and channels."""
    if isinstance(spec.image_size, InputSpec):
        return f"; its input is {spec.words}"
    fits = _fitting(model, target, spec)
    asked = {*parameters_of(target)}
    unasked = {key: "" if asked & names else _ASKED[key][0] for key, names in _NAMED.items()}
    if fits is None:
        names = " or ".join(filter(None, unasked.values()))
        hint = f" (an argument named {names} receives that)" if names else ""
        return f"; its input is {spec.words}{hint}"
    if spec.is_adjustable:
        return f"; it accepts {fits.words}: add {_options(fits, spec)}"
    advice = []
    if fits.channels != spec.channels:
        advice.append(f"give {_first_layer(model)} {plural(spec.channels, 'input channel')}")
        advice.append(unasked["channels"] and f"or add an argument {unasked['channels']}")
    if fits.image_size != spec.image_size:
        advice.append("put nn.AdaptiveAvgPool2d before its first linear layer")
        advice.append(unasked["size"] and f"or add an argument {unasked['size']}")
    words = ", ".join(filter(None, advice))
    return f"; it accepts {fits.words}, but its input is {spec.words}: {words}"


_ASKED = {"size": SIZE_NAMES, "channels": CHANNEL_NAMES}
_NAMED = {key: {*names, *SHAPE_NAMES} for key, names in _ASKED.items()}


def _options(fits: ModelSpec, spec: ModelSpec) -> str:
    options = {"--channels": "channels", "--image-size": "image_size", "--classes": "classes"}
    return " ".join(
        f"{option} {getattr(fits, key)}"
        for option, key in options.items()
        if getattr(fits, key) != getattr(spec, key)
    )


def _fitting(model: nn.Module, target: Any, spec: ModelSpec) -> ModelSpec | None:
    """Try the usual image shapes; return one that the model accepts."""
    is_rebuilt = bool({*parameters_of(target)} & set().union(*_NAMED.values()))
    sink, end = io.StringIO(), time.monotonic() + SECONDS
    with redirect_stdout(sink), redirect_stderr(sink), torch.no_grad():
        for found in _usual(model, spec):
            if time.monotonic() > end:
                break
            try:
                tried = model
                if is_rebuilt:
                    tried, _ = call_target(target, arguments_of(target, "", found), found)
                with evaluating(tried):
                    logits = tried(found.images())
            except (Exception, SystemExit):  # it does not accept those either
                continue
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else (2,)
            if shape[:1] == (2,):
                has_classes = len(shape) == 2 and spec.is_adjustable
                return replace(found, classes=shape[1]) if has_classes else found
    return None


def _usual(model: nn.Module, spec: ModelSpec) -> Iterator[ModelSpec]:
    """Yield the image shapes for which models are usually built, without the given one."""
    first = [module.in_channels for module in model.modules() if isinstance(module, _ConvNd)]
    for channels in dict.fromkeys((*first[:1], spec.channels, 3, 1)):
        # Color images of MNIST's size are rare: a model for color images gets CIFAR's size.
        is_color = channels == 3 and spec.channels == 1 and spec.is_adjustable
        preferred = USUAL_SIZES[0] if is_color and spec.image_size == 28 else spec.image_size
        for size in dict.fromkeys((preferred, *USUAL_SIZES)):
            found = replace(spec, channels=channels, image_size=size)
            if channels > 0 and found != spec:
                yield found


def _first_layer(model: nn.Module) -> str:
    layers = (name for name, m in model.named_modules() if isinstance(m, _ConvNd | nn.Linear))
    name = next(layers, "")
    return f"its first layer, {name}," if name else "its first layer"


def class_hint(model: nn.Module, target: Any, shape: tuple[int, ...], spec: ModelSpec) -> str:
    """Return advice for logits whose shape is not (2, classes)."""
    if not shape or shape[0] != 2:
        return input_hint(model, target, spec)
    if len(shape) != 2:
        if shape[1:2] != (spec.classes,):
            return ""
        is_flat = all(side == 1 for side in shape[2:])
        return "; flatten them: x.flatten(1)" if is_flat else "; average each map: x.mean((2, 3))"
    given, advice = shape[1], []
    sets = [key for key, p in parameters_of(target).items() if p.default == given]
    if sets and type(parameters_of(target)[sets[0]].default) is int:
        advice.append(f"rename its argument {sets[0]} to {CLASS_NAMES[0]}")
    elif layer := _last_layer(model, given):
        advice.append(f"give its last layer, {layer}, {spec.classes} outputs")
    if spec.is_adjustable:
        advice.append(f"add --classes {given}")
    elif not advice:
        advice.append(f"add an argument {CLASS_NAMES[0]}")
    return f"; {', or '.join(advice)}"


def _last_layer(model: nn.Module, features: int) -> str:
    """Return the name of the last layer if it has this number of outputs."""
    widths = {
        name: getattr(module, "out_features", None) or getattr(module, "out_channels", None)
        for name, module in model.named_modules()
    }
    name, width = next(((n, w) for n, w in reversed(widths.items()) if isinstance(w, int)), ("", 0))
    return name if width == features else ""
