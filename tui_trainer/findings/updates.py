"""Rules about updates that do not do what the gradient and the learning rate ask for."""

from __future__ import annotations

import itertools

from tui_trainer.findings.gradients import each
from tui_trainer.findings.loop_updates import parameters_left_out
from tui_trainer.findings.rule import (
    EARLY_STEPS,
    NOT_LEARNED,
    RECENT,
    finding,
    recent_updates,
    relative_loss,
    weights,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.config import OPTIMIZERS
from tui_trainer.protocol.diagnosis import Severity
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed
from tui_trainer.text import fmt

SHRINKING = 0.25
"""The norm of an update of SGD, relative to learning rate × gradient, below which the learning rate
is not what it should be: without momentum it is 1, with momentum 0.5 to 10."""

SHRINKING_ADAM = 1e-3
"""The same of Adam's, relative to learning rate × sqrt(parameters)."""

AT_REST = 1e-3
"""The share of the base learning rate below which nothing is learned."""

ROUNDED = 0.5
"""The share of the elements that an update must leave unchanged to be rounded away …"""

COARSE = 2**-12
"""… with a machine epsilon of 16 bits …"""

MARGIN = 100.0
"""… or with this factor between the step and what the machine epsilon explains."""


def not_updated(history: History) -> FindingRaised | None:
    """Find parameters with a gradient that the optimizer does not have.

    Older records do not say what the optimizer has: there, parameters with a gradient that never
    change, in the last three sampled updates, all at a learning rate above 0. A gradient that is
    only rounding noise, like that of a bias before batch norm, changes nothing and is ignored.
    """
    updates = recent_updates(history) or list(history.updates)[-1:]
    if not updates:
        return None
    if all(p.optimized is not None for p in updates[-1].parameters):
        still = [p.name for p in each(updates, _is_not_optimized)]
        state = "has a gradient, but the optimizer does not have it"
    elif len(updates) < 3 or any(update.lr <= 0 for update in updates):
        return None
    else:
        lr = updates[-1].lr
        still = [p.name for p in each(updates, lambda p: p.update_norm == 0 and _would_move(p, lr))]
        state = "had a gradient but did not change"
    if not still:
        return None
    if len(still) > 1:
        state = state.replace("has a", "have a").replace("have it", "have them")
    return finding(
        "not_updated",
        severity=_severity(history),
        title=f"not trained: {fmt.listed(still, 2)}",
        evidence=(
            f"{fmt.listed(still, 3)} {state} in any sampled update since step "
            f"{fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


def _severity(history: History) -> Severity:
    """Return how bad it is. A user's optimizer can leave parameters out to freeze them."""
    if not parameters_left_out(history.loops):
        return "error"
    return "warning" if history.step >= EARLY_STEPS and _has_not_learned(history) else "note"


def _has_not_learned(history: History) -> bool:
    return relative_loss(history) >= NOT_LEARNED


def _is_not_optimized(parameter: ParameterProbe) -> bool:
    has_gradient = bool(parameter.gradient_norm) and not parameter.frozen
    return has_gradient and parameter.optimized is False


def no_zero_grad(history: History) -> FindingRaised | None:
    """Find gradients that the backward pass adds to those of the step before."""
    updates = recent_updates(history, 2)
    if not updates or not all(update.accumulated for update in updates):
        return None
    return finding(
        "no_zero_grad",
        evidence=(
            "the gradients of the step before were still there in every sampled update since step "
            f"{fmt.count(updates[0].step)}"
        ),
        step=updates[0].step,
    )


def weights_replaced(history: History) -> FindingRaised | None:
    """Find weights that something other than the optimizer replaces, twice or more.

    Once is a warning: a model can normalize its weights in its first forward pass, or prune them.
    """
    found = [(update, [p for p in update.parameters if p.replaced]) for update in history.updates]
    found = [(update, replaced) for update, replaced in found if replaced and update.step > 2]
    if not found:
        return None
    names = list(dict.fromkeys(p.name for _, replaced in found for p in replaced))
    return finding(
        "weights_replaced",
        severity="error" if len(found) > 1 else "warning",
        title=f"weights replaced: {fmt.listed(names, 2)}",
        evidence=(
            f"{fmt.listed(names, 3)} changed by more than 10 % between two updates, "
            f"{fmt.plural(len(found), 'time')} since step {fmt.count(found[0][0].step)}"
        ),
        step=found[0][0].step,
    )


def low_precision(history: History) -> FindingRaised | None:
    """Find updates that rounding takes away, in each of the last three sampled updates.

    The step is below the last bit of 16-bit weights, or something rounds the weights after the
    update. In 32 bits, steps that are too small have a low learning rate.
    """
    updates = recent_updates(history)
    shares = [_rounded_share(update) for update in updates]
    if not shares or min(shares) < ROUNDED or relative_loss(history) < 0.05:
        return None
    now = updates[-1]
    return finding(
        "low_precision",
        evidence=(
            f"the update left {fmt.percent(shares[-1], 0)} of the weights with a gradient as they "
            f"were; machine epsilon {max(p.eps for p in now.parameters):.1g}"
        ),
        step=updates[0].step,
    )


def _rounded_share(update: UpdateProbed) -> float:
    """Return the share of all weights with a gradient that rounding left as they were."""
    known = [p for p in weights(update) if p.unmoved is not None]
    total = sum(p.numel for p in known)
    rounded = (p.numel * (p.unmoved or 0.0) for p in known if _is_rounded(p, update.lr))
    return sum(rounded) / total if total else 0.0


def _is_rounded(parameter: ParameterProbe, lr: float) -> bool:
    """Whether it is rounding that keeps its elements as they are."""
    step = lr * (parameter.gradient_norm or 0.0)
    return parameter.update_norm > 0 and (
        parameter.eps >= COARSE or step > MARGIN * parameter.eps * parameter.weight_norm
    )


def schedule(history: History) -> FindingRaised | None:
    """Find a learning rate that the schedule takes to 0 long before the end of the run."""
    updates, step = recent_updates(history), history.last_step
    base_lr = history.settings.get("base_lr", 0.0)
    if not updates or step is None or relative_loss(history) < 0.1:
        return None
    now, evidence = updates[-1], ""
    if max(update.lr for update in updates) < AT_REST * base_lr and history.fraction < 0.7:
        evidence = (
            f"learning rate {now.lr:.3g} at step {fmt.count(now.step)}, {base_lr:.3g} at the start"
        )
    elif (times := _shrunk_times(history)) is not None:
        evidence = (
            f"the updates are smaller than those of learning rate {now.lr:.3g} would be, by a "
            f"factor of {fmt.count(round(times))} at step {fmt.count(now.step)}, and shrink"
        )
    if not evidence:
        return None
    return finding("schedule", evidence=evidence, step=updates[0].step)


def _shrunk_times(history: History) -> float | None:
    """Return by which factor the updates are too small, if they have shrunk to that.

    They shrink from update to update, or have done so until nothing is left.
    """
    if history.started is None or history.started.optimizer not in OPTIMIZERS:
        return None
    sizes = [_step_size(history, update) for update in history.updates]
    known = [size for size in sizes if size is not None]
    is_sgd = history.started is not None and history.started.optimizer == "sgd"
    limit = SHRINKING if is_sgd else SHRINKING_ADAM
    recent = known[-RECENT:]
    if len(recent) < RECENT or recent[-1] >= limit:
        return None
    falls = all(later < 0.7 * earlier for earlier, later in itertools.pairwise(recent))
    gone = max(recent) < 0.01 * limit and max(known) >= limit
    return limit / max(recent[-1], 1e-9) if falls or gone else None


def _step_size(history: History, update: UpdateProbed) -> float | None:
    """Return the norm of an update relative to what its learning rate makes usual."""
    optimized = [p for p in update.parameters if p.gradient_norm and p.optimized is not False]
    is_sgd = history.started is not None and history.started.optimizer == "sgd"
    usual = sum(p.gradient_norm**2 if is_sgd else p.numel for p in optimized if p.gradient_norm)
    moved = sum(p.update_norm * p.update_norm for p in optimized)
    whole = update.lr * usual**0.5
    return float(moved**0.5 / whole) if whole else None


def _would_move(parameter: ParameterProbe, lr: float) -> bool:
    """Return whether a step along the gradient exceeds the rounding of the weights."""
    step = lr * (parameter.gradient_norm or 0.0)
    return step > parameter.eps * parameter.weight_norm
