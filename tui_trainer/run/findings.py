"""Diagnosis: rules that look at a run's history and say what goes wrong, with the evidence.

A rule is a function from history to a finding or None. It asks for persistence, and for more than
sampling noise. None of them knows the test set.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator

from tui_trainer.run import text
from tui_trainer.run.events import (
    Diverged,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    StepDone,
)
from tui_trainer.run.history import History

PERSISTENCE = 3
"""Epochs in a row that must show overfitting before it is said."""

SIGNIFICANT, NOTABLE = 3.0, 2.0
"""Standard errors that the last of them must be above the best epoch, and the others."""

JITTERS = 4.0
"""Times the run's own jitter, from epoch to epoch, that each of them must be above the best."""

MEDIAN_OF_NORMAL = 0.6745
"""The median of a normal distribution's absolute values, in standard deviations."""

BY_HEART_GAP = 0.02
"""Points of accuracy, as a fraction, that validation must lack to be called learned by heart."""

GUESSING_MARGIN = 1.5
"""A training loss this many times that of guessing, ln(classes), is worse than knowing nothing."""

BURN_IN_IMAGES = 5_000
"""Images before the training loss is judged: a high first loss is an initialisation, no trend."""

CHECK_EVERY = 10
"""Steps between two looks at the rules that need no epoch."""


def overfitting(history: History) -> FindingRaised | None:
    """Find that validation gets worse while training still gets better.

    All three of these must hold of each of the last three epochs, against the best one:

    - Its validation loss is higher by more than two standard errors of the paired difference, the
      last one's by more than three: other validation images would say the same.
    - It is higher by more than four times the jitter of this run's validation loss: other batches
      would say the same. Weights are thrown about by each epoch's last batches, and at a large
      learning rate that moves the loss far beyond what the images' number explains.
    - Its running training loss is lower.

    Of healthy runs of twenty epochs fewer than one in a hundred shows that by chance; see
    ``tests/run/test_findings_rates.py``.
    """
    epochs = [epoch for epoch in history.epochs if math.isfinite(_validation(epoch))]
    losses = [_validation(epoch) for epoch in epochs]
    best = losses.index(min(losses)) if losses else 0
    recent = epochs[-PERSISTENCE:]
    if best >= len(epochs) - PERSISTENCE:
        return None
    then, now = epochs[best], epochs[-1]
    jitter = _jitter(losses, best)
    scores = [_standard_errors(epoch) for epoch in recent]
    rise = min(losses[-PERSISTENCE:]) - losses[best]
    is_noise = min(scores) < NOTABLE or scores[-1] < SIGNIFICANT or rise <= JITTERS * jitter
    if is_noise or max(epoch.train_loss for epoch in recent) >= then.train_loss:
        return None
    setting, value, advice = _against_overfitting(history)
    return FindingRaised(
        code="overfitting",
        severity="look",
        title=f"overfitting since epoch {then.epoch}",
        evidence=(
            f"by epoch {now.epoch} validation loss {losses[best]:.4f} → {losses[-1]:.4f}, up "
            f"{losses[-1] - losses[best]:.4f} ({scores[-1]:.1f} standard errors; it jitters by "
            f"{jitter:.4f}), while training loss fell {then.train_loss:.4f} → {now.train_loss:.4f}"
        ),
        advice=advice,
        step=then.step,
        lesson=15,
        fix_setting=setting,
        fix_value=value,
    )


def memorising(history: History) -> FindingRaised | None:
    """Find that the training images are known by heart, and others are not.

    In each of the last three epochs the validation error, at the favourable end of its Wilson
    interval, must be two points above the running training error, and that a quarter of it at most.
    The validation loss need not rise for this: a small training split is learned by heart while the
    loss still falls. A finding of its own only until overfitting shows by a rise as well.
    """
    recent = history.epochs[-PERSISTENCE:]
    started = history.started
    if len(recent) < PERSISTENCE or started is None or not all(map(_is_by_heart, recent)):
        return None
    now = recent[-1]
    if overfitting(history) is not None or now.val_accuracy is None or now.val_interval is None:
        return None
    setting, value, advice = _against_overfitting(history)
    return FindingRaised(
        code="memorising",
        severity="look",
        title="overfitting: learned by heart",
        evidence=(
            f"by epoch {now.epoch} training accuracy {text.percent(now.train_accuracy)} "
            f"on {started.train_size:,} images, "
            f"validation {text.accuracy_with_interval(now.val_accuracy, now.val_interval)}: "
            f"{100 * (now.train_accuracy - now.val_accuracy):.1f} points apart"
        ),
        advice=advice,
        step=recent[0].step,
        lesson=15,
        fix_setting=setting,
        fix_value=value,
    )


