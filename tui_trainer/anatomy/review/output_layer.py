"""Rules about the end of a network: what is done to the scores before they reach the loss."""

from __future__ import annotations

import math

from tui_trainer.anatomy.review.design import ACTIVATIONS, Design, at_the_end
from tui_trainer.anatomy.review.reporter import Reporter, names
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import LayerRow

_UNBOUNDED = ("leaky", "prelu", "rrelu", "identity")


def activation_before_logits(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether an activation bounds the scores, such as a ReLU that lets none be negative."""
    found = at_the_end(design, *ACTIVATIONS)
    heads = [design.rows[position] for position in sorted(design.heads)]
    if not heads:
        return None
    if not found:
        evidence = f"{names(heads)} gives {_logits(design)}, with no activation behind"
        return report.ok("the scores are free to be negative", evidence, heads)
    kind = found[0].type or found[0].kind
    evidence = f"{found[0].name} ({kind}) stands between {names(heads)} and the {_logits(design)}"
    advice = f"leave {names(found)} out: the loss wants scores of both signs"
    if all(any(name in row.type.lower() for name in _UNBOUNDED) for row in found):
        return report.warning("an activation of the scores", evidence, advice, found)
    title = "the scores cannot be negative" if found[0].kind == "relu" else "the scores are bounded"
    return report.error(title, evidence, advice, found)


def dropout_before_logits(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether dropout hides scores at random."""
    drops = design.positions("dropout")
    found = at_the_end(design, "dropout")
    if not drops:
        return None
    if found:
        return report.error(
            "scores are hidden at random",
            f"{names(found)} sets some of the {_logits(design)} to zero in training",
            f"leave {names(found)} out, or put it before the last layer",
            found,
        )
    evidence = f"{len(drops)} dropout layers, 0 of them behind the last layer with weights"
    return report.ok("no dropout at the end", evidence)


def softmax_output(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the scores leave as they are; cross-entropy takes their softmax by itself.

    A second log-softmax changes nothing. A softmax does: then the loss sees scores from 0 to 1.
    """
    found = at_the_end(design, "softmax")
    if over_batch := _over_batch(design):
        kind = over_batch[0].kind
        return report.error(
            "softmax over the batch: outputs depend on other images",
            f"{names(over_batch)} is taken over dim=0, the images of the batch: an image alone "
            "gets other scores than in a batch",
            f"take the {kind} over dim=1; at the end of the network leave it out",
            over_batch,
        )
    logs = [row for row in found if "log" in row.type.lower()]
    logs += at_the_end(design, "log") if found else []
    classes = design.rows[design.last].output_shape[2]
    if logs:
        evidence = f"{logs[0].name}: the log-softmax of {classes} log-softmaxes is the same again"
        advice = f"leave {names(logs)} out: cross-entropy takes the softmax itself"
        return report.warning("log-softmax is taken twice", evidence, advice, logs)
    if found:
        evidence = (
            f"{found[0].name} squeezes the {_logits(design)} between 0 and 1: cross-entropy then "
            f"never falls below {least_loss(classes, 0.0, 1.0):.2f}"
        )
        advice = f"leave {names(found)} out: cross-entropy takes the softmax itself"
        return report.error("softmax is taken twice", evidence, advice, found)
    return report.ok("scores go to the loss as they are", f"{_logits(design)}, no softmax")


def least_loss(classes: int, low: float, high: float) -> float:
    """Return the least cross-entropy of scores within bounds: the right one high, the rest low."""
    return math.log1p((classes - 1) * math.exp(low - high))


def _over_batch(design: Design) -> list[LayerRow]:
    """Return the softmaxes and normalizations over the images of a batch that reach the scores."""
    reaching = design.ancestors([design.last]) | {design.last}
    return [
        design.rows[position] for position in sorted(reaching) if design.rows[position].over_batch
    ]


def _logits(design: Design) -> str:
    return f"{design.rows[design.last].output_shape[2]} scores"
