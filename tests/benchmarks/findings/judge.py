"""Applying the current rules to recorded runs, and judging their findings."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.findings.files import read_meta, recorded_events
from tests.benchmarks.findings.suite import HEALTHY
from tui_trainer.findings import with_findings
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RunStarted,
    StepDone,
)

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
    """

    code: str
    severity: str
    title: str
    evidence: str
    step: int
    epochs: float
    cleared: int | None = None

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
        sane: The minimum validation accuracy of a healthy run.
        train_accuracies: The running training accuracy of each epoch.
        true_codes: The findings that the test images confirm; None if they were not checked.
        error: The exception of the training; empty if none.
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

    @property
    def is_healthy(self) -> bool:
        """Whether it was drawn as a healthy run and went well."""
        return self.kind == HEALTHY and (self.val_accuracy or 0.0) >= self.sane

    def warnings(self) -> list[Reported]:
        """Return the warnings and errors in order."""
        return [reported for reported in self.reported if reported.is_warning]

    def false_codes(self) -> set[str]:
        """Return the codes of the false alarms, if the run is healthy."""
        return {reported.code for reported in self.warnings()} - (self.true_codes or frozenset())

    def first_right(self, expected: Iterable[str]) -> Reported | None:
        """Return the first warning since the sabotage began that has one of these codes."""
        since = [t for t in self.warnings() if not self.onset or t.step > self.onset_step]
        return next((reported for reported in since if reported.code in expected), None)

    def delay(self, reported: Reported) -> tuple[int, float]:
        """Return the delay of a finding after the sabotage began, in steps and epochs."""
        return reported.step - self.onset_step, max(0.0, reported.epochs - self.onset)

    def is_early(self, reported: Reported) -> bool:
        """Whether it was raised within the first epoch, its end included."""
        return self.delay(reported)[1] <= 1 + ROUNDING


def listen(events: Iterable[Event]) -> Iterator[tuple[Reported, int]]:
    """Yield each new finding of a run with a number that identifies it.

    A finding that only changes its texts is not new. A cleared finding is yielded again with the
    step at which it was cleared.
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
                )
                number += 1
                current[event.code] = reported, number
                yield reported, number
            case FindingCleared() if event.code in current:
                reported, known = current.pop(event.code)
                yield replace(reported, cleared=step), known


def judge_events(
    events: Sequence[Event], *, name: str, kind: str, onset: int = 0, sane: float = 0.0
) -> Judged:
    """Apply the current rules to the events of a run."""
    epochs = [event for event in events if isinstance(event, EpochDone)]
    steps = [event.step for event in events if isinstance(event, StepDone)]
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


def detection(runs: Sequence[Judged], expected: Iterable[str]) -> Detection:
    """Count the detections in sabotaged runs of which these codes are expected."""
    codes = frozenset(expected)
    firsts = [(run, run.first_right(codes)) for run in runs]
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
