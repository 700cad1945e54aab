"""Run the command of a hook: a shell command in a separate session, with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from tui_trainer.headless.relay import memory_file
from tui_trainer.protocol.errors import reason
from tui_trainer.text.fmt import clip, one_line

MAX_KEPT = 4_096
"""The last bytes of a command's standard error that are kept; the rest is dropped."""

MAX_SHOWN = 200
"""Columns of its last line that are shown."""

POLL_SECONDS = 0.05

_AFTER_EXIT = 0.2
"""Seconds to wait for the rest of its output: a child that stays keeps the pipe open."""


def run_command(
    command: str, text: str, *, limit: float, is_canceled: Callable[[], bool] = lambda: False
) -> str:
    """Run a command, and return what went wrong; empty if it ended with exit code 0.

    Its standard output is discarded. Its process group is killed when the time is over; a process
    that it leaves in the background after its end is not.

    Args:
        command: The command, for the shell.
        text: Its standard input: a file in memory, so it need not read it.
        limit: Seconds that it may take.
        is_canceled: Whether to kill it now.
    """
    try:
        process = _started(command, text)
    except (OSError, ValueError) as error:
        return f"cannot start: {reason(error)}"
    errors = _Tail(process.stderr)
    until = time.monotonic() + limit
    while process.poll() is None:
        if is_canceled():
            _kill(process)
            return "killed before its end"
        if (left := until - time.monotonic()) <= 0:
            _kill(process)
            return f"killed after {limit:g} seconds"
        with suppress(subprocess.TimeoutExpired):
            process.wait(min(POLL_SECONDS, left))
    if process.returncode == 0:
        return ""
    last = errors.last_line()
    return f"{_end(process.returncode)}{f': {last}' if last else ''}"


def _started(command: str, text: str) -> subprocess.Popen[bytes]:
    """Start a command.

    Raises:
        OSError: If there is no process, memory or descriptor for it.
        ValueError: If the command has a null character.
    """
    source = memory_file()
    try:
        with open(source, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(source, 0, os.SEEK_SET)
        return subprocess.Popen(
            command,
            shell=True,
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl+C in the terminal does not reach it, and it cannot write to the window.
            start_new_session=True,
        )
    finally:
        os.close(source)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with all processes of its group."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)


def _end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class _Tail:
    """Reads a pipe to its end on a thread, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="hook output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError), self._pipe as pipe:
            while piece := os.read(pipe.fileno(), 65_536):
                self._kept = (self._kept + piece)[-MAX_KEPT:]

    def last_line(self) -> str:
        """Return the last line that is not empty, in one printable line."""
        self._thread.join(_AFTER_EXIT)
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return clip(next(filter(None, map(one_line, reversed(lines))), ""), MAX_SHOWN)
