"""Loss and accuracy of any classifier's outputs, and the evaluation of a model on a loader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.models.modes import evaluating
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.tensors import logits_of

LABELS = ("labels", "label", "targets", "target", "y")
"""The keys under which batches that are mappings have their labels."""

Forward = Callable[[Any], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Validated:
    """The result of a validation.

    Attributes:
        loss: The mean cross-entropy in nats; NaN if it cannot be computed.
        accuracy: The share of correct predictions; NaN without any.
        correct: How many predictions were correct.
        total: Of how many examples.
        result: Loss and prediction of each example; None if there are none.
    """

    loss: float = math.nan
    accuracy: float = math.nan
    correct: int = 0
    total: int = 0
    result: Evaluation | None = field(default=None, repr=False)


def inputs_and_labels(batch: Any) -> tuple[Any, Tensor | None]:
    """Return the inputs of a batch and its labels; None where it has no recognizable ones.

    A batch is a pair or longer sequence, whose last tensor are the labels, or a mapping.
    """
    if isinstance(batch, Mapping):
        name = next((name for name in LABELS if name in batch), None)
        labels = None if name is None else batch[name]
        named = {key: value for key, value in batch.items() if key != name}
        return named, labels if isinstance(labels, Tensor) else None
    if isinstance(batch, list | tuple) and len(batch) >= 2:
        labels = batch[-1]
        inputs = batch[0] if len(batch) == 2 else tuple(batch[:-1])
        return inputs, labels if isinstance(labels, Tensor) else None
    return batch, None


def classes_second(logits: Tensor | None, labels: Tensor | None) -> Tensor | None:
    """Return logits (N, classes, ...), also those of sequences (N, length, classes)."""
    is_last = (
        logits is not None
        and labels is not None
        and logits.ndim == 3
        and labels.shape == logits.shape[:2]
        and labels.shape != (len(logits), logits.shape[2])
        and not labels.is_floating_point()
    )
    return logits.transpose(1, 2) if logits is not None and is_last else logits


def class_indices(labels: Tensor, logits: Tensor) -> Tensor | None:
    """Return the labels as class indices; None if they do not fit the logits (N, classes, ...).

    Labels with a value for each class, as one-hot or soft ones, become the largest. With a single
    logit the labels are 0 and 1.
    """
    if logits.ndim >= 2 and labels.shape == logits.shape and logits.shape[1] > 1:
        return labels.argmax(dim=1)
    if logits.ndim >= 2 and labels.shape == (len(logits), *logits.shape[2:]):
        return labels.long()
    if labels.numel() == logits.numel():
        return (labels > 0.5).long().flatten()
    if labels.numel() == len(logits):
        return labels.long().flatten()
    return None


def predictions(logits: Tensor) -> Tensor:
    """Return the predicted classes of logits (N, classes, ...), or of one logit each."""
    if logits.ndim < 2 or logits.shape[1] == 1:
        return (logits.flatten() > 0).long()
    return logits.argmax(dim=1)


def share_correct(logits: Tensor | None, labels: Tensor | None) -> Tensor | None:
    """Return the share of correct predictions on the device; None if it is not defined."""
    if logits is None or labels is None or not logits.is_floating_point() or not logits.ndim:
        return None
    wanted = class_indices(labels.to(logits.device), logits)
    guessed = predictions(logits)
    if wanted is None or wanted.shape != guessed.shape:
        return None
    return (guessed == wanted).float().mean()


def per_example(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return loss, correctness and label of each example, all (N) on the CPU; None if undefined.

    With several predictions an example, as in segmentation, each counts as an example.
    """
    logits = logits.float()
    wanted = class_indices(labels.to(logits.device), logits)
    guessed = predictions(logits)
    if wanted is None or wanted.shape != guessed.shape:
        return None
    if logits.ndim < 2 or logits.shape[1] == 1:
        losses = functional.binary_cross_entropy_with_logits(
            logits.flatten(), wanted.float(), reduction="none"
        )
    else:
        losses = functional.cross_entropy(logits, wanted, reduction="none")
    return losses.flatten().cpu(), (guessed == wanted).flatten().cpu(), wanted.flatten().cpu()


def move(value: Any, device: torch.device) -> Any:
    """Return a batch, or a part of one, with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {key: move(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(move(item, device) for item in value)
    return value


def call(model: nn.Module, inputs: Any) -> Any:
    """Return the output of a model for the inputs of a batch."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter or buffer; the CPU without any."""
    tensors = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def inner(model: nn.Module) -> nn.Module:
    """Return the model inside the wrappers of PyTorch: data parallel ones, ``torch.compile``."""
    while True:
        name = type(model).__name__
        if name in ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel"):
            model = cast(nn.Module, model.module)
        elif name == "OptimizedModule":
            model = cast(nn.Module, model._orig_mod)
        else:
            return model


class _Got:
    """Keeps what a model gets; without a model it keeps nothing."""

    def __init__(self, model: nn.Module | None) -> None:
        self.inputs: Any = None
        self._model = model

    def __enter__(self) -> None:
        if self._model is not None:
            self._handle = self._model.register_forward_pre_hook(
                self._keep, with_kwargs=True, prepend=True
            )

    def __exit__(self, *_: object) -> None:
        if self._model is not None:
            self._handle.remove()

    def _keep(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.inputs = kwargs or args


@torch.no_grad()
def evaluate_loader(
    model: nn.Module,
    loader: Iterable[Any],
    forward: Forward | None = None,
    seen: Callable[[Any, Tensor], None] | None = None,
) -> Validated:
    """Evaluate a model on a loader; the states of the random generators are restored.

    Args:
        model: Called as in training, in evaluation mode; a wrapper of several processes is not.
        loader: Yields batches of inputs and labels.
        forward: Maps a batch to logits and labels.
        seen: Receives what the model got of each batch, and the labels.
    """
    model = inner(model)
    device = device_of(model)
    parts, got = [], _Got(model if seen is not None else None)
    with got, preserve_rng_state(device), evaluating(model):
        for batch in loader:
            if forward is not None:
                output, labels = forward(batch)
            else:
                inputs, found_labels = inputs_and_labels(batch)
                if found_labels is None:
                    return Validated()
                output, labels = call(model, move(inputs, device)), found_labels
            logits = logits_of(output)
            found = None if logits is None else per_example(logits, labels)
            if found is None:
                return Validated()
            if seen is not None:
                seen(got.inputs, labels)
            parts.append(found)
    if not parts:
        return Validated()
    result = Evaluation(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    return Validated(result.loss, result.accuracy, result.correct, result.total, result)
