"""What the first steps of the run bring: the loss, the updates, the learning rate, an epoch's time.

The steps are those of :class:`~tui_trainer.lab.preflight.first_run.FirstRun`.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import evaluate
from tui_trainer.findings.causes import ranked
from tui_trainer.findings.learning import STUCK_BY
from tui_trainer.findings.rule import weights
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.lab.preflight.experiments import ERRORS, Verdict, explain
from tui_trainer.lab.preflight.overfit_one_batch import (
    HALF_MEMORIZED,
    Overfit,
    overfit_item,
    overfit_one_batch,
)
from tui_trainer.lab.preflight.rule_items import BY_EXPERIMENT, as_item
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import CheckItem, Diagnosis, Severity
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.settings import option_of
from tui_trainer.stats import envelope
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

ENOUGH_STEPS = 50
"""The steps within which a model with norms begins to learn."""


def step_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Judge whether the run learns; if it does not, find the setting that prevents it."""
    memorized = overfit_one_batch(context)
    guess = entropy(context.data.train)
    verdict = explain(context, guess)
    reference, why_not = _reference(context)
    yield _with_causes(context, overfit_item(memorized))
    yield _loss_item(context, verdict, memorized, guess, reference, why_not)
    yield _ratio_item(context)
    yield _lr_item(context, verdict)
    yield _epoch_item(context, reference, why_not)


