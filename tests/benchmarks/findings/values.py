"""Figures of recorded runs, one row per run, to choose thresholds by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.findings.files import recorded_events
from tui_trainer.protocol.events import EpochDone, Event, StepDone
from tui_trainer.protocol.probed import LayerProbe, ParameterProbe, SampleProbed, UpdateProbed


class RunEvents:
    """The events of a run by type."""

    def __init__(self, events: Iterable[Event]) -> None:
        known = list(events)
        self.steps = [event for event in known if isinstance(event, StepDone)]
        self.epochs = [event for event in known if isinstance(event, EpochDone)]
        self.updates = [event for event in known if isinstance(event, UpdateProbed)]
        self.samples = [event for event in known if isinstance(event, SampleProbed)]


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


def _least(values: Iterable[float]) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.nan)


def _most(values: Iterable[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _sample(get: Callable[[SampleProbed], float], place: int) -> Callable[[RunEvents], float]:
    """Read a figure from the first (0) or last (-1) sample."""
    return lambda run: get(run.samples[place]) if run.samples else math.nan


def _updates(
    get: Callable[[UpdateProbed], float], over: Callable[[Iterable[float]], float]
) -> Callable[[RunEvents], float]:
    """Read a figure from all sampled updates."""
    return lambda run: over(map(get, run.updates))


def _epoch(get: Callable[[EpochDone], float | None]) -> Callable[[RunEvents], float]:
    return lambda run: _nan(get(run.epochs[-1])) if run.epochs else math.nan


def _weights(update: UpdateProbed) -> list[ParameterProbe]:
    return [p for p in update.parameters if p.is_weight and p.weight_norm > 0]


def _ratios(update: UpdateProbed) -> list[float]:
    """Return the update-to-weight ratio of each weight tensor."""
    return [p.update_norm / p.weight_norm for p in _weights(update)]


def _gradient_spread(update: UpdateProbed) -> float:
    """Return the ratio of the smallest to the largest RMS gradient of the weight tensors."""
    sizes = [(p.gradient_norm or 0.0) / math.sqrt(p.numel) for p in _weights(update)]
    return min(sizes) / max(sizes) if sizes and max(sizes) > 0 else math.nan


def _gradient_cosine(update: UpdateProbed) -> float:
    """Return the cosine between the gradients of two consecutive batches."""
    if update.gradient_dot is None or not update.previous_gradient_norm or not update.gradient_norm:
        return math.nan
    return update.gradient_dot / (update.gradient_norm * update.previous_gradient_norm)


def _share(count: Callable[[LayerProbe], float], sample: SampleProbed) -> float:
    """Return the largest share over all ReLU layers."""
    return _most(count(layer) / layer.units for layer in sample.layers if layer.kind == "relu")


def _dead(sample: SampleProbed) -> float:
    return _share(lambda layer: layer.dead, sample)


def _saturated(sample: SampleProbed) -> float:
    return _most(layer.saturated for layer in sample.layers)


def _unchanged_parameters(update: UpdateProbed) -> float:
    return float(sum(p.update_norm == 0 for p in update.parameters))


def _no_gradient(update: UpdateProbed) -> float:
    return sum(not p.gradient_norm for p in update.parameters)


def _largest_class(update: UpdateProbed) -> float:
    return max(update.label_counts) / max(1.0, float(sum(update.label_counts)))


def _largest_prediction(sample: SampleProbed) -> float:
    """Return the share of the class that is predicted most often."""
    predicted: list[int] = [sum(column) for column in zip(*sample.confusion, strict=True)]
    return max(predicted) / max(1, sum(predicted))


FIGURES: Mapping[str, Callable[[RunEvents], float]] = {
    "steps": lambda run: len(run.steps),
    "train_loss": _epoch(lambda e: e.train_loss),
    "train_acc": _epoch(lambda e: e.train_accuracy),
    "val_loss": _epoch(lambda e: e.val_loss),
    "val_acc": _epoch(lambda e: e.val_accuracy),
    "loss_0": _sample(lambda s: s.loss, 0),
    "loss_end": _sample(lambda s: s.loss, -1),
    "acc_end": _sample(lambda s: s.correct / s.sample_size, -1),
    "logit_min_0": _sample(lambda s: s.logit_min, 0),
    "logit_max_0": _sample(lambda s: s.logit_max, 0),
    "confidence_end": _sample(lambda s: s.confidence, -1),
    "confidence_p90_end": _sample(lambda s: s.confidence_p90, -1),
    "largest_prediction": _sample(_largest_prediction, -1),
    "input_mean": _sample(lambda s: s.input_mean, 0),
    "input_std": _sample(lambda s: s.input_std, 0),
    "val_mean": _sample(lambda s: _nan(s.val_mean), 0),
    "val_std": _sample(lambda s: _nan(s.val_std), 0),
    "dead_0": _sample(_dead, 0),
    "dead_end": _sample(_dead, -1),
    "saturated_0": _sample(_saturated, 0),
    "saturated_end": _sample(_saturated, -1),
    "batch_norm_gap_end": _sample(lambda s: _nan(s.batch_norm_gap), -1),
    "batch_norm_gap_error": _sample(lambda s: _nan(s.batch_norm_gap_error), -1),
    "ratio_low": _updates(lambda u: _least(_ratios(u)), _median),
    "ratio_mid": _updates(lambda u: _median(_ratios(u)), _median),
    "ratio_high": _updates(lambda u: _most(_ratios(u)), _median),
    "ratio_most": _updates(lambda u: _most(_ratios(u)), _most),
    "gradient_mid": _updates(lambda u: u.gradient_norm, _median),
    "gradient_most": _updates(lambda u: u.gradient_norm, _most),
    "spread_mid": _updates(_gradient_spread, _median),
    "spread_first": lambda run: _median(map(_gradient_spread, run.updates[:5])),
    "descent_cosine_low": _updates(lambda u: _nan(u.descent_cosine), _least),
    "descent_cosine_mid": _updates(lambda u: _nan(u.descent_cosine), _median),
    "gradient_cosine": _updates(_gradient_cosine, _median),
    "no_gradient": _updates(_no_gradient, _least),
    "not_moved": _updates(_unchanged_parameters, _least),
    "largest_class": _updates(_largest_class, _median),
    "eval_layers": _updates(lambda u: len(u.eval_layers), _least),
}
"""Every figure by its name; ``_0`` is at the first sample, ``_end`` at the last."""


def figures(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the run's name and the requested figures as a row."""
    run = RunEvents(recorded_events(path))
    return (path.stem, *(f"{FIGURES[name](run):.4g}" for name in names))
