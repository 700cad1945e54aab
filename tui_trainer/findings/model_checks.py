"""Rules about the model itself, which a trial on a copy measures before the first step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui_trainer.findings import causes
from tui_trainer.findings.rule import accuracy_on, finding
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import ModelProbed
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

UNEQUAL = 0.01
"""The relative difference of two outputs for one image above which it is reported.

It is ten times what the order of summation explains; ``models.behavior`` has the same limit.
"""

OTHER_LOSS = 3.0
"""The factor between the slope of cross-entropy and the norm of the gradient above which the
gradient is another one: 0.94 to 1.01 in healthy models."""

FLOOR = 0.02
"""The share of random guessing's loss that bounded logits may leave at best."""

SAME = 1e-4
"""The gap between the logits of different images below which a model tells nothing apart."""

AT_BOUND = 0.05
"""The share of logits at a bound that is no coincidence."""

FEW_PIXELS, ROUGH = 0.2, 0.3
"""The share of the pixels that a model should use at least, and the smoothness, relative to that of
the image, below which the first layer gets the pixels in another order."""

WORSE = 0.1
"""How much lower the accuracy is on images that only training mode transforms."""

SOME_MIRRORED = 0.05
"""The share of mirrored training images that is reported, …"""

DIGITS = ("mnist", "emnist", "qmnist")
"""… as a warning in datasets of digits."""

FEW_KNOWN, KEPT, HARDLY_KEPT = 50, 0.9, 0.8
"""The fewest known images, and the shares of them that a model should still know once augmented:
less is a note, and a warning."""

MIXING = ("conv", "depthwise", "transposed conv", "fully connected")
"""The kinds of layers that have weights for every pair of input and output."""

_AFFINE = (
    *("input", *MIXING, "max pool", "average pool", "flatten", "batch norm", "dropout", "pad"),
    *("identity", "multiply", "add", "sub", "div", "softmax", "slice", "permute", "transpose"),
)
"""The kinds of layers that are no activation. A maximum is not linear, but learns no bend."""


# --- the gradient


def gradient_sign(history: History) -> FindingRaised | None:
    """Find a gradient along which the loss falls: every update increases the loss."""
    ratio = _ratio(history)
    if ratio is None or ratio >= 0:
        return None
    return finding(
        "gradient_sign",
        evidence=(
            f"along its gradient the loss falls: its slope is {ratio:.3g} times the gradient's "
            "norm instead of 1"
        ),
        step=0,
    )


def loss_function(history: History) -> FindingRaised | None:
    """Find a gradient that is not that of cross-entropy: of another loss, or scaled or clipped."""
    ratio = _ratio(history)
    if ratio is None or ratio < 0 or 1 / OTHER_LOSS <= ratio <= OTHER_LOSS:
        return None
    return finding(
        "loss_function",
        evidence=f"along its gradient, the slope of cross-entropy is {ratio:.3g} times the "
        "gradient's norm instead of 1",
        step=0,
    )


def _ratio(history: History) -> float | None:
    return history.model_probe.gradient_ratio if history.model_probe else None


# --- the weights


def equal_units(history: History) -> FindingRaised | None:
    """Find layers whose units are all equal and get parallel gradients: they act as one unit."""
    tried = history.model_probe
    if tried is None or not tried.equal_units:
        return None
    names = tried.equal_units
    return finding(
        "equal_units",
        evidence=f"the units of {fmt.plural(len(names), 'layer')} begin with equal weights: "
        f"{fmt.listed(names, 3)}",
        step=0,
    )


