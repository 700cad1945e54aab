"""What a sweep says: what mattered, what did not, how far to trust the winner, what to do next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.errors import SettingError
from tui_trainer.stats.selection import expected_maximum, pooled_deviation
from tui_trainer.sweeps.best_settings import final_command, train_size, validation_command
from tui_trainer.sweeps.ended import ended_trials, place_of, trials_needed
from tui_trainer.sweeps.figures import NAMES, objective_text, setting_text
from tui_trainer.sweeps.spec import Range
from tui_trainer.sweeps.state import Importance, SweepState, TrialState
from tui_trainer.text import fmt

EDGE = 0.05
"""A best value within this share of its range is at the edge of it …"""

WIDER = 0.25
"""… which is to be widened by this share, on the scale of the range."""

LITTLE = 0.25
"""A setting that explains at most this share of the differences has little influence."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the advice, in the color of a role."""

    text: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to type, and what it is for."""

    purpose: str
    text: str


@dataclass(frozen=True, slots=True)
class Optimism:
    """How much the best objective is too good, on average at most.

    Attributes:
        most: The bound, in units of the objective.
        standard_deviation: That of the chance in an objective.
        values: How many values the best was chosen from.
        source: Where the standard deviation comes from.
    """

    most: float
    standard_deviation: float
    values: int
    source: str


def matters(each: Importance) -> bool:
    """Return whether a setting is shown to matter: its interval does not reach 0."""
    return each.low > 0


def advice_on(state: SweepState) -> list[Sentence]:
    """Return the advice in plain sentences."""
    return [
        *_on_importance(state),
        *_on_edges(state),
        *_on_ended(state),
        *_on_optimism(state),
        *_on_train_size(state),
    ]


def commands_of(state: SweepState) -> list[Command]:
    """Return the commands that train the best settings again; none without a completed trial."""
    if state.best is None:
        return []
    return [
        Command("measure its validation figure again, on fresh seeds", validation_command(state)),
        Command(
            "when nothing is left to choose: train it on all training images, and evaluate the "
            "test set once per seed",
            final_command(state),
        ),
    ]


def importance_gap(state: SweepState) -> str:
    """Return what importance still needs; empty if it is there."""
    if state.importance:
        return ""
    needed, ranked = trials_needed(state.spec), len(ended_trials(state.spec, state.trials))
    if ranked < needed:
        return (
            f"importance needs {needed} completed or pruned trials for "
            f"{fmt.plural(len(state.spec.space), 'setting')}; {ranked} are there"
        )
    return "all trials are equally good: there is nothing to explain"


def _on_importance(state: SweepState) -> Iterator[Sentence]:
    shown = [each for each in state.importance if matters(each)]
    others = [each for each in state.importance if not matters(each)]
    if shown:
        what = "; ".join(f"{each.setting} explains {share_text(each)}" for each in shown)
        yield Sentence(f"What mattered: {what} of the differences between trials.")
    if others:
        names = fmt.listed([each.setting for each in others], 12)
        most = max(each.high for each in others)
        yield Sentence(
            f"Not shown to matter: {names}; each may explain nothing, and at most "
            f"{100 * most:.0f} % of the differences."
            if most <= LITTLE
            else f"Not shown to matter: {names}. That does not say that they do not: their "
            f"intervals reach from 0 to {100 * most:.0f} %. More trials would tell."
        )


def share_text(each: Importance) -> str:
    """Return a share with its interval: ``62 % [41, 78]``."""
    return f"{100 * each.share:.0f} % [{_bound(each.low)}, {_bound(each.high)}]"


def _bound(share: float) -> str:
    """Return a bound in percent; one that is not 0 must not read 0."""
    percent = 100 * share
    return f"{max(0.1, percent):.1f}" if 0 < percent < 0.95 else f"{percent:.0f}"


def _on_edges(state: SweepState) -> Iterator[Sentence]:
    """Yield where the best value of a setting that matters is at the edge of its range."""
    best, spec = state.best, state.spec
    if best is None:
        return
    shown = {each.setting for each in state.importance if matters(each)}
    for name, dimension in spec.space.items():
        if not isinstance(dimension, Range) or name not in best.settings:
            continue
        if state.importance and name not in shown:
            continue
        at = place_of(dimension, best.settings[name])
        bound = "high" if at >= 1 - EDGE else "low" if at <= EDGE else ""
        wider = _wider(state, name, dimension, bound) if bound else None
        if wider is not None:
            unsure = "" if state.importance else ", if that is not chance: there are few trials"
            now = setting_text(dimension.high if bound == "high" else dimension.low)
            yield Sentence(
                f"The best {name}, {setting_text(best.settings[name])}, is at the edge of its "
                f"range: {'raise' if bound == 'high' else 'lower'} {bound} from {now} to "
                f"{setting_text(wider)}{unsure}.",
                "warning",
            )


def _wider(state: SweepState, name: str, dimension: Range, bound: str) -> float | int | None:
    """Return another bound of a range; None if the setting has no values beyond."""
    low, high = dimension.low, dimension.high
    if dimension.log:
        low, high = math.log(low), math.log(high)
    span = WIDER * (high - low)
    value = high + span if bound == "high" else low - span
    value = math.exp(value) if dimension.log else value
    within = SETTINGS[name].within
    if within is not None:
        value = min(max(value, within[0]), within[1])
    value = float(f"{value:.2g}")
    before = dimension.high if bound == "high" else dimension.low
    wider: float | int = value
    if dimension.is_integer:
        step = max(1, round(dimension.step or 1))
        steps = max(1, round(abs(value - before) / step))
        wider = round(before) + (steps if bound == "high" else -steps) * step
    if wider == before or (wider > before) != (bound == "high"):
        return None
    changes: dict[str, Any] = {name: wider}
    try:
        replace(state.spec.base, **changes)
    except SettingError:
        return None
    return wider


def _on_ended(state: SweepState) -> Iterator[Sentence]:
    """Yield how many trials were pruned or failed, and the most common reasons."""
    for phase in ("pruned", "failed"):
        ended = [trial for trial in state.trials if trial.phase == phase]
        if not ended:
            continue
        count = f"{len(ended)} of {fmt.plural(len(state.trials), 'trial')}"
        verb = phase if phase == "failed" else f"{'was' if len(ended) == 1 else 'were'} pruned"
        text = f"{count} {verb}{_why(ended)}."
        yield Sentence(text, "error" if phase == "failed" else "")


def _why(ended: list[TrialState]) -> str:
    findings = Counter(trial.finding for trial in ended if trial.finding)
    behind = len(ended) - sum(findings.values())
    if not findings and ended[0].phase == "pruned":
        return ": behind the others"
    if not findings:
        reason = Counter(trial.reason for trial in ended if trial.reason).most_common(1)
        is_one = len(ended) == 1 or (bool(reason) and reason[0][1] == len(ended))
        return f": {reason[0][0].rstrip('.')}" if reason and is_one else ""
    named = [f"{count} by the finding {name}" for name, count in findings.most_common(3)]
    word = "behind the others" if ended[0].phase == "pruned" else "without a finding"
    rest = [f"{behind} {word}"] if behind else []
    return f": {', '.join([*named, *rest])}"


def optimism_of(state: SweepState) -> Optimism | None:
    """Return how much the best objective is too good; None where that cannot be said.

    The standard deviation is that of the seeds of the same trial, pooled over the trials, or for
    one seed a trial the binomial one of the validation images: of an accuracy only.
    """
    best, completed, spec = state.best, state.completed, state.spec
    if best is None or best.value is None or len(completed) < 2:
        return None
    values = len(completed)
    pooled = pooled_deviation([trial.values for trial in completed])
    if spec.seeds > 1 and pooled is not None:
        deviation = pooled / math.sqrt(spec.seeds)
        source = f"from the differences between the {spec.seeds} seeds of each trial"
    elif not spec.is_minimized and state.val_images:
        p = min(1.0, max(0.0, best.value))
        deviation = math.sqrt(p * (1 - p) / state.val_images)
        source = f"that of {fmt.count(state.val_images)} validation images"
        if spec.objective == "best_val_accuracy":
            values *= max(1, spec.base.epochs)  # each objective is a maximum itself
    else:
        return None
    return Optimism(expected_maximum(values) * deviation, deviation, values, source)


def _on_train_size(state: SweepState) -> Iterator[Sentence]:
    """Yield that a recipe for a part of the images need not be the best one for all."""
    size = train_size(state)
    if state.best is not None and size is not None:
        yield Sentence(
            f"The best trial was trained on {fmt.count(size)} images; on all of them other "
            "settings may be best.",
            "warning",
        )


def _on_optimism(state: SweepState) -> Iterator[Sentence]:
    best, spec = state.best, state.spec
    completed = len(state.completed)
    if best is None or completed < 2:
        return
    name, figure = NAMES[spec.objective], objective_text(spec, best.value)
    head = f"The winner's {name}, {figure}, is optimistic: it is the best of {completed}"
    found = optimism_of(state)
    if found is None:
        yield Sentence(f"{head}; one seed a trial does not say by how much.", "warning")
        return
    most, deviation = (
        f"{value:.4f}" if spec.is_minimized else f"{100 * value:.2f} points"
        for value in (found.most, found.standard_deviation)
    )
    yield Sentence(
        f"{head}, by at most {most} on average: {expected_maximum(found.values):.2f} standard "
        f"deviations ({deviation}, {found.source}), the expected largest of {found.values} errors.",
        "warning",
    )
    more = "" if spec.seeds > 1 else "The differences between seeds are not measured. "
    yield Sentence(
        f"{more}Fresh seeds remove the luck of the seed; all trials share the validation images, "
        "and only the test set is free of their luck.",
        "muted",
    )
