"""Training time, which stands still while nobody trains."""

from __future__ import annotations

from collections.abc import Callable


class Stopwatch:
    """Training time: runs until it is paused, as often as it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    @property
    def now(self) -> float:
        """What the clock says, in seconds: it does not stand still."""
        return self._clock()

    @property
    def seconds(self) -> float:
        """The time it has run so far, in seconds."""
        running = 0.0 if self._since is None else self._clock() - self._since
        return self._before + running

    def go_on_from(self, seconds: float) -> None:
        """Stand at a time of before, until it is started."""
        self._before, self._since = seconds, None

    def start(self) -> None:
        """Run on; no effect while it runs."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Stand still; no effect while it stands."""
        self._before = self.seconds
        self._since = None
