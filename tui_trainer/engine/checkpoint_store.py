"""Store the checkpoints of a run: the last good one in memory, and files in the run's folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.events import CheckpointSaved
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.attempts import Attempts, RecordingEvent
from tui_trainer.recording.checkpoint_head import SUFFIX

MOST_PENDING = 1 << 26
"""Bytes of pending checkpoints that are kept while the disk refuses writes, besides ``last``."""

SAVE_SECONDS = 15.0
"""Training time between two checkpoints within an epoch: what a power failure can cost."""


class CheckpointStore:
    """Keeps the checkpoints of one run.

    Attributes:
        last_good: The newest checkpoint, whose weights are finite: a diverged run can rewind to it.
        every: The number of epochs between two permanent checkpoints; None keeps none.
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
        """Return the saved checkpoints by name; none if the run is not recorded."""
        if self._directory is None:
            return {}
        found = sorted(self._directory.glob(f"[!.]*{SUFFIX}"))
        return {path.name.removesuffix(SUFFIX): path for path in found}

    def begin_from(self, state: Checkpoint, *, is_saved: bool = True) -> None:
        """Start from a checkpoint; unless it is saved unchanged, the next save is due at once."""
        self.last_good = state
        self._kept_at = state.metadata["seconds"] if is_saved else -math.inf

    def is_due(self, seconds: float) -> bool:
        """Return whether a checkpoint is due at this training time, in seconds."""
        return seconds - self._kept_at >= self._seconds

    def lines(self) -> int | None:
        """Return the number of lines in the journal; None without a journal."""
        return self._position() if self._position is not None else None

    def keep(
        self, state: Checkpoint, names: Sequence[str], seconds: float, *, announce: bool
    ) -> Iterator[RecordingEvent | CheckpointSaved]:
        """Save a checkpoint under several names; a file that cannot be written stays as it was.

        Failed writes of earlier checkpoints are retried. ``last`` is written last: its metadata
        holds the best accuracy, so ``best`` must exist before a killed run resumes from ``last``.

        Args:
            state: The checkpoint; its weights are finite.
            names: Of the files in the checkpoint folder, without their suffix.
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
        """Add files to write; beyond the limit, drop the oldest pending ones."""
        for name in contents:
            self._pending.pop(name, None)
        self._pending.update(contents)
        for name in list(self._pending)[: -len(contents)]:
            if sum(map(len, self._pending.values())) > MOST_PENDING:
                del self._pending[name]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)
