"""The first steps of the run, with its own batches and settings."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import evaluate
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.trial import Trial
from tui_trainer.models.tensors import to_dense_float
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis, Severity, Verdict
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.stats import envelope
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

SAMPLE_EVERY = 10
"""Steps between two samples of the update-to-weight ratio."""

USUAL_RATIO = (1e-4, 1e-2)
"""The usual update-to-weight ratio, ‖update‖ / ‖weight‖.

Source: A. Karpathy, notes of Stanford's CS231n, "Neural Networks Part 3", ratio of weights to
updates: it "should be somewhere around 1e-3"; one decade on either side is accepted.
"""

EARLY = 3.0
"""The factor by which early ratios may exceed it: at first the weights are small."""

STILL, WILD = 1e-6, 0.3
"""Ratios at which nothing moves, and at which one step changes the weights by a third."""

ERRORS = 3.0
"""Standard errors by which a decrease must exceed the noise of the batches."""

LONG_EPOCH = 1_800.0
"""Seconds of an epoch that give a warning."""


@dataclass
class FirstSteps:
    """Measurements of the first steps.

    Attributes:
        losses: The loss of each batch, before its update.
        lrs: The learning rate of each update.
        seconds: The time of each step.
        ratios: The sampled update-to-weight ratios of each weight tensor.
        correct: Correct validation images at the end, and their number.
        val_seconds: The time of the evaluation.
    """

    losses: list[float] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    correct: tuple[int, int] = (0, 0)
    val_seconds: float = 0.0


def step_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Train the first steps; check the loss, the updates, and the time of an epoch."""
    first_steps = _train_first_steps(context)
    reference, why_not = _reference(context, first_steps)
    yield _loss_item(context, first_steps, reference, why_not)
    yield _ratio_item(first_steps)
    yield _epoch_item(context, first_steps, reference, why_not)


def _train_first_steps(context: CheckContext) -> FirstSteps:
    first_steps, trial = FirstSteps(), context.trial()
    for number in range(min(context.plan.steps, _steps_of_run(context))):
        is_sampled = number % SAMPLE_EVERY == 0
        before = _weights(trial) if is_sampled else {}
        began = context.clock()
        first_steps.lrs.append(trial.lr)
        first_steps.losses.append(float(trial.step()))
        first_steps.seconds.append(context.clock() - began)
        trained = {n for n, p in trial.model.named_parameters() if p.grad is not None}
        for name, weight in before.items():
            moved = float(to_dense_float(_weights(trial, copy=False)[name] - weight).norm())
            if (size := float(to_dense_float(weight).norm())) and name in trained:
                first_steps.ratios.setdefault(name, []).append(moved / size)
        if not math.isfinite(first_steps.losses[-1]):
            break
    if len(context.val_sample):
        began = context.clock()
        result = evaluate(trial.model, context.data, context.val_sample)
        first_steps.correct = result.correct, result.total
        first_steps.val_seconds = context.clock() - began
    return first_steps


