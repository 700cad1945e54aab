"""The time of a preset to its accuracy on a GPU: ``python tests/benchmarks/gpu.py``.

    python tests/benchmarks/gpu.py --seeds 10                       # the preset fast on cuda
    python tests/benchmarks/gpu.py --batch-size 512 --lr 1.6 --precision bf16
    python tests/benchmarks/gpu.py --device cpu --seeds 2 --epochs 1

One process trains every seed, without the window, recording or probes. A first run of one epoch is
the warm-up: it loads kernels, and does not count. The first seed is trained twice: both runs must
have the same weights and losses, bit for bit. Each seed reads the test set once, after its last
epoch. No seed starts after ``--minutes``.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.options import Parser, above_zero, from_zero, whole
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import DEVICES, PRECISIONS, RunConfig
from tui_trainer.protocol.config_file import Source, compose, read_preset
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import RunFinished, StepDone
from tui_trainer.stats.means import mean_interval

DIFFERENT = 1
GIVEN = ("device", "precision", "batch_size", "epochs", "lr", "data_dir")
"""The options that are settings of a run."""

Print = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Result:
    """One run.

    Attributes:
        accuracy: On the test set.
        seconds: The duration of the training, without loading and test evaluation.
        images: The number of training images, of all epochs.
        parameters: The number of parameters.
        digest: SHA-256 of all losses and final weights.
    """

    accuracy: float
    seconds: float
    images: int
    parameters: int
    digest: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the seeds, and return the exit code."""
    parser = made_parser()
    options = parser.parse_args(arguments)
    given = {name: value for name in GIVEN if (value := getattr(options, name)) is not None}
    try:
        config = compose(read_preset(options.preset), Source({"probes": False, **given}))
        seeds = range(options.first, options.first + options.seeds)
        return measure(config, seeds, 60 * options.minutes, lambda line: print(line, flush=True))
    except InputError as error:
        parser.error(str(error))


def made_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("gpu.py", "Measure the time of a preset to its accuracy on a GPU.")
    parser.add_argument("--preset", default="fast", help="the preset (fast)")
    parser.add_argument("--from", dest="first", type=from_zero, default=100, help="first seed")
    parser.add_argument("--seeds", type=whole, default=10, help="number of seeds (10)")
    parser.add_argument("--minutes", type=above_zero, default=8.0, help="no seed starts later (8)")
    parser.add_argument("--device", choices=DEVICES, default="cuda", help="device (cuda)")
    parser.add_argument("--precision", choices=PRECISIONS, help="as the preset says")
    parser.add_argument("--batch-size", type=whole, help="as the preset says")
    parser.add_argument("--epochs", type=whole, help="as the preset says")
    parser.add_argument("--lr", type=above_zero, help="as the preset says")
    parser.add_argument("--data-dir", help="folder of IDX files; default: MNIST")
    return parser


def measure(
    config: RunConfig,
    seeds: range,
    limit: float,
    print_line: Print,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """Train the seeds one after the other, and print each result; return the exit code.

    Raises:
        InputError: If the run cannot start.
    """
    began = clock()
    train(replace(config, epochs=1, seed=seeds[0]))
    print_line(f"warm-up: {clock() - began:.1f} s with loading, not counted")
    first = train(replace(config, seed=seeds[0]))
    results: list[Result] = []
    for seed in seeds:
        if clock() - began > limit:
            print_line(f"time is up: seeds from {seed} on were not trained")
            break
        results.append(train(replace(config, seed=seed)))
        print_line(line_of(seed, results[-1]))
        if len(results) == 1 and results[0].digest != first.digest:
            digests = f"{first.digest[:12]}, {results[0].digest[:12]}"
            print_line(f"seed {seed}: two runs differ: {digests}")
            return DIFFERENT
    if results:
        print_line("two runs of the first seed: the same losses and weights, bit for bit")
        print_line(summary(results))
    return 0


def train(config: RunConfig) -> Result:
    """Train once."""
    from tui_trainer.engine import loop
    from tui_trainer.engine.checkpoint_store import CheckpointStore

    store, digest, end = CheckpointStore(seconds=float("inf")), hashlib.sha256(), None
    images = 0
    for event in loop.train(config, Inbox(), store=store):
        if isinstance(event, StepDone):
            digest.update(repr(event.loss).encode())
            images = event.images
        elif isinstance(event, RunFinished):
            end = event
    assert end is not None
    if end.test_accuracy is None or store.last_good is None:
        raise InputError(f"seed {config.seed}: the run {end.reason}; lower --lr")
    tensors: dict[str, Any] = store.last_good.part("model")
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return Result(end.test_accuracy, end.seconds, images, end.parameters, digest.hexdigest())


def line_of(seed: int, result: Result) -> str:
    """Return a result as a line of text."""
    speed = result.images / max(result.seconds, 1e-9)
    return (
        f"seed {seed}: test {result.accuracy:.2%}, {result.seconds:.3f} s of training, "
        f"{speed:,.0f} images/s, {result.digest[:12]}"
    )


def summary(results: Sequence[Result]) -> str:
    """Return mean accuracy, its interval and the median time as a line of text."""
    accuracy = mean_interval([each.accuracy for each in results])
    seconds = statistics.median(each.seconds for each in results)
    return (
        f"{results[0].parameters:,} parameters, mean test accuracy {accuracy.mean:.3%} "
        f"[{accuracy.low:.3%}, {accuracy.high:.3%}] over {len(results)} seeds, "
        f"median {seconds:.3f} s of training, on {device_name()}"
    )


def device_name() -> str:
    """Return the name of the GPU, or of the processor if there is none."""
    import torch

    from tests.benchmarks.contender_runner import processor_name

    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()


if __name__ == "__main__":
    sys.exit(main())
