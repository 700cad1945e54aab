"""Gradients and updates: where they stop, where they grow, and what is not trained at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_trainer.findings.rule import finding, recent_updates, relative_loss, weights
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed
from tui_trainer.text import fmt

VANISHED = 1e-3
"""The first layer's gradient, as a share of the last's, below which it has vanished."""

NOT_LEARNED = 0.5
"""Vanishing is a fault while the loss is above this share of guessing's."""

EXPLODED = 3.0
"""Times guessing's loss that a network may have before it has seen an image."""

UPHILL = -0.15
"""The cosine between an update and the way downhill from which on it goes uphill."""


def no_gradient(history: History) -> FindingRaised | None:
    """Find parameters that require a gradient and get none.

    In each of the last three updates looked at. A gradient of exactly 0 in every number counts
    too, for weights that mix inputs. Those that ``forward`` does not use are a note of their own.
    """
    updates, unused = recent_updates(history), _unused(history)
    lost = [p.name for p in _each(updates, _gets_none) if p.name not in (unused or ())]
    if not lost:
        return None
    none = any(p.gradient_norm is None for p in updates[-1].parameters if p.name in lost)
    cause = "nothing of them reaches the logits: dead units, or a cut such as detach()"
    advice = "look for dead units, a factor of 0 or detach() between them and the logits"
    if none:
        cause = "forward does not use them, or cuts them off from the logits"
        advice = "use them in forward, without detach(), no_grad(), .data or .item()"
    if none and unused is not None:
        cause = "forward uses them and cuts them off: detach(), no_grad(), .data or .item()"
        advice = "remove that call, or freeze them on purpose with requires_grad_(False)"
    total = sum(p.numel for p in updates[-1].parameters if p.name in lost)
    return finding(
        "no_gradient",
        severity="error" if none and unused is not None else "warning",
        title=f"no gradient: {fmt.listed(lost, 2)}",
        evidence=(
            f"{fmt.plural(total, 'number')} of {fmt.listed(lost, 3)} got no gradient in the "
            f"updates looked at since step {fmt.count(updates[0].step)}"
        ),
        advice=advice,
        step=updates[0].step,
        cause=cause,
    )


def frozen_parameters(history: History) -> FindingRaised | None:
    """Note the parameters that do not require a gradient: frozen on purpose."""
    update = history.updates[-1] if history.updates else None
    frozen = [p for p in update.parameters if p.frozen] if update else []
    return _noted("frozen_parameters", "frozen", update, frozen)


def unused_parameters(history: History) -> FindingRaised | None:
    """Note the parameters that ``forward`` does not use."""
    update, unused = history.updates[-1] if history.updates else None, _unused(history) or ()
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
        evidence=f"{fmt.listed([p.name for p in found], 3)}: {fmt.plural(total, 'number')}",
        step=update.step,
    )


def _unused(history: History) -> tuple[str, ...] | None:
    """Return the parameters that ``forward`` does not use; None where that was not recorded."""
    return history.samples[-1].unused_parameters if history.samples else None


def not_updated(history: History) -> FindingRaised | None:
    """Find parameters that have a gradient and never move: the optimizer does not have them.

    In each of the last three updates looked at, all at a learning rate above 0. A gradient that is
    rounding noise, as of a bias before batch norm, moves nothing and is no reason to report it.
    """
    updates = recent_updates(history)
    if any(update.lr <= 0 for update in updates):
        return None
    rate = updates[-1].lr if updates else 0.0
    still = [p.name for p in _each(updates, lambda p: p.update_norm == 0 and _would_move(p, rate))]
    if not still:
        return None
    return finding(
        "not_updated",
        title=f"not trained: {fmt.listed(still, 2)}",
        evidence=(
            f"{fmt.listed(still, 3)} had a gradient and did not move in the updates looked at "
            f"since step {fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


def uphill(history: History) -> FindingRaised | None:
    """Find that the updates go up the gradient instead of down, three times in a row."""
    updates = recent_updates(history)
    ways = [update.descent_cosine for update in updates if update.descent_cosine is not None]
    if len(ways) < len(updates) or not ways or max(ways) > UPHILL:
        return None
    return finding(
        "uphill",
        evidence=(
            f"the cosine between update and downhill is {ways[-1]:.2f}, below 0 in every update "
            f"looked at since step {fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


def vanishing_gradients(history: History) -> FindingRaised | None:
    """Find that the first layer's gradient is next to nothing beside the last one's.

    Both are taken for each number (root mean square), in each of the last three updates looked at,
    while the network has not learned much yet.
    """
    updates = recent_updates(history)
    shares = []
    for update in updates:
        found = weights(update)
        if len(found) < 3 or not _rms(found[-1]):
            return None
        shares.append(_rms(found[0]) / _rms(found[-1]))
    if not shares or max(shares) > VANISHED or relative_loss(history) < NOT_LEARNED:
        return None
    layers = weights(updates[-1])
    first, last = layers[0], layers[-1]
    return finding(
        "vanishing_gradients",
        evidence=(
            f"the gradient of {first.name} is {_rms(first):.1e} a number, that of {last.name} "
            f"{_rms(last):.1e}: 1 in {fmt.count(round(1 / max(shares[-1], 1e-12)))}"
        ),
        step=updates[0].step,
        plot=tuple(_rms(p) for p in layers),
    )


def exploding_logits(history: History) -> FindingRaised | None:
    """Find that the network is sure and wrong before it has seen an image.

    Its loss on the sample, untrained, is three times guessing's: the layers multiply each other's
    outputs up.
    """
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.step or sample.loss < EXPLODED * history.guessing_loss:
        return None
    return finding(
        "exploding_logits",
        evidence=(
            f"untrained, the loss is {sample.loss:.4g}, guessing's is "
            f"{history.guessing_loss:.2f}; scores from {sample.logit_min:.3g} to "
            f"{sample.logit_max:.3g}"
        ),
        step=0,
        plot=tuple(layer.std for layer in sample.layers),
    )


def _gets_none(parameter: ParameterProbe) -> bool:
    zero = parameter.gradient_norm == 0 and parameter.is_weight
    return not parameter.frozen and (parameter.gradient_norm is None or zero)


def _would_move(parameter: ParameterProbe, rate: float) -> bool:
    """Say whether a step along the gradient is more than the rounding of the weights."""
    step = rate * (parameter.gradient_norm or 0.0)
    return step > parameter.eps * parameter.weight_norm


def _each(
    updates: list[UpdateProbed], holds: Callable[[ParameterProbe], bool]
) -> list[ParameterProbe]:
    """Return the parameters for which something holds in each of the updates."""
    if not updates:
        return []
    always = set.intersection(
        *({p.name for p in update.parameters if holds(p)} for update in updates)
    )
    return [p for p in updates[-1].parameters if p.name in always]


def _rms(parameter: ParameterProbe) -> float:
    """Return the gradient of one number of a parameter, as the root of its mean square."""
    return float((parameter.gradient_norm or 0.0) / max(1, parameter.numel) ** 0.5)
