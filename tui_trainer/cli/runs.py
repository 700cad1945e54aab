"""``mnist-tui runs``: the list of recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tui_trainer.cli.options import option
from tui_trainer.headless.streams import standard_output
from tui_trainer.recording.folder import RUNS, ListedRun, list_runs


def runs(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder with the runs (runs)", metavar="FOLDER", show_default=False),
    ] = RUNS,
    as_json: Annotated[bool, option("Print a JSON array", "--json")] = False,
) -> None:
    """List the recorded runs, newest first."""
    listed = list_runs(folder)
    if as_json:
        standard_output().record([_record(run) for run in listed])
        return
    from tui_trainer.headless.text_table import print_runs

    print_runs(listed, folder)


def _record(run: ListedRun) -> dict[str, object]:
    """Return the JSON record of a run: name, folder, then the fields of its summary."""
    place = {"name": run.folder.name, "folder": str(run.folder.path)}
    if run.summary is None:
        return {**place, "error": run.error}
    return {**place, **json.loads(run.summary.to_json())}
