"""The runs of the suite: what each is, and the healthy ones.

Healthy runs are drawn from a grid of usual settings: what is drawn depends on the set of seeds, so
that those for tuning the rules and those for judging them are different runs, not the same ones
with other noise. Sizes are such that a run of twenty epochs takes one slow core about half a
minute.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEALTHY = "healthy"
EPOCHS = 20

FIRST_SEEDS: Mapping[str, int] = {
    "tuning": 1,
    "second-tuning": 1_001,
    "third-tuning": 2_001,
    "judging": 3_001,
}
"""The first seed of each set; no set has as many as a thousand.

The second and the third were meant for judging. What they showed was mended, and so they judge no
more: a set judges once.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the suite.

    Attributes:
        kind: ``healthy``, or what is sabotaged.
        seed: Its seed, which everything that is drawn depends on.
        settings: The fields of its RunConfig, but for the data's folder and the machine's own.
        data: ``mnist`` or a variant's name.
        sane: The least accuracy on validation of a run that went well.
        onset: How many epochs it trains before the sabotage begins.
    """

    kind: str
    seed: int
    settings: Mapping[str, Any]
    data: str = "mnist"
    sane: float = 0.0
    onset: int = 0

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.kind}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Row:
    """So many healthy runs of one network on one dataset, with the rest of the settings drawn."""

    count: int
    model: str
    data: str
    train_size: int
    augments: tuple[str, ...]
    val_size: int = 2_000
    sane: float = 0.90


# Few images are always augmented: without, they really would be learned by heart.
PLAIN, MIXED, MOVED = ("none",), ("none", "light", "course"), ("light", "light", "course")
NORMED = frozenset(
    {"squeeze-norm", "squeeze-dropout", "under-8k", "tiny", "small", "pool-early", "era-s6"}
)
"""The networks with batch norm, which stand a larger learning rate."""

ROWS = (
    Row(4, "mlp", "mnist", 50_000, PLAIN, 5_000, 0.93),
    Row(2, "mlp", "mnist-inverted", 30_000, PLAIN, 5_000, 0.90),
    Row(2, "mlp", "mnist-five", 20_000, PLAIN, sane=0.93),
    Row(2, "mlp", "mnist-turned", 20_000, ("course",), 5_000, 0.90),
    Row(5, "conv-fc", "mnist", 12_000, MIXED),
    Row(2, "conv-fc", "mnist-turned", 12_000, MIXED),
    Row(2, "conv-fc", "mnist-14", 12_000, MOVED),
    Row(1, "conv-fc", "mnist-five", 12_000, MIXED),
    Row(3, "conv-gap", "mnist", 8_000, MOVED),
    Row(4, "conv-gap", "mnist-14", 12_000, MIXED),
    Row(2, "conv-gap", "mnist-five", 8_000, MOVED),
    Row(3, "squeeze", "mnist-14", 5_000, MOVED),
    Row(2, "squeeze-norm", "mnist", 2_500, MOVED),
    Row(4, "squeeze-norm", "mnist-14", 4_000, MOVED),
    Row(4, "squeeze-dropout", "mnist-14", 4_000, MOVED),
    Row(1, "squeeze-dropout", "mnist-turned", 2_500, MOVED),
    Row(4, "under-8k", "mnist-14", 5_000, MOVED),
    Row(2, "under-8k", "mnist", 3_000, MOVED),
    Row(4, "tiny", "mnist-14", 4_000, MOVED),
    Row(1, "tiny", "mnist", 2_500, MOVED),
    Row(3, "small", "mnist", 5_000, MOVED),
    Row(5, "small", "mnist-14", 8_000, MIXED),
    Row(2, "small", "mnist-inverted", 5_000, MOVED),
    Row(4, "pool-early", "mnist-14", 8_000, MIXED),
    Row(1, "pool-early", "mnist", 2_500, MOVED),
    Row(2, "era-s6", "mnist-14", 2_000, MOVED),
    Row(1, "era-s6", "mnist", 1_000, MOVED, 1_000, 0.90),
)


def healthy_cases(seeds: str) -> Iterator[Case]:
    """Yield the healthy runs of a set of seeds.

    Raises:
        KeyError: If there is no such set.
    """
    seed = FIRST_SEEDS[seeds]
    for row in ROWS:
        for _ in range(row.count):
            yield Case(HEALTHY, seed, _drawn(row, seed), row.data, row.sane)
            seed += 1


def _drawn(row: Row, seed: int) -> dict[str, Any]:
    """Return the settings of one healthy run."""
    draw = random.Random(f"healthy {seed}")
    batch_size = draw.choice((64, 128, 256, 512) if row.train_size > 12_000 else (32, 64, 128, 256))
    optimizer = draw.choice(("sgd", "sgd", "adam", "adamw"))
    augment = draw.choice(row.augments)
    settings: dict[str, Any] = {
        "model": row.model,
        "train_size": row.train_size,
        "val_size": row.val_size,
        "epochs": EPOCHS,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "schedule": draw.choice(("constant", "step", "cosine", "one-cycle")),
        "step_size": 8,
        "augment": augment,
        "seed": seed,
        "lr": usual_lr(draw, row.model, optimizer, batch_size),
        "weight_decay": draw.choice(_DECAYS[optimizer]),
    }
    if augment == "light" and row.data == "mnist-14":
        settings["shift"] = 1.0  # as far as two pixels of a 28-pixel image
    if row.model == "squeeze-dropout":
        settings["dropout"] = draw.choice((0.05, 0.1))
    return settings


_DECAYS: Mapping[str, Sequence[float]] = {
    "sgd": (0.0, 1e-4, 5e-4),
    "adam": (0.0, 1e-5, 1e-4),
    "adamw": (1e-4, 5e-4, 1e-2),
}


def usual_lr(draw: random.Random, model: str, optimizer: str, batch_size: int) -> float:
    """Return a learning rate that an expert would choose.

    For SGD with a momentum of 0.9 it grows with the batch (P. Goyal and others, "Accurate, Large
    Minibatch SGD", 2017), for Adam with its square root.
    """
    times = batch_size / 128
    if optimizer != "sgd":
        return float(f"{draw.uniform(0.001, 0.003) * times**0.5:.2g}")
    low, high, most = (0.02, 0.08, 0.2) if model in NORMED else (0.01, 0.03, 0.08)
    return float(f"{min(most, draw.uniform(low, high) * times):.2g}")
