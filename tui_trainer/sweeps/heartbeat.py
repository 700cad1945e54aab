"""The heartbeats of a worker, on a thread: a batch or a download can take long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from tui_trainer.sweeps.errors import StorageError, TakenOverError

if TYPE_CHECKING:
    from tui_trainer.sweeps.study import Claim, Study


class Heartbeat:
    """Records heartbeats on a thread while a trial is trained, also between two batches.

    Args:
        study: The study.
        claim: The trial.
        ended: Called on the thread when the trial is lost to another worker, or the storage is
            away for too long; the worker must end its run.

    Attributes:
        error: Why it ended; None as long as all is well.
    """

    def __init__(self, study: Study, claim: Claim, ended: Callable[[], object]) -> None:
        self.error: TakenOverError | StorageError | None = None
        self._study = study
        self._claim = claim
        self._ended = ended
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()

    def _beat(self) -> None:
        while not self._is_over.wait(self._study.liveness.beat):
            try:
                self._study.heartbeat(self._claim)
                self._study.records()  # to observe the heartbeats of the others
            except (TakenOverError, StorageError) as error:
                if not self._is_over.is_set():  # otherwise the trial has ended meanwhile
                    self.error = error
                    self._ended()
                return
