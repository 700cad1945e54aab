"""Rules about the learning rate and the batch size, and what they lead to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import replace

from tui_trainer.findings import causes
from tui_trainer.findings.rule import (
    EARLY_STEPS,
    HIGH_LR_SHARE,
    NOT_LEARNED,
    decay_share,
    finding,
    images_seen,
    of_classes,
    recent_updates,
    relative_loss,
    scale_lr,
    update_ratio,
    weights,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import ParameterProbe, UpdateProbed
from tui_trainer.text import fmt

GUESSING_MARGIN = 1.5
"""The factor over random guessing's loss, ln(classes), above which a training loss diverges."""

BURN_IN_IMAGES = 5_000
"""Images before the training loss is judged: a high initial loss is no trend."""

TOO_LARGE, TOO_SMALL = 0.05, 3e-5
"""The update-to-weight ratios above and below which the learning rate can be wrong."""

LARGE_AFTER_START, LARGE_AT_REST = 0.015, 0.02
"""The ratios that are large after the start: in each of four updates, and in most of them."""

WARMED_UP, EARLY_LARGE = 40, 0.15
"""The step of a script before which a ratio must be above this to be too large: RMSprop and Adam
begin with large updates, and a few batches do not show whether the loss falls."""

WILD = 0.5
"""The ratio that no update of a training that works has."""

FLOOR, LEAST_FALL = 0.1, 0.05
"""The share of random guessing's loss that is too much to stop at, and the relative fall of the
loss over three sampled updates below which it has stopped."""

DECAYED = 0.5
"""The share of weight decay in the updates from which it explains why the loss does not fall."""

INVARIANT = 3e-4
"""The cosine(gradient, weights) that scale-invariant weights do not exceed: it is 0 but for
rounding and the epsilon of their norm."""

FROM_STEP, SMALL, SHORT_WAY = 20, 3e-4, 0.1
"""The step from which momentum has built up; a ratio that is small if all planned steps together
move the weights by less than this share of their norm."""

NOT_FALLEN = 0.98
"""A loss above this share of random guessing's has not fallen at all."""

RISE = 0.45
"""The minimum rise of the loss over its lowest value, as a share of random guessing's …"""

RISE_FACTOR = 2.5
"""… and as a factor over its lowest value."""

ABOVE_GUESSING, STAYS_IMAGES = 1.2, 30_000
"""It is an error above this factor over random guessing's loss, or after this many images."""

DIVERGES_BY = (
    *map(
        causes.from_finding,
        (
            *("gradient_sign", "loss_function", "logits_scaled", "exploding_logits", "input_scale"),
            *("no_zero_grad", "weights_replaced", "equal_units", "loss_negated", "softmax_axis"),
            *("loss_without_log", "loss_labels", "loss_summed", "uphill"),
        ),
    ),
    causes.momentum_high,
)
"""What can make a loss diverge besides the learning rate."""

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
            f"({guessing:.2f}{of_classes(history)}), at learning rate {step.lr:.3g}",
        )
    else:
        return None
    too_high = causes.cause(
        "learning_rate_high",
        "likely",
        _where(history).strip(" ,()"),
        advice,
        ("base_lr", float(f"{lower_lr:.6g}")),
    )
    found = finding(
        "divergence",
        title=title,
        evidence=evidence,
        step=step.step,
        causes=(*causes.ranked(history, *DIVERGES_BY), too_high),
    )
    if diverged is None:
        return found
    # In each case only a rewind brings a diverged run back.
    return replace(
        found, advice=advice, fix_setting=too_high.fix_setting, fix_value=too_high.fix_value
    )


def learning_rate_high(history: History) -> FindingRaised | None:
    """Find updates that are so large, compared with the weights, that the loss does not fall.

    A large update-to-weight ratio alone is no problem. It is one where the ratio of the median
    layer is

    - above 5 % in each of the last three sampled updates, while the loss has not fallen below
      that of random guessing;
    - above 1.5 % in each of the last four after the first hundred steps, with more than half of
      random guessing's loss left;
    - above 2 % in most of these, while the loss has stopped falling and the schedule will not lower
      the learning rate. One layer alone is left out: its loss has one minimum, which larger steps
      reach too.
    """
    if found := _wild_start(history):
        return found
    updates = recent_updates(history)
    ratios = _ratios(updates)
    loss, severity = relative_loss(history), "error"
    is_new = bool(history.loops) and bool(updates) and updates[-1].step < WARMED_UP
    if is_new and min(ratios) < EARLY_LARGE:
        return None
    if not updates or min(ratios) < TOO_LARGE or loss < NOT_FALLEN:
        updates = [update for update in recent_updates(history, 4) if update.step > EARLY_STEPS]
        ratios = _ratios(updates)
        if len(updates) < 4 or causes.learning_rate_high(history) is None:
            return None
        if min(ratios) < LARGE_AFTER_START or loss < NOT_LEARNED:
            severity = "warning"
            is_large = statistics.median(ratios) >= LARGE_AT_REST and len(weights(updates[-1])) > 1
            if not is_large or loss < FLOOR or not _has_stalled(history, updates):
                return None
    now = updates[-1]
    return finding(
        "learning_rate_high",
        severity=severity,
        evidence=(
            f"update-to-weight ratio {_share(ratios[-1])} at learning rate {now.lr:.3g}, at least "
            f"{_share(min(ratios))} since step {fmt.count(updates[0].step)}, about 0.1 % is usual; "
            f"training loss is {100 * loss:.0f} % of random guessing's and does not fall"
        ),
        **scale_lr(history, 0.1),
        step=updates[0].step,
        plot=tuple(_ratios(history.updates))[-24:],
    )


