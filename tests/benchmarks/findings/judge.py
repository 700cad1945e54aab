"""Applying the current rules to recorded runs, and judging their findings."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from tests.benchmarks.findings.files import read_meta, recorded_events
from tests.benchmarks.findings.suite import is_healthy
from tui_trainer.findings import with_findings
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RunStarted,
    StepDone,
    TestEvaluated,
)

Verdict = Literal["right", "partly", "wrong"]
"""How the causes that a run's findings give agree with the true one."""

_SEVERITIES = ("error", "warning", "note")

JUDGED_BY_TRUTH = frozenset({"overfitting", "memorizing"})
"""The findings that can be true on a healthy run: the test images decide."""

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Reported:
    """A finding as it was first raised in a run.

    Attributes:
        step: The step after which it was raised.
        epochs: The same in epochs, as a fraction.
        cleared: The step at which it was cleared; None if it was active to the end.
        causes: The codes of its causes when it was last updated, the most likely first.
        first_causes: The same when it was raised.
    """

    code: str
    severity: str
    title: str
    evidence: str
    step: int
    epochs: float
    cleared: int | None = None
    causes: tuple[str, ...] = ()
    first_causes: tuple[str, ...] = ()

    @property
    def is_warning(self) -> bool:
        """Whether it is a warning or an error, not a note."""
        return self.severity != "note"


@dataclass(frozen=True, slots=True)
class Judged:
    """A run and its findings.

    Attributes:
        onset: The number of epochs before the sabotage began; 0 for a healthy run.
        onset_step: The same in steps.
        reported: Every finding in order; one that was raised again is listed again.
        val_accuracy: The validation accuracy after the last epoch; None if there was none.
        sane: The minimum accuracy of a healthy run, on the test images if it has no validation.
        train_accuracies: The running training accuracy of each epoch.
        true_codes: The findings that the test images confirm; None if they were not checked.
        error: The exception of the training; empty if none.
        test_accuracy: The accuracy on clean test images at its end; None if it diverged.
    """

    name: str
    kind: str
    onset: int
    onset_step: int
    reported: tuple[Reported, ...]
    steps: int
    val_accuracy: float | None
    sane: float
    train_accuracies: tuple[float, ...] = ()
    true_codes: frozenset[str] | None = None
    error: str = ""
    test_accuracy: float | None = None

    @property
    def accuracy(self) -> float | None:
        """The validation accuracy, or the test accuracy of a run without validation images."""
        return self.test_accuracy if self.val_accuracy is None else self.val_accuracy

    @property
    def is_drawn_healthy(self) -> bool:
        """Whether it was drawn as a healthy run."""
        return is_healthy(self.kind)

    @property
    def is_healthy(self) -> bool:
        """Whether it was drawn as a healthy run and went well."""
        return self.is_drawn_healthy and (self.accuracy or 0.0) >= self.sane

    def warnings(self) -> list[Reported]:
        """Return the warnings and errors in order."""
        return [reported for reported in self.reported if reported.is_warning]

    def false_codes(self) -> set[str]:
        """Return the codes of the false alarms, if the run is healthy."""
        return {reported.code for reported in self.warnings()} - (self.true_codes or frozenset())

    def first_right(self, expected: Iterable[str], causes: Iterable[str] = ()) -> Reported | None:
        """Return the first warning since the sabotage began that names it.

        Args:
            expected: The codes of the findings that name it.
            causes: The codes of its causes: any finding with one of them first names it too.
        """
        true = frozenset(causes)
        since = self.since_onset()
        return next((r for r in since if r.code in expected or true & {*r.causes[:1]}), None)

    def since_onset(self) -> list[Reported]:
        """Return the warnings and errors since the sabotage began, in order."""
        return [r for r in self.warnings() if not self.onset or r.step > self.onset_step]

    def leading(self) -> Reported | None:
        """Return the most severe warning since the sabotage began, of equal ones the earliest."""
        detected = self.since_onset()
        return min(detected, key=lambda r: _SEVERITIES.index(r.severity)) if detected else None

    def verdict(self, causes: Iterable[str], *, at_first: bool = False) -> Verdict | None:
        """Return whether the findings give one of the true causes; None without a warning.

        "Right": the first cause of the leading finding is a true one. "Partly": another of its
        causes is, or the first cause of another warning.

        Args:
            causes: The codes of the true causes.
            at_first: Judge the causes that each finding gave when it was raised.
        """
        leading = self.leading()
        if leading is None:
            return None

        def listed(reported: Reported) -> tuple[str, ...]:
            return reported.first_causes if at_first else reported.causes

        true = frozenset(causes)
        if true.intersection(listed(leading)[:1]):
            return "right"
        others = {cause for reported in self.since_onset() for cause in listed(reported)[:1]}
        return "partly" if true & {*listed(leading), *others} else "wrong"

    def first_naming(self, causes: Iterable[str]) -> Reported | None:
        """Return the first warning whose first cause is one of these."""
        return next((r for r in self.since_onset() if set(causes) & set(r.causes[:1])), None)

    def delay(self, reported: Reported) -> tuple[int, float]:
        """Return the delay of a finding after the sabotage began, in steps and epochs."""
        return reported.step - self.onset_step, max(0.0, reported.epochs - self.onset)

    def is_early(self, reported: Reported) -> bool:
        """Whether it was raised within the first epoch, its end included."""
        return self.delay(reported)[1] <= 1 + ROUNDING


