"""The reference envelope of ``mnist-tui check``: the first steps of healthy runs.

    nice python -m tests.benchmarks.envelope

Trains several built-in models on the 55,000 training images of MNIST, with the defaults of
``mnist-tui`` except for :data:`SETS`, and writes after 100 steps and after one epoch the loss of
the last training batches and the accuracy on the 5,000 validation images. The test set is not
read. About 15 minutes on one core. The file is rewritten after each run, and runs in it are not
trained again: delete it to start over.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.measure import write_json
from tests.benchmarks.options import Parser, whole
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.engine.evaluation import evaluate
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.build import build_model, to_channels_last
from tui_trainer.protocol.config import RunConfig
from tui_trainer.stats.envelope import DATA_FILE, LAST_STEPS, STEPS

MODELS = ("mlp", "conv-fc", "small", "conv-gap", "tiny", "squeeze-norm", "squeeze", "era-s6")

SLOW = ("squeeze", "era-s6")
"""Models that need most of a minute per epoch; trained with the default schedule only."""

SETS = (("one-cycle", 0), ("constant", 0), ("one-cycle", 1))
"""Schedules, each with a seed."""

OPTIMIZERS = ("sgd", "adam")

KEYS = ("model", "optimizer", "schedule", "seed")
"""What identifies a run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train every run of the envelope, and write its losses and accuracies."""
    parser = Parser(prog="envelope.py", description=__doc__)
    parser.add_argument("--threads", type=whole, default=1, help="CPU threads (1)")
    parser.add_argument(
        "--to", type=Path, default=DATA_FILE, help="output file (the package's own)"
    )
    parser.add_argument("--models", nargs="*", default=MODELS, help="which models")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    data = _mnist()
    done = json.loads(options.to.read_text(encoding="utf-8")) if options.to.exists() else {}
    records: list[dict[str, Any]] = done.get("runs", [])
    for config in runs(options.models, options.threads):
        if any(all(record[key] == getattr(config, key) for key in KEYS) for record in records):
            continue
        began = time.perf_counter()
        records.append(measured(config, data))
        print(f"{time.perf_counter() - began:5.0f} s  {records[-1]}", flush=True)
        write_json(options.to, {"made_by": "python -m tests.benchmarks.envelope", "runs": records})
    return 0


def runs(models: Sequence[str], threads: int) -> Iterator[RunConfig]:
    """Yield the runs of the envelope."""
    for schedule, seed in SETS:
        for model in models:
            if schedule != SETS[0][0] and model in SLOW:
                continue
            for optimizer in OPTIMIZERS:
                yield RunConfig(
                    model=model,
                    optimizer=optimizer,
                    schedule=schedule,
                    seed=seed,
                    device="cpu",
                    threads=threads,
                )


def measured(config: RunConfig, data: Data) -> dict[str, Any]:
    """Train one epoch, and return losses and accuracies after 100 steps and at its end."""
    torch.manual_seed(config.seed)
    model = build_model(config.model, image_size=data.image_size, classes=data.classes)
    model = to_channels_last(model, data.image_size)
    trial = make_trial(model, data, config)
    early, losses = {}, []
    while trial.images < len(data.train):
        losses.append(float(trial.step()))
        if len(losses) == STEPS:
            rng_state = torch.get_rng_state()
            early = _reached(trial, losses)
            torch.set_rng_state(rng_state)
    norms = (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d, torch.nn.LayerNorm, torch.nn.GroupNorm)
    return {
        "model": config.model,
        "parameters": sum(p.numel() for p in model.parameters()),
        "has_norm": any(isinstance(module, norms) for module in model.modules()),
        "optimizer": config.optimizer,
        "base_lr": config.base_lr,
        "schedule": config.schedule,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "first_steps": early,
        "first_epoch": _reached(trial, losses),
    }


def _reached(trial: Trial, losses: Sequence[float]) -> dict[str, float]:
    result = evaluate(trial.model, trial.data, trial.data.val)
    return {
        "train_loss": statistics.fmean(losses[-LAST_STEPS:]),
        "val_loss": result.loss,
        "val_accuracy": result.correct / result.total,
    }


def _mnist() -> Data:
    loading = load(RunConfig(), torch.device("cpu"))
    while True:
        try:
            next(loading)
        except StopIteration as end:
            data: Data = end.value
            return data


if __name__ == "__main__":
    sys.exit(main())
