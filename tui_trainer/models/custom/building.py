"""A custom model, built and tried on two images before it is used.

It is a subclass of ``nn.Module`` or a function that returns a module. It is called with the keyword
arguments below that its signature names. Through ``**kwargs`` it gets ``num_classes`` alone, if it
accepts that, as torchvision's functions do:

- ``image_size`` or ``img_size``: height and width of the square images, in pixels;
- ``input_shape`` or ``in_shape``: channels, height and width;
- ``in_channels``, ``in_chans``, ``in_channel``, ``input_channels``, or ``channels`` if it has no
  default, for it may mean something else; for color images also if its default is 1;
- ``num_classes``, ``classes``, ``n_classes``, ``num_class``, ``n_class`` or ``nb_classes``;
- ``dropout``, if ``--dropout`` is given, or 0 if the argument has no default.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tui_trainer.models.copies import clone_inputs, copy_model, uncompile
from tui_trainer.models.custom import error_lines, loading
from tui_trainer.models.custom.arguments import (
    ModelSpec,
    arguments_of,
    call_target,
    class_hint,
    input_hint,
)
from tui_trainer.models.custom.process_state import custom_code, restore_globals_after_forward
from tui_trainer.models.modes import evaluate
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.state import state_tensors
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.reference import Reference

_INPUT_ERRORS = (RuntimeError, ValueError, AssertionError)
"""What a model raises for an input shape that it was not written for."""

_USUAL_BATCHES = (8, 10, 16, 20, 32, 50, 64, 100, 128, 256)
"""Batch sizes for which a model may be written."""


class CustomModel:
    """A class or a function of custom code that builds a model.

    Args:
        reference: Its file or module and its name; the code is imported again.
        spec: The images and classes for which it builds models.

    Raises:
        InputError: If there is no such class or function, or its code raises.
    """

    def __init__(self, reference: Reference, spec: ModelSpec) -> None:
        self.reference, self.spec = reference, spec
        self.target: Any = loading.load(reference)
        self.name = f"{error_lines.place_of(reference)}:{reference.name}"

    def build(self) -> tuple[nn.Module, set[str]]:
        """Build the model; return it and the names of the arguments that were passed.

        ``torch.compile`` wrappers are removed, and a hook clones the input of ``forward``: some
        models write into their input.

        Raises:
            InputError: If building fails, or the result is not a module.
        """
        if isinstance(self.target, nn.Module):
            raise InputError(
                f"{self.name}: is an instance of nn.Module; name its class, or a function "
                "that builds it"
            )
        if isinstance(self.target, type) and not loading.is_module_class(self.target):
            raise InputError(f"{self.name}: is a class, but not a subclass of nn.Module")
        if not loading.is_python(self.target):
            kind = type(self.target).__name__
            raise InputError(
                f"{self.name}: is neither a class nor a function written in Python (type {kind})"
            )
        arguments = arguments_of(self.target, self.name, self.spec)
        with custom_code(self.reference):
            try:
                model, arguments = call_target(self.target, arguments, self.spec)
            except InputError as error:
                raise InputError(f"{self.name}: {error}") from None
            except (Exception, SystemExit) as error:
                place = error_lines.place_of(self.reference)
                words = error_lines.describe_error(error, place, self.reference)
                raise InputError(f"{words}; {self.reference.name} could not be built") from None
        if not isinstance(model, nn.Module):
            raise InputError(f"{self.name}: returns {type(model).__name__}, not an nn.Module")
        return restore_globals_after_forward(clone_inputs(uncompile(model))), set(arguments)

    def check(self, model: nn.Module) -> None:
        """Check that a model returns logits for two images and that it can be trained.

        Raises:
            InputError: If not.
        """
        name, spec = self.name, self.spec
        with custom_code(self.reference):
            twin, logits = self._try(model)
        if not isinstance(logits, Tensor):
            raise InputError(
                f"{name}: forward returns {type(logits).__name__}, not a tensor; return the logits"
            )
        expected = (2, spec.classes)
        if tuple(logits.shape) != expected:
            shape = tuple(logits.shape)
            hint = class_hint(model, self.target, shape, spec)
            raise InputError(
                f"{name}: its logits for two images have shape {shape}, not {expected}{hint}"
            )
        if not logits.is_floating_point() or not bool(torch.isfinite(logits).all()):
            raise InputError(f"{name}: its logits are not finite floats: {_some(logits)}")
        if not any(p.requires_grad for p in model.parameters()):
            raise InputError(f"{name}: has no trainable parameter (requires_grad)")
        if not logits.requires_grad and not _has_gradient(twin, spec.images()):
            raise InputError(
                f"{name}: its logits have no gradient; compute them from its parameters, without "
                "detach() or no_grad()"
            )
        try:
            state_tensors(model)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name}: get_extra_state() cannot be saved: {reason(error)}"
            ) from None

    def _try(self, model: nn.Module) -> tuple[nn.Module, Any]:
        """Return a copy of the model and its logits for two images."""
        images = self.spec.images()
        try:
            if any(map(is_lazy, _tensors(model))):
                evaluate(model, images)  # lazy layers infer their shapes
            twin = _copy_of(model, self.name)
            logits = evaluate(twin, images)
            if len(_tensors(twin)) != len(_tensors(model)):
                evaluate(model, images)  # it creates layers in its first forward
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            words = error_lines.describe_error(error, self.name, self.reference)
            hint = ""
            if type(error) in _INPUT_ERRORS and "memory" not in words:
                hint = _batch_hint(model, images[:1])
                hint = hint or input_hint(model, self.target, self.spec)
            text = f"{words}; {self.reference.name} failed on two images{hint}"
            raise InputError(text) from None
        return twin, logits


def _batch_hint(model: nn.Module, image: Tensor) -> str:
    """Return advice for a model that accepts batches of one size only."""
    for count in _USUAL_BATCHES:
        with suppress(Exception), torch.no_grad():
            evaluate(copy_model(model), image.expand(count, *image.shape[1:]))
            return (
                f"; it accepts batches of {count} images only: write x.shape[0] instead of {count}"
            )
    return ""


def _has_gradient(twin: nn.Module, images: Tensor) -> bool:
    """Return whether the logits have a gradient in training mode; some models have none in eval."""
    with suppress(Exception), preserve_rng_state(), torch.enable_grad():
        logits = twin(images)
        return not isinstance(logits, Tensor) or logits.requires_grad
    return True  # the trial of the first steps reports what fails in training mode


def _copy_of(model: nn.Module, name: str) -> nn.Module:
    """Return a copy.

    Raises:
        InputError: If copying fails: views and checks work on copies.
    """
    try:
        return copy_model(model)
    except Exception as error:
        raise InputError(
            f"{name}: copy.deepcopy fails: {type(error).__name__}: {reason(error)}; remove that "
            "attribute from the model, or define __deepcopy__"
        ) from None


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _some(logits: Tensor) -> str:
    return f"{logits.dtype}".removeprefix("torch.") + f" {logits.flatten()[:3].tolist()}"
