"""``mnist-tui runs``: the list of recorded runs, filtered, sorted and grouped."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tui_trainer.cli.options import option
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import RUNS, ListedRun, list_runs
from tui_trainer.recording.query_error import QueryError
from tui_trainer.recording.run_fields import FIELDS, Field
from tui_trainer.recording.run_query import parse_fields, parse_filter, parse_sort
from tui_trainer.text.fmt import plural, printable
from tui_trainer.text.tables import csv_table

FILTER_EXAMPLE = "val_acc > 99% and model = small"


def runs(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder with the runs (runs)", metavar="FOLDER", show_default=False),
    ] = RUNS,
    filter_text: Annotated[
        str | None,
        option(f'Only some runs: words, or "{FILTER_EXAMPLE}"', "--filter", metavar="EXPR"),
    ] = None,
    sort: Annotated[
        str | None,
        option("Sort by fields, - for the largest first: -val_acc,name", metavar="FIELDS"),
    ] = None,
    group: Annotated[
        str | None,
        option("A row per group, with means and 95 % intervals: model,lr", metavar="FIELDS"),
    ] = None,
    columns: Annotated[
        str | None, option("The columns: name,lr,batch_size,best", metavar="FIELDS")
    ] = None,
    as_csv: Annotated[bool, option("Print CSV; all fields without --columns", "--csv")] = False,
    as_json: Annotated[bool, option("Print a JSON array", "--json")] = False,
    fields: Annotated[bool, option("List the names of all fields", "--fields")] = False,
) -> None:
    """List the recorded runs, newest first."""
    from tui_trainer.headless.text_table import print_fields

    if as_csv and as_json:
        raise InputError("--csv and --json: choose one of them")
    if fields:
        print_fields()
        return
    listed = list_runs(folder)
    if not listed and not folder.is_dir() and folder != RUNS:
        raise InputError(f"{printable(folder)}: no such folder; name a folder of runs")
    chosen = parsed("--columns", parse_fields, columns)
    keys = parsed("--sort", parse_sort, sort)
    by = parsed("--group", parse_fields, group)
    found = listed
    if filter_text is not None:
        matches = parsed("--filter", parse_filter, filter_text).matches
        found = [run for run in listed if matches(run)]
    nothing = f"{printable(folder)}: contains no runs"
    if listed:
        nothing = f"{printable(folder)}: none of its {plural(len(listed), 'run')} matches --filter"
    if by is not None:
        _print_groups(found, by, chosen, keys, nothing, as_csv=as_csv, as_json=as_json)
        return
    if keys is not None:
        found = keys.apply(found)
    _print_runs(found, chosen, nothing, as_csv=as_csv, as_json=as_json)


def parsed(name: str, parse: Any, text: str | None) -> Any:
    """Return the parsed value of an option; None if it is not given.

    Raises:
        InputError: If it is invalid; the message names the option.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except QueryError as error:
        raise InputError(f"{name} {error}") from None


def _print_runs(
    runs: Sequence[ListedRun],
    chosen: Sequence[Field] | None,
    nothing: str,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from tui_trainer.headless.text_table import print_runs
    from tui_trainer.recording import run_table

    if as_json:
        whole = [run_table.record(run, chosen) if chosen else _record(run) for run in runs]
        standard_output().record(whole)
    elif as_csv:
        fields = chosen or [*FIELDS.values()]
        rows = ([run.fields[field.name] for field in fields] for run in runs)
        standard_output().text(csv_table([field.name for field in fields], rows))
    else:
        fields = chosen or run_table.default_columns(runs, standard_output().width)
        print_runs(
            [run_table.heading(field) for field in fields],
            [run_table.row(run, fields) for run in runs],
            run_table.right_aligned(fields),
            nothing,
        )


def _print_groups(
    runs: Sequence[ListedRun],
    by: Sequence[Field],
    chosen: Sequence[Field] | None,
    keys: Any,
    nothing: str,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from tui_trainer.headless.text_table import print_runs
    from tui_trainer.recording import run_groups, run_table

    averaged = [field for field in chosen or () if field not in by]
    if unknown := [field.name for field in averaged if not field.kind.is_numeric]:
        raise InputError(f"--columns {unknown[0]}: not a number, which --group could average")
    metrics = averaged or [FIELDS[name] for name in run_groups.METRICS]
    if keys is not None:
        metrics += [
            field for field, _ in keys.keys if field.kind.is_numeric and field not in metrics
        ]
    rows = run_groups.sorted_rows(run_groups.group_rows(runs, by, metrics), keys)
    if as_json:
        standard_output().record([_group_record(row) for row in rows])
        return
    grouped = rows[0].group.fields if rows else tuple(by)
    if as_csv:
        ends = ("mean", "low", "high", "count")
        head = [*(field.name for field in grouped), "runs"]
        head += [f"{field.name}_{end}" for field in metrics for end in ends]
        lines = [
            [*row.group.values, len(row.group.runs)]
            + [getattr(row.means[field.name], end, None) for field in metrics for end in ends]
            for row in rows
        ]
        standard_output().text(csv_table(head, lines))
    else:
        head = [*map(run_table.heading, grouped), "runs", *map(run_table.heading, metrics)]
        texts = [run_groups.cells(row, metrics) for row in rows]
        print_runs(head, texts, {len(grouped)}, nothing)
    console = Console(sys.stderr, time.monotonic)
    for note in (note for row in rows for note in row.notes):
        console.print(note, glyph="▲", style="warning")


def _group_record(row: Any) -> dict[str, Any]:
    """Return the JSON record of a group: its values, its runs, and the means of its results."""
    from tui_trainer.recording.run_table import plain

    means = {
        name: None
        if mean is None
        else {
            "mean": mean.mean,
            "low": None if math.isnan(mean.low) else mean.low,
            "high": None if math.isnan(mean.high) else mean.high,
            "count": mean.count,
        }
        for name, mean in row.means.items()
    }
    values = zip(row.group.fields, row.group.values, strict=True)
    return {
        "group": {field.name: plain(value) for field, value in values},
        "runs": [run.name for run in row.group.runs],
        "counted": [run.name for run in row.counted],
        "means": means,
        "notes": list(row.notes),
    }


def _record(run: ListedRun) -> dict[str, object]:
    """Return the JSON record of a run: name, folder, then the fields of its summary."""
    place: dict[str, object] = {"name": run.name, "folder": str(run.folder.path)}
    place |= {"group": run.group, "note": run.about.note, "tags": list(run.about.tags)}
    if run.summary is None:
        return {**place, "error": run.error}
    return {**place, **json.loads(run.summary.to_json())}
