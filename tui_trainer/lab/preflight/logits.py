"""The logits of an untrained model: its initial loss, its confidence, and its output layer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.anatomy.review.output_layer import lowest_loss
from tui_trainer.anatomy.trace import trace
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.protocol.diagnosis import Diagnosis, Severity

ABOVE_WARNING, ABOVE_ERROR = 1.0, 3.0
"""Nats above ln(classes): no model of the zoo is 0.5 above; the second means confident mistakes."""

BELOW = 0.3
"""Nats below ln(classes) that no untrained model reaches by luck."""

CONFIDENCE_WARNING, CONFIDENCE_ERROR = 4 / 9, 8 / 9
"""The mean confidence of an untrained model, on a scale from guessing, 0, to certainty, 1: 0.5 and
0.9 for ten classes, where 0.1 to 0.3 are usual, and 0.72 and 0.94 for two."""

BATCH = 128

LAST = 10
"""The last of the first steps, whose loss shows whether the run recovers from its start."""


@dataclass(frozen=True, slots=True)
class _First:
    """The initial logits (N, classes) of the sample, in training mode."""

    logits: Tensor
    labels: Tensor

    @property
    def losses(self) -> Tensor:
        return functional.cross_entropy(self.logits, self.labels, reduction="none").double()


def logit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Check the initial loss, the scale of the logits, and the output layer."""
    first = _first(context)
    recovers = _recovers(context)
    yield _loss_item(first, context.data.classes, recovers=recovers)
    yield _size_item(first, context.data.classes, recovers=recovers)
    yield _kind_item(context, first)


@torch.no_grad()
def _first(context: CheckContext) -> _First:
    model = context.copy()
    parts = list(context.sample.batches(BATCH))
    # The last batch can be a single image, on which batch norm in training mode fails.
    whole = [part.images for part in parts if len(part) == len(parts[0])]
    logits = torch.cat([model(context.data.prepare(images)) for images in whole]).float()
    return _First(logits, context.sample.labels[: len(logits)])


def _recovers(context: CheckContext) -> bool:
    """Return whether the first steps bring the loss below guessing: then little is lost."""
    last = context.first.losses[-LAST:]
    return bool(last) and statistics.fmean(last) < math.log(context.data.classes)


def _loss_item(first: _First, classes: int, *, recovers: bool) -> Diagnosis:
    losses, guess = first.losses, math.log(classes)
    loss = float(losses.mean())
    error = float(losses.std()) / len(losses) ** 0.5 if len(losses) > 1 else 0.0
    severity: Severity = "ok"
    title, advice = "the initial loss is that of guessing", ""
    if not math.isfinite(loss) or loss - 2 * error > guess + ABOVE_ERROR:
        severity, title = "note" if recovers else "error", "the initial loss is far above guessing"
        advice = "initialize with smaller weights, or add batch norm after the convolutions"
    elif loss - 2 * error > guess + ABOVE_WARNING:
        severity, title = "note" if recovers else "warning", "the initial loss is above guessing"
        advice = "initialize the last layer with smaller weights"
    elif loss + 2 * error < guess - BELOW:
        severity, title = "warning", "the initial loss is below guessing"
        advice = "check for pretrained weights, and for labels in the images"
    return check_item(
        code="initial-loss",
        severity=severity,
        title=title,
        evidence=f"{loss:.3f} ± {error:.3f} over {len(losses):,} images; ln({classes}) is "
        f"{guess:.3f}",
        advice=advice,
        lesson=19,
        value=loss,
        figure=f"loss {loss:.3f}",
        cause="leak" if loss < guess else "init_large",
    )


def _size_item(first: _First, classes: int, *, recovers: bool) -> Diagnosis:
    confidence = float(first.logits.softmax(dim=1).max(dim=1).values.mean())
    above = (confidence - 1 / classes) / (1 - 1 / classes)
    std = float(first.logits.std(correction=0))
    severity: Severity = "ok"
    title, advice = "the initial confidence is low", ""
    if not above <= CONFIDENCE_ERROR:  # NaN too
        severity, title = "note" if recovers else "error", "the initial softmax is saturated"
    elif above > CONFIDENCE_WARNING:
        severity, title = "note" if recovers else "warning", "the initial confidence is high"
    if severity != "ok":
        advice = "initialize with smaller weights: the first steps only undo this confidence"
    return check_item(
        code="logits",
        severity=severity,
        title=title,
        evidence=f"mean confidence {confidence:.2f}, standard deviation of the logits {std:.3g}",
        advice=advice,
        lesson=6,
        value=confidence,
        figure=f"confidence {100 * confidence:.0f} %",
        cause="init_large",
    )


def _kind_item(context: CheckContext, first: _First) -> Diagnosis:
    last, classes = _last_operation(context), context.data.classes
    severity: Severity = "ok"
    title, advice, floor = "the logits are unbounded", "", 0.0
    if last in ("sigmoid", "hardsigmoid", "tanh", "hardtanh", "softsign"):
        low = 0.0 if "sigmoid" in last else -1.0
        severity, title = "error", f"{last} bounds the logits"
        advice, floor = "end the model with a linear layer", lowest_loss(classes, low, 1.0)
    elif last in ("relu", "relu6"):
        severity, title = "warning", f"{last} clips the logits at 0"
        advice = "end the model with a linear layer: a clipped logit gets no gradient"
    text = f"logits from {float(first.logits.min()):.3g} to {float(first.logits.max()):.3g}"
    if floor:
        text += f"; the loss cannot fall below {floor:.2f}"
    elif last == "log_softmax":
        text += "; log_softmax before the loss changes nothing: it is applied twice"
    return check_item(
        code="softmax",
        severity=severity,
        title=title,
        evidence=text,
        advice=advice,
        lesson=6,
        value=floor,
        figure=f"loss ≥ {floor:.2f}" if floor else "",
        cause="logits_bounded",
        likelihood="shown",
    )


def _last_operation(context: CheckContext) -> str:
    """Return the name of the operation that returns the logits; empty if it is unknown."""
    try:
        with torch.no_grad():
            steps = trace(context.copy(), context.data.prepare(context.sample.images[:1]))
    except Exception:  # a custom model can raise anything
        return ""
    moving = ("flatten", "view", "reshape", "squeeze", "dropout", "identity", "contiguous")
    return next((s.call.name for s in reversed(steps) if s.call.name not in moving), "")
