"""Probes of a watched model on a sample of the inputs that it is trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tui_trainer.anatomy import trace
from tui_trainer.data.recorded_inputs import InputCollector, RecordedInputs, recorded_inputs
from tui_trainer.engine.probes import EARLY_IMAGES, SPACING
from tui_trainer.engine.probes.sample import SHARE, Sample
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.protocol.config import Augmentation
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe, SampleProbed
from tui_trainer.watching.evaluation import device_of

BUDGET = 0.008
"""The share of the training time that the probes may have taken before another one …"""

GRACE = 0.25
"""… or this many seconds altogether: a short run of a small model has all of them."""

ENOUGH = 256
"""The training examples from which the sample is made before the end of an epoch."""


class _Batches:
    """What the sample needs to know of the loop's batches."""

    augmentation: Augmentation | None = None

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size


class SampleProbes:
    """Probes the sample as soon as there are examples, early, and at the end of epochs.

    A model that cannot be copied, or run on these inputs alone, is not probed.

    Attributes:
        layers: The layer table of the model.
        train_size: Training examples in an epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        collector: InputCollector,
        progress: Progress,
        stopwatch: Stopwatch,
    ) -> None:
        self._stopwatch, self._spent = stopwatch, 0.0
        self.layers: tuple[LayerRow, ...] = ()
        self.train_size: int | None = None
        self._model, self._collector, self._progress = model, collector, progress
        self._sample: Sample | None = None
        self._sampled_at = -1
        self._batch_size = 1
        self._is_possible = True

    def after_step(self) -> Iterator[Probe]:
        """Probe the sample if that is due early."""
        images = self._progress.images
        is_first = self._sampled_at < 0 and self._collector.size >= ENOUGH
        if is_first or (0 <= self._sampled_at < EARLY_IMAGES <= images):
            yield from self._probe()

    def at_end_of_epoch(self) -> Iterator[Probe]:
        """Probe the sample if that is due."""
        size = 0 if self._sample is None else self._sample.size
        age = self._progress.images - self._sampled_at
        if age >= 2 * SPACING * size or self._progress.epoch == 1:
            yield from self._probe()

    def _probe(self) -> Iterator[Probe]:
        self._sampled_at = self._progress.images
        if not self._is_possible or self._spent > max(GRACE, BUDGET * self._stopwatch.seconds):
            return
        began = time.thread_time()  # not what other processes take: a busy machine probes as often
        found = self._probed()
        self._spent += time.thread_time() - began
        if found is not None:
            yield found

    def _probed(self) -> SampleProbed | None:
        pending = self._progress.pending
        self._batch_size = pending[-1].size if pending else self._batch_size
        try:
            if self._sample is None:
                data = self._data()
                if data is None or len(data.train) < 2:
                    return None
                share = SHARE * len(data.train) // max(1, self.train_size or len(data.train))
                self._sample = Sample(
                    data, self.layers, _traced, is_custom=True, share=max(1, share)
                )
            batches = _Batches(max(1, self._batch_size))
            probed = self._sample.probe(self._model, batches, self._progress)  # type: ignore[arg-type]
            return probed if math.isfinite(probed.loss) else None
        except Exception:  # the model needs more than its inputs, or has no copy
            self._is_possible = False
            return None

    def _data(self) -> RecordedInputs | None:
        found = self._collector.recorded()
        if found is None or not len(found.train):
            return None
        device = device_of(self._model)
        return recorded_inputs(
            found.name, found.classes, found.train.to(device), found.val.to(device)
        )


@torch.no_grad()
def _traced(
    model: nn.Module,
    inputs: Tensor,
    reached: Callable[[int, Tensor], None],
    finished: Callable[[Tensor], None],
) -> None:
    trace.trace(
        model,
        inputs,
        reached=lambda place, step, result: reached(place, result),
        finished=finished,
    )
