"""Rules about the learning rate and the batch size, and what they lead to."""

from __future__ import annotations

import math
import statistics

from tui_trainer.findings.rule import (
    EARLY_STEPS,
    HIGH_LR_SHARE,
    finding,
    images_seen,
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
"""The factor over random guessing's loss, ln(classes), above which a training loss diverges."""

BURN_IN_IMAGES = 5_000
"""Images before the training loss is judged: a high initial loss is no trend."""

TOO_LARGE, TOO_SMALL = 0.07, 3e-5
"""The update-to-weight ratios above and below which the learning rate is wrong."""

LARGE_AFTER_START = 0.015
"""The update-to-weight ratio that is too large four times in a row after the start."""

NOT_LEARNED = 0.5
"""A learning rate is only too low while the loss is above this share of random guessing's."""

RISE = 0.45
"""The minimum rise of the loss over its lowest value, as a share of random guessing's …"""

RISE_FACTOR = 2.5
"""… and as a factor over its lowest value."""

ABOVE_GUESSING, STAYS_IMAGES = 1.2, 30_000
"""It is an error above this factor over random guessing's loss, or after this many images."""

GRACE_IMAGES = 8_000
"""Images after a knob change during which the loss may rise."""


def divergence(history: History) -> FindingRaised | None:
    """Find a loss that is non-finite, or worse than random guessing.

    A model that gives every class the same logit has the loss ln(classes). If the training loss,
    smoothed and with spikes capped, is well above that 5,000 images after the start or the last
    change of the learning rate, the steps are too large.
    """
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    lower_lr = history.settings["base_lr"] / 10
    guessing, capped = history.guessing_loss, history.capped_loss
    diverged, advice = history.divergence, scale_lr(history, 0.1)["advice"]
    if diverged is not None:
        title, evidence = (
            f"diverged in epoch {diverged.epoch}",
            f"non-finite loss (NaN or inf) at step {diverged.step:,}{_where(history)}; the "
            f"last good checkpoint is from step {diverged.last_good_step:,}",
        )
        lower_lr = min(lower_lr, _base_lr_at(history, diverged.last_good_step))
        advice = f"go back to step {diverged.last_good_step:,} with learning rate {lower_lr:g}"
    elif (
        step.images > _last_lr_change(history) + BURN_IN_IMAGES
        and capped is not None
        and capped > GUESSING_MARGIN * guessing
    ):
        title, evidence = (
            "diverging",
            f"training loss {history.smoothed_loss:.2f}, worse than random guessing "
            f"({guessing:.2f} = ln {started.classes}), at learning rate {step.lr:.3g}",
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
        fix_value=float(f"{lower_lr:.6g}"),
    )


def learning_rate_high(history: History) -> FindingRaised | None:
    """Find updates that are too large compared with the weights.

    The update-to-weight ratio of the median layer is above 7 % in each of the last three sampled
    updates, or above 1.5 % in each of the last four after the first hundred steps.
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
            f"update-to-weight ratio {_share(ratios[-1])} at learning rate {now.lr:.3g}, at least "
            f"{_share(min(ratios))} since step {fmt.count(updates[0].step)}; about 0.1 % is usual"
        ),
        **scale_lr(history, 0.1),
        step=updates[0].step,
        plot=tuple(update_ratio(update) for update in history.updates)[-24:],
    )


def learning_rate_low(history: History) -> FindingRaised | None:
    """Find updates that are too small while there is still much to learn.

    In each of the last three sampled updates the median layer's update-to-weight ratio is below
    3e-5, though the schedule is not at a low, and the loss is above half of random guessing's.
    """
    updates = recent_updates(history)
    ratios = [update_ratio(update) for update in updates]
    if not updates or max(ratios) > TOO_SMALL or relative_loss(history) < NOT_LEARNED:
        return None
    base_lr, largest = history.settings["base_lr"], max(ratios)
    if min(update.lr for update in updates) < HIGH_LR_SHARE * base_lr:
        return None
    # Towards an update-to-weight ratio of 0.001, in whole powers of ten.
    factor = 10.0 ** min(3, max(1, round(math.log10(1e-3 / max(largest, 1e-9)))))
    return finding(
        "learning_rate_low",
        evidence=(
            f"update-to-weight ratio at most {_share(largest)} since step "
            f"{fmt.count(updates[0].step)}, about 0.1 % is usual; training loss is still "
            f"{100 * relative_loss(history):.0f} % of random guessing's"
        ),
        **scale_lr(history, factor),
        step=updates[0].step,
    )


def loss_rising(history: History) -> FindingRaised | None:
    """Find a training loss that rises far beyond the noise of its batches.

    Its trend, with spikes capped, exceeds its lowest value by 45 % of random guessing's loss and by
    a factor of 2.5, some time after the last knob change. That is a note, because training often
    recovers on its own. It is an error where the loss is well above random guessing's, or has
    stayed high.
    """
    changed = max((c.images for c in history.interventions), default=0)
    seen, started, last = images_seen(history), history.started, history.last_step
    if started is None or last is None or seen < changed + GRACE_IMAGES:
        return None
    begun = history.epochs_at(changed)
    curve = history.train_loss
    points = [(x, y) for x, y in zip(curve.x, curve.trend, strict=True) if x >= begun]
    trend = [y for _, y in points]
    low, now, guessing = min(trend, default=math.inf), history.capped_loss, history.guessing_loss
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
            f"random guessing gives {guessing:.2f}"
        ),
        **scale_lr(history, 0.1),
        step=last.step,
        plot=tuple(trend[:: max(1, len(trend) // 24)][-24:]),
    )


NOISE_PROBES = 8
"""The number of sampled updates that the gradient noise is estimated from."""

FAR = 10.0
"""The factor from the gradient noise scale beyond which a batch size is large, or small."""


def noise_scale(history: History) -> float | None:
    """Return the gradient noise scale in images; None where the signal is not significant.

    It is trace(Σ) / ‖G‖² with the gradient's covariance Σ and the true gradient G: B_simple of
    S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch Training", arXiv
    1812.06162, 2018. Both are estimated from the gradients of two consecutive batches: their dot
    product estimates ‖G‖², the mean of their squared norms ‖G‖² plus the noise.
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
        previous = update.previous_gradient_norm or 0.0
        square = (update.gradient_norm * update.gradient_norm + previous * previous) / 2
        signals.append(signal / square if square else 0.0)
        noises.append(update.batch_size * (1 - signals[-1]))
    signal = statistics.fmean(signals)
    error = statistics.stdev(signals) / math.sqrt(len(signals))
    if signal < 2 * error or signal <= 0:
        return None
    return statistics.fmean(noises) / signal


def batch_size_fit(history: History) -> FindingRaised | None:
    """Note a batch size far from the gradient noise scale: it is no error, but costs time."""
    scale, started = noise_scale(history), history.started
    if scale is None or started is None:
        return None
    size = int(history.settings["batch_size"])
    if size > FAR * scale:
        title = "batch size above the gradient noise scale"
        cause = (
            "its gradient has little noise; a smaller batch takes more steps that are about as good"
        )
    elif size * FAR < scale:
        title = "batch size below the gradient noise scale"
        cause = "its gradient is mostly noise; a larger batch allows a higher learning rate"
    else:
        return None
    return finding(
        "batch_size_fit",
        title=title,
        evidence=f"batch size {size}; gradient noise scale about {scale:,.0f} images",
        step=recent_updates(history, NOISE_PROBES)[0].step,
        cause=cause,
    )


def _share(ratio: float) -> str:
    """Return a ratio in percent, with two significant digits."""
    return f"{float(f'{100 * ratio:.2g}'):g} %"


def _last_lr_change(history: History) -> int:
    """Return the number of images seen at the last manual change of the learning rate."""
    changes = (c.images for c in history.interventions if c.setting == "base_lr")
    return max(changes, default=0)


def _where(history: History) -> str:
    """Return where a divergence began, as part of a sentence; empty if unknown."""
    if history.divergence is not None and history.divergence.non_finite:
        return f", first in {fmt.listed(history.divergence.non_finite, 3)}"
    ratios = [
        (p.update_norm / p.weight_norm, p.name) for p in _last_weights(history) if p.weight_norm > 0
    ]
    ratio, name = max(ratios, default=(0.0, ""))
    if ratio < TOO_LARGE:
        return ""
    step = history.updates[-1].step
    return f" (update-to-weight ratio of {name} at step {step:,}: {_share(ratio)})"


def _last_weights(history: History) -> list[ParameterProbe]:
    if not history.updates:
        return []
    return [p for p in weights(history.updates[-1]) if math.isfinite(p.update_norm)]


def _base_lr_at(history: History, step: int) -> float:
    """Return the base learning rate of an earlier step, before any change made there."""
    changes = [c for c in history.interventions if c.setting == "base_lr" and c.step >= step]
    return changes[0].old if changes else history.settings["base_lr"]
