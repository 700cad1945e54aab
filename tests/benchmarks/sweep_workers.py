"""Compare the trials a second of several workers with one: ``-m tests.benchmarks.sweep_workers``.

    python -m tests.benchmarks.sweep_workers                 # 1 and 2 workers in turn, three rounds
    python -m tests.benchmarks.sweep_workers --model small --threads 1

The same sweep of random settings is trained by one worker and by several, in turn. The time is that
of the whole command, with the start of its processes. One worker chooses its threads as any run
does, so it may use all cores already; ``--threads 1`` compares workers of one thread each.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.options import Parser
from tests.benchmarks.sweep_options import add_options, write_sweep
from tui_trainer.protocol.events import RunStarted
from tui_trainer.recording.folder import RunFolder

TARGET = 1.5
"""The least ratio of the trials a second of two workers on two cores to those of one."""

MISSED = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One sweep.

    Attributes:
        speed: Trials a second.
        threads: The threads of its runs.
    """

    speed: float
    threads: frozenset[int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the sweeps, and return the exit code: 1 if the target is missed."""
    parser = Parser("sweep_workers.py", "Compare the trials a second of several workers with one.")
    sizes = {"trials": 8, "epochs": 2, "train_size": 10_000}
    add_options(parser, model="tiny", **sizes, threads=None, workers=2, rounds=3)
    options = parser.parse_args(arguments)
    ratios = []
    with tempfile.TemporaryDirectory(prefix="mnist-tui-sweep-") as name:
        file = Path(name) / "sweep.toml"
        write_sweep(file, options)
        for number in range(1, options.rounds + 1):
            one, several = (
                train(file, Path(name) / f"{number}-{workers}", workers, options.trials)
                for workers in (1, options.workers)
            )
            ratios.append(several.speed / one.speed)
            print(
                f"round {number}: 1 worker {shown(one)} · {options.workers} workers "
                f"{shown(several)} · ratio {ratios[-1]:.2f}",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(f"trials a second, {options.workers} workers / 1 worker: {ratio:.2f} (target {TARGET})")
    return 0 if ratio >= TARGET else MISSED


def train(file: Path, out: Path, workers: int, trials: int) -> Result:
    """Train the sweep, and return its speed."""
    command = [sys.executable, "-m", "tui_trainer", "sweep", str(file), "--no-ui"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--out", str(out), "--workers", str(workers)], check=True, capture_output=True
    )
    seconds = time.perf_counter() - began
    threads = {
        event.threads
        for path in out.glob("trial-*")
        for event in RunFolder(path).read_events().events
        if isinstance(event, RunStarted)
    }
    return Result(trials / seconds, frozenset(threads))


def shown(result: Result) -> str:
    """Return the speed and the threads as text."""
    threads = ", ".join(map(str, sorted(result.threads)))
    return f"{60 * result.speed:.1f} trials a minute (threads: {threads})"


if __name__ == "__main__":
    sys.exit(main())
