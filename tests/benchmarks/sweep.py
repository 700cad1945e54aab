"""What a sweep costs its trials: ``python -m tests.benchmarks.sweep``.

The same runs are trained in turns: alone, each by a process of ``mnist-tui --no-ui --no-test``, and
as the trials of a sweep of one worker. Compared are the images per second of training, and the
seconds of a whole run: a process of a run alone loads PyTorch and the data, a trial does not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tests.benchmarks.measure import Pair, paired, write_figures
from tests.benchmarks.options import Parser
from tests.benchmarks.sweep_options import add_options
from tui_trainer.protocol.events import EpochDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.study import Study

LRS = (0.05, 0.1, 0.2)
"""The learning rates of the runs: they change the weights, and no time."""

WANTED = 0.97
"""The images per second of a trial, as a share of those of the same run alone."""


def main() -> int:
    """Print the ratios; return 1 if a trial is slower than wanted."""
    parser = Parser("sweep", "Compare the trials of a sweep with the same runs alone.")
    add_options(parser, model="small", train_size=55_000, threads=1, rounds=5)
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    settings = {
        "model": options.model,
        "epochs": 1,
        "train_size": options.train_size,
        "threads": options.threads,
    }
    speeds, walls = list[Pair](), list[Pair]()
    with tempfile.TemporaryDirectory(prefix="mnist-tui-sweep-") as name:
        for number in range(options.rounds):
            folder = Path(name) / str(number)
            # In turns, and in the other order in every second round.
            parts = [alone, in_sweep] if number % 2 == 0 else [in_sweep, alone]
            found = {part: part(folder, settings) for part in parts}
            speeds.append((found[in_sweep][0], found[alone][0]))
            walls.append((found[in_sweep][1], found[alone][1]))
            print(f"round {number + 1}: {speeds[-1][0] / speeds[-1][1]:.3f}", flush=True)
    figures = [
        paired("images per second, trial/alone", speeds, "images/s"),
        paired("seconds per run, trial/alone", walls, "s"),
    ]
    for figure in figures:
        spread = f"{figure.low:.3f} to {figure.high:.3f} over {options.rounds} rounds"
        print(f"{figure.name}: {figure.ratio:.3f} ({spread}; {figure.a:.4g} {figure.unit})")
    if options.json is not None:
        write_figures(options.json, figures)
    return int(figures[0].ratio < WANTED)


def alone(folder: Path, settings: dict[str, object]) -> tuple[float, float]:
    """Train the runs, each in its process; return images/s and the seconds of a run."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    began = time.perf_counter()
    paths = [folder / f"alone-{number}" for number in range(len(LRS))]
    for lr, path in zip(LRS, paths, strict=True):
        call("--no-ui", "--no-test", f"--lr={lr}", f"--out={path}", *flags)
    return speed_of(paths), (time.perf_counter() - began) / len(LRS)


def in_sweep(folder: Path, settings: dict[str, object]) -> tuple[float, float]:
    """Train the same runs as trials; return images/s and the seconds between two trials."""
    folder.mkdir(exist_ok=True)
    file = folder / "sweep.toml"
    top = "".join(
        f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n"
        for name, value in settings.items()
    )
    file.write_text(
        f'{top}[space]\nlr = {list(LRS)}\n[sweep]\nsampler = "grid"\npruning = "none"\n'
    )
    call("sweep", str(file), "--no-ui", f"--out={folder / 'sweep'}")
    records = Study.open(folder / "sweep").records()
    begun = sorted(record.user_attrs["began"] for record in records)
    ended = max(record.user_attrs["beat"] for record in records)
    # From the second trial on: the first one loads PyTorch and the data.
    seconds = (ended - begun[1]) / (len(begun) - 1)
    return speed_of(sorted((folder / "sweep").glob("trial-*"))), seconds


def speed_of(paths: Sequence[Path]) -> float:
    """Return the mean of the images per second of training of some runs."""
    epochs = [
        event
        for path in paths
        for event in RunFolder(path).read_events().events
        if isinstance(event, EpochDone)
    ]
    return fmean(epoch.images_per_second for epoch in epochs)


def call(*arguments: str) -> None:
    """Call ``mnist-tui``."""
    subprocess.run(
        [sys.executable, "-m", "tui_trainer", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    sys.exit(main())
