"""Rules about progress: whether the model learns at all, enough, and still."""

from __future__ import annotations

import itertools

from tui_trainer.findings import causes
from tui_trainer.findings.rule import (
    accuracy_on,
    awaits_decay,
    changed_since,
    decay_share,
    finding,
    images_at_high_lr,
    images_seen,
    of_classes,
    path_length,
    recent_updates,
    relative_loss,
    scale_lr,
    weight_norm,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised, StepDone
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

STUCK = 0.98
"""A loss above this share of random guessing's is guessing, …"""

FEW_IMAGES, STUCK_STEPS = 10_000, 100
"""… but only after this many images at a high learning rate, and this many steps."""

STUCK_IMAGES, STUCK_PATH, MANY_STEPS = 60_000, 2.0, 500
"""It is raised after this many such images if the weights moved this far, relative to their norm,
in this many steps: without batch norm a loss can take long before it begins to fall; …"""

HALF = 0.5
"""… otherwise after this share of the run."""

DOMINANT, SHRUNK = 0.5, 0.95
"""Weight decay holds the weights back if it moves them by this share of what the gradient does, and
has shrunk them to this share of their norm, …"""

PULL, UNLEARNED = 0.35, 0.2
"""… or if the updates have this cosine to weights of 0; a problem while the loss is above this
share of random guessing's. Once all is learned, only weight decay moves the weights."""

POOR = 0.85
"""The training accuracy below which the model needs more capacity."""

BEGUN = 0.9
"""A loss above this share of random guessing's has hardly begun to fall: in the first half of a run
it may still do so."""

STALLED = 0.03
"""The relative fall of the training loss per epoch below which it has stalled."""

STUCK_BY = (
    causes.labels_shuffled,
    causes.from_finding("input_destroyed"),
    causes.weight_decay_high,
    causes.learning_rate_low,
    causes.learning_rate_high,
    causes.momentum_high,
    causes.label_smoothing_high,
    causes.dropout_high,
    causes.few_steps,
    causes.dead_units,
    causes.saturated,
    causes.vanishing_gradients,
    causes.from_finding("hidden_softmax"),
    causes.frozen,
)
"""What can keep a model from learning, the more frequent causes first."""

HELD_BACK_BY = (
    causes.from_finding("linear_model"),
    causes.from_finding("labels_noisy"),
    causes.augmentation_strong,
    causes.few_images,
)
"""What can keep a model that learns from learning enough."""

SHORT_RUN = 100
"""A run of fewer steps is too short for a model whose loss is still high."""

PATIENCE = 5
"""Epochs without a better validation loss that make a plateau."""


def not_learning(history: History) -> FindingRaised | None:
    """Find a training loss that stays at random guessing's, ln(classes)."""
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    if step.step < STUCK_STEPS:
        return None
    if found := _nothing_general(history, step):
        return found
    if relative_loss(history) < STUCK:
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
    return finding(
        "not_learning",
        evidence=(
            f"training loss {history.smoothed_loss:.3f} after {fmt.count(step.images)} images; "
            f"random guessing gives {history.guessing_loss:.3f}{of_classes(history)}"
            + (f"; the weights moved {path:.1f} times their norm in total" if path else "")
        ),
        step=step.step,
        causes=causes.ranked(history, *STUCK_BY) or (causes.cause("input_destroyed", "possible"),),
    )


def _nothing_general(history: History, step: StepDone) -> FindingRaised | None:
    """Find a script whose loss hardly falls while validation stays at chance level, two epochs."""
    recent, started = history.epochs[-2:], history.started
    if started is None or not history.loops or len(recent) < 2 or relative_loss(history) < BEGUN:
        return None
    limit = 1.5 / started.classes
    if any(e.val_interval is None or e.val_interval[0] > limit for e in recent):
        return None
    now = recent[-1]
    return finding(
        "not_learning",
        evidence=(
            f"training loss {history.smoothed_loss:.3f}, random guessing gives "
            f"{history.guessing_loss:.3f}{of_classes(history)}; validation accuracy "
            f"{fmt.accuracy_with_interval(now.val_accuracy or 0.0, now.val_interval)} in epoch "
            f"{now.epoch}"
        ),
        step=step.step,
        causes=causes.ranked(history, *(t for t in STUCK_BY if t is not causes.few_steps))
        or (causes.cause("input_destroyed", "possible"),),
    )


def _is_half_over(history: History) -> bool:
    """Whether half of the run's training images have been seen."""
    started = history.started
    whole = started.epochs * started.train_size if started else 0
    return images_seen(history) >= HALF * whole


def _smoothed(history: History) -> float:
    """Return the smoothed training loss as a share of random guessing's."""
    return (history.smoothed_loss or 0.0) / history.guessing_loss


def few_steps(history: History) -> FindingRaised | None:
    """Find a run that is over after too few steps: its loss is still falling.

    It had fewer than a hundred, and the loss is above 30 % of random guessing's.
    """
    started, last = history.started, history.last_step
    if started is None or last is None or history.epoch < started.epochs:
        return None
    if last.step >= SHORT_RUN or relative_loss(history) < UNLEARNED:
        return None
    size = int(history.settings["batch_size"])
    return finding(
        "few_steps",
        severity="note" if started.script else "warning",  # a script may only be tried out
        evidence=(
            f"{started.train_size:,} images in batches of {size:,}, "
            f"{fmt.plural(started.epochs, 'epoch')}: {fmt.plural(last.step, 'step')}; training "
            f"loss is still {100 * relative_loss(history):.0f} % of random guessing's"
        ),
        step=last.step,
    )


def chance_level(history: History) -> FindingRaised | None:
    """Find a model that learns the training images while validation stays at chance level.

    In the last two epochs, after the first hundred steps, the interval of the validation accuracy
    begins at or below 1.5 times chance level, and the training accuracy is at least twice that.
    """
    recent, started = history.epochs[-2:], history.started
    if started is None or len(recent) < 2 or recent[0].step < STUCK_STEPS:
        return None
    limit = 1.5 / started.classes
    if any(e.val_interval is None or e.val_interval[0] > limit for e in recent):
        return None
    now = recent[-1]
    if now.train_accuracy < 2 * limit or now.val_accuracy is None:
        return None
    return finding(
        "chance_level",
        evidence=(
            f"epoch {now.epoch}: training accuracy {fmt.percent(now.train_accuracy)}, validation "
            f"accuracy {fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}; "
            f"chance level is {fmt.percent(1 / started.classes, 0)}"
        ),
        step=recent[0].step,
    )


def underfitting(history: History) -> FindingRaised | None:
    """Find a model that has not learned its training images and makes no more progress.

    In the last three epochs the running training loss fell by less than 3 % per epoch, and on
    unaugmented training images in evaluation mode the upper end of the accuracy's interval is below
    85 %. While the loss is still near random guessing's, half of the run must be over. Until the
    schedule has lowered the learning rate for two epochs, a loss that has stalled will fall by
    itself.
    """
    recent = history.epochs[-3:]
    sample = history.last_sample
    if len(recent) < 3 or sample is None or sample.step < recent[0].step:
        return None
    if recent[-1].train_accuracy >= POOR or awaits_decay(history, recent[0].lr):
        return None
    losses = [epoch.train_loss for epoch in recent]
    falls = [1 - b / a for a, b in itertools.pairwise(losses) if a > 0]
    if (
        wilson(sample.correct, sample.sample_size)[1] >= POOR
        or max(falls, default=1.0) > STALLED
        or not (relative_loss(history) <= BEGUN or _is_half_over(history))
    ):
        return None
    return finding(
        "underfitting",
        evidence=(
            f"accuracy {accuracy_on(sample)} on {sample.sample_size} unaugmented training images; "
            f"training loss {losses[0]:.4f} → {losses[-1]:.4f} over three epochs"
        ),
        step=recent[0].step,
        causes=causes.ranked(history, *STUCK_BY, *HELD_BACK_BY, causes.capacity),
    )


def weight_decay_high(history: History) -> FindingRaised | None:
    """Find weight decay that holds the weights back while much is left to learn.

    In each of the last three sampled updates it moves the weights at least half as much as the
    gradient does, and their norm has shrunk. With a usual weight decay both take thousands of
    steps. In older records, which do not have the weight decay, the updates must point to weights
    of 0.
    """
    updates, started = recent_updates(history), history.started
    if started is None or not updates or relative_loss(history) < UNLEARNED:
        return None
    cosines = [update.shrinkage_cosine or 0.0 for update in updates]
    shares = [decay_share(started, update) for update in updates]
    known = [share for share in shares if share is not None]
    left = weight_norm(updates[-1]) / (weight_norm(history.updates[0]) or 1.0)
    is_pulling = min(known) >= DOMINANT if known else min(cosines) >= PULL
    if not is_pulling or left > SHRUNK:
        return None
    evidence = f"cosine(update, −weights) = {cosines[-1]:.2f}: the updates shrink the weights"
    if known:
        evidence = f"weight decay moves the weights {known[-1]:.2g} times as much as the gradient"
    return finding(
        "weight_decay_high",
        evidence=(
            f"{evidence}, to {100 * left:.0f} % of their norm; training loss is still "
            f"{100 * relative_loss(history):.0f} % of random guessing's"
        ),
        step=updates[0].step,
    )


def plateau(history: History) -> FindingRaised | None:
    """Note a validation loss without improvement for five epochs at a constant learning rate."""
    recent, started = history.epochs[-PATIENCE:], history.started
    if started is None or len(history.epochs) <= PATIENCE or started.schedule != "constant":
        return None
    if any(epoch.val_loss is None or not epoch.val_loss_rise for epoch in recent):
        return None
    if changed_since(history, images_seen(history) - PATIENCE * started.train_size):
        return None
    best = min(history.epochs, key=lambda e: e.val_loss if e.val_loss is not None else 1e9)
    return finding(
        "plateau",
        title=f"plateau since epoch {best.epoch}",
        evidence=f"validation loss {best.val_loss:.4f} in epoch {best.epoch}, then "
        + ", ".join(f"{epoch.val_loss:.4f}" for epoch in recent),
        **scale_lr(history, 0.2),
        step=recent[0].step,
        plot=tuple(epoch.val_loss or 0.0 for epoch in history.epochs[-24:]),
    )
