"""What an untrained network says: its loss, how sure it is, and whether its scores are scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.anatomy.review.output_layer import least_loss
from tui_trainer.anatomy.trace import trace
from tui_trainer.engine.evaluation import are_probabilities
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.models.behaviour import behaviour_of
from tui_trainer.protocol.diagnosis import Diagnosis, Severity
from tui_trainer.text import fmt

ABOVE_WARNING, ABOVE_ERROR = 1.0, 3.0
"""Nats above ln(classes): of the zoo none is 0.5 above; above the second it is sure, and wrong."""

BELOW = 0.3
"""Nats below ln(classes) that no untrained network is by chance."""

CONFIDENCE_WARNING, CONFIDENCE_ERROR = 0.5, 0.9
"""The mean largest probability of an untrained network, 0.1 to 0.3 for ten classes."""

BATCH = 128

ALONE_IMAGES = 8
"""Images by which it is seen whether each is judged for itself."""


@dataclass(frozen=True, slots=True)
class _First:
    """The scores (N, classes) of the sample in training mode, before any update."""

    logits: Tensor
    labels: Tensor

    @property
    def losses(self) -> Tensor:
        return functional.cross_entropy(self.logits, self.labels, reduction="none").double()


def logit_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Judge the loss at initialisation, the scores' size, and what the network ends with."""
    first = _first(context)
    yield _loss_item(first, context.data.classes)
    yield _size_item(first)
    yield _kind_item(context, first)


@torch.no_grad()
def _first(context: CheckContext) -> _First:
    model = context.copy()
    parts = list(context.sample.batches(BATCH))
    # What is left over may be a single image, of which batch norm can take no statistics.
    whole = [part.images for part in parts if len(part) == len(parts[0])]
    logits = torch.cat([model(context.data.prepare(images)) for images in whole]).float()
    return _First(logits, context.sample.labels[: len(logits)])


def _loss_item(first: _First, classes: int) -> Diagnosis:
    losses, chance = first.losses, math.log(classes)
    loss = float(losses.mean())
    error = float(losses.std()) / len(losses) ** 0.5 if len(losses) > 1 else 0.0
    severity: Severity = "ok"
    title, advice = "the loss begins where guessing is", ""
    if not math.isfinite(loss) or loss - 2 * error > chance + ABOVE_ERROR:
        severity, title = "error", "the loss begins far above guessing"
        advice = "draw smaller first weights, or put a norm behind the convolutions"
    elif loss - 2 * error > chance + ABOVE_WARNING:
        severity, title = "warning", "the loss begins above guessing"
        advice = "draw the last layer's first weights smaller"
    elif loss + 2 * error < chance - BELOW:
        severity, title = "warning", "the loss begins below guessing"
        advice = "are these weights trained already, or is the label in the image?"
    return Diagnosis(
        code="initial-loss",
        severity=severity,
        title=title,
        evidence=f"{loss:.3f} ± {error:.3f} over {len(losses):,} images; ln({classes}) is "
        f"{chance:.3f}",
        advice=advice,
        lesson=19,
        value=loss,
        figure=f"loss {loss:.3f}",
    )


def _size_item(first: _First) -> Diagnosis:
    sure = float(first.logits.softmax(dim=1).max(dim=1).values.mean())
    spread = float(first.logits.std(correction=0))
    severity: Severity = "ok"
    title, advice = "the first scores leave all classes open", ""
    if not sure <= CONFIDENCE_ERROR:  # NaN too
        severity, title = "error", "the first scores are saturated"
    elif sure > CONFIDENCE_WARNING:
        severity, title = "warning", "the first scores are rather sure"
    if severity != "ok":
        advice = "draw smaller first weights: what is unlearned first costs the first steps"
    return Diagnosis(
        code="scores",
        severity=severity,
        title=title,
        evidence=f"the largest probability is {sure:.2f} on average, the scores spread by "
        f"{spread:.3g}",
        advice=advice,
        lesson=6,
        value=sure,
        figure=f"{100 * sure:.0f} % sure",
    )


def _kind_item(context: CheckContext, first: _First) -> Diagnosis:
    last, classes = _last_operation(context), context.data.classes
    seen = behaviour_of(context.model, context.data.prepare(context.sample.images[:ALONE_IMAGES]))
    severity: Severity = "ok"
    title, advice, floor = "the scores are open on both sides", "", 0.0
    if seen.depends_on_batch:
        severity, title = "error", "the scores depend on the other images of the batch"
        advice = "compute over the classes or features of one image: dim=1, not dim=0"
    elif seen.is_random:
        severity, title = "warning", "the scores are random in evaluation mode"
        advice = "pass training=self.training to functional dropout, or use nn.Dropout"
    elif are_probabilities(first.logits):
        severity, title = "error", "softmax stands before the loss"
        advice = "leave it away: the loss takes scores, and has a softmax of its own"
        floor = least_loss(classes, 0.0, 1.0)
    elif last in ("sigmoid", "hardsigmoid", "tanh", "hardtanh", "softsign"):
        low = 0.0 if "sigmoid" in last else -1.0
        severity, title = "error", f"{last} bounds the scores"
        advice, floor = "let the last layer be linear", least_loss(classes, low, 1.0)
    elif last in ("relu", "relu6"):
        severity, title = "warning", f"{last} cuts the scores off at 0"
        advice = "let the last layer be linear: a score that is cut off gets no gradient"
    told = f"they lie between {float(first.logits.min()):.3g} and {float(first.logits.max()):.3g}"
    if seen.depends_on_batch:
        told += f"; alone, an image gets others: they differ by {_share(seen.batch_gap)}"
    elif seen.is_random:
        told += f"; the same image twice: they differ by {_share(seen.random_gap)}"
    elif floor:
        told += f"; whatever is learned, the loss stays above {floor:.2f}"
    elif last == "log_softmax":
        told += "; log softmax stands before the loss, where a second one changes nothing"
    return Diagnosis(
        code="softmax",
        severity=severity,
        title=title,
        evidence=told,
        advice=advice,
        lesson=6,
        value=floor,
        figure=f"loss {floor:.2f} at best" if floor else "",
    )


def _share(gap: float) -> str:
    return f"{fmt.percent(gap, 0)} of their range" if gap <= 1 else f"{gap:.3g} times their range"


def _last_operation(context: CheckContext) -> str:
    """Return the name of the operation that makes the scores; empty if it cannot be seen."""
    try:
        with torch.no_grad():
            steps = trace(context.copy(), context.data.prepare(context.sample.images[:1]))
    except Exception:  # one's own network does what nobody has foreseen
        return ""
    moving = ("flatten", "view", "reshape", "squeeze", "dropout", "identity", "contiguous")
    return next((s.call.name for s in reversed(steps) if s.call.name not in moving), "")
