"""The output of other code while a live line is on the screen: shown above the line."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from typing import TextIO

from tui_trainer.terminal.capabilities import FALLBACK
from tui_trainer.terminal.descriptors import Redirection

INTERVAL = 0.1
"""Seconds between two checks for new output."""

MAX_KEPT = 1 << 20
"""Bytes of output, already shown, that are kept before the memory is freed."""


class Relay:
    """Redirects descriptors 1 and 2 into memory, and passes on what is written there.

    Not through a pipe: a library that fills a pipe while it holds the GIL would wait forever for
    the thread that empties it. A killed process loses the output of the last tenth of a second.

    Args:
        stderr: The stream of descriptor 2.
        show: Gets the output; called with ``lock`` held.
        lock: Held while output is passed on.

    Attributes:
        terminal: A stream to the original descriptor 2.

    Raises:
        OSError: From the constructor, if there is no memory or no free descriptor.
    """

    def __init__(
        self, stderr: TextIO, show: Callable[[bytes], None], lock: threading.RLock
    ) -> None:
        self._show = show
        self._lock = lock
        self._sink = memory_file()
        self._read = 0
        try:
            self._redirection = Redirection(self._sink)
        except OSError:
            os.close(self._sink)
            raise
        self.terminal = open(  # noqa: SIM115 (the descriptor is the redirection's to close)
            self._redirection.stderr, "w", encoding=stderr.encoding, errors=FALLBACK, closefd=False
        )
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="printed", daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            with self._lock:
                if not self._ended.is_set():
                    self.pass_on()

    def pass_on(self) -> None:
        """Show new output."""
        self._pass_on_from(self._sink)
        if self._read > MAX_KEPT:
            self._begin_again()

    def _begin_again(self) -> None:
        try:
            fresh = memory_file()
        except OSError:
            return
        self._redirection.lead_to(fresh)
        self._pass_on_from(self._sink)
        os.close(self._sink)
        self._sink, self._read = fresh, 0

    def _pass_on_from(self, sink: int) -> None:
        size = os.fstat(sink).st_size
        while self._read < size:
            content = os.pread(sink, min(size - self._read, MAX_KEPT), self._read)
            if not content:
                break
            self._read += len(content)
            self._show(content)

    def end(self) -> None:
        """Restore the descriptors, and show the remaining output."""
        self._ended.set()
        self._redirection.end()
        self._pass_on_from(self._sink)
        os.close(self._sink)


def memory_file() -> int:
    """Return the descriptor of an unnamed file: in memory, or else in the temporary folder.

    Raises:
        OSError: If it cannot be created.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mnist-tui")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
