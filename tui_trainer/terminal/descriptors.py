"""File descriptors 1 and 2: led elsewhere while other people's code runs, and put back."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

STDOUT, STDERR = 1, 2


class Redirection:
    """Leads file descriptors 1 and 2 into a file; below Python, so that C code follows too.

    Args:
        sink: The descriptor that they lead to.

    Raises:
        OSError: If they cannot be duplicated.
    """

    def __init__(self, sink: int) -> None:
        flush_streams()
        self._before = {number: os.dup(number) for number in (STDOUT, STDERR)}
        self.lead_to(sink)

    def lead_to(self, sink: int) -> None:
        """Lead them into another file from now on."""
        flush_streams()
        for number in self._before:
            os.dup2(sink, number)

    @property
    def stderr(self) -> int:
        """The descriptor that leads to where descriptor 2 led before, until the end."""
        return self._before[STDERR]

    def end(self) -> None:
        """Put them back; no effect the second time."""
        flush_streams()
        for number, before in self._before.items():
            os.dup2(before, number)
            os.close(before)
        self._before.clear()


def flush_streams() -> None:
    """Write what Python holds back for the two standard streams to where they lead now."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