def _steps_of_run(context: CheckContext) -> int:
    """Return the number of steps of the run: after its end the schedule's lr is 0."""
    per_epoch = -(-len(context.data.train) // context.config.batch_size)
    return context.config.epochs * per_epoch


def _weights(trial: Trial, *, copy: bool = True) -> dict[str, Tensor]:
    """Return the trainable weights: parameters with two dimensions or more."""
    named = trial.model.named_parameters()
    weights = {n: p.detach() for n, p in named if p.dim() > 1 and p.requires_grad and p.numel()}
    return {name: w.clone() for name, w in weights.items()} if copy else weights


def _loss_item(
    context: CheckContext,
    first_steps: FirstSteps,
    reference: Sequence[envelope.HealthyRun],
    why_not: str,
) -> Diagnosis:
    losses = first_steps.losses
    parts = max(1, min(envelope.LAST_STEPS, len(losses) // 3))
    (first, error), (last, last_error) = _mean(losses[:parts]), _mean(losses[-parts:])
    guess = entropy(context.data.train)
    text = f"loss {first:.3f} ± {error:.3f} → {last:.3f} ± {last_error:.3f} in {len(losses)} steps"
    if context.plan.share < 1:
        text += f" (of {envelope.STEPS}: more would take too long here)"
    text += f", guessing {guess:.3f}"
    severity, title, advice = _learned(
        context, first_steps, last + ERRORS * last_error < guess, first
    )
    if first_steps.correct[1]:
        correct, total = first_steps.correct
        accuracy = fmt.accuracy_with_interval(correct / total, wilson(correct, total))
        text += f"; validation accuracy {accuracy}"
    if reference:
        text += f"; {_runs(reference)}: {_span([run.first_steps for run in reference])}"
        most = envelope.most_expected(reference)
        if severity == "ok" and last - ERRORS * last_error > most:
            severity, title = "warning", "it learns more slowly than healthy models of its size"
            text += f"; 97.5 % of such runs are below {most:.2f}"
            advice = "fix any other failed item first, then try another --lr or initialization"
    else:
        text += f"; {why_not}"
    return Diagnosis(
        code="first-steps",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=19,
        value=last,
        figure=f"loss {last:.3f}",
    )


def _learned(
    context: CheckContext, first_steps: FirstSteps, is_below: bool, first: float
) -> Verdict:
    """Return severity, title and advice, from the loss alone."""
    last = first_steps.losses[-1]
    if not math.isfinite(last) or last > 2 * first + 1:
        return "error", "the loss diverges in the first steps", "divide the learning rate by 10"
    if is_below:
        return "ok", "the loss decreases in the first steps", ""
    if not has_norm(context.layers) or len(first_steps.losses) < envelope.STEPS:
        words = "train one epoch and check again; batch norm after the convolutions speeds it up"
        return "warning", "the loss does not decrease yet", words
    words = "check the labels, the learning rate, and that each parameter gets a gradient"
    return "error", "it learns nothing in the first steps", words


def _ratio_item(first_steps: FirstSteps) -> Diagnosis:
    medians = {name: statistics.median(ratios) for name, ratios in first_steps.ratios.items()}
    if not medians:
        return Diagnosis(
            code="updates",
            severity="warning",
            title="no update was measured",
            evidence=f"{len(first_steps.losses)} steps, or no trainable weights",
            lesson=7,
        )
    middle = statistics.median(medians.values())
    low, high = min(medians, key=lambda n: medians[n]), max(medians, key=lambda n: medians[n])
    severity: Severity = "ok"
    title, advice = "usual update-to-weight ratio", ""
    # Not the median of all steps: after a huge update the norm is large, later ratios are small.
    worst = max(map(statistics.median, zip(*first_steps.ratios.values(), strict=False)))
    if middle < STILL or not worst <= WILD:
        severity = "error"
    elif not USUAL_RATIO[0] <= middle <= EARLY * USUAL_RATIO[1]:
        severity = "warning"
    if severity != "ok":
        is_low = middle < USUAL_RATIO[0]
        title = f"the update-to-weight ratio is too {'low' if is_low else 'high'}"
        advice = f"{'raise' if is_low else 'lower'} the learning rate; a ratio of 0.001 is usual"
    return Diagnosis(
        code="updates",
        severity=severity,
        title=title,
        evidence=f"median ratio {middle:.2g} of {len(medians)} tensors, from "
        f"{medians[low]:.2g} ({low}) to {medians[high]:.2g} ({high}), at most {worst:.2g} "
        f"in one step; usual: {USUAL_RATIO[0]:g} to {USUAL_RATIO[1]:g}",
        advice=advice,
        lesson=7,
        value=middle,
        figure=f"{100 * middle:.2g} % per step",
    )


def _epoch_item(
    context: CheckContext,
    first_steps: FirstSteps,
    reference: Sequence[envelope.HealthyRun],
    why_not: str,
) -> Diagnosis:
    size = context.config.batch_size
    images = len(context.data.train)
    training = images / size * statistics.median(first_steps.seconds)
    val = first_steps.val_seconds * len(context.data.val) / max(1, first_steps.correct[1])
    seconds = training + val
    text = f"an epoch of {images:,} images takes about {fmt.duration(seconds)} "
    text += f"({fmt.speed(images / max(1e-9, training))}), {context.config.epochs} of them "
    text += f"{fmt.duration(seconds * context.config.epochs)}"
    if reference:
        text += f"; after one epoch, {_runs(reference)}: "
        text += _span([run.first_epoch for run in reference])
    else:
        text += f"; {why_not}"
    is_long = seconds > LONG_EPOCH
    return Diagnosis(
        code="first-epoch",
        severity="warning" if is_long else "ok",
        title="an epoch takes a long time" if is_long else "time and result of one epoch",
        evidence=text,
        advice="use fewer kernels while the maps are large, or pool earlier" if is_long else "",
        lesson=19,
        value=seconds,
        figure=f"{fmt.duration(seconds)} per epoch",
    )


def _reference(
    context: CheckContext, first_steps: FirstSteps
) -> tuple[list[envelope.HealthyRun], str]:
    """Return comparable healthy runs; if there are none, the reason."""
    if len(first_steps.losses) < envelope.STEPS:
        return [], f"no comparison: healthy runs are measured over {envelope.STEPS} steps"
    return healthy_like(context.config, context.data, context.layers, context.model)


def healthy_like(
    config: RunConfig, data: Data, layers: Sequence[LayerRow], model: nn.Module
) -> tuple[list[envelope.HealthyRun], str]:
    """Return healthy runs of models like this one; if there are none, the reason."""
    asked = envelope.Asked(
        dataset=data.name if config.data_dir is None else "custom data",
        train_size=len(data.train),
        classes=data.classes,
        parameters=sum(p.numel() for p in model.parameters()),
        has_norm=has_norm(layers),
        optimizer=config.optimizer,
        base_lr=config.base_lr,
        schedule=config.schedule,
        batch_size=config.batch_size,
    )
    return envelope.alike(asked, envelope.healthy_runs())


def has_norm(layers: Sequence[LayerRow]) -> bool:
    """Return whether a model has a normalization layer."""
    return any(row.kind.endswith(" norm") for row in layers)


def entropy(split: Split) -> float:
    """Return the entropy of the labels in nats: the loss of predicting the class frequencies."""
    shares = torch.bincount(split.labels).double() / len(split)
    return float(-(shares[shares > 0] * shares[shares > 0].log()).sum())


def _mean(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean of batch losses and its standard error."""
    if not all(map(math.isfinite, losses)):
        return math.nan, math.nan
    error = statistics.stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else 0.0
    return statistics.fmean(losses), error


def _runs(reference: Sequence[envelope.HealthyRun]) -> str:
    return f"{len(reference)} healthy runs of similar models"


def _span(reached: Sequence[envelope.Reached]) -> str:
    """Return the range of loss and accuracy of the healthy runs."""
    losses = sorted(place.train_loss for place in reached)
    accuracies = sorted(place.val_accuracy for place in reached)
    return (
        f"loss {losses[0]:.2f} to {losses[-1]:.2f}, validation {100 * accuracies[0]:.1f} to "
        f"{100 * accuracies[-1]:.1f} %, median {100 * statistics.median(accuracies):.1f} %"
    )