def _wild_start(history: History) -> FindingRaised | None:
    """Find first updates of a script that replace half of the weights: nothing is left to learn.

    Later updates look small again, relative to the weights that the first ones have made.
    """
    first = [update for update in history.updates if update.step <= FROM_STEP]
    ratios = [update_ratio(update) for update in first]
    if not history.loops or not ratios or max(ratios) < WILD or len(history.updates) < 2:
        return None
    now, loss = history.updates[-1], relative_loss(history)
    if loss < NOT_FALLEN:
        return None
    return finding(
        "learning_rate_high",
        severity="error",
        evidence=(
            f"update-to-weight ratio {_share(max(ratios))} in the first updates, at learning rate "
            f"{now.lr:.3g}, about 0.1 % is usual; training loss is {100 * loss:.0f} % of random "
            "guessing's"
        ),
        **scale_lr(history, 0.1),
        step=first[0].step,
        plot=tuple(map(update_ratio, history.updates))[-24:],
    )


def _ratios(updates: Collection[UpdateProbed]) -> list[float]:
    """Return the update-to-weight ratio of each update, without scale-invariant weights.

    Behind a norm only the direction of the weights counts, and they grow until their ratio fits.
    Weights whose gradient is orthogonal to them in every update are such; where all are, all count.
    """
    found: list[set[str]] = [
        {p.name for p in weights(update) if not _is_invariant(p)} for update in updates
    ]
    names = set[str]().union(*found)
    ratios = []
    for update in updates:
        some = [p for p in weights(update) if p.name in names] or weights(update)
        each = [p.update_norm / p.weight_norm for p in some if p.weight_norm > 0]
        ratios.append(statistics.median(each) if each else 0.0)
    return ratios


def _is_invariant(parameter: ParameterProbe) -> bool:
    cosine = parameter.radial_cosine
    return cosine is not None and abs(cosine) <= INVARIANT


def _has_stalled(history: History, updates: Sequence[UpdateProbed]) -> bool:
    """Whether the loss has hardly fallen during these updates, and the rate will stay.

    Where weight decay is as strong as the gradient, that is why.
    """
    started, now = history.started, history.capped_loss
    if started is None or started.schedule != "constant" or now is None:
        return False
    if all((decay_share(started, update) or 0.0) >= DECAYED for update in updates):
        return False
    begun = history.epochs_at(updates[0].images)
    curve = history.train_loss
    before = [y for x, y in zip(curve.x, curve.trend, strict=True) if x <= begun]
    return bool(before) and now > (1 - LEAST_FALL) * before[-1]


def learning_rate_low(history: History) -> FindingRaised | None:
    """Find updates that are too small while there is still much to learn.

    The loss is above half of random guessing's, and though the schedule is not at a low, the median
    layer's update-to-weight ratio is, in each of the last three sampled updates,

    - below 3e-5, or
    - so small from step 20 on that all planned steps together move the weights by less than 10 % of
      their norm.
    """
    updates, started = recent_updates(history), history.started
    if not updates or started is None or relative_loss(history) < NOT_LEARNED:
        return None
    largest = max(update_ratio(update) for update in updates)
    # The size of a batch without labels is known from its step alone.
    size = history.last_step.batch_size if history.last_step else updates[-1].batch_size
    steps = started.epochs * started.train_size // max(1, size)
    is_short = updates[-1].step >= FROM_STEP and largest < SMALL and largest * steps < SHORT_WAY
    base_lr = history.settings["base_lr"]
    if min(update.lr for update in updates) < HIGH_LR_SHARE * base_lr:
        return None
    if largest > TOO_SMALL and not is_short:
        return None
    # Towards an update-to-weight ratio of 0.001, in whole powers of ten.
    factor = 10.0 ** min(3, max(1, round(math.log10(1e-3 / max(largest, 1e-9)))))
    return finding(
        "learning_rate_low",
        evidence=(
            f"update-to-weight ratio at most {_share(largest)} since step "
            f"{fmt.count(updates[0].step)}, about 0.1 % is usual: {fmt.plural(steps, 'step')} move "
            f"the weights by {_share(largest * steps)} of their norm; training loss is still "
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


NOISE_PROBES = (8, 16, 32)
"""The numbers of sampled updates that the gradient noise is estimated from: later in a training
there is more noise, and a signal is only significant in more of them."""

FAR = 10.0
"""The factor from the gradient noise scale beyond which a batch size is large, or small."""


def noise_scale(history: History) -> float | None:
    """Return the gradient noise scale in images; None where the signal is not significant.

    It is trace(Σ) / ‖G‖² with the gradient's covariance Σ and the true gradient G: B_simple of
    S. McCandlish, J. Kaplan and D. Amodei, "An Empirical Model of Large-Batch Training", arXiv
    1812.06162, 2018. Both are estimated from the gradients of two consecutive batches: their dot
    product estimates ‖G‖², the mean of their squared norms ‖G‖² plus the noise.
    """
    estimates = (_noise_scale(recent_updates(history, count)) for count in NOISE_PROBES)
    return next((found for found in estimates if found is not None), None)


def _noise_scale(updates: Sequence[UpdateProbed]) -> float | None:
    known = [update for update in updates if update.gradient_dot is not None]
    if len(known) < NOISE_PROBES[0] // 2:
        return None
    signals, noises = [], []
    for update in known:
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
        step=recent_updates(history, NOISE_PROBES[0])[0].step,
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
