"""Rules about gradients and updates: missing, vanishing, exploding, or in the wrong direction."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from tui_trainer.findings import causes
from tui_trainer.findings.rule import (
    EARLY_STEPS,
    NOT_LEARNED,
    finding,
    recent_updates,
    relative_loss,
    weights,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed
from tui_trainer.text import fmt

VANISHED = 1e-4
"""The effect of the first layer on the loss, relative to the last's, below which it has vanished.

An effect is the norm of the gradient times that of the weights: how much the loss changes with a
relative change of the weights. In a network of linear layers and ReLUs without biases it is the
same in every layer, at any scale of the weights.
"""

NOT_FALLEN, LEFT, RISEN = 0.98, 0.1, 1.1
"""A loss that has not fallen, and one that matters, as a share of random guessing's; the factor by
which one has risen over its lowest value."""

UPHILL = -0.15
"""The cosine(update, −gradient) below which an update counts as gradient ascent."""

UNDERFLOW = 1e-12
"""The size of the smallest gradient, relative to the largest, below which zeros are underflow."""

SMALL_INIT = 0.2
"""The scale of initial weights, std · sqrt(fan-in), that is small: 0.6 is PyTorch's default."""


def no_gradient(history: History) -> FindingRaised | None:
    """Find parameters that require a gradient and get none in the last three sampled updates.

    For weight tensors a gradient of exactly 0 counts too, but not the underflow of a vanishing one,
    nor the zeros once everything is learned. For parameters that ``forward`` does not use
    ``unused_parameters`` raises a note.
    """
    updates, unused = recent_updates(history), _unused(history)
    missing = [p.name for p in each(updates, _gets_none) if p.name not in (unused or ())]
    if not missing:
        return None
    now = updates[-1]
    none = any(p.gradient_norm is None for p in now.parameters if p.name in missing)
    if not none and (_is_underflow(now) or relative_loss(history) < NOT_LEARNED):
        return None
    cause = "their output does not reach the logits: dead ReLUs, a factor of 0, or detach()"
    advice = "look for dead ReLUs, a factor of 0 or detach() between them and the logits"
    if none:
        cause = "forward() does not use them, or detaches them from the graph"
        advice = "use them in forward() without detach(), no_grad(), .data or .item()"
    if none and unused is not None:
        cause = "forward() uses them but detaches them: detach(), no_grad(), .data or .item()"
        advice = "remove that call, or freeze them on purpose with requires_grad_(False)"
    detached = Cause(
        code="no_gradient",
        title=cause,
        likelihood="shown" if none else "possible",
        advice=advice,
    )
    others = () if none else causes.ranked(history, causes.dead_units, causes.saturated)
    total = sum(p.numel for p in now.parameters if p.name in missing)
    return finding(
        "no_gradient",
        severity="error" if none and unused is not None else "warning",
        title=f"no gradient: {fmt.listed(missing, 2)}",
        evidence=(
            f"{fmt.listed(missing, 3)}, {fmt.plural(total, 'parameter')}, had no gradient in any "
            f"sampled update since step {fmt.count(updates[0].step)}"
        ),
        causes=(*others, detached),
        step=updates[0].step,
    )


def _is_underflow(update: UpdateProbed) -> bool:
    """Whether other gradients are so small that zeros are the underflow of a vanishing gradient."""
    sizes = [_rms(p) for p in update.parameters if p.gradient_norm]
    return bool(sizes) and min(sizes) < UNDERFLOW * max(sizes)


def frozen_parameters(history: History) -> FindingRaised | None:
    """Note parameters that do not require a gradient: they are frozen on purpose."""
    update = history.last_update
    frozen = [p for p in update.parameters if p.frozen] if update else []
    found = _noted("frozen_parameters", "frozen", update, frozen)
    if found is None or update is None or not _holds_back(history, update):
        return found
    evidence = (
        f"{found.evidence}; training loss is still {100 * relative_loss(history):.0f} % of random "
        "guessing's"
    )
    return replace(
        found,
        severity="warning",
        evidence=evidence,
        advice="set requires_grad to True, unless these weights are trained already",
    )


def _holds_back(history: History, update: UpdateProbed) -> bool:
    """Whether most of a script's model is frozen, and what is left does not learn."""
    total = sum(p.numel for p in update.parameters)
    still = sum(p.numel for p in update.parameters if p.frozen)
    is_late = history.step >= EARLY_STEPS and relative_loss(history) >= NOT_LEARNED
    return bool(history.loops) and is_late and 2 * still >= total


def unused_parameters(history: History) -> FindingRaised | None:
    """Note parameters that ``forward`` does not use."""
    update, unused = history.last_update, _unused(history) or ()
    idle = [p for p in update.parameters if p.name in unused and not p.frozen] if update else []
    return _noted("unused_parameters", "not used", update, idle)


