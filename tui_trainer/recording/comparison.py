"""Runs and groups of runs side by side: settings, results, and tests of their differences.

A group is several runs that differ in their seeds. The first of the compared runs is the baseline;
each other one is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tui_trainer.recording.compared_runs import METRICS, ComparedGroup, ComparedMetric, notes_of
from tui_trainer.stats.intervals import PairedAccuracy, holm
from tui_trainer.stats.means import (
    Difference,
    MeanInterval,
    independent_difference,
    paired_difference,
    single_difference,
)
from tui_trainer.text.fmt import count, listed, percent

ALPHA = 0.05
"""The family-wise error rate: P(any difference is significant) if there is none."""

BASELINE = 0
"""The index of the run that the others are compared with."""

LONGEST_LABEL = 16
"""Characters of a name that serves as the head of a column; longer ones get letters."""

CHANGED = "changed in training"
"""The row of the settings that were changed during training."""

TestName = Literal["", "McNemar's test", "paired t test", "Welch's t test", "t test"]
"""The test of a difference: the last one is of a single run against a group."""


TEST_METRIC = "test_accuracy"

TEST_NOTE = (
    "Without validation images, the recorded test accuracies are compared. A setting that is "
    "chosen by them is too favorable on these images."
)

TESTED = {"last": "val_accuracy", "best": "best_val_accuracy"}
"""The metric that is tested, by the checkpoint that it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """The difference of a run or group and the baseline, in the tested metric.

    Attributes:
        other: The index of the compared run or group.
        difference: Its mean minus that of the baseline, with interval and p value; both NaN
            without a test. None if one of them has no value, or they are not comparable.
        test: The test; empty without one.
        p: The p value, adjusted for the number of tests of the comparison (Holm); NaN without one.
        seeds: The seeds that both have, for the paired t test.
        images: The classified images, for McNemar's test; its first model is ``other``.
        reason: Why there is no test.
    """

    other: int
    difference: Difference | None = None
    test: TestName = ""
    p: float = math.nan
    seeds: tuple[int, ...] = ()
    images: PairedAccuracy | None = None
    reason: str = ""

    @property
    def is_significant(self) -> bool | None:
        """Whether it is more than chance; None without a test."""
        return None if math.isnan(self.p) else self.p <= ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Runs and groups side by side.

    Attributes:
        groups: The compared runs and groups; the first is the baseline.
        labels: A short name of each, for the heads of tables and for sentences.
        settings: The settings in which they differ: name, and the values of each group.
        results: The results in which they differ, with the figure of each group.
        metric: The tested metric.
        differences: The difference of each other one from the baseline.
        notes: What limits the comparison.
    """

    groups: tuple[ComparedGroup, ...]
    labels: tuple[str, ...]
    settings: tuple[tuple[str, tuple[tuple[Any, ...], ...]], ...]
    results: tuple[tuple[ComparedMetric, tuple[MeanInterval | None, ...]], ...]
    metric: ComparedMetric
    differences: tuple[RunDifference, ...] = ()
    notes: tuple[str, ...] = ()


SameImages = Mapping[int, PairedAccuracy | str]
"""By index of a compared run: its and the baseline's correct images, or why there are none."""


def compare(
    groups: Sequence[ComparedGroup],
    *,
    checkpoint: Literal["last", "best"] = "last",
    same_images: SameImages | None = None,
    labels: Sequence[str] | None = None,
) -> RunComparison:
    """Compare runs and groups with the first of them.

    Args:
        groups: The runs and groups, at least two.
        checkpoint: Whether the last or the best validation accuracies are tested.
        same_images: For two single runs, the images that each classifies correctly.
        labels: A short name of each; by default its name if that is short, otherwise a letter.
    """
    labels = tuple(labels) if labels is not None else _labels(groups)
    metric = _tested_metric(groups, TESTED[checkpoint])
    found = [
        _difference(groups, labels, other, metric, (same_images or {}).get(other, ""))
        for other in range(1, len(groups))
    ]
    adjusted = holm([each.p for each in found])
    figures = [(each, tuple(group.figure(each) for group in groups)) for each in METRICS]
    return RunComparison(
        groups=tuple(groups),
        labels=labels,
        settings=tuple(_differing_settings(groups)),
        results=tuple((each, row) for each, row in figures if len({*map(repr, row)}) > 1),
        metric=metric,
        differences=tuple(replace(each, p=p) for each, p in zip(found, adjusted, strict=True)),
        notes=(
            *_notes(groups, labels),
            *_size_notes(groups, labels),
            *_checkpoint_notes(groups, labels, found, metric),
            *([TEST_NOTE] if metric.name == TEST_METRIC else []),
        ),
    )


