"""``mnist-tui runs``: what has been trained."""

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
        Path, typer.Argument(help="The folder that they lie in (runs)", show_default=False)
    ] = RUNS,
    as_json: Annotated[bool, option("As one JSON array", "--json")] = False,
) -> None:
    """List the recorded runs, the latest first."""
    listed = list_runs(folder)
    if as_json:
        standard_output().record([_record(run) for run in listed])
        return
    from tui_trainer.headless.text_table import print_runs

    print_runs(listed, folder)


def _record(run: ListedRun) -> dict[str, object]:
    """Return a run as JSON tells it: its name and folder, then the fields of its summary."""
    place = {"name": run.folder.name, "folder": str(run.folder.path)}
    if run.summary is None:
        return {**place, "fault": run.fault}
    return {**place, **json.loads(run.summary.to_json())}
