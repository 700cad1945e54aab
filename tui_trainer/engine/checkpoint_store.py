"""Where a run's states are kept: the last good one in memory, and files in the run's folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tui_trainer.engine.checkpoints import Checkpoint
from tui_trainer.protocol.events import CheckpointSaved
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.attempts import Attempts, RecordingNews
from tui_trainer.recording.checkpoint_head import SUFFIX

MOST_PENDING = 1 << 26
"""Bytes of states that are kept while the disk takes nothing, 64 MiB; beyond ``last``, that is."""

SAVE_SECONDS = 15.0
"""Training time between two saved states in the middle of an epoch: what a power cut can cost."""


class CheckpointStore:
    """Keeps states of one run.

    Attributes:
        good: The last state that was kept, to which a diverged run can go back.
        every: How many epochs lie between two states that are kept for good; None keeps none.
    """

    def __init__(
        self,
        directory: Path | None = None,
        position: Callable[[], int] | None = None,
        *,
        every: int | None = None,
        seconds: float = SAVE_SECONDS,
    ) -> None:
        self.last_good: Checkpoint | None = None
        self.every = every
        self._directory = directory
        self._position = position
        self._seconds = seconds
        self._kept_at = 0.0
        self._attempt = Attempts()
        self._pending: dict[str, bytes] = {}

    def files(self) -> dict[str, Path]:
        """Return the states that are saved, by name; none where the run is not recorded."""
        if self._directory is None:
            return {}
        found = sorted(self._directory.glob(f"[!.]*{SUFFIX}"))
        return {path.name.removesuffix(SUFFIX): path for path in found}

    def begin_from(self, state: Checkpoint, *, is_saved: bool = True) -> None:
        """Take a state as the last good one; unless it is saved as it is, the next save is due."""
        self.last_good = state
        self._kept_at = state.metadata["seconds"] if is_saved else -math.inf

    def is_due(self, seconds: float) -> bool:
        """Return whether so much training time, in seconds, is worth another state."""
        return seconds - self._kept_at >= self._seconds

    def lines(self) -> int | None:
        """Return how many lines of the record lie before the present state; None without one."""
        return self._position() if self._position is not None else None

    def keep(
        self, state: Checkpoint, names: Sequence[str], seconds: float, *, announce: bool
    ) -> Iterator[RecordingNews | CheckpointSaved]:
        """Keep a state, in files of these names; a file that is refused keeps its old content.

        What was refused before is tried again. ``last`` is written last: it says that its epoch has
        been the best, so that must be saved when a killed run goes on from it.

        Args:
            state: The state, whose weights are finite.
            names: Of files in the folder of checkpoints, without their suffix.
            seconds: The training time.
            announce: Whether to yield a ``CheckpointSaved``.
        """
        self.last_good = state
        self._kept_at = seconds
        if self._directory is None:
            return
        self._add_pending(dict.fromkeys(names, state.to_bytes()))
        for name in sorted(self._pending, key=lambda name: name == "last"):
            path, content = self._directory / f"{name}{SUFFIX}", self._pending[name]
            yield from self._attempt(path, lambda path=path, content=content: _write(path, content))  # type: ignore[misc]
            if not self._attempt.failed(path):
                del self._pending[name]
        saved = tuple(name for name in names if name not in self._pending)
        if saved and announce:
            yield CheckpointSaved(
                step=state.metadata["step"], epoch=state.metadata["epoch"], files=saved
            )

    def _add_pending(self, contents: dict[str, bytes]) -> None:
        """Take on what is to be written; where that is too much, the oldest of it is let go."""
        for name in contents:
            self._pending.pop(name, None)
        self._pending.update(contents)
        for name in list(self._pending)[: -len(contents)]:
            if sum(map(len, self._pending.values())) > MOST_PENDING:
                del self._pending[name]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)
