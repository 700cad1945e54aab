"""Probe the model on a fixed sample of training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.batches import Batches, rng_for
from tui_trainer.engine.evaluation import EVAL_PIXELS
from tui_trainer.engine.progress import Progress
from tui_trainer.models.copies import copy_model
from tui_trainer.models.device import scarce_memory
from tui_trainer.models.modes import modes_of, set_modes, train_alone
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.tensors import are_probabilities, confusion_matrix, mean_and_std
from tui_trainer.models.units import MAP_IMAGES, LayerStatistics
from tui_trainer.models.unregistered_state import preserve_globals
from tui_trainer.models.unused import unused_parameters
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import SampleProbed

LARGEST, SMALLEST = 384, 64
"""The most and the fewest images of the sample, if the split has them …"""

SHARE = 32
"""… and between the two, one in so many images of the training split."""

GAP_IMAGES = 128
"""Images, or one whole batch, for which batch and running statistics are compared."""

KNOWN = 0.9
"""The confidence from which a correctly classified image is known."""

KNOWN_IMAGES = 128
"""The most known images that are classified again, in training mode and augmented."""

READ_IMAGES = 8
"""Images of the forward pass that finds the unused parameters."""

Rows = tuple[LayerRow, ...]
Trace = Callable[
    [nn.Module, Tensor, Callable[[int, Tensor], None], Callable[[Tensor], None]], object
]
"""Runs a model on images; reports the output of each layer, and the logits."""


class Sample:
    """A sample of training images, evenly spread over the split; the same in every probe."""

    def __init__(
        self, data: Data, layers: Rows, trace: Trace, *, is_custom: bool = False, share: int = SHARE
    ) -> None:
        self._data, self._layers, self._trace = data, layers, trace
        self._is_custom = is_custom
        total = len(data.train)
        self.size = min(total, max(SMALLEST, min(LARGEST, total // share)))
        self._images = _spread(data.train, self.size)
        self._others = _spread(data.val, min(self.size, len(data.val)))
        self._inputs: _Inputs | None = None

    def probe(self, model: nn.Module, batches: Batches, progress: Progress) -> SampleProbed:
        """Run a copy of the model on the sample and report loss, predictions and activations.

        A copy, so that what its ``forward`` changes, draws or caches does not affect the run.
        """
        data, labels = self._data, self._images.labels
        keeps = preserve_rng_state(labels.device), preserve_globals(model)
        with torch.no_grad(), keeps[0], keeps[1]:
            if self._inputs is None:
                inputs = data.prepare(self._images.images)
                val = data.prepare(self._others.images) if len(self._others) else None
                others = mean_and_std(val) if val is not None else ()
                self._inputs = _Inputs(inputs, *mean_and_std(inputs), *others)
            inputs = self._inputs.inputs
            seen = LayerStatistics(self._layers)
            twin = copy_model(model)
            modes = modes_of(twin)
            norms = [m for m in twin.modules() if isinstance(m, _BatchNorm) and m.training]
            twin.eval()
            logits = _logits(twin, data, inputs, seen, self._trace)
            largest, predicted = logits.softmax(dim=1).max(dim=1)
            known = ((predicted == labels) & (largest >= KNOWN)).nonzero()[:KNOWN_IMAGES, 0]
            known_augmented = self._known_augmented(twin, known, batches)
            known_in_training = self._known_in_training(model, known, inputs)
            size = min(batches.batch_size, len(inputs))
            gap, gap_error = _batch_gap(twin, norms, size, inputs, labels, logits)
            set_modes(twin, modes)
            unused = unused_parameters(twin, inputs[: min(size, READ_IMAGES)])
        losses = functional.cross_entropy(logits, labels, reduction="none").double().cpu()
        largest = largest.double().cpu()
        table = confusion_matrix(labels, predicted, data.classes)
        return SampleProbed(
            step=progress.step,
            epoch=progress.epoch if progress.step else 0,
            images=progress.images,
            sample_size=self.size,
            loss=float(losses.mean()),
            loss_error=float(losses.std(correction=0)) / self.size**0.5,
            correct=int(table.diagonal().sum()),
            batch_norm_gap=gap,
            batch_norm_gap_error=gap_error,
            confidence=float(largest.mean()),
            confidence_p90=float(largest.quantile(0.9)),
            confusion=tuple(tuple(row) for row in table.tolist()),
            logit_min=float(logits.min()),
            logit_max=float(logits.max()),
            are_probabilities=are_probabilities(logits),
            input_mean=self._inputs.mean,
            input_std=self._inputs.std,
            val_mean=self._inputs.val_mean,
            val_std=self._inputs.val_std,
            layers=seen.probes(),
            memory_left=scarce_memory(),
            unused_parameters=unused,
            known=len(known),
            known_in_training=known_in_training,
            known_augmented=known_augmented,
        )

    def _known_augmented(self, twin: nn.Module, known: Tensor, batches: Batches) -> int | None:
        """Return how many of these images are classified correctly when augmented."""
        augmentation = batches.augmentation
        if augmentation is None:
            return None
        images, rng = self._images.images[known], rng_for(0, "probe")
        return self._correct(twin, known, self._data.prepare(images, augmentation, rng))

    def _known_in_training(self, model: nn.Module, known: Tensor, inputs: Tensor) -> int | None:
        """Return how many of these images a custom model classifies correctly in training mode."""
        if not self._is_custom:
            return None
        twin = copy_model(model)
        train_alone(twin)
        return self._correct(twin, known, inputs[known])

    def _correct(self, model: nn.Module, places: Tensor, inputs: Tensor) -> int:
        if not len(places):
            return 0
        seed_all(0)
        logits = torch.cat([model(part) for part in torch.split(inputs, MAP_IMAGES)])
        return int((logits.argmax(dim=1) == self._images.labels[places]).sum())


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The input of the model and its moments: the same during a run."""

    inputs: Tensor
    mean: float
    std: float
    val_mean: float | None = None
    val_std: float | None = None


