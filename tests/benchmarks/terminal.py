"""A pseudo-terminal with a program: keys go in, its output is kept with its time."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.benchmarks.processes import ContenderError, child, environment, tail

COLUMNS, LINES = 120, 40
POLL = 0.02
Chunk = tuple[float, bytes]

_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")


class Terminal:
    """The terminal of a running program.

    Attributes:
        process: The program.
        started: Its start, on the machine's monotonic clock.
        chunks: Its output, each piece with the time it was read.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], master: int, started: float, keep: int | None
    ) -> None:
        self.process = process
        self.started = started
        self.chunks: deque[Chunk] = deque(maxlen=keep)
        self._master = master
        self._thread = threading.Thread(target=self._drain, name="drain", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        """Only store the output: any further work here would take time from the training."""
        while True:
            try:
                raw = os.read(self._master, 1 << 16)
            except OSError:  # the other end is closed
                return
            if not raw:
                return
            self.chunks.append((time.monotonic(), raw))

    def press(self, key: str) -> float:
        """Press a key; return the time."""
        at = time.monotonic()
        os.write(self._master, key.encode())
        return at

    def written(self) -> bytes:
        """Return the stored output without control sequences."""
        return _ESCAPES.sub(b"\n", b"".join(raw for _, raw in list(self.chunks)))

    def wait_for(self, words: Sequence[bytes], patience: float) -> float:
        """Return the time at which one of some words was on its way to the screen.

        Raises:
            ContenderError: If none appears, or the program ends before.
        """
        until = time.monotonic() + patience
        has_ended = False
        while not has_ended and time.monotonic() < until:
            has_ended = self.process.poll() is not None
            if has_ended:  # all output before the end counts
                self._thread.join(2.0)
            seen = b""
            for at, raw in list(self.chunks):
                seen += raw
                if any(word in seen for word in words):
                    return at
            time.sleep(POLL)
        raise ContenderError(f"nothing was shown in {patience:.0f} s\n{tail(self.written())}")

    def close(self) -> None:
        """Close the terminal after its program has ended."""
        self._thread.join(2.0)
        os.close(self._master)


@contextmanager
def terminal(command: Sequence[str], *, keep: int | None = None) -> Iterator[Terminal]:
    """Run a program in a terminal of 120×40; leaving the block ends it.

    Args:
        command: The program and its arguments.
        keep: The number of pieces of output to keep; all if None.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    variables = environment(TERM="xterm-256color", COLORTERM="truecolor")
    variables.pop("NO_COLOR", None)
    window = None
    started = time.monotonic()
    try:
        with child(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=variables,
            preexec_fn=_take_terminal,
        ) as process:
            os.close(slave)
            slave = -1
            window = Terminal(process, master, started, keep)
            yield window
    finally:
        if slave >= 0:
            os.close(slave)
        if window is not None:
            window.close()
        else:
            os.close(master)


def _take_terminal() -> None:
    """Make standard input the controlling terminal of the new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
