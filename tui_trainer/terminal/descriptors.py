"""Redirecting file descriptors 1 and 2 while the code of a custom model runs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

STDOUT, STDERR = 1, 2


class Redirection:
    """Redirects file descriptors 1 and 2 to a file, below Python, so for C code too.

    Args:
        sink: The target descriptor.

    Raises:
        OSError: If they cannot be duplicated.
    """

    def __init__(self, sink: int) -> None:
        flush_streams()
        self._before = {number: os.dup(number) for number in (STDOUT, STDERR)}
        self.lead_to(sink)

    def lead_to(self, sink: int) -> None:
        """Redirect them to another file."""
        flush_streams()
        for number in self._before:
            os.dup2(sink, number)

    @property
    def stderr(self) -> int:
        """A duplicate of the original descriptor 2, valid until :meth:`end`."""
        return self._before[STDERR]

    def end(self) -> None:
        """Restore them; a second call has no effect."""
        flush_streams()
        for number, before in self._before.items():
            os.dup2(before, number)
            os.close(before)
        self._before.clear()


def flush_streams() -> None:
    """Flush Python's buffers of the two standard streams to their current target."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
