"""A comparison of runs as blocks, for the window, plain text and HTML."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from tui_trainer.protocol.exhibit import Block, Table, Words
from tui_trainer.recording.compared_runs import ComparedGroup, ComparedMetric
from tui_trainer.recording.comparison import BASELINE, RunComparison, RunDifference
from tui_trainer.stats.means import MeanInterval
from tui_trainer.text import fmt

MOST_COLUMNS = 4
"""The most compared runs that are columns of a table; more of them are rows."""

MOST_VALUES = 3
"""The most values of a setting within a group that are listed."""

NOTHING = "–"


def comparison_blocks(found: RunComparison) -> tuple[Block, ...]:
    """Return a comparison as tables and sentences."""
    settings = [
        (name, *(setting_text(name, each) for each in without_folders(values)))
        for name, values in found.settings
    ]
    results = [
        (metric.label, *(figure_text(metric, each) for each in figures))
        for metric, figures in found.results
    ]
    blocks: list[Block] = [_runs(found)]
    if settings:
        blocks.append(_table("settings that differ", found.labels, settings))
    else:
        blocks.append(Words(text="They have the same settings."))
    if results:
        blocks.append(_table("results that differ", found.labels, results))
        blocks.append(Words(text=intervals_text(found), tone="muted"))
    else:
        blocks.append(Words(text="They have the same results."))
    blocks.append(Words(text=difference_title(found), tone="title"))
    blocks += [Words(text=verdict(found, each)) for each in found.differences]
    if caution := caution_text(found):
        blocks.append(Words(text=caution, tone="muted"))
    return (*blocks, *(Words(text=note, tone="warning") for note in found.notes))


def _runs(found: RunComparison) -> Table:
    """Return the compared runs: in one column, which a narrow panel can fold."""
    rows = [
        " · ".join(dict.fromkeys((label, group.name, *_members(group))))
        for label, group in zip(found.labels, found.groups, strict=True)
    ]
    return Table(caption="", heads=("compared",), rows=tuple((row,) for row in rows))


def _members(group: ComparedGroup) -> tuple[str, str]:
    """Return the seeds of a group and the states of its runs."""
    states = [run.summary.state for run in group.runs]
    if group.is_single:
        return f"seed {group.seeds[0]}", states[0]
    counts = {state: states.count(state) for state in states}
    parts = [state if len(counts) == 1 else f"{count} {state}" for state, count in counts.items()]
    return f"seeds {seeds_text(group.seeds)} ({fmt.plural(len(states), 'run')})", ", ".join(parts)


def _table(caption: str, labels: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    """Return rows of values, a column for each compared run; turned over if they are many."""
    whole = [("", *labels), *rows]
    if len(labels) > MOST_COLUMNS:
        whole = [*zip(*whole, strict=True)]
    return Table(caption=caption, heads=whole[0], rows=tuple(whole[1:]))


# --- values


def without_folders(values: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Return the values of a setting in all groups; of paths the names, if these differ as well."""
    short = [tuple(_without_folder(value) for value in each) for each in values]
    return short if len({*short}) == len({*values}) else values


def _without_folder(value: object) -> object:
    is_path = isinstance(value, str) and os.path.isabs(value)
    return os.path.basename(str(value)) if is_path else value


def setting_text(name: str, values: tuple[Any, ...]) -> str:
    """Return the values of a setting in a group: one, or the different ones of its runs."""
    if name == "seed":
        return seeds_text(values)
    if len(values) > MOST_VALUES and all(_is_number(value) for value in values):
        return f"{_value(values[0])} to {_value(values[-1])}"
    return fmt.listed([*map(_value, values)], MOST_VALUES) or NOTHING


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "on" if value else "off"
        case int():
            return fmt.count(value)
        case float():
            return f"{value:.6g}"
        case _:
            return fmt.printable(value)


def seeds_text(seeds: Sequence[int]) -> str:
    """Return seeds as a text: ``0–4`` if they are consecutive, otherwise a list."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}–{seeds[-1]}"
    return fmt.listed([*map(str, seeds)], 6)


def figure_text(metric: ComparedMetric, figure: MeanInterval | None) -> str:
    """Return a result with its interval, if it has one."""
    if figure is None:
        return NOTHING
    bounds = None if math.isnan(figure.low) else (figure.low, figure.high)
    if metric.kind == "accuracy":
        return fmt.accuracy_with_interval(figure.mean, bounds)
    form = _loss if metric.kind == "loss" else fmt.duration
    if bounds is None:
        return form(figure.mean)
    return f"{form(figure.mean)} [{form(max(0.0, bounds[0]))}, {form(bounds[1])}]"


def _loss(value: float) -> str:
    return fmt.loss(value).strip()


def intervals_text(found: RunComparison) -> str:
    """Return what the brackets in the table of results are."""
    texts = []
    if any(group.is_single for group in found.groups):
        texts.append("the accuracy of a single run has its Wilson interval, over the images")
    if any(not group.is_single for group in found.groups):
        texts.append("a group has the mean and Student's interval of the mean, over its runs")
    return f"In brackets, 95 %: {'; '.join(texts)}."


# --- differences


def difference_title(found: RunComparison) -> str:
    """Return the head of the differences."""
    return f"{found.metric.label}, compared with {found.labels[BASELINE]}"


def difference_text(difference: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return a difference of accuracies in percentage points: ``+0.12 points [−0.05, +0.29]``."""
    text = f"{_points(difference)} points"
    return text if math.isnan(low) else f"{text} [{_points(low)}, {_points(high)}]"


def _points(fraction: float) -> str:
    text = f"{100 * fraction:+.2f}"
    return text.replace("-", "−") if float(text) else "0.00"


def verdict(found: RunComparison, difference: RunDifference) -> str:
    """Return a difference in a sentence, and whether it is more than chance."""
    if difference.difference is None:
        return f"{difference.reason}."
    label, mean = found.labels[difference.other], difference.difference
    text = f"{label}: {difference_text(mean.mean, mean.low, mean.high)}{_basis(found, difference)}."
    if difference.is_significant is None:
        return f"{text} No test: {difference.reason}."
    words = "More than chance" if difference.is_significant else "Not more than chance"
    tests = sum(each.is_significant is not None for each in found.differences)
    times = f", Holm-corrected for {tests} comparisons" if tests > 1 else ""
    return f"{text} {words} ({difference.test}, {p_text(difference.p)}{times})."


def _basis(found: RunComparison, difference: RunDifference) -> str:
    """Return what a difference is computed on."""
    other, baseline = found.labels[difference.other], found.labels[BASELINE]
    if (pair := difference.images) is not None:
        return (
            f" on the same {fmt.count(pair.images)} validation images: "
            f"{fmt.count(pair.only_first)} that only {other} classifies correctly, "
            f"{fmt.count(pair.only_second)} that only {baseline} does"
        )
    if difference.seeds:
        return f" over {len(difference.seeds)} pairs of equal seeds"
    if difference.test == "Welch's t test":
        return " over runs of different seeds"
    if difference.test == "t test":
        return ", a single run against a group"
    return ""


def p_text(p: float) -> str:
    """Return a p value: ``p = 0.031``, ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.2f}" if p >= 0.1 else f"p = {p:.3f}"


def caution_text(found: RunComparison) -> str:
    """Return the limit of a test of two trained models; empty without one."""
    if any(each.images is not None for each in found.differences):
        return (
            "McNemar's test compares the trained models, not their settings: with another seed, "
            "either accuracy can change. Train several seeds to compare settings."
        )
    return ""
