"""Compare a training in several processes with one: ``python tests/benchmarks/distributed.py``.

    python tests/benchmarks/distributed.py                          # five seeds, 1 and 2 processes
    python tests/benchmarks/distributed.py --model small --train-size 55000 --epochs 4

Each seed is trained by one process and by several that torchrun starts, with gloo on the CPU. The
training of the first seed in several processes is interrupted after its first epoch and resumed.
The figure is the mean paired difference of the last validation accuracies, with its 95 % interval:
the two are equal within sampling noise if that contains 0. The test set stays sealed.
"""

from __future__ import annotations

import math
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.options import Parser, whole
from tests.distributed.processes import torchrun, until
from tui_trainer.protocol.events import EpochDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.stats.means import mean_interval, paired_difference

DIFFERENT = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One training.

    Attributes:
        accuracy: On the validation split, after the last epoch.
        speed: Training images per second, the median of its epochs.
    """

    accuracy: float
    speed: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all seeds, and return the exit code: 1 if the accuracies differ."""
    parser = Parser("distributed.py", "Compare a training in several processes with one.")
    parser.add_argument("--model", default="tiny", help="model (tiny)")
    parser.add_argument("--seeds", type=whole, default=5, help="number of seeds (5)")
    parser.add_argument("--epochs", type=whole, default=3, help="epochs (3)")
    parser.add_argument("--train-size", type=int, default=10_000, help="images (10,000)")
    parser.add_argument("--processes", type=whole, default=2, help="number of processes (2)")
    options = parser.parse_args(arguments)
    recipe = (
        *("--no-ui", "--no-test", "--model", options.model, "--epochs", str(options.epochs)),
        *("--train-size", str(options.train_size), "--device", "cpu"),
    )
    alone, several = [], []
    with tempfile.TemporaryDirectory(prefix="mnist-tui-distributed-") as name:
        for seed in range(options.seeds):
            folder, more = Path(name), (*recipe, "--seed", str(seed))
            alone.append(train_alone(folder / f"{seed}-alone", more))
            is_interrupted = seed == 0 and options.epochs > 1
            path = folder / f"{seed}-several"
            several.append(train_together(path, more, options.processes, is_interrupted))
            note = ", interrupted and resumed" if is_interrupted else ""
            print(
                f"seed {seed}: 1 process {alone[-1].accuracy:.2%}, {alone[-1].speed:,.0f} img/s · "
                f"{options.processes} processes {several[-1].accuracy:.2%}, "
                f"{several[-1].speed:,.0f} img/s{note}",
                flush=True,
            )
    return compare(alone, several)


def train_alone(path: Path, recipe: tuple[str, ...]) -> Result:
    """Train in one process."""
    command = [sys.executable, "-m", "tui_trainer", *recipe, "--out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return result_of(path)


def train_together(
    path: Path, recipe: tuple[str, ...], processes: int, is_interrupted: bool
) -> Result:
    """Train in several processes; interrupt them after the first epoch and resume, if wanted."""
    with torchrun(processes, *recipe, "--out", str(path), cwd=path.parent) as running:
        if is_interrupted:
            until(lambda: epochs_of(path) > 0, running, math.inf)
            running.process.send_signal(signal.SIGINT)
        running.wait(None)
    if is_interrupted:
        with torchrun(processes, "resume", str(path), "--no-ui", cwd=path.parent) as running:
            running.wait(None)
    return result_of(path)


def epochs_of(path: Path) -> int:
    """Return how many epochs a run has recorded."""
    events = RunFolder(path).events
    return events.read_bytes().count(b'{"event": "EpochDone"') if events.exists() else 0


def result_of(path: Path) -> Result:
    """Return the result of a completed run."""
    folder = RunFolder(path)
    summary = folder.read_summary()
    assert summary.state == "completed", summary.state
    epochs = [event for event in folder.read_events().events if isinstance(event, EpochDone)]
    accuracy = epochs[-1].val_accuracy
    assert accuracy is not None
    return Result(accuracy, statistics.median(epoch.images_per_second for epoch in epochs))


def compare(alone: Sequence[Result], several: Sequence[Result]) -> int:
    """Print the paired difference and the speeds; return the exit code."""
    for name, results in (("1 process", alone), ("several", several)):
        mean = mean_interval([result.accuracy for result in results])
        print(f"{name}: {mean.mean:.2%} [{mean.low:.2%}, {mean.high:.2%}] over {mean.count} seeds")
    found = paired_difference([r.accuracy for r in several], [r.accuracy for r in alone])
    print(
        f"several − 1 process: {100 * found.mean:+.3f} points "
        f"[{100 * found.low:+.3f}, {100 * found.high:+.3f}], p = {found.p:.2f}"
    )
    speeds = [statistics.median(result.speed for result in group) for group in (several, alone)]
    print(f"images a second: {speeds[0]:,.0f} / {speeds[1]:,.0f} = {speeds[0] / speeds[1]:.2f}")
    return DIFFERENT if found.low > 0 or found.high < 0 else 0


if __name__ == "__main__":
    sys.exit(main())
