"""Examples of an evaluation that the script does by itself, with its labels.

The model sees the inputs, but not the labels: these are next to its call, in a variable of the
script. They count as found only if the accuracy with them is the one that the script reports.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from tui_trainer.data.recorded_inputs import InputCollector
from tui_trainer.models.custom.source_files import is_installed
from tui_trainer.models.tensors import logits_of
from tui_trainer.watching.evaluation import LABELS, Validated, predictions, share_correct

_DEEPEST = 40
"""Frames between a hook and the line of the script that calls the model, at most."""


class ScriptEvaluation:
    """Keeps the first evaluation by a script whose labels are found."""

    def __init__(self, collector: InputCollector) -> None:
        self._collector = collector
        self._begin()

    def _begin(self) -> None:
        self._kept = InputCollector()
        self._correct: list[Tensor] = []
        self._total = 0
        self._predicted: Tensor | None = None
        self._is_unclear = False

    def batch(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Take note of a batch, in a hook of the model."""
        if self._is_unclear or not self._collector.wants_validation:
            return
        logits = logits_of(output)
        labels = None
        if logits is not None and logits.ndim:
            labels = labels_in(_caller(), len(logits), self._predicted)
            self._predicted = predictions(logits)
        share = share_correct(logits, labels)
        if logits is None or labels is None or share is None:
            self._is_unclear = True
            return
        self._correct.append(share * len(logits))
        self._total += len(logits)
        self._kept.validation_batch(kwargs or args, labels)

    def report(self, reported: Validated) -> None:
        """Compare with the result that the script reports, and keep the examples if it is equal."""
        if self._total and not self._is_unclear and self._collector.wants_validation:
            share = float(torch.stack(self._correct).double().sum()) / self._total
            is_whole = reported.total in (0, self._total)
            if is_whole and abs(share - reported.accuracy) < 1 / (2 * self._total) + 1e-4:
                self._collector.take_validation(self._kept)
        self._begin()


def labels_in(
    frame: FrameType | None, count: int, predicted_before: Tensor | None = None
) -> Tensor | None:
    """Return the labels of a batch in the variables of a frame; None without a clear choice.

    Args:
        frame: That of the line which calls the model.
        count: Examples in the batch.
        predicted_before: The predictions of the batch before, which may still be in a variable.
    """
    if frame is None:
        return None
    # Only read: the dict can be the one that the script has from locals(), and in a module or a
    # notebook it is the namespace itself.
    found = {
        name: value
        for name, value in frame.f_locals.items()
        if isinstance(value, Tensor)
        and value.shape == (count,)
        and not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
        and not (predicted_before is not None and torch.equal(value, predicted_before.to(value)))
    }
    named = [value for name, value in found.items() if name in LABELS]
    values = list({id(value): value for value in named or found.values()}.values())
    return values[0] if len(values) == 1 else None


def _caller() -> FrameType | None:
    """Return the frame of the script that calls the model."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None or not _is_library(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return None


@functools.cache
def _is_library(file: str) -> bool:
    return is_installed(Path(file))
