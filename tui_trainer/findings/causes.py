"""Differential diagnosis: what can cause a symptom, and what a measurement says about each cause.

A rule that measures a cause (labels that do not match, a gradient with the wrong sign) raises the
finding of that cause. A symptom (the loss does not fall) has many causes: each test here returns
one with its likelihood and its evidence, or None if a measurement excludes it.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files

from tui_trainer.findings.rule import scale_lr, update_ratio, weights
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause, Likelihood
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

Test = Callable[[History], Cause | None]
"""Returns the cause if no measurement excludes it."""

MATCHING, SURELY_MATCHING = 3.0, 2 / 9
"""Labels match the images where neighbors agree this many times as often as random labels; where
that is too much to ask, of few classes, where they know this share of what random labels do not."""

USUAL_RATIOS = (3e-4, 1e-2)
"""The update-to-weight ratios at which the learning rate is neither low nor high."""

LEARNS, CLEARLY_LESS = 0.05, 0.3
"""The relative fall of the loss in a trial that counts, and the share of the best fall below which
another learning rate is clearly worse."""

FEW_STEPS = 200
"""A run of fewer steps in all is short."""

MANY_EPOCHS = 5
"""The epochs after which a low training accuracy is due to the model rather than to the time."""

_RANKS: Mapping[Likelihood, int] = {"shown": 0, "likely": 1, "possible": 2}


def ranked(history: History, *tests: Test) -> tuple[Cause, ...]:
    """Return the causes that were not excluded, the most likely first.

    Causes of equal likelihood keep the order of the tests: the more frequent ones first.
    """
    found = [cause for test in tests if (cause := test(history)) is not None]
    return tuple(sorted(found, key=lambda cause: _RANKS[cause.likelihood]))


def cause(
    code: str,
    likelihood: Likelihood,
    evidence: str = "",
    advice: str = "",
    fix: tuple[str, float] | None = None,
) -> Cause:
    """Return a cause with its texts."""
    texts = _texts()[code]
    return Cause(
        code=code,
        title=texts["title"],
        likelihood=likelihood,
        evidence=evidence,
        advice=advice or texts["advice"],
        fix_setting=fix[0] if fix else None,
        fix_value=fix[1] if fix else None,
    )


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads((files("tui_trainer.findings") / "causes.toml").read_text("utf-8"))


def from_finding(code: str) -> Test:
    """Return the test for a cause that a rule measures itself: its finding, a note included."""

    def test(history: History) -> Cause | None:
        found = history.findings.get(code)
        if found is None or not found.causes:
            return None
        likelihood: Likelihood = "likely" if found.severity == "note" else "shown"
        return replace(found.causes[0], likelihood=likelihood, evidence=found.evidence)

    return test


# --- images and labels


def labels_shuffled(history: History) -> Cause | None:
    """Test whether images and labels match."""
    near = history.data_probe.neighbors if history.data_probe else None
    if near is None or not near.images or history.started is None:
        return cause("labels_shuffled", "possible")
    low, high = wilson(near.agreeing, near.images)
    evidence = (
        f"{fmt.accuracy_with_interval(near.agreeing / near.images, (low, high))} of "
        f"{near.images:,} images share the label of their nearest neighbors"
    )
    random = 1 / history.started.classes
    if low > min(MATCHING * random, random + SURELY_MATCHING * (1 - random)):
        return None
    is_likely = near.images >= 200 and not history.is_color
    return cause("labels_shuffled", "likely" if is_likely else "possible", evidence)


def few_images(history: History) -> Cause | None:
    """Test whether there are few training images."""
    started = history.started
    if started is None or started.train_size >= 2_000:
        return None
    return cause("few_images", "likely", f"{started.train_size:,} training images")


def few_steps(history: History) -> Cause | None:
    """Test whether the whole run has few steps."""
    started, last = history.started, history.last_step
    if started is None or last is None:
        return None
    size = max(1, int(history.settings["batch_size"]))
    steps = started.epochs * -(-started.train_size // size)
    if steps >= FEW_STEPS:
        return None
    return cause("few_steps", "likely", f"{steps:,} steps in the whole run")


# --- learning rate, regularization


def learning_rate_low(history: History) -> Cause | None:
    """Test whether the updates are too small."""
    ratio = _recent_ratio(history)
    is_usual = ratio is not None and ratio > USUAL_RATIOS[0]
    return _lr_cause("learning_rate_low", history, ratio, is_usual=is_usual, factor=10.0)


def learning_rate_high(history: History) -> Cause | None:
    """Test whether the updates are too large."""
    ratio = _recent_ratio(history)
    is_usual = ratio is not None and ratio < USUAL_RATIOS[1]
    return _lr_cause("learning_rate_high", history, ratio, is_usual=is_usual, factor=0.1)


def _lr_cause(
    code: str, history: History, ratio: float | None, *, is_usual: bool, factor: float
) -> Cause | None:
    """Return the cause that a rate should be multiplied by a factor above or below 1, if it should.

    A trial decides, and gives the factor; without one, the update-to-weight ratio does.
    """
    likelihood: Likelihood = "possible" if ratio is None else "likely"
    evidence = _usual(ratio)
    tried = _best_rate(history)
    if tried is not None:
        likelihood, is_usual = "shown", tried[0] == 1 or (tried[0] > 1) != (factor > 1)
        factor, evidence = tried
    if is_usual:
        return None
    fix = scale_lr(history, factor)
    return cause(code, likelihood, evidence, fix["advice"], ("base_lr", fix["fix_value"] or 0.0))


def _usual(ratio: float | None) -> str:
    text = "" if ratio is None else f"update-to-weight ratio {100 * ratio:.2g} %"
    return text and f"{text}, about 0.1 % is usual"


def _best_rate(history: History) -> tuple[float, str] | None:
    """Return the factor for the learning rate that a trial on copies found best, with the evidence.

    1 if no other rate is clearly better; None without a trial of this learning rate.
    """
    tried = history.updates_tried
    if tried is None or any(c.setting == "base_lr" for c in history.interventions):
        return None
    ends = {one.factor: one.loss for one in tried.rates}
    falls = {f: -math.inf if end is None else tried.loss - end for f, end in ends.items()}
    now = falls.get(1.0, -math.inf)
    best = max(falls, key=lambda factor: falls[factor])
    if falls[best] < LEARNS * tried.loss or now > CLEARLY_LESS * falls[best]:
        return 1.0, ""
    evidence = (
        f"{tried.updates} updates on one batch: loss {tried.loss:.3f} → {_loss(ends.get(1.0))} at "
        f"learning rate {tried.lr:.3g}, → {_loss(ends[best])} at {best * tried.lr:.3g}"
    )
    return best, evidence


def _loss(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.3f}"


def momentum_high(history: History) -> Cause | None:
    """Test whether momentum multiplies the learning rate by more than usual."""
    momentum = history.started.momentum if history.started else None
    if momentum is None or momentum < 0.98:
        return None
    times = 1 / (1 - momentum)
    return cause(
        "momentum_high",
        "likely",
        f"a momentum of {momentum:g} multiplies steps by up to {times:,.0f}; 0.9 by 10",
    )


def weight_decay_high(history: History) -> Cause | None:
    """Test whether weight decay has shrunk the weights."""
    if history.started is not None and history.started.weight_decay == 0:
        return None
    left = shrinking(history)
    if left is None:
        return None
    return cause(
        "weight_decay_high",
        "shown",
        f"the weight norm has shrunk to {100 * left:.0f} % of its start",
    )


def dropout_high(history: History) -> Cause | None:
    """Test whether dropout drops many features."""
    share = history.settings.get("dropout", 0.0)
    if share <= 0.3:
        return None
    evidence = f"dropout drops {fmt.percent(share, 0)} of the features"
    return cause("dropout_high", "likely", evidence, fix=("dropout", 0.1))


def label_smoothing_high(history: History) -> Cause | None:
    """Test whether the smoothed labels are almost the same for all classes."""
    started = history.started
    smoothing = (started.label_smoothing or 0.0) if started else 0.0
    if started is None or smoothing < 0.3:
        return None
    target = 1 - smoothing + smoothing / started.classes
    return cause(
        "label_smoothing_high",
        "shown" if smoothing >= 0.5 else "likely",
        f"label smoothing {smoothing:g}: the target probability of the true class is "
        f"{fmt.percent(target, 0)}",
    )


def augmentation_strong(history: History) -> Cause | None:
    """Test whether unaugmented training images are classified much better than augmented ones."""
    sample = history.last_sample
    epoch = history.last_epoch
    if sample is None or epoch is None or not history.settings.get("augmentation"):
        return None
    low, _ = wilson(sample.correct, sample.sample_size)
    if low < epoch.train_accuracy + 0.1:
        return None
    return cause(
        "augmentation_strong",
        "likely",
        f"accuracy {fmt.percent(sample.correct / sample.sample_size)} on unaugmented training "
        f"images, {fmt.percent(epoch.train_accuracy)} on augmented ones",
    )


# --- the model


def capacity(history: History) -> Cause | None:
    """Test whether a layer passes on fewer features than there are classes, or time is up."""
    started = history.started
    if started is None:
        return None
    narrow = [
        (row.output_shape[0] * row.output_shape[1] * row.output_shape[2], row.name)
        for row in started.layers[:-1]
        if row.is_layer
    ]
    features, name = min(narrow, default=(started.classes, ""))
    if features < started.classes:
        evidence = (
            f"{name} passes on {fmt.plural(features, 'number')} for {started.classes} classes"
        )
        return cause("capacity", "shown", evidence)
    if len(history.epochs) < MANY_EPOCHS:
        return cause("capacity", "possible")
    evidence = f"{fmt.plural(started.parameters, 'parameter')}, {len(history.epochs)} epochs"
    return cause("capacity", "possible", evidence)


def frozen(history: History) -> Cause | None:
    """Test whether most parameters are frozen."""
    update = history.last_update
    total = sum(p.numel for p in update.parameters) if update else 0
    still = sum(p.numel for p in update.parameters if p.frozen) if update else 0
    if not total or still < 0.5 * total:
        return None
    return cause("frozen", "likely", f"{still:,} of {fmt.plural(total, 'parameter')} are frozen")


def vanishing_gradients(history: History) -> Cause | None:
    """Test whether the first layer's gradient is small compared with the last layer's."""
    found = weights(history.updates[-1]) if history.updates else []
    if len(found) < 3:
        return None
    first, last = ((p.gradient_norm or 0.0) / max(1, p.numel) ** 0.5 for p in (found[0], found[-1]))
    if not last or first > 0.01 * last:
        return None
    evidence = f"RMS gradient {first:.1e} in {found[0].name}, {last:.1e} in {found[-1].name}"
    return cause("vanishing_gradients", "likely", evidence)


def saturated(history: History) -> Cause | None:
    """Test whether sigmoids or tanhs are at their bounds."""
    sample = history.last_sample
    worst = max(sample.layers, key=lambda layer: layer.saturated, default=None) if sample else None
    if worst is None or worst.saturated < 0.3:
        return None
    evidence = f"{fmt.percent(worst.saturated, 0)} of the outputs of {worst.name} at a bound"
    return cause("saturated", "likely", evidence)


def dead_units(history: History) -> Cause | None:
    """Test whether many units of a layer are dead."""
    sample = history.last_sample
    layers = [layer for layer in sample.layers if layer.units] if sample else []
    worst = max(layers, key=lambda layer: layer.dead / layer.units, default=None)
    if worst is None or worst.dead < 0.5 * worst.units:
        return None
    return cause("dead_units", "likely", f"{worst.dead} of {worst.units} units of {worst.name}")


def shrinking(history: History) -> float | None:
    """Return the weight norm relative to the first sampled update, if below 0.3; else None."""
    if len(history.updates) < 2:
        return None
    first, now = history.updates[0], history.updates[-1]
    before = sum(p.weight_norm * p.weight_norm for p in first.parameters if p.is_weight)
    after = sum(p.weight_norm * p.weight_norm for p in now.parameters if p.is_weight)
    share = (after / before) ** 0.5 if before else 1.0
    return share if share < 0.3 else None


def _recent_ratio(history: History) -> float | None:
    """Return the median update-to-weight ratio of the last sampled updates."""
    recent = [update_ratio(update) for update in list(history.updates)[-3:]]
    return statistics.median(recent) if recent else None
