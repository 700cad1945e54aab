"""The cases of the suite, and its healthy runs.

Healthy runs draw their settings from usual ranges, depending on the set of seeds: the runs that
tune the rules and those that judge them differ in more than noise. A run of twenty epochs takes
about half a minute on one slow core.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEALTHY = "healthy"
TWIN = "twin"
EPOCHS = 20


def is_healthy(kind: str) -> bool:
    """Return whether runs of a kind are drawn as healthy: of the suite, a family or a clean twin.

    A family is named in the kind, as in ``healthy.student``.
    """
    return kind.partition(".")[0] in (HEALTHY, TWIN)


FIRST_SEEDS: Mapping[str, int] = {
    "tuning": 1,
    "second-tuning": 1_001,
    "third-tuning": 2_001,
    "judging": 3_001,
    "judging-2": 4_001,
}
"""The first seed of each set; no set has a thousand seeds.

The second and the third set were meant for judging. The rules were changed after seeing their
results, so they cannot judge any more: a set judges once. The fourth judged the rules of version
0.1, the fifth those that name causes.
"""

FEWER_RUNS = frozenset({"judging-2"})
"""The short sets: half of the healthy runs with fewer epochs, two runs of each sabotage."""

FEWER_EPOCHS = 8


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the suite.

    Attributes:
        kind: ``healthy``, or the kind of sabotage.
        seed: Its seed, which determines everything that is drawn.
        settings: The fields of its RunConfig, except for the data folder and the machine's.
        data: ``mnist`` or a variant's name.
        sane: The minimum validation accuracy of a healthy run.
        onset: The number of epochs before the sabotage begins.
    """

    kind: str
    seed: int
    settings: Mapping[str, Any]
    data: str = "mnist"
    sane: float = 0.0
    onset: int = 0

    @property
    def name(self) -> str:
        """The stem of its file names."""
        return f"{self.kind}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Row:
    """A number of healthy runs of one model on one dataset, with drawn settings."""

    count: int
    model: str
    data: str
    train_size: int
    augments: tuple[str, ...]
    val_size: int = 2_000
    sane: float = 0.90


# Few images are always augmented: without augmentation they really would be memorized.
PLAIN, MIXED, MOVED = ("none",), ("none", "light", "course"), ("light", "light", "course")
NORMED = frozenset(
    {"squeeze-norm", "squeeze-dropout", "under-8k", "tiny", "small", "pool-early", "era-s6"}
)
"""The models with batch norm, which tolerate a higher learning rate."""

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
    is_short = seeds in FEWER_RUNS
    for row in ROWS:
        for _ in range((row.count + 1) // 2 if is_short else row.count):
            settings = _drawn(row, seed)
            if is_short:
                settings |= {"epochs": FEWER_EPOCHS, "step_size": 3}
            yield Case(HEALTHY, seed, settings, row.data, row.sane)
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
        settings["shift"] = 1.0  # like two pixels of a 28-pixel image
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
