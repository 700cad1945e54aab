"""Reading the files of recorded runs; without torch, so that judging starts at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised
from tui_trainer.recording.journal import from_json


@dataclass(frozen=True, slots=True)
class Meta:
    """What the judge has to know of a run; see :class:`suite.Case` and :class:`record.Recorded`."""

    kind: str
    onset: int
    sane: float
    seconds: float
    error: str


def read_meta(path: Path) -> Meta:
    """Return what a run was, from its ``NAME.json``."""
    reported = json.loads(path.read_text(encoding="utf-8"))
    case = reported["case"]
    return Meta(case["kind"], case["onset"], case["sane"], reported["seconds"], reported["error"])


def recorded_events(path: Path) -> list[Event]:
    """Return what the run of this ``NAME.json`` told, without any finding that was said of it."""
    lines = path.with_suffix(".jsonl")
    with lines.open(encoding="utf-8") as file:
        events = [from_json(line) for line in file]
    return [event for event in events if not isinstance(event, FindingRaised | FindingCleared)]


def recorded_runs(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the ``NAME.json`` of each run in a folder whose name fits."""
    return sorted(path for path in folder.glob("*.json") if fnmatch(path.stem, pattern))
