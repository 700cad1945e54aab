"""The cases of user loops: faulty ones of each kind, their clean twins, and healthy styles.

A kind of fault is written in several ways. The ways of the tuning half are in ``tuning_*.py``; the
judging half has them too, with other models, optimizers and seeds, and first of all the ways in
``judging_*.py``, which tuning never sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.findings.loops.job import Job, Predict, Unwatched

Loop = Callable[[Job], Predict]

Seeds = Literal["tuning", "judging"]

Measure = Literal["accuracy", "waiting", "cpu_seconds", "memory_mb"]

FIRST_SEEDS: Mapping[Seeds, int] = {"tuning": 101, "judging": 501}

TUNING_RUNS = 2
"""Runs of each way in the tuning half."""

JUDGING_RUNS = 5
"""Runs of each kind in the judging half."""

HEALTHY_RUNS: Mapping[Seeds, int] = {"tuning": 1, "judging": 3}

SANE = 0.75
"""The minimum validation accuracy of a healthy loop: some train for two epochs."""

ANY = ("cnn", "bn", "mlp", "resnet", "lstm", "transformer")
PLAIN = ("cnn", "bn", "mlp", "resnet")
CONV = ("cnn", "bn", "resnet")
MODES = ("mlp", "bn", "resnet", "lstm")
"""The models with dropout or batch norm."""

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
SCALED = ("sgd", "momentum")
"""The optimizers whose update is proportional to the gradient: Adam's does not depend on it."""

_SLOW: Mapping[str, tuple[str, ...]] = {
    "lstm": ("adam", "adamw", "rmsprop", "momentum"),
    "transformer": ("adam", "adamw"),
}
"""The optimizers that learn in a few hundred steps, of the models that need another one."""

MORE_IMAGES: Mapping[str, int] = {"lstm": 6_000, "transformer": 6_000}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        causes: The codes of causes that name it.
        tuning: Its loops that both halves have.
        measure: What it costs: test accuracy or a false validation accuracy, time, or memory.
    """

    causes: tuple[str, ...]
    tuning: tuple[Loop, ...]
    architectures: tuple[str, ...] = ANY
    optimizers: tuple[str, ...] = OPTIMIZERS
    measure: Measure = "accuracy"


@dataclass(frozen=True, slots=True)
class LoopCase:
    """One run of a user loop.

    Attributes:
        kind: The kind of fault; ``healthy`` for a healthy style.
        loop: The function.
        faulty: Whether it has its fault.
    """

    kind: str
    loop: Loop
    architecture: str
    optimizer: str
    seed: int
    faulty: bool = True

    @property
    def run_kind(self) -> str:
        """The kind of its run, as the tables name it."""
        if self.is_style:
            return f"healthy.loop-{self.loop.__name__}"
        return f"{'' if self.faulty else 'twin.'}{self.kind}.{self.loop.__name__}"

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"{self.run_kind}-{self.architecture}-{self.optimizer}-{self.seed}"

    @property
    def is_style(self) -> bool:
        """Whether it is a healthy style, not a clean twin."""
        return self.kind == "healthy"

    def job(self, watch: Callable[..., object] = Unwatched) -> Job:
        """Return what the loop gets."""
        size = MORE_IMAGES.get(self.architecture, 4_000)
        return Job(self.seed, self.architecture, self.optimizer, self.faulty, watch, size)


def faulty_cases(
    seeds: Seeds, kinds: Mapping[str, Kind], judging: Mapping[str, tuple[Loop, ...]]
) -> list[LoopCase]:
    """Return the faulty runs of one half; ``judging`` are the loops that only one of them has."""
    cases: list[LoopCase] = []
    for number, (name, kind) in enumerate(kinds.items()):
        for index, loop in enumerate(_ways(seeds, kind.tuning, judging[name])):
            place = number + index + (3 if seeds == "judging" else 0)
            architecture = kind.architectures[place % len(kind.architectures)]
            usable = _SLOW.get(architecture, OPTIMIZERS)
            # One that learns slowly is better than none of those that show the fault.
            optimizers = [o for o in kind.optimizers if o in usable] or kind.optimizers
            stride = 1 + len(optimizers) % 2
            optimizer = optimizers[(number + stride * index) % len(optimizers)]
            seed = FIRST_SEEDS[seeds] + index
            cases.append(LoopCase(name, loop, architecture, optimizer, seed))
    return cases


def _ways(seeds: Seeds, tuning: tuple[Loop, ...], judging: tuple[Loop, ...]) -> Sequence[Loop]:
    if seeds == "tuning":
        return [loop for loop in tuning for _ in range(TUNING_RUNS)]
    every = (*judging, *tuning)
    return [every[index % len(every)] for index in range(JUDGING_RUNS)]


def healthy_cases(seeds: Seeds, styles: Sequence[Loop]) -> list[LoopCase]:
    """Return the healthy runs of one half: each style over some models and seeds."""
    cases = []
    for number, style in enumerate(styles):
        for index in range(HEALTHY_RUNS[seeds]):
            place = number + index * 2 + (3 if seeds == "judging" else 0)
            architecture = ANY[place % len(ANY)]
            usable = _SLOW.get(architecture, OPTIMIZERS)
            optimizer = usable[(number + index) % len(usable)]
            seed = FIRST_SEEDS[seeds] + index
            cases.append(LoopCase("healthy", style, architecture, optimizer, seed, faulty=False))
    return cases
