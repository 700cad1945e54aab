"""The healthy runs that are judged together, family by family.

A family's name is part of the kind, as in ``healthy.student-tanh``. Each run takes seconds on one
core: few images, few epochs. Those that do not reach the accuracy of their family are no healthy
runs, and are listed instead.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.findings.public.faults import BASES, COMMON
from tests.benchmarks.findings.public.faults import MODELS as PUBLIC_MODELS
from tests.benchmarks.findings.students import STUDENTS
from tests.benchmarks.findings.suite import HEALTHY, Case
from tui_trainer.protocol.config import PRESETS
from tui_trainer.protocol.config_file import compose, read_preset

FASHION = "fashion"
"""A folder of IDX files that the root needs as ``data/fashion``: these images are not shipped."""

PRESET_SEEDS = (1, 2, 3)
SHORT = 6_000
"""Training images of a preset with its whole schedule, where as shipped is too slow."""

FIRST_SEED = 6_001
TWIN_SEEDS, SLOW_TWIN_SEEDS, STUDENT_SEEDS, ANY_SEEDS = 6, 2, 1, 2
SLOW_TWINS = frozenset({"base", "base_wide", "crime", "example"})

LESSON_MODELS = Path(__file__).with_name("lesson_models.py")
ANY_MODELS = Path(__file__).parents[2] / "models" / "any_models.py"

ANY_HEALTHY = (
    *("ComplexWeights", "IntegerParameter", "EmptyParameter", "DoubleLogits", "SparseGradient"),
    *("Tied", "OldWeightNorm", "Parametrized", "Pruned", "ExpandedBuffer", "Frozen", "FrozenNorm"),
    *("OverridesTrain", "UnusedLayer", "ZeroHead", "InPlaceInput", "InPlaceNorm"),
    *("KeptActivation", "CachedWindow", "Hooked", "Lambda"),
)
"""``any_models.HEALTHY`` by name, which a test compares: judging needs no torch."""

RECIPE: Mapping[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "batch_size": 32,
    "schedule": "one-cycle",
    "augment": "none",
    "train_size": 6_000,
    "val_size": 1_500,
    "epochs": 2,
}
"""The settings of a lesson's trainings, with the schedule of a run."""

LESSONS: Mapping[str, Mapping[str, Any]] = {
    "early-signs": {"model": "small"},
    "batch-size": {"model": "small", "batch_size": 128},
    "batch-norm-distance": {"model": "normalized_logits"},
    "batch-normalization": {"model": "squeeze-norm", "lr": 0.05},
    "batch-normalization-off": {"model": "squeeze", "lr": 0.02},
    "max-pooling-early": {"model": "pool-early"},
    "max-pooling-late": {"model": "pool-late"},
    "kernels-4": {"model": "kernels_4"},
    "kernels-16": {"model": "kernels_16"},
    "layers-2": {"model": "layers_2"},
    "layers-4": {"model": "layers_4"},
    "pooling-distance-1": {"model": "pool_late"},
    "pooling-distance-4": {"model": "pool_early"},
    "transition-1": {"model": "transition_1"},
    "transition-3": {"model": "transition_3"},
    "overfitting-more-images": {"model": "digits", "lr": 0.01, "batch_size": 25, "epochs": 4},
    "learning-rate": {"model": "era-s6", "train_size": 4_000},
}
"""The trainings of the lessons that are no fault on purpose."""

CLOTHES: Mapping[str, Mapping[str, Any]] = {
    "mlp": {"model": "mlp", "lr": 0.02, "epochs": 10},
    "mlp-adam": {"model": "mlp", "optimizer": "adam", "lr": 0.001, "epochs": 10},
    "conv-fc": {"model": "conv-fc", "optimizer": "adam", "lr": 0.002, "epochs": 6},
    "conv-fc-sgd": {"model": "conv-fc", "lr": 0.01, "epochs": 6},
    "conv-gap": {"model": "conv-gap", "optimizer": "adamw", "lr": 0.005, "epochs": 8},
    "small": {"model": "small", "lr": 0.05, "epochs": 5},
    "small-one-cycle": {"model": "small", "lr": 0.2, "schedule": "one-cycle", "epochs": 5},
    "squeeze-norm": {"model": "squeeze-norm", "lr": 0.05, "epochs": 4},
    "under-8k": {"model": "under-8k", "lr": 0.05, "epochs": 4},
    "pool-early": {"model": "pool-early", "optimizer": "adam", "lr": 0.003, "epochs": 5},
    "lenet": {"model": f"{PUBLIC_MODELS}:lenet", "lr": 0.02, "epochs": 6},
    "lenet-bn": {"model": f"{PUBLIC_MODELS}:lenet_bn", "lr": 0.02, "epochs": 5},
    "logistic": {"model": f"{PUBLIC_MODELS}:Logistic", "lr": 0.05, "epochs": 6},
}
"""The trainings on Fashion-MNIST."""


