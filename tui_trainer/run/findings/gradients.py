"""Gradients and updates: where they stop, where they grow, and what is not trained at all."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.run import text
from tui_trainer.run.events import FindingRaised
from tui_trainer.run.findings.watch import lately, names, progress, weights
from tui_trainer.run.history import History
from tui_trainer.run.probed import ParameterProbe, UpdateProbed

VANISHED = 1e-3
"""The first layer's gradient, as a share of the last's, below which it has vanished."""

NOT_LEARNED = 0.5
"""Vanishing is a fault while the loss is above this share of guessing's."""

EXPLODED = 3.0
"""Times guessing's loss that a network may have before it has seen an image."""

UPHILL = -0.15
"""The cosine between an update and the way downhill from which on it goes uphill."""


def no_gradient(history: History) -> FindingRaised | None:
    """Find parameters that get no gradient: frozen, or not on the way to the scores.

    In each of the last three updates looked at. A gradient of exactly 0 in every number counts
    too, for weights that mix inputs.
    """
    looks = lately(history)
    lost = [p.name for p in _each(looks, _gets_none)]
    if not lost:
        return None
    none = [p.name for p in looks[-1].parameters if p.gradient is None]
    cause = (
        "frozen (requires_grad is False), or not used on the way to the scores"
        if none
        else "nothing of them reaches the scores: dead units, or a cut such as detach()"
    )
    total = sum(p.count for p in looks[-1].parameters if p.name in lost)
    return FindingRaised(
        code="no_gradient",
        severity="look",
        title=f"no gradient: {names(lost, 2)}",
        evidence=(
            f"{text.plural(total, 'number')} of {names(lost)} got no gradient in the updates "
            f"looked at since step {text.count(looks[0].step)}"
        ),
        advice="let them require a gradient, or take them out",
        step=looks[0].step,
        lesson=19,
        cause=cause,
    )


def not_updated(history: History) -> FindingRaised | None:
    """Find parameters that have a gradient and never move: the optimizer does not know them.

    In each of the last three updates looked at, all at a learning rate above 0.
    """
    looks = lately(history)
    if any(look.learning_rate <= 0 for look in looks):
        return None
    still = [p.name for p in _each(looks, lambda p: bool(p.gradient) and p.update == 0)]
    if not still:
        return None
    return FindingRaised(
        code="not_updated",
        severity="wrong",
        title=f"not trained: {names(still, 2)}",
        evidence=(
            f"{names(still)} had a gradient and did not move in the updates looked at since step "
            f"{text.count(looks[0].step)}"
        ),
        advice="hand all parameters of the network to the optimizer",
        step=looks[0].step,
        lesson=19,
        cause="the optimizer does not have them",
    )


def uphill(history: History) -> FindingRaised | None:
    """Find that the updates go up the gradient instead of down, three times in a row."""
    looks = lately(history)
    ways = [look.descent for look in looks if look.descent is not None]
    if len(ways) < len(looks) or not ways or max(ways) > UPHILL:
        return None
    return FindingRaised(
        code="uphill",
        severity="wrong",
        title="the updates go uphill",
        evidence=(
            f"the cosine between update and downhill is {ways[-1]:.2f}, below 0 in every update "
            f"looked at since step {text.count(looks[0].step)}"
        ),
        advice="check the sign of the loss and of the update",
        step=looks[0].step,
        lesson=19,
        cause="the gradient's sign is turned somewhere, or momentum runs against it",
    )


def vanishing_gradients(history: History) -> FindingRaised | None:
    """Find that the first layer's gradient is next to nothing beside the last one's.

    Both are taken for each number (root mean square), in each of the last three updates looked at,
    while the network has not learned much yet.
    """
    looks = lately(history)
    shares = []
    for look in looks:
        found = weights(look)
        if len(found) < 3 or not _rms(found[-1]):
            return None
        shares.append(_rms(found[0]) / _rms(found[-1]))
    if not shares or max(shares) > VANISHED or progress(history) < NOT_LEARNED:
        return None
    layers = weights(looks[-1])
    first, last = layers[0], layers[-1]
    return FindingRaised(
        code="vanishing_gradients",
        severity="wrong",
        title="vanishing gradients",
        evidence=(
            f"the gradient of {first.name} is {_rms(first):.1e} a number, that of {last.name} "
            f"{_rms(last):.1e}: 1 in {text.count(round(1 / max(shares[-1], 1e-12)))}"
        ),
        advice="ReLU in place of sigmoid or tanh, batch norm after each convolution, fewer layers",
        step=looks[0].step,
        lesson=9,
        cause="each layer hands back less of the gradient than it gets; the first ones stand still",
        plot=tuple(_rms(p) for p in layers),
        plot_label="gradient by layer, first to last",
    )


def exploding_scores(history: History) -> FindingRaised | None:
    """Find that the network is sure and wrong before it has seen an image.

    Its loss on the sample, untrained, is three times guessing's: the layers multiply each other's
    outputs up.
    """
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.step or sample.loss < EXPLODED * history.guessing_loss:
        return None
    return FindingRaised(
        code="exploding_scores",
        severity="wrong",
        title="scores explode at the start",
        evidence=(
            f"untrained, the loss is {sample.loss:.4g}, guessing's is "
            f"{history.guessing_loss:.2f}; scores from {sample.score_low:.3g} to "
            f"{sample.score_high:.3g}"
        ),
        advice="PyTorch's own initialisation, smaller first weights, or batch norm",
        step=0,
        lesson=19,
        cause="the first weights are too large: each layer makes its outputs larger still",
        plot=tuple(layer.std for layer in sample.layers),
        plot_label="deviation of the outputs, layer by layer",
    )


def _gets_none(parameter: ParameterProbe) -> bool:
    zero = parameter.gradient == 0 and parameter.is_weight
    return parameter.gradient is None or zero


def _each(
    looks: list[UpdateProbed], holds: Callable[[ParameterProbe], bool]
) -> list[ParameterProbe]:
    """Return the parameters for which something holds in each of the updates."""
    if not looks:
        return []
    always = set.intersection(*({p.name for p in look.parameters if holds(p)} for look in looks))
    return [p for p in looks[-1].parameters if p.name in always]


def _rms(parameter: ParameterProbe) -> float:
    """Return the gradient of one number of a parameter, as the root of its mean square."""
    return float((parameter.gradient or 0.0) / parameter.count**0.5)