def _loss_item(
    context: CheckContext,
    verdict: Verdict,
    memorized: Overfit,
    guess: float,
    reference: Sequence[envelope.HealthyRun],
    why_not: str,
) -> Diagnosis:
    losses = context.first.losses
    parts = max(1, min(envelope.LAST_STEPS, len(losses) // 3))
    (first, error), (last, last_error) = _mean(losses[:parts]), _mean(losses[-parts:])
    text = f"loss {first:.3f} ± {error:.3f} → {last:.3f} ± {last_error:.3f} in {len(losses)} steps"
    if len(losses) == context.plan.steps < envelope.STEPS:
        text += f" (of {envelope.STEPS}: more would take too long with this model and batch size)"
    text += f", guessing {guess:.3f}"
    is_guessing = False
    if len(context.val_sample):
        found = evaluate(context.first.model, context.data, context.val_sample)
        bounds = wilson(found.correct, found.total)
        accuracy = fmt.accuracy_with_interval(found.correct / found.total, bounds)
        text += f"; validation accuracy {accuracy}"
        counts = torch.bincount(context.val_sample.labels)
        is_guessing = bounds[0] <= float(counts.max()) / found.total
    is_below = last + ERRORS * last_error < guess
    item = _learned(context, verdict, memorized, first, is_below=is_below, is_guessing=is_guessing)
    if reference:
        text += f"; {_runs(reference)}: {_span([run.first_steps for run in reference])}"
        most = envelope.most_expected(reference)
        if item[0] == "ok" and last - ERRORS * last_error > most:
            text += f"; 97.5 % of such runs are below {most:.2f}"
            item = ("note", "it learns more slowly than healthy models of its size", "", "")
    else:
        text += f"; {why_not}"
    severity, title, advice, cause = item
    if verdict.is_unexplained:
        text += f"; tried in vain: {', '.join(verdict.tried)}"
    if severity != "ok" and verdict.evidence:
        text += f"; {verdict.evidence}"
    shown = check_item(
        code="first-steps",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=19,
        value=last,
        figure=f"loss {last:.3f}",
        cause=cause,
    )
    return shown if cause else _with_causes(context, shown)


def _with_causes(context: CheckContext, item: CheckItem) -> CheckItem:
    """Return an error or a warning with what the run would name, the most likely first."""
    if item.severity in ("ok", "note"):
        return item
    return replace(item, causes=(*ranked(context.first.history, *STUCK_BY), *item.causes))


def _learned(
    context: CheckContext,
    verdict: Verdict,
    memorized: Overfit,
    first: float,
    *,
    is_below: bool,
    is_guessing: bool,
) -> tuple[Severity, str, str, str]:
    """Return severity, title, advice and the code of the cause."""
    last = context.first.losses[-1]
    if not math.isfinite(last) or last > 2 * first + 1:
        cause = verdict.cause or "init_large"
        return "error", "the loss diverges in the first steps", _advice(verdict), cause
    if verdict.cause and verdict.cause not in ("learning_rate_high", "learning_rate_low"):
        title = _TITLES[verdict.cause]
        return verdict.severity, title, _advice(verdict), verdict.cause
    # Two independent signs: a finding of the data or the model, and a run that does not learn.
    is_found = any(
        found.severity != "note" and found.code not in BY_EXPERIMENT
        for found in context.first.findings
    )
    words = "check the labels, the initial weights, and that each parameter gets a gradient"
    nothing: tuple[Severity, str, str, str]
    nothing = "error", "it learns nothing in the first steps", words, ""
    if is_found and is_guessing:
        return nothing
    if is_below:
        return "ok", "the loss decreases in the first steps", "", ""
    if verdict.cause:
        return "warning", "the loss does not decrease yet", _advice(verdict), verdict.cause
    is_long = has_norm(context.layers) and len(context.first.losses) >= ENOUGH_STEPS
    if is_long or (is_found and verdict.is_unexplained) or memorized.share < HALF_MEMORIZED:
        return nothing
    advice = "add batch norm after the convolutions"
    if has_norm(context.layers):
        advice = "train one epoch to see whether it learns (--epochs 1): these steps are few"
    return "note", "the loss does not decrease yet", advice, ""


_TITLES = {
    "few_steps": "the run is too short",
    "weight_decay_high": "it learns only without weight decay",
    "dropout_high": "it learns only without dropout",
    "label_smoothing_high": "it learns only without label smoothing",
    "momentum_high": "it learns only with less momentum",
}


def _advice(verdict: Verdict) -> str:
    """Return the options of the steps that learn."""
    if verdict.arm is None:
        return "initialize with smaller weights"
    return "set " + " ".join(f"{option_of(n)} {v:g}" for n, v in verdict.arm.settings.items())


def _ratio_item(context: CheckContext) -> Diagnosis:
    """Report the update-to-weight ratios of the sampled updates; they are not judged alone."""
    updates = context.first.history.updates
    found: dict[str, list[float]] = {}
    for update in updates:
        for p in weights(update):
            if p.weight_norm > 0:
                found.setdefault(p.name, []).append(p.update_norm / p.weight_norm)
    medians = {name: statistics.median(ratios) for name, ratios in found.items()}
    if not medians:
        return check_item(
            code="updates",
            severity="note",
            title="no update was measured",
            evidence=f"{len(context.first.losses)} steps, or no trainable weights",
            lesson=7,
        )
    middle = statistics.median(medians.values())
    low, high = min(medians, key=lambda n: medians[n]), max(medians, key=lambda n: medians[n])
    return check_item(
        code="updates",
        severity="ok",
        title="update-to-weight ratio",
        evidence=f"median ratio {middle:.2g} of {len(medians)} tensors, from "
        f"{medians[low]:.2g} ({low}) to {medians[high]:.2g} ({high}); about 0.001 is usual",
        lesson=7,
        value=middle,
        figure=f"{100 * middle:.2g} % per step",
    )


def _lr_item(context: CheckContext, verdict: Verdict) -> Diagnosis:
    lr = context.config.base_lr
    severity: Severity = "ok"
    title, advice = "the learning rate fits the first steps", ""
    if verdict.cause in ("learning_rate_high", "learning_rate_low"):
        severity, advice = verdict.severity, _advice(verdict)
        title = f"the learning rate is too {verdict.cause.removeprefix('learning_rate_')}"
    elif verdict.severity == "note":
        title = "the learning rate is not judged"
    elif verdict.is_unexplained:
        # The experiments are inconclusive: what the run itself would report counts.
        for found in context.first.findings:
            if found.code in BY_EXPERIMENT and found.severity != "note":
                return replace(as_item(found), code="learning-rate", value=lr)
        title = "another learning rate does not help"
    text = f"base lr {fmt.learning_rate(lr)}"
    text += f"; {verdict.evidence}" if verdict.evidence else ""
    return check_item(
        code="learning-rate",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=7,
        value=lr,
        figure=f"lr {fmt.learning_rate(lr)}",
        cause=verdict.cause,
        likelihood="shown",
    )


def _epoch_item(
    context: CheckContext, reference: Sequence[envelope.HealthyRun], why_not: str
) -> Diagnosis:
    """Report how long an epoch takes: the one figure of the clock, and never a warning."""
    steps = context.first.steps
    times = [after.seconds - before.seconds for before, after in itertools.pairwise(steps)]
    per_step = statistics.median(times) if times else steps[-1].seconds
    images = len(context.data.train)
    training = images / context.config.batch_size * per_step
    text = f"an epoch of {images:,} images trains for about {fmt.duration(training)} "
    text += f"({fmt.speed(images / max(1e-9, training))}), {context.config.epochs} of them "
    text += f"{fmt.duration(training * context.config.epochs)}"
    if reference:
        text += f"; after one epoch, {_runs(reference)}: "
        text += _span([run.first_epoch for run in reference])
    else:
        text += f"; {why_not}"
    return check_item(
        code="first-epoch",
        severity="ok",
        title="time and result of one epoch",
        evidence=text,
        lesson=19,
        value=training,
        figure=f"{fmt.duration(training)} per epoch",
    )


def _reference(context: CheckContext) -> tuple[list[envelope.HealthyRun], str]:
    """Return comparable healthy runs; if there are none, the reason."""
    if len(context.first.losses) < envelope.STEPS:
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