def listen(events: Iterable[Event]) -> Iterator[tuple[Reported, int]]:
    """Yield each new finding of a run with a number that identifies it.

    A finding that only changes its texts is not new: it is yielded again, with the same number and
    its new causes. A cleared finding is yielded again with the step at which it was cleared.
    """
    step, images, train_size, number = 0, 0, 1, 0
    current: dict[str, tuple[Reported, int]] = {}
    for event in with_findings(iter(events)):
        match event:
            case RunStarted():
                train_size = max(1, event.train_size)
            case StepDone():
                step, images = event.step, event.images
            case FindingRaised() if event.code not in current or (
                event.severity != current[event.code][0].severity
            ):
                reported = Reported(
                    event.code,
                    event.severity,
                    event.title,
                    event.evidence,
                    step,
                    images / train_size,
                    causes=_codes(event),
                    first_causes=_codes(event),
                )
                number += 1
                current[event.code] = reported, number
                yield reported, number
            case FindingRaised() if (codes := _codes(event)) != current[event.code][0].causes:
                reported, known = current[event.code]
                current[event.code] = replace(reported, causes=codes), known
                yield current[event.code]
            case FindingCleared() if event.code in current:
                reported, known = current.pop(event.code)
                yield replace(reported, cleared=step), known


def _codes(event: FindingRaised) -> tuple[str, ...]:
    """Return the codes of a finding's causes; those of version 0.1 have none."""
    return tuple(cause.code for cause in event.causes) or (event.code,)


def judge_events(
    events: Sequence[Event], *, name: str, kind: str, onset: int = 0, sane: float = 0.0
) -> Judged:
    """Apply the current rules to the events of a run."""
    epochs = [event for event in events if isinstance(event, EpochDone)]
    steps = [event.step for event in events if isinstance(event, StepDone)]
    tests = [event.test_accuracy for event in events if isinstance(event, TestEvaluated)]
    reported = {number: reported for reported, number in listen(events)}
    return Judged(
        name=name,
        kind=kind,
        onset=onset,
        onset_step=next((e.step for e in epochs if e.epoch == onset), 0),
        reported=tuple(reported[number] for number in sorted(reported)),
        steps=steps[-1] if steps else 0,
        val_accuracy=epochs[-1].val_accuracy if epochs else None,
        train_accuracies=tuple(epoch.train_accuracy for epoch in epochs),
        sane=sane,
        test_accuracy=tests[-1] if tests else None,
    )


def judge_file(path: Path) -> Judged:
    """Apply the current rules to the recorded run of a ``NAME.json``."""
    meta = read_meta(path)
    judged = judge_events(
        recorded_events(path), name=path.stem, kind=meta.kind, onset=meta.onset, sane=meta.sane
    )
    return replace(judged, error=meta.error)


def judge_files(paths: Sequence[Path], workers: int) -> list[Judged]:
    """Judge many runs in parallel processes, the largest first for an even load."""
    sizes = {path: path.with_suffix(".jsonl").stat().st_size for path in paths}
    ordered = sorted(paths, key=lambda path: -sizes[path])
    if workers == 1:
        return [judge_file(path) for path in ordered]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(judge_file, ordered))


@dataclass(frozen=True, slots=True)
class Detection:
    """How the runs of one kind of sabotage were detected.

    Attributes:
        total: The number of runs.
        steps: The delay of the first expected warning in each run that had one.
        epochs: The same in epochs.
        early: The number of runs detected within one epoch of the sabotage.
        others: The number of runs for each warning that does not name the kind.
    """

    total: int
    steps: tuple[int, ...]
    epochs: tuple[float, ...]
    early: int
    others: Mapping[str, int]

    @property
    def found(self) -> int:
        """The number of runs with an expected warning."""
        return len(self.steps)

    def median(self) -> tuple[float, float] | None:
        """Return the median delay in steps and epochs; None if no run was detected."""
        if not self.steps:
            return None
        return statistics.median(self.steps), statistics.median(self.epochs)


def detection(
    runs: Sequence[Judged], expected: Iterable[str], causes: Iterable[str] = ()
) -> Detection:
    """Count the detections in sabotaged runs of which these codes, or causes, are expected."""
    codes, true = frozenset(expected), frozenset(causes)
    firsts = [(run, run.first_right(codes, true)) for run in runs]
    seen = [(run, reported) for run, reported in firsts if reported is not None]
    delays = [run.delay(reported) for run, reported in seen]
    others = Counter(
        code for run in runs for code in {reported.code for reported in run.warnings()} - codes
    )
    return Detection(
        total=len(runs),
        steps=tuple(steps for steps, _ in delays),
        epochs=tuple(epochs for _, epochs in delays),
        early=sum(run.is_early(reported) for run, reported in seen),
        others=dict(others.most_common()),
    )
