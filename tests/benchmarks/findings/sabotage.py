"""The kinds of sabotage, and the findings that must name them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.findings import hooks
from tests.benchmarks.findings.hooks import DataHook, ModelHook, SessionHook
from tests.benchmarks.findings.suite import FEWER_RUNS, FIRST_SEEDS, Case, is_healthy, usual_lr

RUNS_OF_KIND = 5
FEWER_RUNS_OF_KIND, FEWER_IMAGES = 2, 5_000
"""The sabotaged runs of each kind, and their training images, in a short set."""

EPOCHS = 4

MODELS = Path(__file__).with_name("models.py")


@dataclass(frozen=True, slots=True)
class Base:
    """The healthy run that is sabotaged: its model, data and settings."""

    model: str
    data: str = "mnist"
    train_size: int = 15_000
    optimizer: str = "sgd"
    schedule: str = "constant"
    augment: str = "none"


MLP = Base("mlp", train_size=50_000)
CONV_FC = Base("conv-fc", optimizer="adam", augment="light")
CONV_GAP = Base("conv-gap", optimizer="adamw", schedule="cosine")
SMALL = Base("small", "mnist-14", schedule="one-cycle", augment="light")
SQUEEZE_NORM = Base("squeeze-norm", "mnist-14", 10_000)
POOL_EARLY = Base("pool-early", "mnist-14", optimizer="adam", augment="light")
UNDER_8K = Base("under-8k", "mnist-14", 10_000, schedule="cosine")
SQUEEZE_DROPOUT = Base("squeeze-dropout", "mnist-14", 10_000)

ANY = (MLP, CONV_FC, CONV_GAP, SMALL, SQUEEZE_NORM)
WITH_NORM = (SMALL, SQUEEZE_NORM, POOL_EARLY, UNDER_8K, SQUEEZE_DROPOUT)
WITHOUT_NORM = (MLP, CONV_FC, CONV_GAP, MLP, CONV_FC)


@dataclass(frozen=True, slots=True)
class Sabotage:
    """How a run is sabotaged.

    Attributes:
        settings: Settings that override those of the base.
        times_lr: A factor on its learning rate.
        data: Changes the data when they are loaded.
        model: Changes the model when it is built.
        session: Changes the run's parts before its first batch.
        onset: The number of healthy epochs before it begins.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    times_lr: float = 1.0
    data: DataHook | None = None
    model: ModelHook | None = None
    session: SessionHook | None = None
    onset: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sabotage.

    Attributes:
        spoil: Returns the sabotage of a run, given its seed and its index in the kind.
        expected: The codes of the findings that must name it.
        bases: The healthy runs to sabotage, in turn.
    """

    spoil: Callable[[int, int], Sabotage]
    expected: frozenset[str]
    bases: tuple[Base, ...] = ANY


def _broken_model(*names: str, epochs: int = EPOCHS) -> Callable[[int, int], Sabotage]:
    """Train one of several broken models, in turn."""

    def spoil(seed: int, place: int) -> Sabotage:
        return Sabotage({"model": f"{MODELS}:{names[place % len(names)]}", "epochs": epochs})

    return spoil


def _few_images(seed: int, place: int) -> Sabotage:
    few = {"train_size": 500, "val_size": 1_000, "epochs": 40, "batch_size": 32, "augment": "none"}
    return Sabotage(few)


def _same_images(seed: int, place: int) -> Sabotage:
    return Sabotage({"augment": "none"}, session=hooks.same_images(64))


def _batch_of_4(seed: int, place: int) -> Sabotage:
    lr = {"sgd": 0.2, "adam": 0.03}[WITH_NORM[place].optimizer]
    small = {"batch_size": 4, "lr": lr, "train_size": 5_000, "epochs": 3}
    return Sabotage({**small, "val_size": 1_000, "schedule": "constant"})


def _heavy_decay(seed: int, place: int) -> Sabotage:
    # AdamW shrinks the weights by lr × weight decay, SGD and Adam add the decay to the gradient: a
    # value that is absurd for one is usual for the other.
    optimizer = ("sgd", "adam")[place % 2]
    lr = {"sgd": 0.03, "adam": 0.002}[optimizer]
    return Sabotage({"weight_decay": 0.3, "optimizer": optimizer, "lr": lr})


def _val_scaled(seed: int, place: int) -> Sabotage:
    changes = (
        lambda images: images // 8,
        lambda images: images // 255,
        lambda images: 255 - images,
        lambda images: images // 4 + 128,
        lambda images: images // 8,
    )
    return Sabotage(data=hooks.val_changed(changes[place]))


def _uphill(seed: int, place: int) -> Sabotage:
    onset = 1 + place % 2
    return Sabotage(session=hooks.uphill(onset), onset=onset)


TOO_FAST = frozenset(
    {"divergence", "learning_rate_high", "loss_rising", "dead_units", "batch_norm_gap"}
)
"""The consequences of a learning rate that is too high; each of them names it as the cause."""

KINDS: Mapping[str, Kind] = {
    "rate-x30": Kind(lambda seed, place: Sabotage(times_lr=30), TOO_FAST),
    "rate-x300": Kind(lambda seed, place: Sabotage(times_lr=300), TOO_FAST),
    "rate-div-1000": Kind(
        lambda seed, place: Sabotage(times_lr=1 / 1000),
        frozenset({"learning_rate_low", "not_learning"}),
    ),
    "labels-shuffled": Kind(
        lambda seed, place: Sabotage(data=hooks.random_labels(1.0, seed, val=True)),
        frozenset({"not_learning", "chance_level"}),
    ),
    "labels-30": Kind(
        lambda seed, place: Sabotage(data=hooks.random_labels(0.3, seed, val=True)),
        frozenset({"labels_noisy"}),
    ),
    "labels-train": Kind(
        lambda seed, place: Sabotage(data=hooks.random_labels(0.35, seed, val=False)),
        frozenset({"labels_noisy"}),
    ),
    "few-images": Kind(_few_images, frozenset({"overfitting", "memorizing"})),
    "same-64-images": Kind(_same_images, frozenset({"overfitting", "memorizing"})),
    "sorted": Kind(
        lambda seed, place: Sabotage(session=hooks.sorted_by_class), frozenset({"not_shuffled"})
    ),
    "dead-start": Kind(
        lambda seed, place: Sabotage(model=hooks.dead(1.0 if place < 3 else 0.6)),
        frozenset({"dead_units"}),
    ),
    "loud-start": Kind(
        lambda seed, place: Sabotage(model=hooks.louder(10)),
        frozenset({"exploding_logits"}),
        WITHOUT_NORM,
    ),
    "deep-sigmoid": Kind(
        _broken_model("DeepSigmoid", "DeepSigmoidMaps"),
        frozenset({"vanishing_gradients", "not_learning"}),
        (MLP, CONV_FC, MLP, CONV_FC, MLP),
    ),
    "raw-pixels": Kind(
        lambda seed, place: Sabotage(data=hooks.unscaled), frozenset({"input_scale"})
    ),
    "faint-input": Kind(
        lambda seed, place: Sabotage(data=hooks.faint(50)), frozenset({"input_scale"})
    ),
    "detached-layer": Kind(
        lambda seed, place: Sabotage(model=hooks.first_layer_detached),
        frozenset({"no_gradient"}),
    ),
    "half-optimized": Kind(
        lambda seed, place: Sabotage(session=hooks.half_optimized(place % 3)),
        frozenset({"not_updated"}),
    ),
    "never-training": Kind(
        lambda seed, place: Sabotage(session=hooks.never_training),
        frozenset({"evaluation_mode"}),
        WITH_NORM,
    ),
    "softmax-twice": Kind(
        lambda seed, place: Sabotage(model=hooks.softmax_at_the_end),
        frozenset({"probabilities"}),
    ),
    "batch-of-4": Kind(
        _batch_of_4, frozenset({"batch_too_small", "learning_rate_high"}), WITH_NORM
    ),
    "dropout-90": Kind(
        lambda seed, place: Sabotage(model=hooks.dropout_everywhere(0.9)),
        frozenset({"dropout_high", "underfitting"}),
    ),
    "uphill-later": Kind(_uphill, frozenset({"uphill", "loss_rising", "divergence"})),
    "class-missing": Kind(
        lambda seed, place: Sabotage(data=hooks.without_class(seed % 10)),
        frozenset({"class_missing"}),
    ),
    "validation-scaled": Kind(_val_scaled, frozenset({"validation_differs"})),
    "one-label": Kind(
        lambda seed, place: Sabotage(data=hooks.one_label(seed % 10)),
        frozenset({"constant_labels"}),
    ),
    "decay-0.3": Kind(
        _heavy_decay, frozenset({"weight_decay_high", "underfitting", "not_learning"})
    ),
    "bottleneck": Kind(
        _broken_model("Bottleneck", "BottleneckMaps", epochs=10),
        frozenset({"underfitting", "not_learning"}),
        (MLP, CONV_GAP, MLP, CONV_GAP, MLP),
    ),
}
"""Every kind by its name, in the order of the tables. The names seed the drawn settings."""

EXPECTED: Mapping[str, frozenset[str]] = {name: kind.expected for name, kind in KINDS.items()}
"""The codes of the findings that name each kind of sabotage."""

CAUSES: Mapping[str, tuple[str, ...]] = {
    "rate-x30": ("learning_rate_high",),
    "rate-x300": ("learning_rate_high",),
    "rate-div-1000": ("learning_rate_low",),
    "labels-shuffled": ("labels_shuffled",),
    "labels-30": ("label_noise",),
    "labels-train": ("label_noise",),
    "few-images": ("few_images",),
    "same-64-images": ("few_images",),
    "sorted": ("not_shuffled",),
    "dead-start": ("dead_units",),
    "loud-start": ("init_large", "logits_scaled"),
    "deep-sigmoid": ("vanishing_gradients",),
    "raw-pixels": ("input_scale",),
    "faint-input": ("input_scale",),
    "detached-layer": ("no_gradient",),
    "half-optimized": ("not_updated",),
    "never-training": ("evaluation_mode",),
    "softmax-twice": ("softmax_before_loss",),
    "batch-of-4": ("batch_small", "learning_rate_high"),
    "dropout-90": ("dropout_high",),
    "uphill-later": ("gradient_sign",),
    "class-missing": ("class_missing",),
    "validation-scaled": ("validation_differs",),
    "one-label": ("constant_labels",),
    "decay-0.3": ("weight_decay_high",),
    "bottleneck": ("capacity",),
}
"""The causes of each kind of sabotage, by their codes; a finding may name any of them."""


def sabotaged_cases(seeds: str) -> Iterator[Case]:
    """Yield the sabotaged runs of a set of seeds.

    Raises:
        KeyError: If there is no such set.
    """
    for name, kind in KINDS.items():
        for place in _places(seeds, name):
            seed = FIRST_SEEDS[seeds] + place
            sabotage = kind.spoil(seed, place)
            base = kind.bases[place % len(kind.bases)]
            settings = _settings(base, sabotage, f"{name} {seed}", seed)
            if seeds in FEWER_RUNS:
                settings["train_size"] = min(settings["train_size"], FEWER_IMAGES)
            yield Case(name, seed, settings, base.data, onset=sabotage.onset)


def _places(seeds: str, name: str) -> list[int]:
    """Return which of a kind's runs a set has; of a short set two, drawn."""
    if seeds not in FEWER_RUNS:
        return list(range(RUNS_OF_KIND))
    draw = random.Random(f"{seeds} {name}")
    return sorted(draw.sample(range(RUNS_OF_KIND), FEWER_RUNS_OF_KIND))


