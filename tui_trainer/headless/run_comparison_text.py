"""A comparison of runs as plain text, as a JSON object and as a CSV table."""

from __future__ import annotations

import math
from typing import Any

from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.recording.compared_runs import ComparedGroup, ComparedMetric
from tui_trainer.recording.comparison import BASELINE, RunComparison, RunDifference
from tui_trainer.recording.comparison_text import (
    comparison_blocks,
    intervals_text,
    setting_text,
    verdict,
)
from tui_trainer.render.plain_exhibit import MIN_WIDTH, plain_lines
from tui_trainer.stats.means import CONFIDENCE, MeanInterval
from tui_trainer.text.tables import csv_table
from tui_trainer.version import __version__

WIDTH = 120
"""The width of the page in a file or a pipe: a table of four runs fits."""


def print_comparison(found: RunComparison) -> None:
    """Write a comparison to stdout.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    out = standard_output()
    width = WIDTH if out.width is None else max(MIN_WIDTH, out.width)
    lines = plain_lines(Exhibit(blocks=comparison_blocks(found)), width)
    for line in lines:
        out.row(line)


# --- as JSON


def as_record(found: RunComparison) -> dict[str, Any]:
    """Return the JSON record of a comparison; numbers that do not exist are None."""
    return {
        "version": __version__,
        "confidence": CONFIDENCE,
        "metric": found.metric.name,
        "baseline": found.groups[BASELINE].name,
        "compared": [_group_record(found, index) for index in range(len(found.groups))],
        "differences": [_difference_record(found, each) for each in found.differences],
        "intervals": intervals_text(found),
        "notes": list(found.notes),
    }


def _group_record(found: RunComparison, index: int) -> dict[str, Any]:
    group = found.groups[index]
    return {
        "name": group.name,
        "label": found.labels[index],
        "runs": [run.name for run in group.runs],
        "seeds": list(group.seeds),
        "states": [run.summary.state for run in group.runs],
        "settings": {
            name: values[index][0] if len(values[index]) == 1 else list(values[index])
            for name, values in found.settings
        },
        "results": {
            metric.name: _figure_record(group, metric, figures[index])
            for metric, figures in found.results
        },
    }


def _figure_record(
    group: ComparedGroup, metric: ComparedMetric, figure: MeanInterval | None
) -> dict[str, Any] | None:
    if figure is None:
        return None
    kind = None if math.isnan(figure.low) else "wilson" if group.is_single else "student"
    return {
        "mean": figure.mean,
        "low": _number(figure.low),
        "high": _number(figure.high),
        "runs": figure.count,
        "interval": kind,
    }


def _difference_record(found: RunComparison, each: RunDifference) -> dict[str, Any]:
    difference, images = each.difference, each.images
    record: dict[str, Any] = {
        "name": found.groups[each.other].name,
        "difference": None if difference is None else _number(difference.mean),
        "low": None if difference is None else _number(difference.low),
        "high": None if difference is None else _number(difference.high),
        "test": each.test or None,
        "p": None if difference is None or not each.test else _number(difference.p),
        "p_holm": _number(each.p),
        "more_than_chance": each.is_significant,
        "seeds": list(each.seeds),
        "reason": each.reason or None,
        "verdict": verdict(found, each),
    }
    if images is not None:
        names = ("both", "only_first", "only_second", "neither")
        counts = (images.both, images.only_first, images.only_second, images.neither)
        record["images"] = dict(zip(names, counts, strict=True))
    return record


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- as CSV


def as_csv(found: RunComparison) -> str:
    """Return a CSV table with a row for each compared run or group.

    The columns are the settings and results that differ, then the difference from the baseline.
    Floats have all their digits, a number that does not exist is an empty cell.
    """
    rows = [_row(found, index) for index in range(len(found.groups))]
    return csv_table([*rows[0]], ([*row.values()] for row in rows))


def _row(found: RunComparison, index: int) -> dict[str, Any]:
    group = found.groups[index]
    states = dict.fromkeys(run.summary.state for run in group.runs)
    row: dict[str, Any] = {
        "name": group.name,
        "runs": len(group.runs),
        "seeds": " ".join(map(str, group.seeds)),
        "state": " ".join(states),
    }
    for name, values in found.settings:
        if name != "seed":
            value = values[index]
            row[name] = value[0] if len(value) == 1 else setting_text(name, value)
    for metric, figures in found.results:
        figure = figures[index]
        for part in ("mean", "low", "high"):
            column = metric.name if part == "mean" else f"{metric.name}_{part}"
            row[column] = None if figure is None else _number(getattr(figure, part))
    each = next((each for each in found.differences if each.other == index), None)
    record = _difference_record(found, each) if each else {}
    for column in ("difference", "low", "high", "test", "p", "p_holm", "more_than_chance"):
        name = f"difference_{column}" if column in ("low", "high") else column
        row[name] = record.get(column)
    return row
