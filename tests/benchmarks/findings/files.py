"""Reading the files of recorded runs, without importing torch: judging starts at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised
from tui_trainer.recording.journal import from_json


@dataclass(frozen=True, slots=True)
class Meta:
    """What the judge needs of a run; see :class:`suite.Case` and :class:`record.Recorded`."""

    kind: str
    onset: int
    sane: float
    seconds: float
    error: str


def read_meta(path: Path) -> Meta:
    """Read the ``NAME.json`` of a run."""
    reported = json.loads(path.read_text(encoding="utf-8"))
    case = reported["case"]
    return Meta(case["kind"], case["onset"], case["sane"], reported["seconds"], reported["error"])


def recorded_events(path: Path) -> list[Event]:
    """Return the events of the run of a ``NAME.json``, without findings."""
    lines = path.with_suffix(".jsonl")
    with lines.open(encoding="utf-8") as file:
        events = [from_json(line) for line in file]
    return [event for event in events if not isinstance(event, FindingRaised | FindingCleared)]


def recorded_runs(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the ``NAME.json`` of each run in a folder whose name matches a pattern."""
    return sorted(path for path in folder.glob("*.json") if fnmatch(path.stem, pattern))