def preset_cases(*, short: bool = False) -> list[Case]:
    """Return every shipped preset for digits over three seeds, as shipped or on fewer images."""
    prefix = f"{HEALTHY}.{'short-' if short else ''}preset"
    size, sane = ({"train_size": SHORT}, 0.95) if short else ({}, 0.96)
    return [
        Case(f"{prefix}-{name}", seed, {**_preset(name), **size, "seed": seed}, sane=sane)
        for name in PRESETS
        if compose(read_preset(name)).dataset == "mnist"
        for seed in PRESET_SEEDS
    ]


def _preset(name: str) -> dict[str, Any]:
    config = compose(read_preset(name))
    val_size = 5_000 if config.val_size is None else config.val_size
    settings = {**dataclasses.asdict(config), "val_size": val_size, "train_size": 60_000 - val_size}
    of_the_machine = ("data_dir", "threads", "device")
    return {key: value for key, value in settings.items() if key not in of_the_machine}


def family_cases() -> Iterator[Case]:
    """Yield the runs of every family except for the suite's and the presets."""
    yield from _twins()
    for name, student in STUDENTS.items():
        yield from _cases(f"student-{name}", student.all_settings, STUDENT_SEEDS, 0.90)
    yield from _any_models()
    for name, settings in LESSONS.items():
        model = str(settings["model"])
        place = f"{LESSON_MODELS}:{model}" if "_" in model or model == "digits" else model
        yield from _cases(f"lesson-{name}", {**RECIPE, **settings, "model": place}, 1, 0.80)
    few = {"batch_size": 64, "train_size": 3_900, "val_size": 600}
    for name, settings in CLOTHES.items():
        yield from _cases(f"fashion-{name}", {**COMMON, **few, **settings}, 1, 0.72, FASHION)


def _cases(
    name: str, settings: Mapping[str, Any], count: int, sane: float, data: str = "mnist"
) -> Iterator[Case]:
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        yield Case(f"{HEALTHY}.{name}", seed, {**settings, "seed": seed}, data, sane)


def _twins() -> Iterator[Case]:
    """Yield the clean twins of the public faults, on seeds of which no fault has a run."""
    for name, base in BASES.items():
        settings = {**COMMON, **base.settings, "model": f"{PUBLIC_MODELS}:{base.model}"}
        is_slow = name in SLOW_TWINS
        settings |= {"train_size": 4_000, "val_size": 1_000} if is_slow else {}
        count, sane = (SLOW_TWIN_SEEDS if is_slow else TWIN_SEEDS), 0.80
        yield from _cases(f"twin-{name}", settings, count, sane)


def _any_models() -> Iterator[Case]:
    """Yield custom models of every kind with drawn settings."""
    for name in ANY_HEALTHY:
        for seed in range(FIRST_SEED, FIRST_SEED + ANY_SEEDS):
            draw = random.Random(f"{name} {seed}")
            optimizer = draw.choice(("sgd", "adam", "adamw"))
            low, high = (0.01, 0.05) if optimizer == "sgd" else (0.001, 0.003)
            settings = {
                **COMMON,
                "model": f"{ANY_MODELS}:{name}",
                "optimizer": optimizer,
                "lr": float(f"{draw.uniform(low, high):.2g}"),
                "batch_size": draw.choice((32, 64)),
                "schedule": draw.choice(("constant", "cosine", "one-cycle")),
                "train_size": 5_000,
                "val_size": 1_000,
                "seed": seed,
            }
            yield Case(f"{HEALTHY}.custom-{name}", seed, settings, sane=0.80)