def _tested_metric(groups: Sequence[ComparedGroup], name: str) -> ComparedMetric:
    """Return the metric that is tested: the recorded test accuracy if there is no validation."""
    is_validated = any(group.by_seed("val_accuracy") for group in groups)
    if not is_validated and all(group.by_seed(TEST_METRIC) for group in groups):
        name = TEST_METRIC
    return next(each for each in METRICS if each.name == name)


def _labels(groups: Sequence[ComparedGroup]) -> tuple[str, ...]:
    """Return the names of runs if they are short, otherwise letters."""
    names = tuple(group.name for group in groups)
    if len({*names}) == len(names) and all(len(name) <= LONGEST_LABEL for name in names):
        return names
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return tuple(
        letters[index % 26] + (str(index // 26 + 1) if index >= 26 else "")
        for index in range(len(groups))
    )


def _notes(groups: Sequence[ComparedGroup], labels: Sequence[str]) -> Iterable[str]:
    for group, label in zip(groups, labels, strict=True):
        yield from notes_of(group, label)


def _size_notes(groups: Sequence[ComparedGroup], labels: Sequence[str]) -> Iterable[str]:
    """Yield which groups are validated on other numbers of images than the baseline."""
    sizes = [
        tuple(sorted({run.summary.val_size for run in group.counted if run.summary.val_size}))
        for group in groups
    ]
    by_size: dict[tuple[int, ...], list[str]] = {}
    for label, group, size in zip(labels, groups, sizes, strict=True):
        is_like_baseline = group.dataset == groups[BASELINE].dataset
        if size != sizes[BASELINE] and is_like_baseline and size and sizes[BASELINE]:
            by_size.setdefault(size, []).append(label)
    for size, some in by_size.items():
        mine, theirs = (" or ".join(map(count, each)) for each in (size, sizes[BASELINE]))
        yield (
            f"{listed(some)}: validated on {mine} images, {labels[BASELINE]} on {theirs}; part of "
            "the difference may be due to the images."
        )


def _checkpoint_notes(
    groups: Sequence[ComparedGroup],
    labels: Sequence[str],
    differences: Sequence[RunDifference],
    metric: ComparedMetric,
) -> Iterable[str]:
    """Yield which evaluated checkpoints have another accuracy than the one in the results.

    An interrupted run has a checkpoint that is later than its last validation.
    """
    accuracies: dict[int, float] = {}
    for each in differences:
        if each.images is not None:
            accuracies[BASELINE] = each.images.second_accuracy
            accuracies[each.other] = each.images.first_accuracy
    for index, accuracy in sorted(accuracies.items()):
        value = groups[index].runs[0].value(metric.name)
        if value is not None and not math.isclose(value, accuracy, abs_tol=1e-9):
            yield (
                f"{labels[index]}: its checkpoint, which is tested, has an accuracy of "
                f"{percent(accuracy)}: it is not that of the validation in the results."
            )


# --- settings


def _differing_settings(
    groups: Sequence[ComparedGroup],
) -> Iterable[tuple[str, tuple[tuple[Any, ...], ...]]]:
    """Yield the settings in which groups, or the runs of one, differ; seeds only of groups."""
    names = dict.fromkeys(name for group in groups for run in group.runs for name in run.settings)
    for name in names:
        values = tuple(_values_of(group, name) for group in groups)
        is_mixed = name != "seed" and any(len(each) > 1 for each in values)
        if len({*values}) > 1 or is_mixed:
            yield name, values
    changed = tuple(
        tuple(dict.fromkeys(change.words for run in group.runs for change in run.interventions))
        for group in groups
    )
    if any(changed):
        yield CHANGED, changed


def _values_of(group: ComparedGroup, name: str) -> tuple[Any, ...]:
    found = {run.settings.get(name) for run in group.runs}
    return tuple(sorted(found, key=lambda value: (value is None, str(type(value)), value)))


# --- differences


def _difference(
    groups: Sequence[ComparedGroup],
    labels: Sequence[str],
    other: int,
    metric: ComparedMetric,
    same_images: PairedAccuracy | str,
) -> RunDifference:
    """Return the difference of a group and the baseline, with the test that fits them."""
    pair = groups[other], groups[BASELINE]
    names = labels[other], labels[BASELINE]
    if pair[0].dataset != pair[1].dataset:
        datasets = f"{names[0]} is on {pair[0].dataset}, {names[1]} on {pair[1].dataset}"
        return RunDifference(other=other, reason=f"{datasets}: not comparable")
    for group, name in zip(pair, names, strict=True):
        if not group.by_seed(metric.name):
            return RunDifference(other=other, reason=_no_value(group, name))
    if pair[0].is_single and pair[1].is_single:
        return _of_runs(other, pair, metric, same_images)
    return _of_groups(other, pair, names, metric)


def _no_value(group: ComparedGroup, name: str) -> str:
    if any(run.summary.val_size for run in group.counted):
        return f"{name} has no validation accuracy: no epoch is done"
    return f"{name} has no validation accuracy: it has no validation split"


def _of_runs(
    other: int,
    pair: tuple[ComparedGroup, ComparedGroup],
    metric: ComparedMetric,
    same_images: PairedAccuracy | str,
) -> RunDifference:
    """Return the difference of two single runs: McNemar's test if their images are the same."""
    if isinstance(same_images, str):
        one, baseline = (next(iter(group.by_seed(metric.name).values())) for group in pair)
        nothing = Difference(one - baseline, math.nan, math.nan, math.nan, 2)
        reason = same_images or "one run each, not compared on the same images"
        return RunDifference(other=other, difference=nothing, reason=reason)
    low, high = same_images.interval
    difference = Difference(same_images.difference, low, high, same_images.p, same_images.images)
    return RunDifference(
        other=other,
        difference=difference,
        test="McNemar's test",
        p=same_images.p,
        images=same_images,
    )


def _of_groups(
    other: int,
    pair: tuple[ComparedGroup, ComparedGroup],
    names: tuple[str, str],
    metric: ComparedMetric,
) -> RunDifference:
    """Return the difference of two groups, or of a run and a group.

    If one has all seeds of the other, the runs are paired by seed.
    """
    values = [group.by_seed(metric.name) for group in pair]
    first, second = ([*each.values()] for each in values)
    seeds = tuple(sorted(values[0].keys() & values[1].keys()))
    test: TestName
    if len(seeds) > 1 and len(seeds) == min(len(first), len(second)):
        test = "paired t test"
        found = paired_difference(*_paired(values, seeds))
    elif min(len(first), len(second)) > 1:
        test, seeds = "Welch's t test", ()
        found = independent_difference(first, second)
    elif len(first) == 1:
        test, seeds = "t test", ()
        found = single_difference(first[0], second)
    else:
        test, seeds = "t test", ()
        found = _negated(single_difference(second[0], first))
    if math.isnan(found.p):
        few = [name for name, each in zip(names, (first, second), strict=True) if len(each) == 1]
        reason = f"{' and '.join(few)} has one run only" if len(few) == 1 else "one run each"
        if test == "paired t test":
            reason = "the difference is the same for every seed"
        elif not few or found.count > 2:
            reason = "the results of the seeds do not vary"
        return RunDifference(other=other, difference=found, seeds=seeds, reason=reason)
    return RunDifference(other=other, difference=found, test=test, p=found.p, seeds=seeds)


def _paired(
    values: Sequence[Mapping[int, float]], seeds: Sequence[int]
) -> tuple[list[float], list[float]]:
    first, second = ([each[seed] for seed in seeds] for each in values)
    return first, second


def _negated(found: Difference) -> Difference:
    return Difference(-found.mean, -found.high, -found.low, found.p, found.count)
