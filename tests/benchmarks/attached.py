"""The processes of a run that is watched: its trainer, attached windows, and their cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import PATIENCE, ContenderError, logged, pin, tail
from tests.benchmarks.terminal import POLL, Terminal, terminal

STARTUP = 3.0
"""Seconds after its first screen in which an attached window still builds itself up."""

READ_SECONDS = 0.001
"""Seconds between two polls of a record: the error of the time of an event."""

STEP = b'{"event": "StepDone"'


@contextmanager
def trainer(
    folder: Path, *options: str, core: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Train without the window, as the command line does; the block begins after the first step.

    Args:
        folder: The folder of the run; its parent gets the output.
        *options: Options of the command line.
        core: The only core of the process; all if None.

    Raises:
        ContenderError: If it does not train.
    """
    command = (sys.executable, "-m", "tui_trainer", "--no-ui", "--out", str(folder), *options)
    with logged(command, folder.parent, core=core) as (process, written):
        wait_for_steps(folder, process, written)
        yield process


def wait_for_steps(
    folder: Path, process: subprocess.Popen[bytes], written: Callable[[], bytes]
) -> None:
    """Wait until a run has recorded a step.

    Raises:
        ContenderError: If its process ends before, or takes more than a minute.
    """
    events, until = folder / "events.jsonl", time.monotonic() + PATIENCE
    while not (events.exists() and STEP in events.read_bytes()):
        if process.poll() not in (None, 0) or time.monotonic() > until:
            raise ContenderError(f"it never trained\n{tail(written())}")
        time.sleep(POLL)


@contextmanager
def window(folder: Path, *, core: int | None = None) -> Iterator[Terminal]:
    """Attach a window to a run; the block begins with its first screen."""
    command = (sys.executable, "-m", "tui_trainer", "attach", str(folder))
    with terminal(command) as view:
        pin(view.process, core)
        view.wait_for((b"attached",), PATIENCE)
        yield view


class RecordReader:
    """Reads the record of a run as it grows, and notes when each line arrived.

    Attributes:
        lines: The time of each line on the monotonic clock, and its bytes.
    """

    def __init__(self, folder: Path) -> None:
        self.lines: list[tuple[float, bytes]] = []
        self._path = folder / "events.jsonl"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> RecordReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        rest = b""
        with self._path.open("rb", buffering=0) as file:
            while not self._ended.wait(READ_SECONDS):
                if content := file.read():
                    now = time.monotonic()
                    *whole, rest = (rest + content).split(b"\n")
                    self.lines += [(now, line) for line in whole]

    def events(self, name: str) -> list[tuple[float, dict[str, Any]]]:
        """Return the times and records of the events of a kind."""
        start = f'{{"event": "{name}"'.encode()
        return [(at, json.loads(line)) for at, line in list(self.lines) if line.startswith(start)]

    def step_times(self) -> list[tuple[float, float]]:
        """Return the end and the duration of each step, by the trainer's own clock.

        Several steps arrive at once; the one that waited least shows how its clock relates to ours.
        """
        steps = self.events("StepDone")
        offset = min(at - step["seconds"] for at, step in steps)
        return [
            (offset + after["seconds"], after["seconds"] - before["seconds"])
            for (_, before), (_, after) in pairwise(steps)
            if after["step"] == before["step"] + 1
        ]

    def wait_for(self, name: str, after: float, patience: float = PATIENCE) -> float:
        """Return the arrival of the first event of a kind after a time.

        Raises:
            ContenderError: If there is none.
        """
        until = time.monotonic() + patience
        while time.monotonic() < until:
            for at, _ in self.events(name):
                if at >= after:
                    return at
            time.sleep(POLL)
        raise ContenderError(f"no {name} in {patience:.0f} s")


def wait_for_images(record: RecordReader, count: int) -> list[dict[str, Any]]:
    """Wait until a run has trained on this many images; return its steps.

    Raises:
        ContenderError: If it takes more than three minutes.
    """
    until = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < until:
        steps = [step for _, step in record.events("StepDone")]
        if steps and steps[-1]["images"] >= count:
            return steps
        time.sleep(0.5)
    raise ContenderError(f"it did not train on {count:,} images")


def batch_seconds(steps: Sequence[dict[str, Any]], batch_size: int) -> float:
    """Return the median duration of a batch of this size, from the record of consecutive steps.

    Raises:
        ContenderError: If there are not two.
    """
    seconds = sorted(
        after["seconds"] - before["seconds"]
        for before, after in pairwise(steps)
        if after["step"] == before["step"] + 1 and after["batch_size"] == batch_size
    )
    if not seconds:
        raise ContenderError("no batches to measure")
    return float(seconds[len(seconds) // 2])


def cpu_seconds(process: int) -> float:
    """Return the user and system time of a process, all its threads together, in seconds."""
    return _ticks(Path(f"/proc/{process}/stat"))


def thread_seconds(process: int) -> dict[int, float]:
    """Return the user and system time of each thread of a process; the first is the app's."""
    # By its name, not as the smallest: after the largest number Linux begins again with small ones.
    tasks = {int(path.name): path for path in Path(f"/proc/{process}/task").iterdir()}
    order = sorted(tasks, key=lambda number: (number != process, number))
    return {number: _ticks(tasks[number] / "stat") for number in order}


def _ticks(path: Path) -> float:
    fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int, name: str = "VmRSS") -> float:
    """Return the resident memory of a process in MB (10⁶ bytes); ``VmHWM`` is its peak."""
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1_024 / 1e6
