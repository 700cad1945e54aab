"""The faults of the public sets compared with their clean twins, and how their causes are named."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.findings.judge import Judged, Reported, Verdict
from tests.benchmarks.findings.suite import TWIN

LEAST_EFFECT = 1.0
"""The effect in points from which a fault counts."""

SMALL_EFFECT = 10.0


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of a fault: see :class:`public.faults.Fault`."""

    base: str
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A faulty run compared with its clean twin: the same run without the fault, of the same seed.

    Attributes:
        run: The faulty run.
        causes: The true causes; empty if the set names none that a finding could give.
        effect: The points of accuracy that the fault costs, or by which it makes the validation
            accuracy false; None if its run has no number: it diverged. Of a user loop it can be
            time or memory.
        least: The effect from which it counts.
        unit: The unit of the effect.
    """

    run: Judged
    causes: tuple[str, ...]
    effect: float | None
    least: float = LEAST_EFFECT
    unit: str = "points"

    @property
    def origin(self) -> str:
        """The set that it is of."""
        return self.run.kind.partition(".")[0]

    @property
    def has_effect(self) -> bool:
        """Whether it costs a point (or ``least``) or more, or leaves no number."""
        return self.effect is None or self.effect >= self.least

    @property
    def is_small(self) -> bool:
        """Whether its effect is below ten points."""
        return (
            self.unit == "points"
            and self.effect is not None
            and LEAST_EFFECT <= self.effect < SMALL_EFFECT
        )

    @property
    def first(self) -> Reported | None:
        """The first warning."""
        return next(iter(self.run.warnings()), None)

    @property
    def verdict(self) -> Verdict | None:
        """How its cause is named; None without a warning or if no cause is known."""
        return self.run.verdict(self.causes) if self.causes else None


def effect(run: Judged, twin: Judged) -> float | None:
    """Return the effect of a fault in points; None if its run has no number.

    Both are evaluated with their final weights on the same clean test images, which no fault
    changes. The effect is the difference in test accuracy; or, if that is more, by how much farther
    than its twin's the validation accuracy of the run is from its test accuracy: so far the number
    that the run reports is false.
    """
    if run.test_accuracy is None:
        return None
    drop = (twin.test_accuracy or 0.0) - run.test_accuracy
    return 100 * max(drop, abs(_gap(run) - _gap(twin)))


def _gap(run: Judged) -> float:
    """Return by how much validation accuracy is above test accuracy."""
    if run.val_accuracy is None or run.test_accuracy is None:
        return 0.0
    return run.val_accuracy - run.test_accuracy


def compare(
    runs: Sequence[Judged], faults: Mapping[str, Named]
) -> tuple[list[Compared], list[str]]:
    """Compare each faulty run with its clean twin.

    Args:
        runs: The runs of both.
        faults: What is known of each fault, by its kind.

    Returns:
        The comparisons in the order of ``faults``, and why others are left out.
    """
    known = {run.name: run for run in runs}
    compared, left_out = [], []
    order = {kind: place for place, kind in enumerate(faults)}
    faulty = [run for run in runs if run.kind in faults]
    for run in sorted(faulty, key=lambda run: (order[run.kind], run.name)):
        fault, seed = faults[run.kind], run.name.rpartition("-")[2]
        twin = known.get(f"{TWIN}.{fault.base}-{seed}")
        if run.error or twin is None or twin.error or twin.test_accuracy is None:
            left_out.append(f"{run.name}: {run.error or 'its clean twin has no number'}")
            continue
        compared.append(Compared(run, fault.causes, effect(run, twin)))
    return compared, left_out


Share = tuple[int, int]
"""A number of runs, and of how many."""


@dataclass(frozen=True, slots=True)
class Score:
    """The findings of a number of faulty runs.

    Attributes:
        detected: Those with a warning or an error.
        small: The same of those with an effect below ten points.
        noted: Those without a warning, but with a note.
        verdicts: How the causes of those with a warning and a known cause are named.
        at_first: The same by the causes that each finding gave when it was raised.
        delay: The median step of the first warning; None without one.
        naming: The median step of the first warning that gives a true cause first.
    """

    detected: Share
    small: Share
    noted: Share
    verdicts: Mapping[Verdict, int]
    at_first: Mapping[Verdict, int]
    delay: float | None
    naming: float | None

    def of_detected(self, verdict: Verdict, *, at_first: bool = False) -> Share:
        """Return the share of a verdict of the runs whose cause is judged."""
        counted = self.at_first if at_first else self.verdicts
        return counted.get(verdict, 0), sum(counted.values())


def score(compared: Iterable[Compared]) -> Score:
    """Count the findings of some faults."""
    every = list(compared)
    detected = [one for one in every if one.first is not None]
    judged = [one for one in detected if one.causes]
    naming = [one.run.first_naming(one.causes) for one in judged]

    def share(of: Callable[[Compared], bool], of_these: Sequence[Compared]) -> Share:
        return sum(map(of, of_these)), len(of_these)

    return Score(
        detected=(len(detected), len(every)),
        small=share(lambda one: one.first is not None, [one for one in every if one.is_small]),
        noted=share(lambda one: one.first is None and bool(one.run.reported), every),
        verdicts=Counter(v for one in judged if (v := one.verdict)),
        at_first=Counter(v for one in judged if (v := one.run.verdict(one.causes, at_first=True))),
        delay=_median([one.first.step for one in detected if one.first]),
        naming=_median([reported.step for reported in naming if reported]),
    )


def _median(steps: Sequence[int]) -> float | None:
    return statistics.median(steps) if steps else None
