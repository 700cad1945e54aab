"""Rules about activations inside the model: missing, or of the wrong kind."""

from __future__ import annotations

from tui_trainer.anatomy.review.design import POOLS, Design, is_norm, is_weighted
from tui_trainer.anatomy.review.reporter import Reporter, names
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.text.fmt import plural

_PASSED_ON = (*POOLS, "dropout", "flatten", "pad", "identity", "reshape", "permute", "transpose")
"""What may come between an activation and the layer that it feeds. A softmax that is multiplied
with other features is attention."""

_AFFINE = (
    *("input", "conv", "depthwise", "fully connected", "batch norm", "average pool", "dropout"),
    *("flatten", "pad", "identity", "add", "concatenate", "reshape", "permute", "transpose"),
)
"""Affine operations, with batch norm and dropout as in evaluation mode."""

_OF_PIXELS = ("multiply", "add", "sub", "div")
"""Operations with a constant, where they read the image: ``(x - mean) / std``."""


def hidden_softmax(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether a softmax is an activation inside the model.

    Its outputs sum to 1: the more there are, the smaller each is, and so is its gradient. Attention
    weights other features with a softmax and is not meant.
    """
    softmaxes = [p for p in design.positions("softmax") if p not in design.tail]
    hidden = [position for position in softmaxes if _feeds_layer(design, position)]
    if not softmaxes:
        return None
    if not hidden:
        weighting = [design.rows[position] for position in softmaxes]
        evidence = f"{names(weighting)}: {len(weighting)} before the last layer, 0 as an activation"
        return report.ok("softmax only weights features", evidence, weighting)
    rows = [design.rows[position] for position in hidden]
    features = rows[0].output_shape[2]
    return report.warning(
        "softmax as a hidden activation",
        f"the {features} outputs of {rows[0].name} sum to 1: on average each is {1 / features:.2g}",
        f"replace {names(rows)} with ReLU; softmax belongs into the loss",
        rows,
    )


def _feeds_layer(design: Design, position: int) -> bool:
    """Whether the next layer with weights reads the output, and nothing else does."""
    onward = [design.rows[step] for step in design.onward(position)]
    if not onward or not is_weighted(onward[-1]):
        return False
    return all(row.kind in _PASSED_ON or is_norm(row) for row in onward[:-1])


def nonlinearity(design: Design, report: Reporter) -> Diagnosis | None:
    """Judge whether the logits are more than an affine map of the pixels.

    Layers without a nonlinearity in between are worth one: such a model reaches 92 % on MNIST
    (Y. LeCun and others, "Gradient-Based Learning Applied to Document Recognition", 1998).
    """
    reaching = sorted(design.ancestors([design.last]) | {design.last})
    layers = [design.rows[position] for position in reaching if is_weighted(design.rows[position])]
    if not layers:
        return None
    bent = [position for position in reaching if not _is_affine(design, position)]
    if bent:
        count = plural(len(bent), "nonlinear operation")
        return report.ok("the model is nonlinear", f"{count} before the logits")
    return report.warning(
        "the model is linear",
        f"{plural(len(layers), 'layer')} with weights, 0 nonlinear operations: one affine map of "
        "the pixels",
        "add a ReLU after each layer but the last",
        layers,
    )


def _is_affine(design: Design, position: int) -> bool:
    row = design.rows[position]
    if row.kind in _AFFINE or (row.kind == "softmax" and position in design.tail):
        return True
    before = design.ancestors([position])
    return row.kind in _OF_PIXELS and not any(is_weighted(design.rows[p]) for p in before)
