"""Patience with a storage: an operation is tried again while the storage is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tui_trainer.sweeps.errors import StorageError
from tui_trainer.text.fmt import duration

PATIENCE = 300.0
"""Seconds for which a storage that is away is tried again."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts; each pause is twice the one before."""

T = TypeVar("T")

Announce = Callable[[str], object]


class StorageAwayError(StorageError):
    """The storage was away for longer than :data:`PATIENCE`."""


class Patience:
    """Tries an operation again while the storage is away.

    Args:
        name: The storage, for messages.
        announce: Gets one line when the storage goes away, and one when it is back.
        seconds: For how long.
        clock: A monotonic clock, in seconds.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        name: str,
        announce: Announce = lambda line: None,
        seconds: float = PATIENCE,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._name = name
        self.announce = announce
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._is_away = False

    def call(self, operation: Callable[[], T], why: Callable[[Exception], str | None]) -> T:
        """Return the result of an operation.

        Args:
            operation: The operation.
            why: Returns what is wrong with the storage, or None for an error of another kind.

        Raises:
            StorageAwayError: If the storage stays away.
        """
        began, pause = self._clock(), FIRST_PAUSE
        while True:
            try:
                result = operation()
            except Exception as error:
                problem = why(error)
                if problem is None:
                    raise
                if self._clock() - began >= self.seconds:
                    raise StorageAwayError(
                        f"{self._name}: away for {duration(self.seconds)}: {problem}; continue "
                        "with mnist-tui sweep --resume when it is back"
                    ) from None
                if not self._is_away:
                    self._is_away = True
                    limit = duration(self.seconds)
                    self.announce(f"{self._name}: {problem}; trying again for {limit}")
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self._is_away:
                    self._is_away = False
                    self.announce(f"{self._name}: back")
                return result
