"""Training on images in a mapped file against images in memory.

``python -m tests.benchmarks.residency DIR``: the same run trains in turn, A B A B; both give the
same losses. Besides the ratio of their speeds, the time of the batches alone is measured. DIR is
any folder of data.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice

import torch

from tests.benchmarks.measure import Figure, paired
from tests.benchmarks.options import whole
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.loop import train
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone

CPU = torch.device("cpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Training on images in a file and in memory.")
    parser.add_argument("data_dir", help="folder of data")
    parser.add_argument("--model", default="small", help="model (small)")
    parser.add_argument("--train-size", type=int, default=6_000, help="images (6,000)")
    parser.add_argument("--rounds", type=whole, default=5, help="number of rounds (5)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mnist-tui-residency-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        run = RunConfig(
            model=options.model,
            data_dir=options.data_dir,
            train_size=options.train_size,
            epochs=1,
            threads=1,
            device="cpu",
            probes=False,
            test=False,
        )
        figures = measure(run, options.rounds)
    for figure in figures:
        print(
            f"{figure.name:<36} {figure.ratio:5.2f}  {figure.low:.2f}–{figure.high:.2f}  "
            f"{figure.a:,.0f} and {figure.b:,.0f} {figure.unit}"
        )
    return 0


def measure(run: RunConfig, rounds: int) -> list[Figure]:
    """Return the ratios of speeds: mapped over resident.

    Raises:
        RuntimeError: If the two do not give the same losses.
    """
    mapped, resident = ({"memory_share": share} for share in (0.0, 1.0))
    speeds, batches = [], []
    for _ in range(rounds):
        done = [epoch_of(RunConfig(**{**run.as_dict(), **each})) for each in (mapped, resident)]
        if done[0].train_loss != done[1].train_loss:
            raise RuntimeError("the losses differ")
        speeds.append((done[0].images_per_second, done[1].images_per_second))
        batches.append(
            (
                batches_per_second(RunConfig(**{**run.as_dict(), **mapped})),
                batches_per_second(RunConfig(**{**run.as_dict(), **resident})),
            )
        )
        print(f"{speeds[-1][0] / speeds[-1][1]:.2f}", file=sys.stderr, flush=True)
    return [
        paired("training: mapped/resident", speeds, "images/s"),
        paired("batches alone: mapped/resident", batches, "batches/s"),
    ]


def epoch_of(run: RunConfig) -> EpochDone:
    """Train an epoch."""
    return next(event for event in train(run, Inbox()) if isinstance(event, EpochDone))


def batches_per_second(run: RunConfig) -> float:
    """Return how many batches can be prepared in a second."""
    batches = Batches(data_of(run), run)
    batches.stream.begin_epoch()
    began, count = time.perf_counter(), 0
    for _ in islice(iter(lambda: batches.stream.remaining > run.batch_size, False), 1_000):
        batches.next(0.0)
        count += 1
    return count / (time.perf_counter() - began)


def data_of(run: RunConfig) -> Data:
    """Load the data of a run."""
    loading = load(run, CPU)
    while True:
        try:
            next(loading)
        except StopIteration as done:
            data: Data = done.value
            return data


if __name__ == "__main__":
    raise SystemExit(main())
