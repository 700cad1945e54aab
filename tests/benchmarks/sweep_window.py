"""Compare a sweep in its window with the same one without: ``-m tests.benchmarks.sweep_window``.

    python -m tests.benchmarks.sweep_window                  # one worker, in turn, three rounds
    python -m tests.benchmarks.sweep_window --threads 1

The same random sweep is trained without the window and in it, in turn. The ratio is that of the
training speeds of the runs, as they record them. On a busy machine it says little: the window's
share of a core, from its CPU time, depends less on others.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.options import Parser
from tests.benchmarks.sweep_options import add_options, write_sweep
from tests.benchmarks.terminal import terminal
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone
from tui_trainer.recording.folder import RunFolder

TARGET = 0.98
"""The least ratio of the speed in the window to that without it."""

MISSED = 1
PATIENCE = 1_800.0
POLL = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the sweeps, and return the exit code: 1 if the target is missed."""
    parser = Parser("sweep_window.py", "Compare a sweep in its window with one without it.")
    sizes = {"trials": 4, "epochs": 3, "train_size": 10_000}
    add_options(parser, model="tiny", **sizes, threads=None, rounds=3)
    options = parser.parse_args(arguments)
    ratios, shares = [], []
    with tempfile.TemporaryDirectory(prefix="mnist-tui-sweep-") as name:
        file = Path(name) / "sweep.toml"
        write_sweep(file, options)
        for number in range(1, options.rounds + 1):
            without, inside = Path(name) / f"{number}-without", Path(name) / f"{number}-window"
            command = [sys.executable, "-m", "tui_trainer", "sweep", str(file), "--out"]
            subprocess.run([*command, str(without), "--no-ui"], check=True, capture_output=True)
            shares.append(in_window([*command, str(inside)], inside, options.trials))
            ratios.append(speed(inside) / speed(without))
            print(
                f"round {number}: {speed(without):,.0f} img/s without the window, "
                f"{speed(inside):,.0f} in it · ratio {ratios[-1]:.3f} · window "
                f"{100 * shares[-1]:.1f} % of a core",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(
        f"in the window / without it: {ratio:.3f} (target {TARGET}); the window took "
        f"{100 * statistics.median(shares):.1f} % of a core"
    )
    return 0 if ratio >= TARGET else MISSED


def in_window(command: Sequence[str], out: Path, trials: int) -> float:
    """Train a sweep in the window; return the window's share of a core while runs train."""
    begun: tuple[float, float] | None = None
    until = time.monotonic() + PATIENCE
    with terminal(command, keep=200) as window:
        while completed(out) < trials:
            if window.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the sweep did not end\n{window.written().decode()[-2000:]}")
            if begun is None and epochs(out):
                begun = time.monotonic(), cpu_seconds(window.process.pid)
            time.sleep(POLL)
        ended = time.monotonic(), cpu_seconds(window.process.pid)
        while window.process.poll() is None and time.monotonic() < until:
            window.press("q")  # once the window knows that the sweep is over, it does not ask
            time.sleep(2.0)
    assert begun is not None
    return (ended[1] - begun[1]) / (ended[0] - begun[0])


def cpu_seconds(process: int) -> float:
    """Return the CPU time of a process, without its children."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def completed(out: Path) -> int:
    """Return the number of completed runs."""
    count = 0
    for path in out.glob("trial-*"):
        try:
            count += RunFolder(path).read_summary().state == "completed"
        except InputError:
            continue
    return count


def epochs(out: Path) -> list[EpochDone]:
    """Return the ends of epochs of all runs."""
    found = []
    for path in out.glob("trial-*"):
        try:
            found += [e for e in RunFolder(path).read_events().events if isinstance(e, EpochDone)]
        except InputError:
            continue
    return found


def speed(out: Path) -> float:
    """Return the median training speed of the epochs, in images a second."""
    return statistics.median(each.images_per_second for each in epochs(out))


if __name__ == "__main__":
    sys.exit(main())
