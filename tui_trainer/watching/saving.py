"""Save the checkpoints of a watched run, in a bounded share of its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.progress import Stopwatch
from tui_trainer.models.checkpoints import MAX_BYTES
from tui_trainer.models.state import is_finite, state_tensors
from tui_trainer.protocol.events import DatasetWarning
from tui_trainer.watching.sink import Sink
from tui_trainer.watching.snapshots import Stateful, capture

MID_EPOCH, AT_EPOCHS = 0.01, 0.05
"""The most of the time that checkpoints take, within epochs and at their ends."""

UNNOTICED = 1.0
"""Seconds of a checkpoint at the end of an epoch that nobody notices."""


class Saving:
    """Saves the state of a script when that is due and costs little.

    Attributes:
        store: Where the checkpoints are kept.
        parts: Optimizers, schedulers and other objects with a state, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        parts: Mapping[str, Stateful],
        stopwatch: Stopwatch,
    ) -> None:
        self.store = CheckpointStore()
        self.parts = parts
        self._model, self._optimizers, self._stopwatch = model, optimizers, stopwatch
        self._saved_at, self._save_seconds = -math.inf, 0.0
        self._bytes: int | None = None

    def is_due(self) -> bool:
        """Whether a checkpoint within an epoch is due."""
        return self.store.is_due(self._stopwatch.seconds) and self._takes_at_most(MID_EPOCH)

    def is_due_at_epoch(self) -> bool:
        """Whether the end of an epoch, not the last one, is saved."""
        return self._save_seconds <= UNNOTICED or self._takes_at_most(AT_EPOCHS)

    def _takes_at_most(self, share: float) -> bool:
        """Whether another checkpoint takes at most this share of the time since the last one."""
        return self._save_seconds <= share * (self._stopwatch.now - self._saved_at)

    def save(
        self,
        sink: Sink,
        names: Sequence[str],
        metadata: Mapping[str, Any],
        rng: torch.Generator | None,
        *,
        announce: bool,
    ) -> None:
        """Save a checkpoint, unless a weight is not finite or it would be too large.

        Args:
            sink: Takes the events.
            names: Of the files, without their suffix.
            metadata: The plain values.
            rng: The random generator of the loader.
            announce: Whether to report it.
        """
        weights = state_tensors(self._model).values()
        is_good = all(is_finite(t) for t in weights if t.is_floating_point())
        if not is_good or self._is_too_large(sink):
            return
        began = self._stopwatch.now
        state = capture(self._model, self.parts, rng, metadata)
        for event in self.store.keep(state, names, self._stopwatch.seconds, announce=announce):
            sink.emit(event)
        self._saved_at, self._save_seconds = self._stopwatch.now, self._stopwatch.now - began

    def _is_too_large(self, sink: Sink) -> bool:
        """Whether a checkpoint of model and optimizers cannot be read again; reported once."""
        if self._bytes is None:
            states = [state for each in self._optimizers for state in each.state.values()]
            values = [value for state in states for value in state.values()]
            tensors = [*state_tensors(self._model).values(), *values]
            self._bytes = sum(t.nbytes for t in tensors if isinstance(t, Tensor))
            if self._bytes > MAX_BYTES:
                size = f"{self._bytes / 1e9:.1f} GB with its optimizer"
                message = f"the model is not saved: {size}; curves, findings and knobs work"
                sink.emit(DatasetWarning(folder=type(self._model).__name__, message=message))
        return self._bytes > MAX_BYTES