def not_registered(history: History) -> FindingRaised | None:
    """Find weights that ``parameters()`` does not return.

    If they have no name and the logits are random, ``forward`` itself makes them.
    """
    tried = history.model_probe
    if tried is None or not tried.not_registered:
        return None
    names = tried.not_registered
    evidence = f"{fmt.plural(len(names), 'tensor')} that model.parameters() does not return: "
    evidence += fmt.listed(names, 3)
    if tried.random_gap > UNEQUAL:
        fresh = causes.cause("weights_replaced", "shown")
        return finding(
            "not_registered",
            title="a layer is built in forward()",
            evidence=f"{evidence}; the logits of two passes differ",
            causes=(fresh,),
            step=0,
        )
    return finding("not_registered", evidence=evidence, step=0)


def bn_momentum(history: History) -> FindingRaised | None:
    """Find batch norms whose running statistics are not those of the training images."""
    tried = history.model_probe
    if tried is None or not tried.frozen_statistics:
        return None
    names = tried.frozen_statistics
    return finding(
        "bn_momentum",
        evidence=(
            f"momentum 0 or 1 in {fmt.plural(len(names), 'batch norm')}: {fmt.listed(names, 3)}"
        ),
        step=0,
    )


# --- the layers


def hidden_softmax(history: History) -> FindingRaised | None:
    """Find a softmax as the activation of a hidden layer."""
    tried = history.model_probe
    if tried is None or not tried.hidden_softmax:
        return None
    names = tried.hidden_softmax
    return finding(
        "hidden_softmax",
        evidence=f"{fmt.plural(len(names), 'softmax', 'softmaxes')} over the units of a hidden "
        f"layer: {fmt.listed(names, 3)}",
        step=0,
    )


def linear_model(history: History) -> FindingRaised | None:
    """Find layers without an activation between them: together they act as one layer.

    A model of one layer, logistic regression, is linear on purpose: a note.
    """
    tried, started = history.model_probe, history.started
    if tried is None or started is None:
        return None
    rows = [row for row in started.layers if row.is_layer]
    mixing = [row for row in rows if row.kind in MIXING]
    pools = any(row.kind == "max pool" for row in rows)
    unbent = mixing and _has_no_activation(rows) and (tried.is_linear is None or pools)
    if not (tried.is_linear or unbent):
        return None
    several = len(mixing) > 1
    return finding(
        "linear_model",
        severity="warning" if several else "note",
        evidence=(
            f"{fmt.plural(len(mixing), 'layer')} with weights"
            + (", and no activation between them" if several else " and no activation")
            + (": the logits are an affine function of the pixels" if tried.is_linear else "")
        ),
        advice="put an activation such as ReLU between the layers" if several else "",
        step=0,
    )


def _has_no_activation(rows: Sequence[LayerRow]) -> bool:
    """Whether no row bends its input, products of two inputs included."""
    return all(
        row.kind in _AFFINE and not (row.kind in ("multiply", "div") and len(row.sources) > 1)
        for row in rows
    )


def logits_bounded(history: History) -> FindingRaised | None:
    """Find an activation on the logits: ReLU, sigmoid or tanh.

    Between two bounds the loss cannot fall below ln(1 + (classes − 1) · exp(low − high)). A ReLU
    passes no gradient to a class whose logit it sets to 0.
    """
    tried, started = history.model_probe, history.started
    if tried is None or started is None or tried.logit_range is None:
        return None
    low, high = tried.logit_range
    same = not low < high or tried.image_gap < SAME
    if same or (tried.logits_at_bound or 0.0) < AT_BOUND:
        return None
    floor = math.log1p((started.classes - 1) * math.exp(low - high))
    if low != 0 and floor < FLOOR * history.guessing_loss:
        return None
    limits = f"{fmt.percent(tried.logits_at_bound or 0.0, 0)} of the logits of very large inputs "
    limits += f"are exactly {low:.3g}" + (f" or {high:.3g}" if floor >= 1e-3 else "")
    if floor >= FLOOR * history.guessing_loss:
        limits += f": the loss cannot fall below {floor:.2f}"
    return finding("logits_bounded", evidence=limits, step=0)


# --- the input


