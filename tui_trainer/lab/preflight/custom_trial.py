"""Try the first steps of a custom model before the run starts.

A model can work for two images in evaluation mode and still fail in training mode, in the last
batch of the first epoch, on a single image, or in its second step. All of that is tried on a copy
before anything is recorded. An error is one line with file and line of the custom code.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from tui_trainer.anatomy.hidden_layers import first_input, hidden_softmax
from tui_trainer.data.dataset import Data, batch_sizes
from tui_trainer.engine.optimizers import Optimizer, make_optimizer
from tui_trainer.engine.steps import autocast, backward, loss_fn
from tui_trainer.models.behavior import behavior_of
from tui_trainer.models.checkpoints import MAX_BYTES
from tui_trainer.models.copies import copy_model
from tui_trainer.models.custom import error_lines
from tui_trainer.models.custom.process_state import custom_code
from tui_trainer.models.function_check import (
    is_linear,
    logits_at_bound,
    mirrored,
    not_registered,
    pixels_used,
    smoothness,
)
from tui_trainer.models.gradient_check import (
    equal_units,
    frozen_statistics,
    gradient_ratio,
    training_gap,
)
from tui_trainer.models.modes import evaluating
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.state import state_tensors
from tui_trainer.models.tensors import mean_and_std
from tui_trainer.models.unregistered_state import iterators, preserve_globals
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.probed import ModelProbed
from tui_trainer.protocol.reference import Reference, parse_reference
from tui_trainer.text.fmt import plural, size

FEW = 8
"""Images on which the behavior of the model is tested."""

GRADIENT_IMAGES = 64
"""Images on which the gradient is checked."""

SMOOTH = 0.1
"""The smoothness of the images from which that of the first layer's input can be compared."""

LARGEST_GAP = 1e9
"""The value of an infinite gap: JSON has no infinity."""


def try_model(model: nn.Module, data: Data, config: RunConfig) -> ModelProbed:
    """Try the first steps on a copy: the run's batch, evaluation mode, then the smallest batch.

    Args:
        model: The model, on the device and in the memory layout that it will be trained in.
        data: The run's images.
        config: The run's settings, with the model's path written out.

    Returns:
        The behavior of the model.

    Raises:
        InputError: If the run would fail; in one line.
    """
    reference = _reference(config.model)
    place = _forward_line(model, reference)
    if names := iterators(model):
        raise InputError(
            f"{place}: {names[0]} is an iterator, whose position cannot be saved in a checkpoint; "
            "use a list and a counter instead"
        )
    images = data.train.images
    sizes = batch_sizes(config.batch_size, len(data.train))
    with preserve_rng_state(images.device), preserve_globals(model):
        twin = copy_model(model)
        _try_steps(twin, data, config, sizes[:1], reference, place)
        few = data.prepare(images[: min(FEW, len(images))])
        if len(few) > 1:
            _try_evaluation(twin, few, reference, place)
        _try_steps(twin, data, config, sizes[::-1], reference, place)
        _check_apart(model, twin, place)
        if len(few) < 2:
            return ModelProbed(batch_gap=0.0, random_gap=0.0, state_gap=0.0, image_gap=1.0)
        with _refused(reference, place, "in evaluation mode"):
            return probe_model(model, few, data.prepare(images[:GRADIENT_IMAGES]), data)


def probe_model(model: nn.Module, few: Tensor, inputs: Tensor, data: Data) -> ModelProbed:
    """Return the behavior of a model.

    Args:
        model: The model; it is left as it is.
        few: Two or more training images, prepared.
        inputs: The first training images, prepared.
        data: Their labels.
    """
    seen = behavior_of(model, few)
    training = training_gap(model, few)
    labels = data.train.labels[: len(inputs)]
    ratio = gradient_ratio(model, inputs, labels, loss_fn)
    equal = equal_units(model, inputs, labels, loss_fn)
    gaps = dataclasses.asdict(seen).items()
    return ModelProbed(
        **{name: min(gap, LARGEST_GAP) for name, gap in gaps},
        gradient_ratio=ratio,
        training_gap=training[0],
        training_random_gap=training[1],
        equal_units=equal,
        frozen_statistics=frozen_statistics(model),
        dropout=max((m.p for m in model.modules() if isinstance(m, _DropoutNd)), default=None),
        **_function_checks(model, inputs),
    )


