"""The learning rate and the batch size: too high, too low, and what happens then."""

from __future__ import annotations

import math
import statistics

from tui_trainer.findings.rule import (
    EARLY_STEPS,
    HIGH_LR_SHARE,
    finding,
    images,
    recent_updates,
    relative_loss,
    scale_lr,
    update_ratio,
    weights,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe
from tui_trainer.text import fmt

GUESSING_MARGIN = 1.5
"""A training loss this many times that of guessing, ln(classes), is worse than knowing nothing."""

BURN_IN_IMAGES = 5_000
"""Images before the training loss is judged: a high first loss is an initialisation, no trend."""

TOO_LARGE, TOO_SMALL = 0.07, 3e-5
"""Updates beyond these shares of the weights are no steps but leaps, or stand still."""

LARGE_AFTER_START = 0.015
"""Once the start is over, four updates in a row of this share are too large."""

NOT_LEARNED = 0.5
"""A rate is judged to be too low only while the loss is still above this share of guessing's."""

RISE = 0.45
"""How far the loss must have risen above its lowest, as a share of guessing's …"""

RISE_FACTOR = 2.5
"""… and how many times that lowest it must be."""

ABOVE_GUESSING, STAYS_IMAGES = 1.2, 30_000
"""It is a warning at this many times guessing's loss, or once it stayed up for so many images."""

GRACE_IMAGES = 8_000
"""Images after a knob was turned in which the loss may rise."""


def divergence(history: History) -> FindingRaised | None:
    """Find that the loss is no number any more, or is worse than that of guessing.

    A network that gives every class the same score has the loss ln(classes). A training loss well
    above that, smoothed with no batch counted in full that exploded, 5,000 images after the start
    or the last change of the learning rate, comes from steps that are too large.
    """
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    rate = history.settings["base_lr"]
    remedy = rate / 10
    guessing, steady = history.guessing_loss, history.steady_loss
    lost, advice = history.lost, f"learning rate ÷ 10, from {rate:g} to {remedy:g}"
    if lost is not None:
        title, evidence = (
            f"diverged in epoch {lost.epoch}",
            f"the loss is not a finite number since step {lost.step:,}{_where(history)}; those "
            f"weights are lost, the last good ones are of step {lost.last_good_step:,}",
        )
        remedy = min(remedy, _base_lr_at(history, lost.last_good_step))
        advice = f"go back to step {lost.last_good_step:,} with learning rate {remedy:g}"
    elif (
        step.images > _last_lr_change(history) + BURN_IN_IMAGES
        and steady is not None
        and steady > GUESSING_MARGIN * guessing
    ):
        title, evidence = (
            "diverging",
            f"training loss {history.smoothed_loss:.2f}, worse than guessing ({guessing:.2f} = "
            f"ln {started.classes}), at learning rate {step.lr:.3g}",
        )
    else:
        return None
    return finding(
        "divergence",
        title=title,
        evidence=evidence,
        advice=advice,
        step=step.step,
        fix_setting="base_lr",
        fix_value=float(f"{remedy:.6g}"),
    )


def learning_rate_high(history: History) -> FindingRaised | None:
    """Find that each update is a good part of the weights themselves.

    The median layer moved by more than 7 % of its weights in each of the last three updates looked
    at, or by more than 1.5 % in each of the last four once the first hundred steps are over.
    """
    updates = recent_updates(history)
    if not updates or min(map(update_ratio, updates)) < TOO_LARGE:
        updates = [update for update in recent_updates(history, 4) if update.step > EARLY_STEPS]
        if len(updates) < 4 or min(map(update_ratio, updates)) < LARGE_AFTER_START:
            return None
    ratios = [update_ratio(update) for update in updates]
    now = updates[-1]
    return finding(
        "learning_rate_high",
        severity=("error" if relative_loss(history) > NOT_LEARNED else "warning"),
        evidence=(
            f"an update moves the weights by {_share(ratios[-1])} of their size at learning rate "
            f"{now.lr:.3g}, by {_share(min(ratios))} or more since step "
            f"{fmt.count(updates[0].step)}; about 0.1 % is usual"
        ),
        **scale_lr(history, 0.1),
        step=updates[0].step,
        plot=tuple(update_ratio(update) for update in history.updates)[-24:],
    )


def learning_rate_low(history: History) -> FindingRaised | None:
    """Find that the weights hardly move while there is still everything to learn.

    In each of the last three updates looked at, the median layer moved by less than 3/100,000 of
    its weights, at a rate that is no low of the schedule, and the loss is above half of guessing's.
    """
    updates = recent_updates(history)
    ratios = [update_ratio(update) for update in updates]
    if not updates or max(ratios) > TOO_SMALL or relative_loss(history) < NOT_LEARNED:
        return None
    rate, largest = history.settings["base_lr"], max(ratios)
    if min(update.lr for update in updates) < HIGH_LR_SHARE * rate:
        return None
    # To a thousandth of the weights a step, in whole powers of ten.
    factor = 10.0 ** min(3, max(1, round(math.log10(1e-3 / max(largest, 1e-9)))))
    return finding(
        "learning_rate_low",
        evidence=(
            f"an update moves the weights by {_share(largest)} of their size at most since step "
            f"{fmt.count(updates[0].step)}, where about 0.1 % is usual, and the training loss is "
            f"still {100 * relative_loss(history):.0f} % of guessing's"
        ),
        **scale_lr(history, factor),
        step=updates[0].step,
    )


def loss_rising(history: History) -> FindingRaised | None:
    """Find that the training loss, once low, is rising far beyond the noise of its batches.

    Its trend, with no batch counted in full that exploded, is above the lowest by 45 % of
    guessing's loss and 2.5 times as high, some time after the last knob was turned. That is a note:
    of itself, a network that fell off its path often finds back. It is a warning where the loss is
    well above guessing's, or has stayed up.
    """
    changed = max((c.images for c in history.interventions), default=0)
    seen, started, last = images(history), history.started, history.last_step
    if started is None or last is None or seen < changed + GRACE_IMAGES:
        return None
    begun = history.epochs_at(changed)
    curve = history.train_loss
    points = [(x, y) for x, y in zip(curve.x, curve.trend, strict=True) if x >= begun]
    trend = [y for _, y in points]
    low, now, guessing = min(trend, default=math.inf), history.steady_loss, history.guessing_loss
    limit = max(low + RISE * guessing, RISE_FACTOR * low)
    if now is None or now < limit:
        return None
    since = next((x for x, y in reversed(points) if y < limit), begun)
    stays = (history.epochs_at(seen) - since) * started.train_size >= STAYS_IMAGES
    return finding(
        "loss_rising",
        severity="error" if now >= ABOVE_GUESSING * guessing or stays else "note",
        evidence=(
            f"training loss {low:.3f} → {now:.3f}, at learning rate {last.lr:.3g}; "
            f"guessing has {guessing:.2f}"
        ),
        **scale_lr(history, 0.1),
        step=last.step,
        plot=tuple(trend[:: max(1, len(trend) // 24)][-24:]),
    )


NOISE_PROBES = 8
"""Updates that the gradient's noise is estimated from."""

FAR = 10.0
"""Times the noise scale from which a batch size is called large, or small."""


def noise_scale(history: History) -> float | None:
    """Return the gradient noise scale in images; None where it cannot be told from nothing.

    It is the trace of the gradient's covariance over the squared length of the true gradient, B
    simple of S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch Training",
    arXiv 1812.06162, 2018. Both come from the gradients of two batches in a row, g and h: their
    product estimates the squared true gradient, and the mean of their squares what noise adds.
    """
    updates = [
        update
        for update in recent_updates(history, NOISE_PROBES)
        if update.gradient_dot is not None
    ]
    if len(updates) < NOISE_PROBES // 2:
        return None
    signals, noises = [], []
    for update in updates:
        signal = update.gradient_dot or 0.0
        last = update.previous_gradient_norm or 0.0
        square = (update.gradient_norm * update.gradient_norm + last * last) / 2
        signals.append(signal / square if square else 0.0)
        noises.append(update.batch_size * (1 - signals[-1]))
    signal = statistics.fmean(signals)
    error = statistics.stdev(signals) / math.sqrt(len(signals))
    if signal < 2 * error or signal <= 0:
        return None
    return statistics.fmean(noises) / signal


def batch_size_fit(history: History) -> FindingRaised | None:
    """Tell of a batch size that is far from the gradient's noise scale: no fault, but a cost."""
    scale, started = noise_scale(history), history.started
    if scale is None or started is None:
        return None
    size = int(history.settings["batch_size"])
    if size > FAR * scale:
        title = "batch larger than it need be"
        cause = "its images agree on the direction; a smaller batch would take more steps as good"
    elif size * FAR < scale:
        title = "batch small for this gradient"
        cause = "each batch points elsewhere; a larger one would allow larger steps"
    else:
        return None
    return finding(
        "batch_size_fit",
        title=title,
        evidence=f"batch {size}; the gradient's noise scale is about {scale:,.0f} images",
        step=recent_updates(history, NOISE_PROBES)[0].step,
        cause=cause,
    )


def _share(ratio: float) -> str:
    """Return a share of the weights in percent, with two digits that count."""
    return f"{100 * ratio:.2g} %"


def _last_lr_change(history: History) -> int:
    """Return how many images had been seen when the learning rate was last turned by hand."""
    changes = (c.images for c in history.interventions if c.setting == "base_lr")
    return max(changes, default=0)


def _where(history: History) -> str:
    """Return where a divergence began, as far as that is known, to be put into a sentence."""
    if history.lost is not None and history.lost.non_finite:
        return f", first in {fmt.listed(history.lost.non_finite, 3)}"
    moves = [
        (p.update_norm / p.weight_norm, p.name) for p in _last_weights(history) if p.weight_norm > 0
    ]
    share, name = max(moves, default=(0.0, ""))
    if share < TOO_LARGE:
        return ""
    step = history.updates[-1].step
    return f" (at step {step:,} {name} had moved by {_share(share)} of its size)"


def _last_weights(history: History) -> list[ParameterProbe]:
    if not history.updates:
        return []
    return [p for p in weights(history.updates[-1]) if math.isfinite(p.update_norm)]


def _base_lr_at(history: History, step: int) -> float:
    """Return the base learning rate of an earlier step, before any change made there."""
    changes = [c for c in history.interventions if c.setting == "base_lr" and c.step >= step]
    return changes[0].old if changes else history.settings["base_lr"]
