"""Memory against speed with large batches: ``python -m tests.benchmarks.recompute``.

Trains ``era-s6`` with batches of 512 in a bare loop, in separate processes: with the freed
memory kept or returned to the system, with the first layers' activations recomputed in the
backward pass (T. Chen and others, "Training deep nets with sublinear memory cost", 2016), and in
bfloat16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.benchmarks.measure import write_json
from tests.benchmarks.meter import peak_rss_mb
from tests.benchmarks.options import Parser, whole
from tests.benchmarks.peers import new_model, resident, usual_optimizer
from tests.benchmarks.processes import end_on_terminate, finish
from tui_trainer.models.allocator import keep_freed_memory
from tui_trainer.protocol.config import RunConfig

BATCH_SIZE = 512
WARM_STEPS = 3

ROWS = {
    "float32": (0, True, False),
    "float32, freed memory returned": (0, False, False),
    "float32, 1 of 7 stages recomputed": (1, True, False),
    "float32, 3 of 7": (3, True, False),
    "float32, 6 of 7": (6, True, False),
    "bfloat16": (0, True, True),
    "bfloat16, 3 of 7": (3, True, True),
}
"""Stages (a convolution to its ReLU) recomputed; keeps freed memory or not; bfloat16 or not."""


def stages(model: nn.Sequential) -> Iterator[nn.Sequential]:
    """Split a model before each convolution but the first."""
    part: list[nn.Module] = []
    for layer in model:
        if isinstance(layer, nn.Conv2d) and part:
            yield nn.Sequential(*part)
            part = []
        part.append(layer)
    yield nn.Sequential(*part)


def measure(recomputed: int, steps: int, *, keeps: bool, bf16: bool) -> tuple[float, float]:
    """Train in this process; return the CPU milliseconds of a step and the peak memory in MB."""
    if keeps:
        keep_freed_memory()
    config = RunConfig(model="era-s6", device="cpu")
    train = resident(config).train
    model = new_model(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(model, nn.Sequential)
    optimizer, parts, began = usual_optimizer(model, config), list(stages(model)), 0.0
    for step in range(WARM_STEPS + steps):
        if step == WARM_STEPS:
            began = time.process_time()
        batch = slice(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
        x: Tensor = train.images[batch].unsqueeze(1).float().div_(255)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for number, part in enumerate(parts):
                x = checkpoint(part, x, use_reentrant=False) if number < recomputed else part(x)
        optimizer.zero_grad()
        functional.cross_entropy(x.float(), train.labels[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.process_time() - began) / steps * 1_000, peak_rss_mb()


def main() -> int:
    """Measure each row in separate processes and print the medians."""
    parser = Parser("recompute", "Memory against speed with batches of 512.")
    parser.add_argument("--steps", type=whole, default=20, help="measured steps a row (20)")
    parser.add_argument("--rounds", type=whole, default=3, help="processes a row; medians (3)")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        torch.set_num_threads(1)
        recomputed, keeps, bf16 = ROWS[options.row]
        write_json(options.report, measure(recomputed, options.steps, keeps=keeps, bf16=bf16))
        return 0
    end_on_terminate()
    print("| | ms a step | peak memory, MB |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        for row in ROWS:
            command = [sys.executable, "-m", "tests.benchmarks.recompute", "--row", row]
            command += ["--report", str(report), "--steps", str(options.steps)]
            found = []
            for _ in range(options.rounds):
                finish(command, 300, Path(folder))
                found.append(json.loads(report.read_text(encoding="utf-8")))
            took, peak = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"| {row} | {took:.0f} | {peak:,.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