def sabotage_of(case: Case) -> Sabotage:
    """Return the sabotage of a run; an empty one for a healthy run.

    Raises:
        KeyError: If there is no such kind.
    """
    if is_healthy(case.kind):
        return Sabotage()
    place = next(
        case.seed - first
        for first in FIRST_SEEDS.values()
        if first <= case.seed < first + RUNS_OF_KIND
    )
    return KINDS[case.kind].spoil(case.seed, place)


def _settings(base: Base, sabotage: Sabotage, drawn: str, seed: int) -> dict[str, Any]:
    """Return the base's settings, with drawn learning rate and batch size, and the sabotage's."""
    draw = random.Random(drawn)
    batch_size = draw.choice((64, 128))
    settings: dict[str, Any] = {
        "model": base.model,
        "train_size": base.train_size,
        "val_size": 2_000,
        "epochs": EPOCHS,
        "batch_size": batch_size,
        "optimizer": base.optimizer,
        "schedule": base.schedule,
        "augment": base.augment,
        "seed": seed,
        "lr": usual_lr(draw, base.model, base.optimizer, batch_size),
    }
    if base.augment == "light" and base.data == "mnist-14":
        settings["shift"] = 1.0
    settings |= sabotage.settings
    settings["lr"] *= sabotage.times_lr
    if settings["augment"] == "none":
        settings.pop("shift", None)
    return settings