def input_destroyed(history: History) -> FindingRaised | None:
    """Find images that do not reach the first layer: constant, cropped or with mixed pixels.

    Pixels in another order are a note, because for a fully connected layer any fixed order will do,
    unless the order changes from pass to pass.
    """
    tried = history.model_probe
    if tried is None:
        return None
    used, smooth = tried.pixels_used, tried.first_input_smoothness
    severity, evidence = "error", ""
    if tried.first_input_std == 0:
        evidence = (
            "the input of the first layer has the same value in every pixel (standard deviation 0)"
        )
    elif used is not None and tried.image_gap > 0 and 0 < used < FEW_PIXELS:
        severity = "warning"
        evidence = (
            f"the logits depend on {fmt.percent(used, 0)} of the pixels that differ between images"
        )
    elif smooth is not None and smooth < ROUGH:
        varies = max(tried.random_gap, tried.batch_gap) > UNEQUAL
        severity = "error" if varies else "note"
        evidence = (
            f"adjacent pixels of the first layer's input correlate {max(0.0, smooth):.2f} times as "
            "much as those of the image"
        )
    if not evidence:
        return None
    return finding("input_destroyed", severity=severity, evidence=evidence, step=0)


# --- training mode


def train_transform(history: History) -> FindingRaised | None:
    """Find a transform that only training images get, always the same one.

    Training mode gives other logits than evaluation mode with norms and dropout in evaluation mode.
    That alone can be intended. It is an error once training images are classified much worse in
    evaluation mode than while training.
    """
    tried, sample = history.model_probe, history.last_sample
    if tried is None or sample is None or not _is_fixed(tried) or not sample.step:
        return None
    now = history.smoothed_accuracy
    _, high = wilson(sample.correct, sample.sample_size)
    if now is None or high > now - WORSE:
        return None
    return finding(
        "train_transform",
        evidence=(
            f"accuracy on training images {fmt.percent(now)} in training mode, "
            f"{accuracy_on(sample)} in evaluation mode; before training, their logits differed by "
            f"{fmt.percent(tried.training_gap or 0.0, 0)} of the range"
        ),
        step=sample.step,
    )


def _is_fixed(tried: ModelProbed) -> bool:
    gap, random = tried.training_gap, tried.training_random_gap
    return gap is not None and gap > UNEQUAL and not (random or 0.0) > UNEQUAL


def augmentation_labels(history: History) -> FindingRaised | None:
    """Find training images that ``forward`` mirrors, or turns by 90° or more.

    Digits turn into other digits then; images of another kind can look the same: a note.
    """
    tried, started = history.model_probe, history.started
    if tried is None or started is None or (tried.mirrored or 0.0) < SOME_MIRRORED:
        return None
    return finding(
        "augmentation_labels",
        severity="warning" if started.dataset in DIGITS else "note",
        evidence=(
            f"forward() mirrors or turns {fmt.percent(tried.mirrored or 0.0, 0)} of the training "
            "images"
        ),
        step=tried.step,
    )


def augmentation_strong(history: History) -> FindingRaised | None:
    """Find an augmentation after which a model no longer knows the images that it knows.

    The augmentation is the run's, or random changes that ``forward`` makes in training mode.
    """
    tried, sample = history.model_probe, history.last_sample
    known = (sample.known or 0) if sample else 0
    if sample is None or known < FEW_KNOWN:
        return None
    kept = sample.known_augmented
    if tried is not None and (tried.training_random_gap or 0.0) > UNEQUAL:
        inside = sample.known_in_training
        kept = min((n for n in (kept, inside) if n is not None), default=None)
    most = 1.0 if kept is None else wilson(kept, known)[1]
    if kept is None or most > KEPT:
        return None
    return finding(
        "augmentation_strong",
        severity="warning" if most < HARDLY_KEPT else "note",
        evidence=(
            f"of {known} training images that the model knows, it takes "
            f"{fmt.percent(1 - kept / known, 0)} for another class once they are augmented"
        ),
        step=sample.step,
    )
