"""Any model by its name: one of the zoo, or a custom one.

Custom code is loaded only where a custom model is named.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tui_trainer.models import zoo
from tui_trainer.models.copies import copy_model, shared_storages
from tui_trainer.models.input_spec import InputSize, spec_of
from tui_trainer.models.modes import begin_training, evaluate
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.state import materialize
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import (
    REFERENCE_SYNTAX,
    Reference,
    model_name,
    parse_reference,
    suggestion_for,
)
from tui_trainer.text.fmt import clip, one_line, printable

if TYPE_CHECKING:
    from tui_trainer.models.custom.error_lines import CustomModelError

DROPOUT_LAYERS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)

LONGEST_ABOUT = 200
"""The most characters of a docstring that are shown."""

LONGEST_PROBLEM = 80
"""The most characters of an error of a model that are quoted within another message."""


def is_custom(name: str) -> bool:
    """Return whether a name refers to custom code, not to the zoo."""
    return name not in zoo.REGISTRY


def build_model(
    name: str,
    *,
    image_size: InputSize,
    classes: int,
    dropout: float | None = None,
    channels: int = 1,
    is_adjustable: bool = False,
) -> nn.Module:
    """Build a model in training mode; the global rngs draw its initial weights.

    A custom model is imported again, and a copy of it is tried on two images before it is returned.

    Args:
        name: A name of the zoo, ``path/to/file.py:ClassName`` or ``package.module:factory``.
        image_size: Side of the square input, in pixels, or its description; models of the zoo take
            square images only.
        classes: Number of classes.
        dropout: Probability of its dropout layers; None for the default of the model.
        channels: Channels of the images, if ``image_size`` is their side.
        is_adjustable: Whether advice can name options for image size, channels and classes.

    Raises:
        InputError: If there is no such model, it cannot be built, or it does not return a logit for
            each class; for a custom model the message names the line.
    """
    check_dropout(name, dropout)
    if name in zoo.REGISTRY:
        found = spec_of(image_size, channels)
        height, width, channels = found.image_shape
        if not found.is_image or height != width:
            raise InputError(f"{name}: takes square images, not {found.words}")
        return zoo.build(
            name, image_size=height, classes=classes, dropout=dropout, channels=channels
        )
    from tui_trainer.models.custom.arguments import ModelSpec
    from tui_trainer.models.custom.building import CustomModel
    from tui_trainer.models.custom.process_state import custom_code

    spec = ModelSpec.of(image_size, classes, channels, dropout, is_adjustable=is_adjustable)
    custom = CustomModel(_reference(name), spec)
    model, given = custom.build()
    if dropout is not None and "dropout" not in given:
        if dropout_of(model) is None:
            raise InputError(
                f"--dropout {dropout:g}: {custom.name} has neither a dropout layer nor an argument "
                "named dropout"
            )
        set_dropout(model, dropout)
    custom.check(model)
    with custom_code(custom.reference):
        begin_training(model)
    materialize(model)
    return model


def check_dropout(name: str, dropout: float | None) -> None:
    """Check that a model of the zoo has dropout layers if dropout is set.

    Raises:
        InputError: If it has none.
    """
    if dropout is not None and name in zoo.REGISTRY and zoo.REGISTRY[name].dropout is None:
        raise InputError(
            f"--dropout {dropout:g}: {name} has no dropout layer; --model era-s6-dropout has"
        )


def check_resizing(model: nn.Module, name: str, images: Tensor, side: int, classes: int) -> None:
    """Check that a model takes the smaller images of progressive resizing, on a copy of it.

    Args:
        model: The model.
        name: Its name, for the message.
        images: Two prepared images (2, 1, size, size).
        side: The size of the images of the dataset, in pixels.
        classes: The number of classes.

    Raises:
        InputError: If it does not, or the images are not smaller.
    """
    size = images.shape[-1]
    if size >= side:
        raise InputError(f"--resize-to {size}: the images have {side} pixels; choose fewer")
    try:
        with preserve_rng_state(), torch.no_grad():
            shape = copy_model(model)(images).shape
        problem = "" if shape == (2, classes) else f"its output is {tuple(shape)}"
    except Exception as error:  # a custom model can raise anything
        problem = clip(one_line(str(error)), LONGEST_PROBLEM)
    if problem:
        raise InputError(
            f"--resize-until: {model_name(name)} does not take {size}×{size} images ({problem}); "
            "choose a model with global average pooling, or leave the option out"
        )


def summary_of(name: str) -> str:
    """Return a model's summary in a sentence: for custom code, the first line of its docstring.

    Raises:
        InputError: If there is no such model.
    """
    if name in zoo.REGISTRY:
        return zoo.REGISTRY[name].summary
    from tui_trainer.models.custom import loading

    target = loading.last_loaded(_reference(name))
    while isinstance(target, functools.partial):
        target = target.func
    lines = (target.__doc__ or "").strip().splitlines()
    return clip(one_line(lines[0]), LONGEST_ABOUT) if lines else ""


def custom_model_error(error: Exception, name: str) -> CustomModelError | None:
    """Return an error of training as one that names the line of the custom model which raised it.

    None if no line of a custom model raised it.
    """
    reference = parse_reference(name) if name not in zoo.REGISTRY else None
    if reference is None:
        return None
    from tui_trainer.models.custom import error_lines

    place = error_lines.line_of_error(error, reference)
    text = place and error_lines.describe_error(error, place, reference)
    return error_lines.CustomModelError(text) if text else None


@contextmanager
def locate_custom_model_errors(name: str) -> Iterator[None]:
    """Convert an error of a custom model into one that names the line; raise others unchanged.

    Raises:
        CustomModelError: In place of the error of the custom model.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if located := custom_model_error(error, name):
            raise located from error
        raise


def dropout_of(model: nn.Module) -> float | None:
    """Return the probability of the first dropout layer; None without such layers."""
    shares = [m.p for m in model.modules() if isinstance(m, DROPOUT_LAYERS)]
    return shares[0] if shares else None


def set_dropout(model: nn.Module, share: float) -> None:
    """Set the probability of every dropout layer."""
    for module in model.modules():
        if isinstance(module, DROPOUT_LAYERS):
            module.p = share


def to_channels_last(model: nn.Module, image_size: InputSize, channels: int = 1) -> nn.Module:
    """Convert a model to channels_last memory format, if it then returns the same logits.

    Convolutions on the CPU are 1.6 times as fast with it. A model that calls ``view`` on its maps,
    as many do, fails on that format; one that keeps views of its kernels would go on using the old
    ones.
    """
    if any(tensor.ndim > 3 for group in shared_storages(model) for tensor in group):
        return model
    images = spec_of(image_size, channels).noise(2)
    try:
        twin = copy_model(model)
        before = evaluate(twin, images)
        twin = twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if torch.allclose(evaluate(twin, images), before, rtol=1e-3, atol=1e-4):
            with preserve_rng_state():
                twin(images)  # training mode may use other code paths
            return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    except Exception:  # the format is optional
        pass
    return model


def _reference(name: object) -> Reference:
    reference = parse_reference(name) if isinstance(name, str) else None
    if reference is None:
        advice = (isinstance(name, str) and suggestion_for(name)) or f"write {REFERENCE_SYNTAX}"
        raise InputError(f"there is no model {clip(printable(name), 80)}; {advice}")
    return reference
