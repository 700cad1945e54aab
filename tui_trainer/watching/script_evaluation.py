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
from tui_trainer.watching.evaluation import LABELS, Validated, logits_of, share_correct

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
        self._has_failed = False

    def batch(self, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Take note of a batch, in a hook of the model."""
        if self._has_failed or not self._collector.wants_validation:
            return
        logits = logits_of(output)
        labels = None if logits is None or not logits.ndim else labels_in(_caller(), len(logits))
        share = share_correct(logits, labels)
        if logits is None or labels is None or share is None:
            self._has_failed = True
            return
        self._correct.append(share * len(logits))
        self._total += len(logits)
        self._kept.validation_batch(kwargs or args, labels)

    def report(self, reported: Validated) -> None:
        """Compare with the result that the script reports, and keep the examples if it is equal."""
        if self._total and not self._has_failed and self._collector.wants_validation:
            share = float(torch.stack(self._correct).double().sum()) / self._total
            is_whole = reported.total in (0, self._total)
            if is_whole and abs(share - reported.accuracy) < 1 / (2 * self._total) + 1e-4:
                self._collector.take_validation(self._kept)
        self._begin()


def labels_in(frame: FrameType | None, count: int) -> Tensor | None:
    """Return the labels of a batch in the variables of a frame; None without a clear choice."""
    if frame is None:
        return None
    # Only read: before Python 3.13 it can be the dict that the script has from locals(), and in a
    # module or a notebook it is the namespace itself.
    variables = frame.f_locals
    found = {
        name: value
        for name, value in variables.items()
        if isinstance(value, Tensor) and len(value.shape) == 1 and len(value) == count
    }
    found = {name: value for name, value in found.items() if not value.is_floating_point()}
    named = [value for name, value in found.items() if name in LABELS]
    values = named or list(found.values())
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