def _spread(split: Split, count: int) -> Split:
    places = torch.linspace(0, max(0, len(split) - 1), count).round().long()
    places = places.to(split.labels.device)
    return Split(split.images[places], split.labels[places])


def _logits(
    model: nn.Module, data: Data, inputs: Tensor, seen: LayerStatistics, trace: Trace
) -> Tensor:
    """Return the logits (N, classes) in evaluation mode.

    Layer outputs are recorded for the first images, and for all images if a layer without maps
    needs them: it has a single number per image. A model that cannot be traced is only run.
    """
    logits: list[Tensor] = []
    size = len(inputs) if seen.is_flat else max(1, EVAL_PIXELS // data.values)
    watched = inputs if seen.wants_all else inputs[:MAP_IMAGES]
    rest = inputs[len(watched) :]
    if seen.is_closed:
        watched, rest = inputs[:0], inputs

    def keep(output: Tensor) -> None:
        logits.append(output.detach().float())

    for start in range(0, len(watched), size):
        trace(model, watched[start : start + size], seen.reached, keep)
    logits += [model(rest[start : start + size]).float() for start in range(0, len(rest), size)]
    return torch.cat(logits)


def _batch_gap(
    model: nn.Module,
    norms: Sequence[_BatchNorm],
    size: int,
    inputs: Tensor,
    labels: Tensor,
    logits: Tensor,
) -> tuple[float | None, float | None]:
    """Return by how much batch statistics raise the loss over running ones, and the standard error.

    Batches have ``size`` images; ``norms`` are those in training mode. Without any, both are None;
    with a single batch the error is 0. The running statistics change: the model must be a copy.
    """
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return None, None
    count = max(1, min(GAP_IMAGES, len(inputs)) // size)
    running = functional.cross_entropy(logits, labels, reduction="none")
    for norm in norms:
        norm.training = True
    gaps = []
    for start in range(0, count * size, size):
        part = slice(start, start + size)
        loss = functional.cross_entropy(model(inputs[part]).float(), labels[part])
        gaps.append(loss - running[part].mean())
    found = torch.stack(gaps).double().cpu()
    error = float(found.std()) / count**0.5 if count > 1 else 0.0
    return float(found.mean()), error
