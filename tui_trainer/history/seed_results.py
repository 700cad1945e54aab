"""The results of runs that differ in their seed alone: means, intervals, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.history.run_state import RunState
from tui_trainer.history.target import Target, Verdict, verdict_on
from tui_trainer.protocol.events import plain
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.stats.means import MeanInterval, mean_interval

MEANS = {
    "best": "best validation accuracy",
    "last": "last validation accuracy",
    "test": "test accuracy",
}
"""The values with a mean over the seeds, with their names."""

COMPLETED = "completed"
"""The state of the runs that count in the means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """The result of the run of one seed; accuracies are fractions of 1.

    Attributes:
        seed: The seed.
        state: How the run ended, as in ``RunFinished.reason``; ``running`` or ``not trained``.
        epochs: The number of epochs that are done.
        best: The highest validation accuracy, of epoch ``best_epoch``.
        last: The validation accuracy of the last epoch.
        test: The test accuracy at the end.
        test_evaluations: The number of test evaluations.
        seconds: Training time.
        changes: The number of settings that were changed during the run.
        verdict: Whether it has reached the target; None without a target, and before its end.
        interval: The Wilson interval (95 %) of the accuracy that decides the verdict, its lowest.
    """

    seed: int
    state: str = "not trained"
    epochs: int = 0
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    test: float | None = None
    test_evaluations: int = 0
    seconds: float = 0.0
    changes: int = 0
    verdict: Verdict | None = None
    interval: tuple[float, float] | None = None

    @property
    def is_completed(self) -> bool:
        """Whether all its epochs are done, so that it counts in the means."""
        return self.state == COMPLETED


def result_of(
    seed: int, run: RunState | None, target: Target | None = None, *, is_done: bool = True
) -> SeedResult:
    """Return the result of the run of a seed; None is a run that has not begun.

    Args:
        seed: The seed.
        run: The state of its run.
        target: The accuracy that it should reach.
        is_done: Whether the run has ended, with or without its last event.
    """
    if run is None or run.started is None:
        return SeedResult(seed=seed)
    best, test = run.best_epoch, run.tests[-1] if run.tests else None
    state = "unfinished"
    if run.finished is not None:
        state = run.finished.reason
    elif run.divergence is not None:
        state = "diverged"
    elif is_done and test is not None and len(run.epochs) >= run.started.epochs:
        state = COMPLETED
    is_over = state in (COMPLETED, "diverged")
    verdict = verdict_on(run, target) if target is not None and is_over else None
    return SeedResult(
        seed=seed,
        state=state,
        epochs=run.epochs[-1].epoch if run.epochs else 0,
        best=best.val_accuracy if best is not None else None,
        best_epoch=best.epoch if best is not None else None,
        last=run.epochs[-1].val_accuracy if run.epochs else None,
        test=test.test_accuracy if test is not None else None,
        test_evaluations=max((test.evaluation for test in run.tests), default=0),
        seconds=run.last_step.seconds if run.last_step is not None else 0.0,
        changes=len(run.interventions),
        verdict=verdict,
        interval=_interval_of(verdict, run),
    )


def _interval_of(verdict: Verdict | None, run: RunState) -> tuple[float, float] | None:
    """Return the interval of the lowest accuracy that a verdict judges."""
    if verdict is None or verdict.lowest is None:
        return None
    if verdict.target.last is None:
        return run.finished.test_interval if run.finished is not None else None
    epoch = verdict.lowest[0]
    return next((each.val_interval for each in run.epochs if each.epoch == epoch), None)


