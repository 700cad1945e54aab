"""A custom model, built and tried on two images before it is used.

It is a subclass of ``nn.Module`` or a function that returns one. It is called with those of these
that its signature names; nothing goes through ``**kwargs``:

- ``image_size`` or ``img_size``: the side of the square images in pixels;
- ``input_shape`` or ``in_shape``: channels, height and width;
- ``in_channels``, ``in_chans``, ``in_channel``, ``input_channels``, or ``channels`` if it has no
  default, which may well mean something else;
- ``num_classes``, ``classes``, ``n_classes``, ``num_class``, ``n_class`` or ``nb_classes``;
- ``dropout``, if it is set, or 0 if the signature cannot do without.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tui_trainer.models.copies import clone_inputs, copy_model, uncompile
from tui_trainer.models.custom import error_lines, loading
from tui_trainer.models.custom.arguments import ModelSpec, arguments_of, class_hint, input_hint
from tui_trainer.models.custom.process_state import custom_code, restore_globals_after_forward
from tui_trainer.models.modes import evaluate
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.state import state_tensors
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.reference import Reference

_INPUT_ERRORS = (RuntimeError, ValueError, AssertionError)
"""What a model raises where the images have other sizes than it was made for."""

_USUAL_BATCHES = (8, 10, 16, 20, 32, 50, 64, 100, 128, 256)
"""Sizes that a model may be written for."""


class CustomModel:
    """A class or a function of custom code that gives a network.

    Args:
        reference: Where it is; its code is imported again.
        wanted: What its networks are built for.

    Raises:
        InputError: If there is no such class or function, or its code raises.
    """

    def __init__(self, reference: Reference, spec: ModelSpec) -> None:
        self.reference, self.spec = reference, spec
        self.target: Any = loading.load(reference)
        self.name = f"{error_lines.place_of(reference)}:{reference.name}"

    def build(self) -> tuple[nn.Module, set[str]]:
        """Call it with what it names; return its network and the names.

        What ``torch.compile`` has wrapped is unwrapped, and its input is a copy of what it is
        given: some models write into their input.

        Raises:
            InputError: If it cannot be called, or gives something else than a network.
        """
        if isinstance(self.target, nn.Module):
            raise InputError(
                f"{self.name}: is a network already; name its class, or a function that builds"
            )
        if isinstance(self.target, type) and not loading.is_module_class(self.target):
            raise InputError(f"{self.name}: is a class, but no subclass of nn.Module")
        if not loading.is_python(self.target):
            kind = type(self.target).__name__
            raise InputError(
                f"{self.name}: is no class and no function written in Python (type {kind})"
            )
        arguments = arguments_of(self.target, self.name, self.spec)
        with custom_code(self.reference):
            try:
                model = self.target(**arguments)
            except (Exception, SystemExit) as error:
                place = error_lines.place_of(self.reference)
                words = error_lines.describe_error(error, place, self.reference)
                raise InputError(f"{words}; {self.reference.name} could not be built") from None
        if not isinstance(model, nn.Module):
            raise InputError(f"{self.name}: gives no nn.Module (type {type(model).__name__})")
        return restore_globals_after_forward(clone_inputs(uncompile(model))), set(arguments)

    def check(self, model: nn.Module) -> None:
        """Make sure that its network gives two images a logit for each class, and can be trained.

        Raises:
            InputError: If not.
        """
        name, spec = self.name, self.spec
        with custom_code(self.reference):
            twin, logits = self._tried(model)
        if not isinstance(logits, Tensor):
            raise InputError(f"{name}: gives no tensor of scores (type {type(logits).__name__})")
        due = (2, spec.classes)
        if tuple(logits.shape) != due:
            shape = tuple(logits.shape)
            hint = class_hint(model, self.target, shape, spec)
            raise InputError(f"{name}: gives {shape} for two images; scores must be {due}{hint}")
        if not logits.is_floating_point() or not bool(torch.isfinite(logits).all()):
            raise InputError(f"{name}: gives scores that are no finite numbers: {_some(logits)}")
        if not any(p.requires_grad for p in model.parameters()):
            raise InputError(f"{name}: has no parameters to train")
        if not logits.requires_grad and not _has_gradient(twin, spec.images()):
            raise InputError(
                f"{name}: its scores have no gradient; do they come from its parameters?"
            )
        try:
            state_tensors(model)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: its extra state cannot be saved: {reason(error)}") from None

    def _tried(self, model: nn.Module) -> tuple[nn.Module, Any]:
        """Return a copy that has seen two images, and its logits for them."""
        images = self.spec.images()
        try:
            if any(map(is_lazy, _tensors(model))):
                evaluate(model, images)  # lazy layers learn their shapes
            twin = _copy_of(model, self.name)
            logits = evaluate(twin, images)
            if len(_tensors(twin)) != len(_tensors(model)):
                evaluate(model, images)  # it makes layers when it sees its first images
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            words = error_lines.describe_error(error, self.name, self.reference)
            hint = ""
            if type(error) in _INPUT_ERRORS and "memory" not in words:
                hint = _batch_hint(model, images[:1])
                hint = hint or input_hint(model, self.target, self.spec)
            text = f"{words}; {self.reference.name} could not score images{hint}"
            raise InputError(text) from None
        return twin, logits


def _batch_hint(model: nn.Module, image: Tensor) -> str:
    """Return what to do where a model takes batches of one size alone."""
    for count in _USUAL_BATCHES:
        with suppress(Exception), torch.no_grad():
            evaluate(copy_model(model), image.expand(count, -1, -1, -1))
            return f"; it takes {count} images at a time alone: write x.shape[0] for {count}"
    return ""


def _has_gradient(twin: nn.Module, images: Tensor) -> bool:
    """Say whether the logits have a gradient in training mode: some models stop it in the other."""
    with suppress(Exception), preserve_rng_state(), torch.enable_grad():
        logits = twin(images)
        return not isinstance(logits, Tensor) or logits.requires_grad
    return True  # what is wrong in training mode is told by the trial of the first steps


def _copy_of(model: nn.Module, name: str) -> nn.Module:
    """Return a copy.

    Raises:
        InputError: If none can be made: views and checks work on copies.
    """
    try:
        return copy_model(model)
    except Exception as error:
        raise InputError(
            f"{name}: cannot be copied: {type(error).__name__}: {reason(error)}; leave out of the "
            "model what cannot be copied, or give it a __deepcopy__"
        ) from None


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _some(logits: Tensor) -> str:
    return f"{logits.dtype}".removeprefix("torch.") + f" {logits.flatten()[:3].tolist()}"
