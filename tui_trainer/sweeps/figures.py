"""The values of a sweep as text: settings, objectives and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tui_trainer.protocol.reference import parse_reference
from tui_trainer.stats.intervals import wilson
from tui_trainer.sweeps.spec import Objective, SweepSpec
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text import fmt

NAMES: dict[Objective, str] = {
    "val_accuracy": "validation accuracy",
    "best_val_accuracy": "best validation accuracy",
    "val_loss": "validation loss",
}
"""The objectives in words."""

GLYPHS = {"waiting": "◌", "running": "●", "completed": "✓", "pruned": "✂", "failed": "✗"}
"""A glyph for each phase of a trial."""

ROLES = {
    "waiting": "muted",
    "running": "train",
    "completed": "ok",
    "pruned": "warning",
    "failed": "error",
}
"""The role of each phase."""


def setting_text(value: Any) -> str:
    """Return the value of a setting; a reference to a model without its folders."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return fmt.count(value) if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return fmt.learning_rate(value)
    reference = parse_reference(str(value))
    return fmt.printable(reference.short if reference is not None else value)


def objective_text(spec: SweepSpec, value: float | None) -> str:
    """Return the objective: ``99.31 %`` or ``0.0412``; ``-`` for none."""
    if value is None:
        return "-"
    return fmt.loss(value).strip() if spec.is_minimized else fmt.percent(value)


def interval_of(state: SweepState, trial: TrialState) -> tuple[float, float] | None:
    """Return the 95 % interval of a trial's objective; None if there is none.

    Over several seeds it is Student's t interval of the mean. An accuracy of one seed has the
    Wilson interval over the validation images, which knows nothing of other seeds; a loss of one
    seed has none.
    """
    mean = trial.mean
    if mean is None:
        return None
    if mean.count > 1:
        return (mean.low, mean.high)
    if state.spec.is_minimized or state.val_images < 1:
        return None
    correct = round(mean.mean * state.val_images)
    return wilson(min(state.val_images, max(0, correct)), state.val_images)


def value_with_interval(state: SweepState, trial: TrialState) -> str:
    """Return the objective with its interval: ``99.31 % [99.13, 99.45]``."""
    value, bounds = trial.value, interval_of(state, trial)
    if value is None:
        return objective_text(state.spec, trial.last)
    if not state.spec.is_minimized:
        return fmt.accuracy_with_interval(value, bounds)
    text = objective_text(state.spec, value)
    if bounds is None:
        return text
    low, high = (fmt.loss(max(0.0, bound)).strip() for bound in bounds)
    return f"{text} [{low}, {high}]"


def interval_words(state: SweepState) -> str:
    """Return what the intervals of the trials are."""
    if state.spec.seeds > 1:
        return f"95 % Student's t interval of the mean over {state.spec.seeds} seeds"
    if state.spec.is_minimized:
        return "one seed a trial: a loss has no interval; seeds = 2 or more gives it one"
    images = fmt.count(state.val_images) if state.val_images else "the"
    return (
        f"95 % Wilson interval over {images} validation images, for this seed; "
        "the differences between seeds come on top"
    )


def settings_of(state: SweepState, trial: TrialState) -> list[str]:
    """Return the searched settings of a trial: ``lr 0.12``, ``model small``."""
    return [
        f"{name} {setting_text(trial.settings[name])}"
        for name in state.spec.space
        if name in trial.settings
    ]


def settings_text(state: SweepState, trial: TrialState) -> str:
    """Return the searched settings of a trial in one text: ``lr 0.12 · model small``."""
    return " · ".join(settings_of(state, trial))


def best_first(state: SweepState) -> list[TrialState]:
    """Return the trials: completed ones by objective, running and waiting ones, then the others."""
    sign = 1.0 if state.spec.is_minimized else -1.0

    def order(trial: TrialState) -> tuple[int, float, int]:
        if trial.value is not None and math.isfinite(trial.value):
            return 0, sign * trial.value, trial.number
        phases: Sequence[str] = ("completed", "running", "waiting", "pruned", "failed")
        return 1 + phases.index(trial.phase), 0.0, -trial.number

    return sorted(state.trials, key=order)
