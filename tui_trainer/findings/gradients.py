"""Rules about gradients and updates: missing, vanishing, exploding, or in the wrong direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_trainer.findings.rule import finding, recent_updates, relative_loss, weights
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed
from tui_trainer.text import fmt

VANISHED = 1e-3
"""The ratio of the first layer's gradient to the last's below which it has vanished."""

NOT_LEARNED = 0.5
"""Vanishing gradients matter while the loss is above this share of random guessing's."""

EXPLODED = 3.0
"""The factor over random guessing's loss that an untrained model may have."""

NOT_FALLEN, LEFT, RISEN = 0.98, 0.1, 1.1
"""A loss that has not fallen, and one that matters, as a share of random guessing's; the factor by
which one has risen over its lowest value."""

UPHILL = -0.15
"""The cosine(update, −gradient) below which an update counts as gradient ascent."""


def no_gradient(history: History) -> FindingRaised | None:
    """Find parameters that require a gradient and get none in the last three sampled updates.

    For weight tensors a gradient of exactly 0 counts too. Parameters that ``forward`` does not use
    have their own rule, which raises a note.
    """
    updates, unused = recent_updates(history), _unused(history)
    missing = [p.name for p in _each(updates, _gets_none) if p.name not in (unused or ())]
    if not missing:
        return None
    none = any(p.gradient_norm is None for p in updates[-1].parameters if p.name in missing)
    cause = "their output does not reach the logits: dead ReLUs, a factor of 0, or detach()"
    advice = "look for dead ReLUs, a factor of 0 or detach() between them and the logits"
    if none:
        cause = "forward() does not use them, or detaches them from the graph"
        advice = "use them in forward() without detach(), no_grad(), .data or .item()"
    if none and unused is not None:
        cause = "forward() uses them but detaches them: detach(), no_grad(), .data or .item()"
        advice = "remove that call, or freeze them on purpose with requires_grad_(False)"
    total = sum(p.numel for p in updates[-1].parameters if p.name in missing)
    return finding(
        "no_gradient",
        severity="error" if none and unused is not None else "warning",
        title=f"no gradient: {fmt.listed(missing, 2)}",
        evidence=(
            f"{fmt.listed(missing, 3)}, {fmt.plural(total, 'parameter')}, had no gradient in any "
            f"sampled update since step {fmt.count(updates[0].step)}"
        ),
        advice=advice,
        step=updates[0].step,
        cause=cause,
    )


def frozen_parameters(history: History) -> FindingRaised | None:
    """Note parameters that do not require a gradient: they are frozen on purpose."""
    update = history.updates[-1] if history.updates else None
    frozen = [p for p in update.parameters if p.frozen] if update else []
    return _noted("frozen_parameters", "frozen", update, frozen)


def unused_parameters(history: History) -> FindingRaised | None:
    """Note parameters that ``forward`` does not use."""
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
        evidence=f"{fmt.listed([p.name for p in found], 3)}: {fmt.plural(total, 'parameter')}",
        step=update.step,
    )


def _unused(history: History) -> tuple[str, ...] | None:
    """Return the parameters that ``forward`` does not use; None where that was not recorded."""
    return history.samples[-1].unused_parameters if history.samples else None


def not_updated(history: History) -> FindingRaised | None:
    """Find parameters with a gradient that never change: the optimizer does not have them.

    The last three sampled updates, all at a learning rate above 0, must agree. A gradient that is
    only rounding noise, like that of a bias before batch norm, changes nothing and is ignored.
    """
    updates = recent_updates(history)
    if any(update.lr <= 0 for update in updates):
        return None
    lr = updates[-1].lr if updates else 0.0
    still = [p.name for p in _each(updates, lambda p: p.update_norm == 0 and _would_move(p, lr))]
    if not still:
        return None
    return finding(
        "not_updated",
        title=f"not trained: {fmt.listed(still, 2)}",
        evidence=(
            f"{fmt.listed(still, 3)} had a gradient but did not change in any sampled update since "
            f"step {fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


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
    """Find a first-layer gradient that is negligible compared with the last layer's.

    Both are the root mean square over the elements, in each of the last three sampled updates,
    while the model has not learned much yet.
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
            f"RMS gradient {_rms(first):.1e} in {first.name}, {_rms(last):.1e} in {last.name}: "
            f"smaller by a factor of {fmt.count(round(1 / max(shares[-1], 1e-12)))}"
        ),
        step=updates[0].step,
        plot=tuple(_rms(p) for p in layers),
    )


def exploding_logits(history: History) -> FindingRaised | None:
    """Find an untrained model that is confident and wrong.

    Its initial loss on the sample is three times that of random guessing, because each layer
    amplifies the output of the one before.
    """
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.step or sample.loss < EXPLODED * history.guessing_loss:
        return None
    return finding(
        "exploding_logits",
        evidence=(
            f"initial loss {sample.loss:.4g}, random guessing gives {history.guessing_loss:.2f}; "
            f"logits from {sample.logit_min:.3g} to {sample.logit_max:.3g}"
        ),
        step=0,
        plot=tuple(layer.std for layer in sample.layers),
    )


def _gets_none(parameter: ParameterProbe) -> bool:
    zero = parameter.gradient_norm == 0 and parameter.is_weight
    return not parameter.frozen and (parameter.gradient_norm is None or zero)


def _would_move(parameter: ParameterProbe, lr: float) -> bool:
    """Return whether a step along the gradient exceeds the rounding of the weights."""
    step = lr * (parameter.gradient_norm or 0.0)
    return step > parameter.eps * parameter.weight_norm


def _each(
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
