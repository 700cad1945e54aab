"""Diagnosis: rules that look at a run's history and say what goes wrong, with the evidence.

A rule is a function from history to a finding or None. It asks for persistence, and for more than
sampling noise. None of them knows the test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

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

SIGNIFICANT = 3.0
"""Standard errors that the last of them must be above the best epoch; the others two."""

GUESSING_MARGIN = 1.5
"""A training loss this many times that of guessing, ln(classes), is worse than knowing nothing."""

BURN_IN_IMAGES = 5_000
"""Images before the training loss is judged: a high first loss is an initialisation, no trend."""

CHECK_EVERY = 10
"""Steps between two looks at the rules that need no epoch."""


def overfitting(history: History) -> FindingRaised | None:
    """Find that validation gets worse while training still gets better.

    The validation loss must have been above its lowest for the last three epochs, each by more
    than two standard errors of the paired difference and the last by more than three, while the
    running training loss fell below what it was at that lowest epoch. A loss that is merely noisy
    comes back within three epochs or does not keep the training loss falling.
    """
    epochs = history.epochs
    if len(epochs) <= PERSISTENCE or history.started is None:
        return None
    best = min(range(len(epochs)), key=lambda i: epochs[i].val_loss or math.inf)
    recent = epochs[-PERSISTENCE:]
    if best >= len(epochs) - PERSISTENCE:
        return None
    scores = [_standard_errors(epoch) for epoch in recent]
    if min(scores) < 2.0 or scores[-1] < SIGNIFICANT:
        return None
    if max(epoch.train_loss for epoch in recent) >= epochs[best].train_loss:
        return None
    now, then = epochs[-1], epochs[best]
    setting, value, advice = _against_overfitting(history)
    return FindingRaised(
        code="overfitting",
        severity="look",
        title=f"overfitting since epoch {best + 1}",
        evidence=(
            f"validation loss {then.val_loss:.4f} → {now.val_loss:.4f}, up "
            f"{now.val_loss_rise:.4f} ({scores[-1]:.1f} standard errors), "
            f"while training loss fell {then.train_loss:.4f} → {now.train_loss:.4f}"
        ),
        advice=advice,
        step=then.step,
        lesson=15,
        fix_setting=setting,
        fix_value=value,
    )


def divergence(history: History) -> FindingRaised | None:
    """Find that the loss is no number any more, or is worse than that of guessing.

    A network that gives every class the same score has the loss ln(classes). A smoothed training
    loss well above that, 5,000 images after the start or the last change of the learning rate,
    comes from steps that are too large.
    """
    step, started = history.last_step, history.started
    if step is None or started is None:
        return None
    rate = history.settings["learning_rate"]
    guessing = math.log(started.classes)
    smoothed = history.smoothed_loss
    if history.state == "diverged":
        title, evidence = (
            f"diverged in epoch {step.epoch}",
            f"the loss is not a finite number since step {step.step:,}; the weights are lost",
        )
    elif (
        step.images > _last_rate_change(history) + BURN_IN_IMAGES
        and smoothed is not None
        and smoothed > GUESSING_MARGIN * guessing
    ):
        title, evidence = (
            "diverging",
            f"training loss {smoothed:.2f}, worse than guessing ({guessing:.2f} = "
            f"ln {started.classes}), at learning rate {step.learning_rate:.3g}",
        )
    else:
        return None
    return FindingRaised(
        code="divergence",
        severity="wrong",
        title=title,
        evidence=evidence,
        advice=f"learning rate ÷ 10, from {rate:g} to {rate / 10:g}",
        step=step.step,
        lesson=7,
        fix_setting="learning_rate",
        fix_value=float(f"{rate / 10:.6g}"),
    )


Rule = Callable[[History], FindingRaised | None]

STEP_RULES: tuple[Rule, ...] = (divergence,)
EPOCH_RULES: tuple[Rule, ...] = (overfitting,)


def with_findings(events: Iterator[Event]) -> Iterator[Event]:
    """Pass a run's events on, with the findings they give rise to among them.

    Everyone downstream, a window, a script or a file, sees the same findings at the same place.
    """
    history = History()
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
    if found is None and standing is not None and history.last_step is not None:
        yield FindingCleared(code=code, step=history.last_step.step)
    elif found is not None and (standing is None or _differs(found, standing)):
        yield found


def _differs(found: FindingRaised, standing: FindingRaised) -> bool:
    """Whether a standing finding has something new to say that is worth an event."""
    return (found.title, found.advice) != (standing.title, standing.advice)


def _last_rate_change(history: History) -> int:
    """Return how many images had been seen when the learning rate was last turned by hand."""
    changes = (c.images for c in history.interventions if c.setting == "learning_rate")
    return max(changes, default=0)


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
