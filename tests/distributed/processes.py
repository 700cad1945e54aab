"""Start torchrun, and end it at the end of a test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 240.0
"""Seconds for one start on a busy machine; it takes about ten."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of torchrun: exit code, standard output, and standard error without its own."""

    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[str]:
        """The lines on standard error that are ours."""
        lines = self.err.splitlines()
        end = next((i for i, line in enumerate(lines) if line.startswith("Traceback")), len(lines))
        # A log line of torchrun begins with a letter and the date: W1129 08:39:40.942000.
        return [line for line in lines[:end] if line and not line[1:5].isdigit()]


class Torchrun:
    """A running torchrun; its processes are in other sessions, so it is ended, not killed."""

    def __init__(self, count: int, *arguments: str, cwd: Path, module: str = "tui_trainer") -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        self.process = subprocess.Popen(
            [*command, "--nproc-per-node", str(count), "-m", module, *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, seconds: float | None = TIMEOUT) -> Done:
        """Wait for its end, but not longer than this; None for any time."""
        out, err = self.process.communicate(timeout=seconds)
        return Done(self.process.returncode, out, err)

    def rank(self, rank: int) -> int:
        """Return the id of a process by its rank."""
        for pid in _children(self.process.pid):
            if f"RANK={rank}" in Path(f"/proc/{pid}/environ").read_text().split("\0"):
                return pid
        raise AssertionError(f"no process of rank {rank}")


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def as_rank(rank: int, count: int, port: int, work: Callable[[], object]) -> object:
    """Work as one of the processes of torchrun, in a forked process."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in {**place, **where}.items()})
    return work()


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@contextmanager
def torchrun(
    count: int, *arguments: str, cwd: Path, module: str = "tui_trainer"
) -> Iterator[Torchrun]:
    """Start torchrun; terminate it at the end of the block if it still runs."""
    running = Torchrun(count, *arguments, cwd=cwd, module=module)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.process.communicate(timeout=TIMEOUT)


def until(is_so: Callable[[], object], running: Torchrun, seconds: float = TIMEOUT) -> None:
    """Wait until a condition holds, but not longer than this."""
    last = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < last
        assert running.process.poll() is None, running.process.communicate()
        time.sleep(0.02)