@dataclass(frozen=True, slots=True)
class SeedResults:
    """The results of a group of seeds.

    Attributes:
        results: The result of each seed.
        target: The accuracy that each run should reach; None for none.
    """

    results: Sequence[SeedResult]
    target: Target | None = None

    def mean(self, name: str) -> MeanInterval | None:
        """Return the mean over the completed runs, and its 95 % Student's t interval.

        Args:
            name: One of :data:`MEANS`.
        """
        values = [getattr(each, name) for each in self.results if each.is_completed]
        known = [value for value in values if value is not None]
        return mean_interval(known) if known else None

    @property
    def completed(self) -> int:
        """The number of completed runs."""
        return sum(each.is_completed for each in self.results)

    @property
    def has_diverged(self) -> bool:
        """Whether a run diverged."""
        return any(each.state == "diverged" for each in self.results)

    @property
    def is_over(self) -> bool:
        """Whether each seed has its result."""
        return all(each.state in (COMPLETED, "diverged") for each in self.results)

    @property
    def is_reached(self) -> bool:
        """Whether the run of each seed has reached the target."""
        return all(each.verdict is not None and each.verdict.is_reached for each in self.results)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a group: that of a diverged run, then that of a missed target."""
        if self.has_diverged:
            return ExitCode.DIVERGED
        if self.target is not None and not self.is_reached:
            return ExitCode.TARGET_MISSED
        return ExitCode.FINISHED

    @property
    def notes(self) -> list[str]:
        """What to know about the means: intervals, runs that do not count, unequal runs."""
        lines = []
        if self.completed > 1:
            lines.append(f"[…]: 95 % Student's t interval of the mean over {self.completed} seeds")
        elif self.completed == 1:
            lines.append("one completed run has no interval: an interval needs two seeds or more")
        others = [each for each in self.results if not each.is_completed]
        if others:
            names = ", ".join(f"seed {each.seed} {each.state}" for each in others)
            lines.append(f"not in the means: {names}")
        lengths = sorted({each.epochs for each in self.results if each.is_completed})
        if len(lengths) > 1:
            names = " and ".join(map(str, lengths))
            lines.append(f"the runs have different lengths: {names} epochs")
        if changed := [each.seed for each in self.results if each.changes]:
            names = ", ".join(map(str, changed))
            lines.append(f"settings were changed during the run of seed {names}")
        if self.completed and self.mean("last") is None:
            lines.append("no validation images; --val-size 5000 keeps 5,000 of the training images")
        if again := [each.seed for each in self.results if each.test_evaluations > 1]:
            names = ", ".join(map(str, again))
            lines.append(f"the test set was evaluated more than once in the run of seed {names}")
        return lines

    @property
    def verdict_lines(self) -> list[str]:
        """The verdict over all seeds, then the reason of each run that missed the target."""
        if self.target is None:
            return []
        count, wanted = len(self.results), self.target.words
        reached = sum(each.verdict is not None and each.verdict.is_reached for each in self.results)
        if not self.is_over:
            judged = sum(each.verdict is not None for each in self.results)
            head = f"target not judged yet: {judged} of {count} seeds have a result; {wanted}"
        elif self.is_reached:
            by = "the seed" if count == 1 else f"each of {count} seeds"
            head = f"✓ target reached by {by}: {wanted}"
        else:
            head = f"✗ target missed by {count - reached} of {count} seeds: {wanted}"
        missed = [
            f"seed {each.seed}: {each.verdict.reason}"
            for each in self.results
            if each.verdict is not None and not each.verdict.is_reached
        ]
        return [head, *missed]

    def record(self) -> dict[str, Any]:
        """Return the results for JSON: the seeds, the means, and the verdict."""
        seeds = []
        for each in self.results:
            verdict = each.verdict
            lowest = None if verdict is None else verdict.lowest
            seeds.append(
                {
                    "seed": each.seed,
                    "state": each.state,
                    "epochs_done": each.epochs,
                    "best_val_accuracy": each.best,
                    "best_epoch": each.best_epoch,
                    "val_accuracy": each.last,
                    "test_accuracy": each.test,
                    "test_evaluations": each.test_evaluations,
                    "seconds": each.seconds,
                    "target_reached": None if verdict is None else verdict.is_reached,
                    "target_epochs": None if verdict is None else verdict.count,
                    "lowest_accuracy": None if lowest is None else lowest[1],
                }
            )
        names = {"best": "best_val_accuracy", "last": "val_accuracy", "test": "test_accuracy"}
        means = {names[name]: self.mean(name) for name in MEANS}
        target = None
        if self.target is not None:
            reached = self.is_reached if self.is_over else None
            target = {"accuracy": self.target.accuracy, "last": self.target.last}
            target |= {"reached": reached}
        record: dict[str, Any] = plain({"seeds": seeds, "means": means, "target": target})
        return record
