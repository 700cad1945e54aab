"""Measured processes: each in its own process group, which ends with its block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds beyond its own time after which a contender counts as hung."""

TAIL_LINES = 12


class ContenderError(Exception):
    """A contender crashed or hung; the text ends with its last lines of output."""


class SkippedError(Exception):
    """A comparison is not possible here; the text says why."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a contender: ours, but Python may write compiled modules."""
    ours = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **more}


@contextmanager
def child(command: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in its own group; leaving the block ends the whole group."""
    settings.setdefault("env", environment())
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **settings)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pin(process: subprocess.Popen[bytes], core: int | None) -> None:
    """Restrict a process that has just started, and its later threads, to one core.

    Args:
        process: The process.
        core: The number of the core; None for all.
    """
    if core is not None:
        os.sched_setaffinity(process.pid, {core})


def finish(
    command: Sequence[str], seconds: float, folder: Path, *, core: int | None = None
) -> None:
    """Run a process to its end, on one core if it is given.

    Raises:
        ContenderError: If it fails, or takes a minute longer than ``seconds``.
    """
    with logged(command, folder, core=core) as (process, written):
        wait(process, seconds, written)


@contextmanager
def logged(
    command: Sequence[str], folder: Path, *, core: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], bytes]]]:
    """Start a process as :func:`child`; the function returns what it wrote to standard error."""
    log = folder / "stderr"
    with (
        log.open("wb") as errors,
        child(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        ) as process,
    ):
        pin(process, core)
        yield process, log.read_bytes


def wait(process: subprocess.Popen[bytes], seconds: float, written: Any) -> None:
    """Wait for a process; ``written`` returns its output, for the error.

    Raises:
        ContenderError: If it fails, or takes a minute longer than ``seconds``.
    """
    try:
        code = process.wait(seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        raise ContenderError(
            f"still running after {seconds + PATIENCE:.0f} s\n{tail(written())}"
        ) from None
    if code != 0:
        raise ContenderError(f"exit code {code}\n{tail(written())}")


def tail(raw: bytes) -> str:
    """Return the last lines of a process's output."""
    return "\n".join(raw.decode("utf-8", "replace").splitlines()[-TAIL_LINES:])


def end_on_terminate() -> None:
    """Let SIGTERM unwind the program, so that its processes end and its files are removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
