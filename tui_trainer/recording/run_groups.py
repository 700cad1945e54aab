"""Groups of listed runs: the mean of each result over the runs of a group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.recording.compared_runs import ComparedGroup, ComparedRun, notes_of
from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_fields import RECIPE, Field, Kind, Value
from tui_trainer.recording.run_query import RunGroup, Sort, group_runs, sort_key
from tui_trainer.recording.run_table import NOTHING, text_of
from tui_trainer.stats.means import MeanInterval, mean_interval
from tui_trainer.text import fmt
from tui_trainer.text.fmt import listed, plural

METRICS = ("best", "val_acc", "test_acc", "time")
"""The fields that are averaged, unless others are chosen."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of runs and its means.

    Attributes:
        group: The group.
        counted: The runs that the means are over: those of ``ComparedGroup.counted``.
        means: For each metric, the mean with Student's t interval; None without a value.
        notes: What limits the means, in sentences that name the group.
    """

    group: RunGroup[ListedRun]
    counted: tuple[ListedRun, ...]
    means: Mapping[str, MeanInterval | None]
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The values of its fields: ``small, lr 0.1``."""
        return group_label(self.group)


def group_rows(
    runs: Iterable[ListedRun], fields: Sequence[Field], metrics: Sequence[Field]
) -> list[GroupRow]:
    """Return the groups of runs by the values of fields, each with the means of metrics."""
    return [_row(group, metrics) for group in group_runs(runs, fields)]


def sorted_rows(rows: Sequence[GroupRow], keys: Sort | None) -> list[GroupRow]:
    """Return rows in the order of sort keys, by their means; a field of the group by its value."""
    ordered = [*rows]
    for field, is_descending in reversed(keys.keys if keys else ()):
        values = {id(row): _sorted_by(row, field) for row in ordered}
        there = [row for row in ordered if values[id(row)] is not None]
        missing = [row for row in ordered if values[id(row)] is None]
        there.sort(key=lambda row: sort_key(values[id(row)]), reverse=is_descending)
        ordered = there + missing
    return ordered


def _sorted_by(row: GroupRow, field: Field) -> Value:
    if field in row.group.fields:
        return row.group.values[row.group.fields.index(field)]
    mean = row.means.get(field.name)
    return None if mean is None else mean.mean


def cells(row: GroupRow, metrics: Sequence[Field]) -> list[str]:
    """Return the cells of a group: its values, the number of its runs, and its means."""
    values = zip(row.group.fields, row.group.values, strict=True)
    return [
        *(text_of(field, value) for field, value in values),
        str(len(row.group.runs)),
        *(mean_text(field, row.means[field.name], len(row.group.runs)) for field in metrics),
    ]


def mean_text(
    field: Field, mean: MeanInterval | None, runs: int, *, has_interval: bool = True
) -> str:
    """Return a mean with its interval, and the number of its values if that is not ``runs``."""
    if mean is None:
        return NOTHING
    text = text_of(field, float(mean.mean))
    if has_interval and not math.isnan(mean.low):
        if field.kind is Kind.FRACTION:
            text = fmt.accuracy_with_interval(mean.mean, (mean.low, mean.high))
        else:
            low, high = (text_of(field, max(0.0, end)) for end in (mean.low, mean.high))
            text += f" [{low}, {high}]"
    return text if mean.count == runs else f"{text} ({mean.count} of {runs})"


def group_label(group: RunGroup[ListedRun]) -> str:
    """Return the values of a group's fields: ``small, lr 0.1``."""
    texts = []
    for field, value in zip(group.fields, group.values, strict=True):
        text = text_of(field, value) if value is not None else "none"
        is_name = isinstance(value, str) and not field.is_setting
        texts.append(text if is_name else f"{field.name} {text}")
    return ", ".join(texts)


def _row(group: RunGroup[ListedRun], metrics: Sequence[Field]) -> GroupRow:
    label = group_label(group)
    whole = [run for run in group.runs if run.summary is not None]
    notes = []
    if damaged := [run.name for run in group.runs if run.summary is None]:
        notes.append(f"{label}: {plural(len(damaged), 'damaged run')} left out: {listed(damaged)}.")
    counted: tuple[ListedRun, ...] = ()
    if whole:
        by_name = {run.name: run for run in whole}
        compared = ComparedGroup(label, tuple(map(_compared, whole)))
        counted = tuple(by_name[run.name] for run in compared.counted)
        notes += notes_of(compared, label)
        if different := _different_settings(counted):
            notes.append(
                f"{label}: its runs differ in {listed(different)}, so the intervals are not over "
                "seeds alone."
            )
    means = {field.name: _mean(counted, field.name) for field in metrics}
    return GroupRow(group, counted, means, tuple(notes))


def _compared(run: ListedRun) -> ComparedRun:
    assert run.summary is not None
    return ComparedRun(name=run.name, settings={}, summary=run.summary)


def _different_settings(runs: Sequence[ListedRun]) -> list[str]:
    """Return the settings that are not the same in all runs, seed, machine and record apart."""
    all_settings = [{"model": run.fields["model"], **run.fields.settings} for run in runs]
    names = ("model", *RECIPE)
    return [name for name in names if len({repr(each.get(name)) for each in all_settings}) > 1]


def _mean(runs: Iterable[ListedRun], name: str) -> MeanInterval | None:
    values = [value for run in runs if _is_finite(value := run.fields[name])]
    return mean_interval([float(value) for value in values]) if values else None  # type: ignore[arg-type]


def _is_finite(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]