def _function_checks(model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    """Return what is known about the model as a function of its input; nothing that fails."""
    found: dict[str, Any] = {}
    few = inputs[:FEW]
    with suppress(Exception):
        found["is_linear"] = is_linear(model, few)
    with suppress(Exception):
        found["logit_range"], found["logits_at_bound"] = logits_at_bound(model, few)
    with suppress(Exception):
        found["mirrored"] = mirrored(model, inputs)
    with suppress(Exception):
        found["pixels_used"] = pixels_used(model, inputs)
    with suppress(Exception):
        found["not_registered"] = not_registered(model, few)
    with suppress(Exception):
        found["hidden_softmax"] = hidden_softmax(model, few[:2])
    with suppress(Exception):
        first = first_input(model, few)
        if first is not None:
            mean, std = mean_and_std(first)
            found["first_input_mean"], found["first_input_std"] = mean, std
            found["first_input_smoothness"] = _relative_smoothness(first, few)
    return found


def _relative_smoothness(first: Tensor, images: Tensor) -> float | None:
    """Return the smoothness of the first layer's input, relative to that of the images."""
    if first.ndim == 2 and first.shape[1] == images[0].numel():
        first = first.reshape(images.shape)
    if first.ndim < 3 or first.shape[-2:] != images.shape[-2:]:
        return None
    ours, whole = smoothness(first), smoothness(images)
    is_smooth = whole is not None and whole >= SMOOTH
    return ours / whole if ours is not None and whole is not None and is_smooth else None


def try_batch_size(model: nn.Module, data: Data, config: RunConfig, size: int) -> None:
    """Try a training step with another batch size, on a copy.

    Raises:
        InputError: If the step fails; in one line.
    """
    reference = _reference(config.model)
    place = _forward_line(model, reference)
    sizes = batch_sizes(size, len(data.train))
    with preserve_rng_state(data.train.images.device), preserve_globals(model):
        _try_steps(copy_model(model), data, config, sizes, reference, place)


def _try_steps(
    twin: nn.Module,
    data: Data,
    config: RunConfig,
    sizes: Sequence[int],
    reference: Reference,
    place: str,
) -> None:
    """Train a batch of each size.

    Raises:
        InputError: If one fails, or the model does not return logits.
    """
    optimizer = make_optimizer(twin, config)
    _check_size(twin, optimizer, place)
    for count in sizes:
        images = data.prepare(data.train.images[:count])
        labels = data.train.labels[:count]
        where = f"in training mode, with a batch of {plural(count, 'image')}"
        again = functools.partial(_forward_backward, twin, images, labels, config.label_smoothing)
        with _refused(reference, place, where, again), torch.enable_grad():
            with autocast(images.device, config.precision):
                logits = twin(images)
            _check_logits(logits, count, data.classes, place, where)
            optimizer.zero_grad()
            loss = loss_fn(logits, labels, config.label_smoothing)
            backward(loss, optimizer.parameters)
            optimizer.step(0.0)


@torch.enable_grad()
def _forward_backward(twin: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> None:
    backward(loss_fn(twin(images), labels, smoothing))


@torch.no_grad()
def _try_evaluation(twin: nn.Module, few: Tensor, reference: Reference, place: str) -> None:
    """Try several images and a single one in evaluation mode; the modes are restored.

    Raises:
        InputError: If one fails, or the model does not return logits.
    """
    with _refused(reference, place, "in evaluation mode"), evaluating(twin):
        _check_logits(twin(few.clone()), len(few), None, place, "in evaluation mode")
        where = "in evaluation mode, with one image alone"
        with _refused(reference, place, where):
            _check_logits(twin(few[:1].clone()), 1, None, place, where)


def _check_logits(logits: Any, count: int, classes: int | None, place: str, where: str) -> None:
    if not isinstance(logits, Tensor):
        kind = type(logits).__name__
        raise InputError(
            f"{place}: {where}, forward returns a {kind} instead of a tensor of logits; "
            "return only the logits, in both modes"
        )
    is_valid = logits.ndim == 2 and len(logits) == count and classes in (None, logits.shape[1])
    if not is_valid:
        expected = f"({count}, {classes})" if classes else f"({count}, classes)"
        raise InputError(f"{place}: {where}, forward returns {tuple(logits.shape)}, not {expected}")


def _check_size(twin: nn.Module, optimizer: Optimizer, place: str) -> None:
    """Reject a model whose checkpoints would be too large to read.

    Raises:
        InputError: If it is too large.
    """
    kept = (*state_tensors(twin).values(), *optimizer.state_tensors().values(), *twin.parameters())
    stored = sum(tensor.nbytes for tensor in kept)
    if stored > MAX_BYTES:
        raise InputError(
            f"{place}: its checkpoints would have {size(stored)}, including the optimizer's state "
            f"and a gradient; the limit is {size(MAX_BYTES)}: train a smaller model"
        )


def _check_apart(model: nn.Module, twin: nn.Module, place: str) -> None:
    """Check that training a copy did not change the model.

    Raises:
        InputError: If the copy shares tensors with the model.
    """
    ours = {id(parameter) for parameter in model.parameters()}
    shared = any(id(parameter) in ours for parameter in twin.parameters())
    if shared or any(parameter.grad is not None for parameter in model.parameters()):
        raise InputError(
            f"{place}: a copy of the model shares weights with the model: a global variable or a "
            "function holds them; keep layers as attributes of the module"
        )


@contextmanager
def _refused(
    reference: Reference, place: str, where: str, again: Callable[[], object] | None = None
) -> Iterator[None]:
    """Turn an exception of the model into a one-line error.

    ``again`` repeats the step, to find the line of ``forward`` that caused an autograd error.

    Raises:
        InputError: Instead of that exception.
    """
    try:
        with custom_code(reference):
            yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError) or "not enough memory" in str(error):
            raise InputError(f"{place}: not enough memory {where}: {reason(error)}") from None
        if again is not None and not error_lines.line_of_error(error, reference):
            place = error_lines.line_of_forward(again, reference) or place
        words = error_lines.describe_error(error, place, reference)
        raise InputError(f"{words}; {where}") from None


def _reference(model: str) -> Reference:
    reference = parse_reference(model)
    assert reference is not None, "only custom models are tried"
    return reference


def _forward_line(model: nn.Module, reference: Reference) -> str:
    """Return file and line of the model's ``forward``, or the name of the model."""
    forward = inspect.getattr_static(type(model), "forward", None)
    code = getattr(inspect.unwrap(forward), "__code__", None) if callable(forward) else None
    if code is not None and (line := error_lines.first_line(code, reference)):
        return line
    return f"{error_lines.place_of(reference)}:{reference.name}"
