"""Where a run's states are kept: the last good one in memory, and files in the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tui_trainer.engine.checkpoints import Checkpoint
from tui_trainer.run.attempts import Attempts, RecordingNews
from tui_trainer.run.events import CheckpointSaved
from tui_trainer.run.files import write_atomically
from tui_trainer.run.folder import RunFolder

SAVE_SECONDS = 15.0
"""Training time between two saved states in the middle of an epoch: what a power cut can cost."""


class Keeper:
    """Keeps states of one run.

    Attributes:
        good: The last state that was kept, to which a diverged run can go back.
        every: How many epochs lie between two states that are kept for good; None keeps none.
    """

    def __init__(
        self,
        folder: RunFolder | None = None,
        position: Callable[[], int] | None = None,
        *,
        every: int | None = None,
        seconds: float = SAVE_SECONDS,
    ) -> None:
        self.good: Checkpoint | None = None
        self.every = every
        self._folder = folder
        self._position = position
        self._seconds = seconds
        self._kept_at = 0.0
        self._attempt = Attempts()

    def begin_from(self, state: Checkpoint) -> None:
        """Take a state that is saved already as the last good one."""
        self.good = state
        self._kept_at = state.facts["seconds"]

    def is_due(self, seconds: float) -> bool:
        """Return whether so much training time, in seconds, is worth another state."""
        return seconds - self._kept_at >= self._seconds

    def lines(self) -> int | None:
        """Return how many lines of the record lie before the present state; None without one."""
        return self._position() if self._position is not None else None

    def keep(
        self, state: Checkpoint, names: Sequence[str], seconds: float, *, told: bool
    ) -> Iterator[RecordingNews | CheckpointSaved]:
        """Keep a state, in files of these names; a file that is refused keeps its old content.

        Args:
            state: The state, whose weights are finite.
            names: Of files in the folder of checkpoints, without their suffix.
            seconds: The training time.
            told: Whether to tell that it is saved.
        """
        self.good = state
        self._kept_at = seconds
        if self._folder is None:
            return
        content = state.to_bytes()
        saved = []
        for name in names:
            path = self._folder.checkpoint(name)
            yield from self._attempt(path, lambda path=path: _write(path, content))  # type: ignore[misc]
            if not self._attempt.failed(path):
                saved.append(name)
        if saved and told:
            yield CheckpointSaved(
                step=state.facts["step"], epoch=state.facts["epoch"], files=tuple(saved)
            )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)
