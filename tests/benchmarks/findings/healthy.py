"""The healthy runs that are judged together, family by family."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.benchmarks.findings.suite import HEALTHY, Case
from tui_trainer.protocol.config import PRESETS
from tui_trainer.protocol.config_file import compose, read_preset

SEEDS = (1, 2, 3)
SHORT = 6_000
"""Training images of a preset with its whole schedule, where as shipped is too slow."""
_OF_THE_MACHINE = ("data_dir", "threads", "device")


def preset_cases(*, short: bool = False) -> list[Case]:
    """Return every shipped preset over three seeds, as shipped or on fewer images."""
    prefix = f"{HEALTHY}.{'short-' if short else ''}preset"
    size, sane = ({"train_size": SHORT}, 0.95) if short else ({}, 0.98)
    return [
        Case(f"{prefix}-{name}", seed, {**_preset(name), **size, "seed": seed}, sane=sane)
        for name in PRESETS
        for seed in SEEDS
    ]


def _preset(name: str) -> dict[str, Any]:
    config = compose(read_preset(name))
    val_size = 5_000 if config.val_size is None else config.val_size
    settings = {**dataclasses.asdict(config), "val_size": val_size, "train_size": 60_000 - val_size}
    return {key: value for key, value in settings.items() if key not in _OF_THE_MACHINE}