def divergence(history: History) -> FindingRaised | None:
    """Find that the loss is no number any more, or is worse than that of guessing.

    A network that gives every class the same score has the loss ln(classes). A training loss well
    above that, smoothed with no batch counted in full that exploded, 5,000 images after the start
    or the last change of the learning rate, comes from steps that are too large.
    """
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    rate = history.settings["learning_rate"]
    remedy = rate / 10
    guessing, steady = history.guessing_loss, history.steady_loss
    lost, advice = history.lost, f"learning rate ÷ 10, from {rate:g} to {remedy:g}"
    if lost is not None:
        title, evidence = (
            f"diverged in epoch {lost.epoch}",
            f"the loss is not a finite number since step {lost.step:,}; those weights are lost, "
            f"the last good ones are of step {lost.good_step:,}",
        )
        remedy = min(remedy, _rate_at(history, lost.good_step))
        advice = f"go back to step {lost.good_step:,} with learning rate {remedy:g}"
    elif (
        step.images > _last_rate_change(history) + BURN_IN_IMAGES
        and steady is not None
        and steady > GUESSING_MARGIN * guessing
    ):
        title, evidence = (
            "diverging",
            f"training loss {history.smoothed_loss:.2f}, worse than guessing ({guessing:.2f} = "
            f"ln {started.classes}), at learning rate {step.learning_rate:.3g}",
        )
    else:
        return None
    return FindingRaised(
        code="divergence",
        severity="wrong",
        title=title,
        evidence=evidence,
        advice=advice,
        step=step.step,
        lesson=7,
        fix_setting="learning_rate",
        fix_value=float(f"{remedy:.6g}"),
    )


Rule = Callable[[History], FindingRaised | None]

STEP_RULES: tuple[Rule, ...] = (divergence,)
EPOCH_RULES: tuple[Rule, ...] = (overfitting, memorising)


def with_findings(events: Iterator[Event], past: Iterable[Event] = ()) -> Iterator[Event]:
    """Pass a run's events on, with the findings they give rise to among them.

    Everyone downstream, a window, a script or a file, sees the same findings at the same place.

    Args:
        events: The run.
        past: What it told before it was resumed, its findings included.
    """
    history = History()
    for event in past:
        history.apply(event)
    for event in events:
        history.apply(event)
        yield event
        match event:
            case StepDone(step=step) if step % CHECK_EVERY == 0:
                rules = STEP_RULES
            case EpochDone() | Diverged():
                rules = STEP_RULES + EPOCH_RULES
            case _:
                continue
        for rule in rules:
            for change in _update(history, rule):
                history.apply(change)
                yield change


def _update(history: History, rule: Rule) -> Iterator[Event]:
    """Raise the rule's finding when it begins to hold or its knob moves on; clear it when gone."""
    code = rule.__name__
    found, standing = rule(history), history.findings.get(code)
    if found is None and standing is not None:
        last = history.last_step or history.epochs[-1]
        yield FindingCleared(code=code, step=last.step)
    elif found is not None and (standing is None or _differs(found, standing)):
        yield found


def _differs(found: FindingRaised, standing: FindingRaised) -> bool:
    """Whether a standing finding has something new to say that is worth an event."""
    return (found.title, found.advice) != (standing.title, standing.advice)


def _is_by_heart(epoch: EpochDone) -> bool:
    """Whether an epoch's validation error is far above its training error, whatever the sample."""
    if epoch.val_accuracy is None or epoch.val_interval is None:
        return False
    known = 1 - epoch.train_accuracy
    gap = 1 - epoch.val_interval[1] - known
    return gap >= BY_HEART_GAP and known <= (1 - epoch.val_accuracy) / 4


def _last_rate_change(history: History) -> int:
    """Return how many images had been seen when the learning rate was last turned by hand."""
    changes = (c.images for c in history.interventions if c.setting == "learning_rate")
    return max(changes, default=0)


def _rate_at(history: History, step: int) -> float:
    """Return the base learning rate of an earlier step, before any change made there."""
    changes = [c for c in history.interventions if c.setting == "learning_rate" and c.step >= step]
    return changes[0].old if changes else history.settings["learning_rate"]


def _validation(epoch: EpochDone) -> float:
    """Return the epoch's validation loss, not a number where there is none."""
    return math.nan if epoch.val_loss is None else epoch.val_loss


def _jitter(losses: list[float], best: int) -> float:
    """Return the standard deviation of the validation loss from one epoch to the next.

    It is measured on second differences, which no steady fall or rise enters and whose variance is
    six times that of the noise (J. von Neumann and others, "The mean square successive difference",
    Annals of Mathematical Statistics 12, 1941). Of two estimates the larger counts: the mean square
    since shortly before the best epoch, which knows the present noise, and the median of the whole
    run, which knows more epochs.
    """
    bends = [abs(a - 2 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    lately = math.sqrt(statistics.fmean(bend * bend for bend in bends[max(0, best - 2) :]))
    usually = statistics.median(bends) / MEDIAN_OF_NORMAL
    return max(lately, usually) / math.sqrt(6)


def _standard_errors(epoch: EpochDone) -> float:
    """How far the epoch's validation loss is above the lowest, in standard errors."""
    if epoch.val_loss_rise is None or not epoch.val_loss_rise_error:
        return 0.0
    return epoch.val_loss_rise / epoch.val_loss_rise_error


def _against_overfitting(history: History) -> tuple[str | None, float | None, str]:
    """Choose what to try: the knob, its value, and the words."""
    if not history.settings.get("augmentation"):
        return "augmentation", 1, "switch augmentation on"
    dropout = history.settings.get("dropout")
    if dropout is None:
        return None, None, "train a network with dropout (--model era-s6-dropout), or stop here"
    more = round(min(0.5, dropout + 0.1), 2)
    if more <= dropout:
        return None, None, "stop here, or train on more images"
    return "dropout", more, f"raise dropout from {dropout:g} to {more:g}"
