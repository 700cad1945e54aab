"""How much of the budget of a sweep is used, and how long the rest takes."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.text import fmt


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the budget.

    Attributes:
        name: ``trials``, ``epochs`` or ``minutes``.
        used: What is used of it; a part of a trial counts as that part.
        total: The limit.
        seconds_left: The time until it is reached; None while it is unknown.
    """

    name: str
    used: float
    total: float
    seconds_left: float | None

    @property
    def share(self) -> float:
        """The used share, 0 to 1."""
        return min(1.0, self.used / self.total) if self.total else 1.0

    @property
    def text(self) -> str:
        """What is used and left: ``23 of 40 trials``."""
        if self.name == "minutes":
            return f"{fmt.duration(60 * self.used)} of {fmt.duration(60 * self.total)}"
        return f"{fmt.count(int(self.used))} of {fmt.count(int(self.total))} {self.name}"


def limits_of(state: SweepState) -> list[Limit]:
    """Return the limits of the budget, the one that is reached first in front.

    The time left is what is left at the speed so far: of trials or epochs per second of the sweep,
    by all its workers. Trials that were pruned count as trials.
    """
    budget, seconds = state.spec.budget, state.seconds
    trials = sum(map(_share, state.trials))
    epochs = float(sum(trial.epoch for trial in state.trials))
    found = []
    for name, used, total in (
        ("trials", trials, budget.trials),
        ("epochs", epochs, budget.epochs),
        ("minutes", seconds / 60, budget.minutes),
    ):
        if total is not None:
            speed = used / seconds if seconds > 0 else 0.0
            left = max(0.0, total - used) / speed if speed > 0 else None
            found.append(Limit(name, used, float(total), left))
    return sorted(found, key=lambda limit: (-limit.share, limit.name))


def _share(trial: TrialState) -> float:
    """Return how much of a trial is done; an ended one is done."""
    if trial.phase not in ("running", "waiting"):
        return 1.0
    return min(0.999, trial.epoch / trial.epochs) if trial.epochs else 0.0


def seconds_left(state: SweepState) -> float | None:
    """Return the time until the first limit is reached; None while it is unknown."""
    if state.is_over:
        return None
    known = [limit.seconds_left for limit in limits_of(state) if limit.seconds_left is not None]
    return min(known, default=None)
