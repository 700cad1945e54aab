"""The summary of a run, compared with the one version 0.1 wrote for the same events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.schema import upgraded_summary
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.summary import summary_of

RUNS = Path(__file__).parent / "runs_0_1"
OF_FOLDER = (
    "format",
    "version",
    "started_at",
    "updated_at",
    "recorded_in",
    "script",
    "settings",
    "target_reached",
)


@pytest.mark.parametrize("name", ["finished", "steered"])
def test_a_run_of_version_0_1_has_the_summary_that_it_wrote(name: str) -> None:
    folder = RunFolder(RUNS / name)
    summary = json.loads(summary_of(RunState.of(folder.read_events().events)).to_json())
    written = upgraded_summary(json.loads(folder.summary.read_text()))
    for field in OF_FOLDER:
        del summary[field]
        written.pop(field, None)
    # That version had no others.
    assert (summary.pop("processes"), summary.pop("classes"), summary.pop("class_names")) == (
        *(1, 10),
        [],
    )
    assert summary == written