def _noted(
    code: str, state: str, update: UpdateProbed | None, found: Sequence[ParameterProbe]
) -> FindingRaised | None:
    if update is None or not found:
        return None
    total = sum(p.numel for p in found)
    return finding(
        code,
        title=f"{fmt.plural(len(found), 'parameter tensor')} {state}",
        evidence=f"{fmt.listed([p.name for p in found], 3)}: {fmt.plural(total, 'parameter')}",
        step=update.step,
    )


def _unused(history: History) -> tuple[str, ...] | None:
    """Return the parameters that ``forward`` does not use; None where that was not recorded."""
    return history.last_sample.unused_parameters if history.last_sample else None


def uphill(history: History) -> FindingRaised | None:
    """Find updates that follow the gradient instead of its negative, three times in a row.

    High momentum can do that for a while; it is a problem once the loss rises, or does not fall.
    """
    updates = recent_updates(history)
    cosines = [update.descent_cosine for update in updates if update.descent_cosine is not None]
    if len(cosines) < len(updates) or not cosines or max(cosines) > UPHILL:
        return None
    loss, lowest = relative_loss(history), min(history.train_loss.trend, default=0.0)
    has_risen = loss >= LEFT and loss * history.guessing_loss >= RISEN * lowest
    if loss < NOT_FALLEN and not has_risen:
        return None
    return finding(
        "uphill",
        evidence=(
            f"cosine(update, −gradient) = {cosines[-1]:.2f}, negative in every sampled update "
            f"since step {fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


def vanishing_gradients(history: History) -> FindingRaised | None:
    """Find a first layer whose effect on the loss is negligible compared with the last layer's.

    The effect is the norm of the gradient times that of the weights, in each of the last three
    sampled updates, while the model has not learned much yet.
    """
    updates = recent_updates(history)
    shares = []
    for update in updates:
        found = _mixing(update)
        if len(found) < 3 or not _effect(found[-1]):
            return None
        shares.append(_effect(found[0]) / _effect(found[-1]))
    if not shares or max(shares) > VANISHED or relative_loss(history) < NOT_LEARNED:
        return None
    layers = _mixing(updates[-1])
    first, last = layers[0], layers[-1]
    texts = causes.cause("vanishing_gradients", "likely")
    return finding(
        "vanishing_gradients",
        evidence=(
            f"RMS gradient {_rms(first):.1e} in {first.name}, {_rms(last):.1e} in {last.name}; a "
            f"relative change of {first.name} has less effect by a factor of "
            f"{fmt.count(round(1 / max(shares[-1], 1e-12)))}"
        ),
        causes=(*causes.ranked(history, _small_init, causes.dead_units, causes.saturated), texts),
        step=updates[0].step,
        plot=tuple(_rms(p) for p in layers),
    )


def _small_init(history: History) -> Cause | None:
    """Test whether most layers began with small weights."""
    found = weights(history.updates[0]) if history.updates else []
    scales = [p.weight_norm * (p.fan_in / p.numel) ** 0.5 for p in found if p.fan_in]
    if not scales or statistics.median(scales) > SMALL_INIT:
        return None
    evidence = (
        f"initial weights with std · sqrt(fan-in) = {statistics.median(scales):.2g} (median of "
        f"{fmt.plural(len(scales), 'layer')}); the default is 0.6"
    )
    return causes.cause("init_small", "shown", evidence)


def _mixing(update: UpdateProbed) -> list[ParameterProbe]:
    """Return the weights that mix several inputs.

    One number per unit, such as weight norm's ``weight_g``, only scales it: before a norm its
    gradient cancels.
    """
    return [p for p in weights(update) if p.fan_in != 1]


def _effect(parameter: ParameterProbe) -> float:
    return (parameter.gradient_norm or 0.0) * parameter.weight_norm


def _gets_none(parameter: ParameterProbe) -> bool:
    zero = parameter.gradient_norm == 0 and parameter.is_weight
    return not parameter.frozen and (parameter.gradient_norm is None or zero)


def each(
    updates: list[UpdateProbed], holds: Callable[[ParameterProbe], bool]
) -> list[ParameterProbe]:
    """Return the parameters for which a condition holds in every update."""
    if not updates:
        return []
    always = set.intersection(
        *({p.name for p in update.parameters if holds(p)} for update in updates)
    )
    return [p for p in updates[-1].parameters if p.name in always]


def _rms(parameter: ParameterProbe) -> float:
    """Return the root mean square of a parameter's gradient over its elements."""
    return float((parameter.gradient_norm or 0.0) / max(1, parameter.numel) ** 0.5)
