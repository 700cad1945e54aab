"""Whether it learns at all, enough, and still."""

from __future__ import annotations

import itertools

from tui_trainer.findings.rule import (
    RECENT,
    accuracy_on,
    changed_since,
    finding,
    images,
    images_at_high_lr,
    path_length,
    recent_updates,
    relative_loss,
    remedy,
    scale_lr,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

STUCK = 0.98
"""A loss above this share of guessing's is guessing, …"""

FEW_IMAGES, STUCK_STEPS = 10_000, 100
"""… but not before so many images at a rate that is no low of the schedule, and so many steps."""

STUCK_IMAGES, STUCK_PATH, MANY_STEPS = 60_000, 2.0, 500
"""It is told after so many of these images if the weights went so far, as a share of their size, in
so many steps: a network without norms can take long before its loss begins to fall; …"""

HALF = 0.5
"""… else when so much of the run is over."""

PULL, UNLEARNED = 0.35, 0.3
"""A cosine from which on weight decay prevails, and the share of guessing's loss above which that
is too early: where everything is learned, nothing else is left to move the weights."""

POOR = 0.85
"""The accuracy on the training images themselves that calls for more capacity."""

BEGUN = 0.9
"""A loss above this share of guessing's has hardly begun to fall: in the first half of a run it may
yet do so in earnest."""

STALLED = 0.03
"""The share by which the training loss may still fall from epoch to epoch."""

PATIENCE = 5
"""Epochs without a better validation loss that are a plateau."""


def not_learning(history: History) -> FindingRaised | None:
    """Find that the training loss stays at that of guessing, ln(classes)."""
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    if step.step < STUCK_STEPS or relative_loss(history) < STUCK:
        return None
    at_work = images_at_high_lr(history)
    if at_work < FEW_IMAGES or _smoothed(history) < STUCK:
        return None
    path = path_length(history)
    is_far = (path or 0.0) >= STUCK_PATH and step.step >= MANY_STEPS
    if not (is_far and at_work >= STUCK_IMAGES) and not _is_half_over(history):
        return None
    if changed_since(history, step.images - STUCK_IMAGES):
        return None
    cause, advice = _why_stuck(history)
    return finding(
        "not_learning",
        evidence=(
            f"training loss {history.smoothed_loss:.3f} after {fmt.count(step.images)} images; "
            f"guessing has {history.guessing_loss:.3f} = ln {started.classes}"
            + (f"; the weights have gone {path:.1f} times their size" if path else "")
        ),
        advice=advice,
        step=step.step,
        cause=cause,
    )


def _is_half_over(history: History) -> bool:
    """Whether half of the images of all epochs have been trained on."""
    started = history.started
    whole = started.epochs * started.train_size if started else 0
    return images(history) >= HALF * whole


def _smoothed(history: History) -> float:
    """Return the trend of the training loss as a share of guessing's."""
    return (history.smoothed_loss or 0.0) / history.guessing_loss


def _why_stuck(history: History) -> tuple[str, str]:
    """Return what a network that does not learn most likely suffers from, and what to try."""
    shrunk = _shrinking(history)
    if shrunk is not None:
        cause = f"the weights have shrunk to {100 * shrunk:.0f} %: weight decay pulls them to 0"
        return cause, "a hundredth of the weight decay"
    return (
        "images and labels may not belong together (shuffled?), or nothing reaches the scores",
        "check labels against images; mnist-tui check looks at the first steps",
    )


def chance_level(history: History) -> FindingRaised | None:
    """Find that the training images are learned and validation stays at chance.

    In the last two epochs, after the first hundred steps, chance lies within the validation
    accuracy's interval or above it, and the training accuracy is twice chance.
    """
    recent, started = history.epochs[-2:], history.started
    if started is None or len(recent) < 2 or recent[0].step < STUCK_STEPS:
        return None
    chance = 1.5 / started.classes
    if any(e.val_interval is None or e.val_interval[0] > chance for e in recent):
        return None
    now = recent[-1]
    if now.train_accuracy < 2 * chance or now.val_accuracy is None:
        return None
    return finding(
        "chance_level",
        evidence=(
            f"epoch {now.epoch}: training {fmt.percent(now.train_accuracy)}, validation "
            f"{fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}; "
            f"chance is {fmt.percent(1 / started.classes, 0)}"
        ),
        step=recent[0].step,
    )


def underfitting(history: History) -> FindingRaised | None:
    """Find that the training images themselves are not learned, and no more progress is made.

    In the last three epochs the running training loss fell by less than 3 % from one to the next,
    and on plain training images in evaluation mode the accuracy, at the favourable end of its
    interval, is below 85 %. Where the loss is still near guessing's, half of the run must be over.
    """
    recent = history.epochs[-3:]
    sample = history.samples[-1] if history.samples else None
    if len(recent) < 3 or sample is None or sample.step < recent[0].step:
        return None
    if recent[-1].train_accuracy >= POOR:
        return None
    losses = [epoch.train_loss for epoch in recent]
    falls = [1 - b / a for a, b in itertools.pairwise(losses) if a > 0]
    if (
        wilson(sample.correct, sample.sample_size)[1] >= POOR
        or max(falls) > STALLED
        or not (relative_loss(history) <= BEGUN or _is_half_over(history))
    ):
        return None
    shrunk = _shrinking(history)
    cause = "the network is too small or too simple for this data"
    fix = remedy("more kernels or layers")
    if history.settings.get("dropout", 0) > 0.3:
        cause = "dropout leaves too little to learn from"
        fix = remedy("lower dropout to 0.1", "dropout", 0.1)
    elif shrunk is not None:
        cause = f"the weights have shrunk to {100 * shrunk:.0f} %: weight decay pulls them to 0"
        fix = remedy("a tenth of the weight decay")
    return finding(
        "underfitting",
        evidence=(
            f"{accuracy_on(sample)} of {sample.sample_size} training images are right, "
            f"as they are; training loss {losses[0]:.4f} → {losses[-1]:.4f} over three epochs"
        ),
        step=recent[0].step,
        cause=cause,
        **fix,
    )


def weight_decay_high(history: History) -> FindingRaised | None:
    """Find that weight decay moves the weights as much as the loss does, with much left to learn.

    In each of the last three updates looked at, the update points to weights of 0 a good part of
    the way; without decay the first ones point away from there.
    """
    pulls = [
        update.shrinkage_cosine
        for update in recent_updates(history)
        if update.shrinkage_cosine is not None
    ]
    if len(pulls) < RECENT or min(pulls) < PULL or relative_loss(history) < UNLEARNED:
        return None
    updates = recent_updates(history)
    return finding(
        "weight_decay_high",
        evidence=(
            f"the cosine between update and the way to weights of 0 is {pulls[-1]:.2f}, and the "
            f"training loss is still {100 * relative_loss(history):.0f} % of guessing's"
        ),
        step=updates[0].step,
    )


def plateau(history: History) -> FindingRaised | None:
    """Tell that the validation loss has not become better for five epochs, at a constant rate."""
    recent, started = history.epochs[-PATIENCE:], history.started
    if started is None or len(history.epochs) <= PATIENCE or started.schedule != "constant":
        return None
    if any(epoch.val_loss is None or not epoch.val_loss_rise for epoch in recent):
        return None
    if changed_since(history, images(history) - PATIENCE * started.train_size):
        return None
    best = min(history.epochs, key=lambda e: e.val_loss if e.val_loss is not None else 1e9)
    return finding(
        "plateau",
        title=f"no better since epoch {best.epoch}",
        evidence=f"validation loss {best.val_loss:.4f} in epoch {best.epoch}, then "
        + ", ".join(f"{epoch.val_loss:.4f}" for epoch in recent),
        **scale_lr(history, 0.2),
        step=recent[0].step,
        plot=tuple(epoch.val_loss or 0.0 for epoch in history.epochs[-24:]),
    )


def _shrinking(history: History) -> float | None:
    """Return the share of the weights' size that is left, if it is little; else None."""
    if len(history.updates) < 2:
        return None
    first, now = history.updates[0], history.updates[-1]
    before = sum(p.weight_norm * p.weight_norm for p in first.parameters if p.is_weight)
    after = sum(p.weight_norm * p.weight_norm for p in now.parameters if p.is_weight)
    share = (after / before) ** 0.5 if before else 1.0
    return share if share < 0.3 else None
