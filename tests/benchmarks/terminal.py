"""A pseudo-terminal with a program in it: keys go in, what it draws is kept with its time."""

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
    """The terminal of a program that runs.

    Attributes:
        process: The program.
        started: When it was started, on the machine's monotonic clock.
        chunks: What it has written, each piece with the time it was read.
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
        """Keep what comes; anything more here would take time from the training."""
        while True:
            try:
                raw = os.read(self._master, 1 << 16)
            except OSError:  # nobody holds the other end any more
                return
            if not raw:
                return
            self.chunks.append((time.monotonic(), raw))

    def press(self, key: str) -> float:
        """Press a key; return when."""
        at = time.monotonic()
        os.write(self._master, key.encode())
        return at

    def written(self) -> bytes:
        """Return what is kept, without the control sequences."""
        return _ESCAPES.sub(b"\n", b"".join(raw for _, raw in list(self.chunks)))

    def wait_for(self, words: Sequence[bytes], patience: float) -> float:
        """Return when the first of some words was on the way to the screen.

        Raises:
            ContenderError: If none comes, or the program ends before.
        """
        until = time.monotonic() + patience
        has_ended = False
        while not has_ended and time.monotonic() < until:
            has_ended = self.process.poll() is not None
            if has_ended:  # all that it wrote before counts
                self._thread.join(2.0)
            seen = b""
            for at, raw in list(self.chunks):
                seen += raw
                if any(word in seen for word in words):
                    return at
            time.sleep(POLL)
        raise ContenderError(f"nothing was shown in {patience:.0f} s\n{tail(self.written())}")

    def close(self) -> None:
        """Let go of the terminal, once its program has ended."""
        self._thread.join(2.0)
        os.close(self._master)


@contextmanager
def terminal(command: Sequence[str], *, keep: int | None = None) -> Iterator[Terminal]:
    """Run a program in a terminal of 120×40; leaving the block ends it.

    Args:
        command: The program and its arguments.
        keep: How many pieces of what it writes are kept, all if None.
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
