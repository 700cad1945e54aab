"""What the benchmarks of sweeps share: their options, and a file of a random sweep."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.options import Parser, from_zero, whole

OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "model": (str, "model"),
    "trials": (whole, "trials"),
    "epochs": (whole, "epochs"),
    "train_size": (from_zero, "images"),
    "threads": (whole, "threads of each run"),
    "workers": (whole, "number of workers"),
    "rounds": (whole, "rounds"),
}

SWEEP = """
model = "{model}"
epochs = {epochs}
train_size = {train_size}
val_size = 1000
device = "cpu"
{threads}
[space]
lr = {{ low = 0.01, high = 0.3, log = true }}

[sweep]
sampler = "random"
pruning = "none"
trials = {trials}
"""


def add_options(parser: Parser, **defaults: str | int | None) -> None:
    """Add options by name, each with its default; None leaves the value to each run."""
    for name, default in defaults.items():
        kind, what = OPTIONS[name]
        shown = f"{default:,}" if isinstance(default, int) else default or "chosen by each run"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=default, help=f"{what} ({shown})")


def write_sweep(path: Path, options: Namespace) -> None:
    """Write the file of a random sweep with these options."""
    threads = "" if options.threads is None else f"threads = {options.threads}"
    path.write_text(SWEEP.format(**{**vars(options), "threads": threads}))
