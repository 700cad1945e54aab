"""The results of several seeds as lines, for the window and for plain text."""

from __future__ import annotations

import math

from tui_trainer.history.seed_results import MEANS, SeedResult, SeedResults
from tui_trainer.stats.means import MeanInterval
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import Lines, aligned, paragraph

HEAD = ("seed", "best val", "last val", "test", "epochs", "time", "state")
RIGHT = frozenset({0, 4, 5})
"""The right-aligned columns."""

TARGET = "target"
GAP = "  "


def result_lines(results: SeedResults, width: int) -> Lines:
    """Return the table, the means, the notes and the verdict; texts are wrapped to ``width``."""
    lines = _table(results)
    if means := _means(results):
        lines += [[], *means]
    for note in results.notes:
        lines += paragraph(note, "muted", width)
    head, *reasons = results.verdict_lines or [""]
    if head:
        role = "ok bold" if results.is_reached else "error bold" if results.is_over else "muted"
        lines += [[], *paragraph(head, role, width, hanging=2)]
    for reason in reasons:
        lines += paragraph(reason, "", width, indent=2, hanging=2)
    return lines


def _table(results: SeedResults) -> Lines:
    rows: list[tuple[str, ...]] = [(*HEAD, TARGET), *map(_cells, results.results)]
    if results.target is None:
        rows = [row[:-1] for row in rows]
    head, *others = aligned(rows, RIGHT)
    lines: Lines = [[Cell(GAP.join(head).rstrip(), style="muted")]]
    for each, row in zip(results.results, others, strict=True):
        role = "" if each.is_completed else "error" if each.state == "diverged" else "muted"
        line = [Cell(GAP.join(row[: len(HEAD)]), style=role)]
        if each.verdict is not None:
            mark = "ok" if each.verdict.is_reached else "error"
            line.append(Cell(f"{GAP}{row[-1]}".rstrip(), style=mark))
        lines.append(line)
    return lines


def _cells(each: SeedResult) -> tuple[str, ...]:
    best = "-" if each.best is None else f"{fmt.percent(each.best)} ({each.best_epoch})"
    verdict, mark = each.verdict, ""
    if verdict is not None:
        mark = "✓" if verdict.is_reached else "✗"
        last = verdict.target.last
        mark += f" {verdict.count} of {last}" if last is not None else ""
    return (
        str(each.seed),
        best,
        _percent(each.last),
        _percent(each.test),
        str(each.epochs),
        fmt.duration(each.seconds),
        each.state,
        mark,
    )


def _means(results: SeedResults) -> Lines:
    name = max(map(len, MEANS.values()))
    lines: Lines = []
    for key, label in MEANS.items():
        if (mean := results.mean(key)) is not None:
            lines.append([Cell(f"mean {label:<{name}}  "), Cell(_interval(mean), style="title")])
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else fmt.percent(value)


def _interval(mean: MeanInterval) -> str:
    bounds = None if math.isnan(mean.low) else (mean.low, mean.high)
    return fmt.accuracy_with_interval(mean.mean, bounds)
