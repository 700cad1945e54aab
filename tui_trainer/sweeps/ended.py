"""The trials of a sweep that have a rank, and where their settings are in the space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.sweeps.spec import Choice, Dimension, SweepSpec
from tui_trainer.sweeps.state import TrialState

FEWEST = 10
"""The fewest trials from which importance is computed …"""

PER_TERM = 3
"""… and the fewest for each term of the fit: with fewer, chance explains most of the ranks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial that was completed or pruned.

    Attributes:
        places: The place of each setting: 0 to 1 in a range, the index of a choice.
        score: Its objective, the larger the better; minus infinity if it was pruned.
    """

    places: tuple[float, ...]
    score: float


def ended_trials(spec: SweepSpec, trials: Sequence[TrialState]) -> list[Ended]:
    """Return the trials that are completed, pruned, or were ended by a finding."""
    sign = -1.0 if spec.is_minimized else 1.0
    found = []
    for trial in trials:
        if any(name not in trial.settings for name in spec.space):
            continue
        places = tuple(place_of(each, trial.settings[name]) for name, each in spec.space.items())
        if trial.value is not None:
            found.append(Ended(places, sign * trial.value))
        elif trial.phase == "pruned" or (trial.phase == "failed" and trial.finding):
            found.append(Ended(places, -math.inf))
    return found


def place_of(dimension: Dimension, value: Any) -> float:
    """Return where a value is: 0 to 1 on the scale of a range, the index of a choice."""
    if isinstance(dimension, Choice):
        return float(choice_index(dimension, value))
    low, high, at = dimension.low, dimension.high, float(value)
    if dimension.log:
        low, high, at = math.log(low), math.log(high), math.log(max(at, 5e-324))
    return min(1.0, max(0.0, (at - low) / (high - low))) if high > low else 0.5


def choice_index(choice: Choice, value: Any) -> int:
    """Return the index of a value; ``True`` is another value than 1."""
    for index, each in enumerate(choice.values):
        if type(each) is type(value) and each == value:
            return index
    return next((i for i, each in enumerate(choice.values) if each == value), 0)


def terms(dimension: Dimension) -> int:
    """Return the number of terms with which a setting is fitted."""
    if isinstance(dimension, Choice):
        return max(0, len(dimension.values) - 1)
    if dimension.high <= dimension.low:
        return 0
    # Two values of a range have no parabola.
    is_pair = dimension.step is not None and dimension.low + 2 * dimension.step > dimension.high
    is_pair = is_pair or (dimension.is_integer and dimension.high - dimension.low < 2)
    return 1 if is_pair else 2


def trials_needed(spec: SweepSpec) -> int:
    """Return how many completed or pruned trials importance needs."""
    fitted = sum(map(terms, spec.space.values()))
    return max(FEWEST, PER_TERM * (fitted + 1))
