"""The cells of the table of runs, for the window and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.run_fields import FIELDS, Field, Kind, Value
from tui_trainer.recording.summary import Summary
from tui_trainer.text import fmt

COLUMNS = ("name", "model", "params", "epochs", "best", "test_acc", "time", "state")
"""The fields of the table of runs, unless others are chosen."""

DROPPED_FIRST = ("model", "params", "time", "note", "tag", "test_acc", "epochs")
"""The columns in the order in which a narrow terminal drops them; a name contains the model."""

GAP = 2
"""Blanks between two columns."""

HEADINGS = {
    "name": "run",
    "params": "parameters",
    "best": "best validation",
    "test_acc": "test",
}
"""The headings of columns that do not have the name of their field."""

NOTHING = "-"

HEAD = tuple(HEADINGS.get(name, name) for name in COLUMNS)

RIGHT = frozenset({2, 3, 6})
"""The right-aligned columns."""


def cells(run: ListedRun) -> tuple[str, ...]:
    """Return the row of a run; a damaged run has its error as its state."""
    if run.summary is None:
        return (run.name, "", "", "", "", "", "", run.error)
    return tuple(cell(run, FIELDS[name]) for name in COLUMNS)


def heading(field: Field) -> str:
    """Return the heading of a column."""
    return HEADINGS.get(field.name, field.name)


def is_right_aligned(field: Field) -> bool:
    """Return whether a column is right-aligned: numbers without an interval."""
    is_text = field.name in ("best", "test_acc", "val_acc", "epochs")
    return field.kind.is_numeric and not is_text


def cell(run: ListedRun, field: Field) -> str:
    """Return the cell of a run in the column of a field; ``-`` if it has no value."""
    value, summary = run.fields[field.name], run.summary
    if value is None:
        return NOTHING
    if summary is not None:
        match field.name:
            case "epochs":
                return f"{summary.epochs_done}/{summary.epochs}"
            case "best":
                return best(summary)
            case "val_acc":
                return fmt.accuracy_with_interval(
                    float(summary.val_accuracy or 0), summary.val_interval
                )
            case "test_acc":
                return test(summary)
    return text_of(field, value)


def text_of(field: Field, value: Value) -> str:
    """Return the value of a field as text, without its interval; ``-`` for None."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "on" if value else "off"
        case tuple():
            return fmt.printable(", ".join(value))
        case str():
            return _local_time(value) if field.kind is Kind.TIME else fmt.printable(value)
    return _number(field, value)


def _number(field: Field, value: float) -> str:
    match field.kind:
        case Kind.FRACTION:
            return fmt.percent(value)
        case Kind.SECONDS:
            return fmt.duration(value)
        case Kind.COUNT if isinstance(value, int):
            return fmt.count(value) if field.name != "seed" else str(value)
    if field.name.endswith("_loss"):
        return fmt.loss(value).strip()
    if field.name == "speed":
        return fmt.speed(value)
    return fmt.learning_rate(value) if field.name == "lr" else f"{value:g}"


def _local_time(text: str) -> str:
    """Return an ISO time to the minute, in local time, as in the names of runs."""
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return fmt.printable(text)


def default_columns(runs: Sequence[ListedRun], width: int | None = None) -> list[Field]:
    """Return the usual columns, and those of tags and notes if a run has one.

    With a ``width``, the less important ones are dropped until the others fit.
    """
    more = ["tag"] if any(run.about.tags for run in runs) else []
    more += ["note"] if any(run.about.note for run in runs) else []
    fields = [FIELDS[name] for name in (*COLUMNS, *more)]
    if width is not None:
        needs = {field: _width(field, runs) for field in fields}
        for name in DROPPED_FIRST:
            if sum(needs[field] for field in fields) - GAP <= width:
                break
            fields = [field for field in fields if field.name != name]
    return fields


def _width(field: Field, runs: Iterable[ListedRun]) -> int:
    texts = (text for run in runs for text in row(run, [field]))
    return max(map(fmt.columns, (heading(field), *texts))) + GAP


def row(run: ListedRun, fields: Sequence[Field]) -> list[str]:
    """Return the cells of a run; a damaged run has its error as its state."""
    is_damaged = run.summary is None
    return [
        run.error if is_damaged and field.name == "state" else cell(run, field) for field in fields
    ]


def right_aligned(fields: Sequence[Field]) -> frozenset[int]:
    """Return the places of the right-aligned columns."""
    return frozenset(place for place, field in enumerate(fields) if is_right_aligned(field))


def record(run: ListedRun, fields: Sequence[Field]) -> dict[str, Any]:
    """Return the values of fields for JSON: unrounded, null if missing or not finite."""
    return {field.name: plain(run.fields[field.name]) for field in fields}


def plain(value: Value) -> Any:
    """Return a value for JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def best(summary: Summary) -> str:
    """Return the best validation accuracy with its interval and its epoch."""
    if summary.best_val_accuracy is None:
        return "-"
    accuracy = fmt.accuracy_with_interval(summary.best_val_accuracy, summary.best_val_interval)
    return f"{accuracy} ({summary.best_epoch})"


def test(summary: Summary) -> str:
    """Return the test accuracy with its interval and the number of test evaluations."""
    if summary.test_accuracy is None:
        return "-"
    accuracy = fmt.accuracy_with_interval(summary.test_accuracy, summary.test_interval)
    times = summary.test_evaluations
    evaluations = "" if times == 1 else f", {times} evaluations"
    return accuracy + evaluations
