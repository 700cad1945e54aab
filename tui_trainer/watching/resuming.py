"""Where a script continues: the folder of an earlier run, and its last complete epoch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.errors import path_error
from tui_trainer.protocol.events import Event
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RUNS, RunFolder, list_runs
from tui_trainer.recording.journal import Recorded
from tui_trainer.recording.recorder import Recorder
from tui_trainer.watching.script import script_path

EPOCH_END = "epoch"
"""The checkpoint from which a script resumes: of the end of the last complete epoch."""


@dataclass(frozen=True)
class Earlier:
    """An earlier run of the script, at the end of its last complete epoch.

    Attributes:
        folder: Its folder.
        path: The checkpoint.
        state: Its content.
    """

    folder: RunFolder
    path: Path
    state: Checkpoint

    @cached_property
    def recorded(self) -> Recorded:
        """All its events."""
        return self.folder.read_events()

    @cached_property
    def past(self) -> tuple[Event, ...]:
        """The events up to the checkpoint."""
        return self.recorded.before(self.state.metadata["lines"])

    def reopen(self) -> Recorder:
        """Continue its record.

        Raises:
            InputError: If another process is writing it, or it cannot be written.
        """
        return Recorder.reopen(self.folder, self.recorded, self.past)


def earlier_run(folder: Path | None, out: Path | None) -> Earlier | None:
    """Return the run that a script continues; None if there is none.

    Args:
        folder: The folder that the script names.
        out: Else the folder in which it records; without both, its latest run in ``runs``.

    Raises:
        InputError: If ``folder`` has no checkpoint of a complete epoch, or that cannot be read.
    """
    place = folder or out
    found = _latest() if place is None else RunFolder(place)
    path = None if found is None else found.checkpoint(EPOCH_END)
    if found is None or path is None or not path.is_file():
        if folder is not None:
            raise path_error(folder, "has no checkpoint of a complete epoch of a script")
        return None
    return Earlier(found, path, read_checkpoint(path))


def _latest() -> RunFolder | None:
    """Return the latest run of this script."""
    for run in list_runs(RUNS):
        path = run.folder.checkpoint(EPOCH_END)
        if path.is_file() and read_metadata(path).get("script_path") == script_path():
            return run.folder
    return None


def free_folder(folder: Path) -> Path:
    """Return a folder for a new run: the given one, or another next to it if it has a run."""
    found, number = folder, 1
    while RunFolder(found).is_run:
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
