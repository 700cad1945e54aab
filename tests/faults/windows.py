"""The app in a pseudo-terminal, which can be resized and disconnected."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

TIMEOUT = 60.0


class Window:
    """A process whose controlling terminal is ours.

    Args:
        words: The arguments of ``mnist-tui``.
        start: What starts it: a new interpreter, or a forked process.

    Attributes:
        process: The process.
        shown: Its complete output.
    """

    def __init__(
        self, *words: str, start: type[subprocess.Popen[bytes]] = subprocess.Popen
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(120, 40)
        self.modes_before = self.modes()
        self.shown = b""
        self.process = start(
            [sys.executable, "-m", "tui_trainer", *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )

    def modes(self) -> list[Any]:
        """Return the modes of the terminal: echo, line by line, and the like."""
        return termios.tcgetattr(self.slave)

    def resize(self, columns: int, lines: int) -> None:
        """Resize the terminal; the process receives SIGWINCH."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float = 0.05) -> None:
        """Read the available output, after a short wait."""
        while self.master >= 0 and select.select([self.master], [], [], seconds)[0]:
            self.shown += os.read(self.master, 1 << 16)
            seconds = 0.0

    def wait_until(self, is_so: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Read until a condition holds.

        Raises:
            AssertionError: If it never holds.
        """
        until = time.monotonic() + timeout
        while not is_so():
            assert time.monotonic() < until, self.shown[-2_000:].decode(errors="replace")
            if self.master >= 0:
                self.read()
            else:
                time.sleep(0.05)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Return the exit code, once the process has ended."""
        self.wait_until(lambda: self.process.poll() is not None, timeout)
        self.read(0.2)
        return int(self.process.returncode)

    def state(self) -> str:
        """Return the state of the process from the kernel: T is stopped."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(") ")[2][0]

    def pull_out(self) -> None:
        """Close the terminal, as a lost connection does."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        """End the process if it runs, and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for handle in (self.master, self.slave):
            if handle >= 0:
                os.close(handle)
