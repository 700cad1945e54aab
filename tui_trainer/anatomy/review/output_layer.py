"""Rules about the output layer: what happens to the logits before the loss."""

from __future__ import annotations

import math

from tui_trainer.anatomy.review.design import ACTIVATIONS, Design, at_the_end
from tui_trainer.anatomy.review.reporter import Reporter, names
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow

_UNBOUNDED = ("leaky", "prelu", "rrelu", "identity")


def activation_before_logits(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether an activation bounds the logits, like a ReLU that makes none negative."""
    found = at_the_end(design, *ACTIVATIONS)
    heads = [design.rows[position] for position in sorted(design.heads)]
    if not heads:
        return None
    if not found:
        evidence = f"{_logits(design)}, no activation after {names(heads)}"
        return report.ok("logits are unbounded", evidence, heads)
    kind = found[0].type or found[0].kind
    evidence = f"{found[0].name} ({kind}) is between {names(heads)} and the {_logits(design)}"
    advice = f"remove {names(found)}: cross-entropy needs logits of both signs"
    if all(any(name in row.type.lower() for name in _UNBOUNDED) for row in found):
        return report.note("activation on the logits", evidence, advice, found)
    title = "logits cannot be negative" if found[0].kind == "relu" else "logits are bounded"
    return report.error(title, evidence, advice, found)


def dropout_before_logits(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether dropout zeroes logits at random."""
    drops = design.positions("dropout")
    found = at_the_end(design, "dropout")
    if not drops:
        return None
    if found:
        return report.warning(
            "dropout on the logits",
            f"{names(found)} sets some of the {_logits(design)} to zero in training",
            f"remove {names(found)}, or move it before the last layer",
            found,
        )
    evidence = f"{len(drops)} dropout layers, 0 of them after the last layer with weights"
    return report.ok("no dropout on the logits", evidence)


def softmax_output(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the model returns raw logits: cross-entropy applies log-softmax itself.

    A second log-softmax changes nothing, and ``nll_loss`` needs the first. A softmax is different:
    the loss then sees logits from 0 to 1.
    """
    found = at_the_end(design, "softmax")
    if over_batch := _over_batch(design):
        kind = over_batch[0].kind
        return report.error(
            "softmax over the batch: outputs depend on other images",
            f"{names(over_batch)} runs over dim=0, the batch: the logits of an image change "
            "with the rest of its batch",
            f"apply the {kind} over dim=1; at the end of the model remove it",
            over_batch,
        )
    logs = [row for row in found if "log" in row.type.lower()]
    logs += at_the_end(design, "log") if found else []
    classes = design.rows[design.last].output_shape[2]
    if logs:
        evidence = f"{logs[0].name}: a second log-softmax of {classes} values changes nothing"
        advice = (
            f"keep {names(logs)} for F.nll_loss; remove it before a loss that takes each logit by "
            "itself, like nn.BCEWithLogitsLoss"
        )
        return report.note("log-softmax at the end", evidence, advice, logs)
    if found:
        evidence = (
            f"{found[0].name} squeezes the {_logits(design)} between 0 and 1: cross-entropy then "
            f"never falls below {lowest_loss(classes, 0.0, 1.0):.2f}"
        )
        advice = f"remove {names(found)}: cross-entropy applies log-softmax itself"
        return report.error("softmax is applied twice", evidence, advice, found)
    return report.ok("the loss receives logits", f"{_logits(design)}, no softmax")


def lowest_loss(classes: int, low: float, high: float) -> float:
    """Return the lowest cross-entropy of bounded logits: the true class high, all others low."""
    return math.log1p((classes - 1) * math.exp(low - high))


def _over_batch(design: Design) -> list[LayerRow]:
    """Return the rows that normalize over the batch dimension and reach the logits."""
    reaching = design.ancestors([design.last]) | {design.last}
    return [
        design.rows[position] for position in sorted(reaching) if design.rows[position].over_batch
    ]


def _logits(design: Design) -> str:
    return f"{design.rows[design.last].output_shape[2]} logits"
