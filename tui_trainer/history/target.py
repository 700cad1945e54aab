"""The target accuracy of a run, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.history.run_state import RunState
from tui_trainer.text import fmt

TOLERANCE = 1e-9
"""Far below one image: in floats, 90.04 / 100 is more than 9004 / 10000."""


@dataclass(frozen=True, slots=True)
class Target:
    """An accuracy that a run should reach.

    Attributes:
        accuracy: A fraction of 1.
        last: The number of last epochs in each of which validation accuracy must reach it; None
            asks for the test accuracy.
    """

    accuracy: float
    last: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Target | None:
        """Return the target of a run with these settings; None if it has none."""
        accuracy, last = settings.get("target_accuracy"), settings.get("last")
        return None if accuracy is None else cls(accuracy, last)

    @property
    def words(self) -> str:
        """What must be reached: ``validation accuracy ≥ 99.40 % in each of the last 5 epochs``."""
        if self.last is None:
            return f"test accuracy ≥ {fmt.percent(self.accuracy)}"
        epochs = "the last epoch" if self.last == 1 else f"each of the last {self.last} epochs"
        return f"validation accuracy ≥ {fmt.percent(self.accuracy)} in {epochs}"

    def is_reached_by(self, accuracy: float) -> bool:
        """Return whether an accuracy, a fraction of 1, reaches the target."""
        return accuracy >= self.accuracy - TOLERANCE


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run has reached its target.

    Attributes:
        target: The target.
        measured: The accuracies that count, each with its epoch: those of the last epochs, at most
            ``target.last``, or that of the last test evaluation.
        problem: Why the target cannot be judged; empty if it can.
    """

    target: Target
    measured: Sequence[tuple[int, float]] = ()
    problem: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the target is reached; not if too little was measured."""
        return not self.problem and self.count == len(self.measured)

    @property
    def count(self) -> int:
        """The number of measured accuracies that reach the target."""
        return sum(self.target.is_reached_by(accuracy) for _, accuracy in self.measured)

    @property
    def lowest(self) -> tuple[int, float] | None:
        """The (first) epoch with the lowest measured accuracy, and that accuracy."""
        return min(self.measured, key=lambda each: each[1], default=None)

    @property
    def line(self) -> str:
        """The verdict in one line, with the figures behind it."""
        return f"target {'reached' if self.is_reached else 'missed'}: {self.reason}"

    @property
    def short(self) -> str:
        """The verdict for a status line: ``3/5 ≥ 99.40 %``."""
        wanted = fmt.percent(self.target.accuracy)
        if self.target.last is None:
            return f"test ≥ {wanted}"
        return f"{self.count}/{self.target.last} ≥ {wanted}"

    @property
    def reason(self) -> str:
        """The figures behind the verdict."""
        lowest = self.lowest
        if self.problem or lowest is None:
            return self.problem
        epoch, accuracy = lowest
        # More digits where two would show a missed target as reached.
        digits = 2 if fmt.percent(accuracy) != fmt.percent(self.target.accuracy) else 5
        digits = 2 if self.is_reached else digits
        found, wanted = (fmt.percent(x, digits) for x in (accuracy, self.target.accuracy))
        last = self.target.last
        if last is None:
            relation = "reaches" if self.is_reached else "is below"
            return f"test {found} {relation} the target of {wanted}"
        if self.is_reached:
            epochs = "the last epoch" if last == 1 else f"each of the last {last} epochs"
            return f"validation at least {wanted} in {epochs}; lowest {found} (epoch {epoch})"
        points = 100 * (self.target.accuracy - accuracy)
        if last == 1:
            return (
                f"validation {found} in the last epoch ({epoch}), {points:.{digits}f} points below "
                f"{wanted}"
            )
        return (
            f"validation at least {wanted} in {self.count} of the last {last} epochs; lowest "
            f"{found} (epoch {epoch}), {points:.{digits}f} points below"
        )


def verdict_on(run: RunState, target: Target) -> Verdict:
    """Return the verdict on a run, from what is measured so far."""
    wanted = fmt.percent(target.accuracy)
    if target.last is None:
        accuracy = run.finished.test_accuracy if run.finished is not None else None
        if accuracy is None:
            return Verdict(
                target, problem=f"the test set was not evaluated; the target is {wanted}"
            )
        return Verdict(target, ((run.epoch, accuracy),))
    ended = run.epochs[-target.last :]
    measured = tuple(
        (epoch.epoch, epoch.val_accuracy) for epoch in ended if epoch.val_accuracy is not None
    )
    if run.finished is not None and run.finished.reason == "diverged":
        return Verdict(target, measured, f"the training diverged; the target is {wanted}")
    if len(measured) < len(ended):
        return Verdict(
            target, measured, f"without validation images; the target is {wanted}: add --val-size"
        )
    if len(ended) < target.last:
        done = fmt.plural(len(ended), "epoch")
        problem = f"only {done} of the last {target.last} are done" if ended else "no epoch is done"
        return Verdict(target, measured, f"{problem}; the target is {wanted}")
    return Verdict(target, measured)
