"""The signs of health that a model shows at any moment, without the history of its run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.anatomy.operations import operation_of
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.findings.gradients import VANISHED
from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.dead_units import MODEL_WARNING
from tui_trainer.lab.preflight.first_steps import healthy_like
from tui_trainer.lab.samples import drawn
from tui_trainer.models.tensors import gradient_of, is_trainable, rms
from tui_trainer.models.units import is_dead
from tui_trainer.protocol.diagnosis import SIGNS
from tui_trainer.protocol.exhibit import Bar, Bars, Table
from tui_trainer.stats import envelope
from tui_trainer.stats.intervals import Z95, wilson
from tui_trainer.text.fmt import clip, percent

SAMPLE = 300
"""Validation images for loss and accuracy."""

BATCH = 64
"""Training images for the gradient."""

DEAD_IMAGES = 64
"""A dead unit is 0 on all of these images, at every position."""

CONFIDENCE_MARGIN = 0.1
"""The mean confidence may exceed the accuracy by this much."""

DECADES = 8.0
"""Powers of ten that the gradient bars span, down from the largest."""

MAX_BARS = 10

OK, WARNING, NOTE = SIGNS["ok"], SIGNS["warning"], SIGNS["note"]

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Sample:
    """The predictions on the sample, summarized.

    Attributes:
        loss: The mean loss, in nats.
        error: Its standard error.
        correct: The number of correct predictions.
        total: The number of images.
        confidence: The mean of the largest probability.
        logit_std: The standard deviation of the logits.
    """

    loss: float
    error: float
    correct: int
    total: int
    confidence: float
    logit_std: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.total


def sign_table(context: Context) -> tuple[Table, str, str]:
    """Return the signs next to their healthy ranges, the conclusion, and its uncertainty."""
    sample = _sample(context)
    if not math.isfinite(sample.loss):
        result = "The loss is not finite: the run diverged."
        rows: tuple[Row, ...] = (
            (f"{context.split_name} loss", "not finite", "finite", SIGNS["error"]),
        )
    else:
        rows = (*_loss_rows(context, sample), *_reference_rows(context, sample), _dead_row(context))
        warnings = [row[0] for row in rows if row[3] == WARNING]
        result = (
            f"Suspicious after step {context.step:,}: {'; '.join(warnings)}."
            if warnings
            else f"After step {context.step:,} all signs are healthy."
        )
    _, why_not = _healthy_like(context)
    compared = f" Healthy runs: {why_not}." if why_not else ""
    uncertainty = (
        f"{sample.total} {context.split_name} images; dead units on {DEAD_IMAGES}, gradients on "
        f"{min(BATCH, len(context.data.train))} training images. One moment of one run: a finding "
        "requires more, and `mnist-tui check` tries the first steps on an untrained network."
        f"{compared}"
    )
    table = Table(
        caption=f"{OK} healthy, {WARNING} suspicious, {NOTE} cannot be judged yet",
        heads=("sign", "now", "healthy", ""),
        rows=rows,
    )
    return table, result, uncertainty


@torch.no_grad()
def _sample(context: Context) -> _Sample:
    split = context.sample(SAMPLE)
    logits = context.copy()(context.data.prepare(split.images)).float()
    losses = functional.cross_entropy(logits, split.labels, reduction="none").double()
    return _Sample(
        loss=float(losses.mean()),
        error=float(losses.std(correction=0)) / len(losses) ** 0.5,
        correct=int((logits.argmax(dim=1) == split.labels).sum()),
        total=len(split),
        confidence=float(logits.softmax(dim=1).amax(dim=1).mean()),
        logit_std=float(logits.std(correction=0)),
    )


def _loss_rows(context: Context, sample: _Sample) -> tuple[Row, ...]:
    classes, begun = context.data.classes, context.step > 0
    guessing = math.log(classes)
    reach = Z95 * sample.error
    low, high = wilson(sample.correct, sample.total)
    is_near = abs(sample.loss - guessing) < 1
    at_first = f"about {guessing:.3f}, ln {classes}"
    share = sample.accuracy
    return (
        (
            f"{context.split_name} loss",
            f"{sample.loss:.3f} ± {reach:.3f}",
            f"below {guessing:.3f}, ln {classes}" if begun else at_first,
            _sign(sample.loss + reach < guessing if begun else is_near),
        ),
        (
            f"{context.split_name} accuracy",
            f"{percent(share, 1)} [{100 * low:.1f}, {100 * high:.1f}]",
            f"above {percent(1 / classes, 1)}" if begun else f"about {percent(1 / classes, 1)}",
            _sign(low > 1 / classes) if begun else NOTE,
        ),
        (
            "mean confidence",
            f"{sample.confidence:.3f}; logits ± {sample.logit_std:.2g}",
            "at most the accuracy" if begun else "below 0.5",
            _sign(
                sample.confidence < share + CONFIDENCE_MARGIN if begun else sample.confidence < 0.5
            ),
        ),
    )


def _reference_rows(context: Context, sample: _Sample) -> tuple[Row, ...]:
    """Return the values of similar healthy runs, if there are any, next to those of this one."""
    runs, _ = _healthy_like(context)
    if not runs:
        return (("similar healthy runs", "—", "none to compare with", NOTE),)
    losses = [run.first_steps.train_loss for run in runs]
    accuracies = [run.first_epoch.val_accuracy for run in runs]
    most = envelope.most_expected(runs)
    images = context.step * context.config.batch_size
    is_far, is_epoch = context.step >= envelope.STEPS, images >= len(context.data.train)
    _, high = wilson(sample.correct, sample.total)
    return (
        (
            f"loss after {envelope.STEPS} steps",
            f"{sample.loss:.3f}",
            f"{min(losses):.2f} to {max(losses):.2f}; at most {most:.2f}",
            _sign(sample.loss <= most) if is_far else NOTE,
        ),
        (
            "accuracy at epoch 1",
            percent(sample.accuracy, 1),
            f"{100 * min(accuracies):.1f} to {percent(max(accuracies), 1)}, {len(runs)} runs",
            _sign(high >= min(accuracies)) if is_epoch else NOTE,
        ),
    )


def _healthy_like(context: Context) -> tuple[list[envelope.HealthyRun], str]:
    return healthy_like(context.config, context.data, context.layers, context.model)


def _dead_row(context: Context) -> Row:
    """Return the number of ReLU units that are 0 for every image and position."""
    dead_masks: list[Tensor] = []

    def reached(place: int, step: Step, result: Tensor) -> None:
        if operation_of(step.call.name).kind == "relu" and result.dim() > 1:
            dead_masks.append(is_dead(result))

    with torch.no_grad():
        images = context.data.prepare(context.digits.images[:DEAD_IMAGES])
        trace(context.copy(), images, reached=reached)
    units, dead = sum(map(len, dead_masks)), sum(int(layer.sum()) for layer in dead_masks)
    if not units:
        return ("dead units", "no ReLU", "—", NOTE)
    healthy = f"at most {percent(MODEL_WARNING, 0)}"
    return ("dead units", f"{dead} of {units}", healthy, _sign(dead <= MODEL_WARNING * units))


def gradient_bars(context: Context) -> Bars:
    """Return the RMS gradient of each weight tensor on a logarithmic scale."""
    model = context.copy(training=True)
    inputs, labels = drawn(context, BATCH, 0)
    functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
    sizes = _sizes(model)
    known = [size for size in sizes.values() if size > 0 and math.isfinite(size)]
    most = math.log10(max(known)) if known else 0.0
    shown = list(sizes.items())[-MAX_BARS:]
    first, last = next(iter(sizes.values())), next(reversed(sizes.values()))
    ratio = first / last if last else math.nan
    return Bars(
        caption=f"RMS gradient of each layer; first ÷ last: {ratio:.2g}; vanishing "
        f"below {VANISHED:g}",
        bars=tuple(
            Bar(label=clip(name, 18), share=_share(size, most), number=f"{size:.1e}")
            for name, size in shown
        ),
    )


def _sizes(model: nn.Module) -> dict[str, float]:
    """Return the root mean square of the gradient of each weight tensor; 0 without a gradient."""
    named = {n: p for n, p in model.named_parameters() if is_trainable(p)}
    weights = {n: p for n, p in named.items() if p.ndim >= 2}
    found = {name: gradient_of(weight) for name, weight in (weights or named).items()}
    return {
        name.removesuffix(".weight"): 0.0 if gradient is None else rms(gradient)
        for name, gradient in found.items()
    }


def _share(size: float, most: float) -> float:
    """Return the length of a bar: full for the largest, 0 at ``DECADES`` powers of ten below it."""
    if not math.isfinite(size) or size <= 0:
        return 0.0
    return max(0.0, 1 + (math.log10(size) - most) / DECADES)


def _sign(is_healthy: bool) -> str:
    return OK if is_healthy else WARNING
