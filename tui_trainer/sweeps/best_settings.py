"""The best settings of a sweep as a config file, with seeds that the sweep has not trained."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import compose, read_config, to_toml
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.recording.atomic import write_atomically
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.state import SweepState

BEST = "best.toml"
"""The file of the best settings in the folder of a sweep."""

FRESH_SEEDS = 5
"""The seeds with which the best settings are trained again."""


def best_path(state: SweepState) -> Path:
    """Return the path of the file of the best settings."""
    return state.folder / BEST


def fresh_seed(state: SweepState) -> int:
    """Return the first seed that no trial has trained."""
    return state.spec.base.seed + state.spec.seeds


def best_config(state: SweepState) -> RunConfig | None:
    """Return the settings of the best trial for another training; None without a completed trial.

    They are those of its run, with the first fresh seed, with all training images, and with the
    test evaluation at the end that a sweep leaves out.
    """
    best = state.best
    if best is None:
        return None
    try:
        found = compose(read_config(RunFolder(best.runs[0]).config))
    except (IndexError, InputError):
        try:
            found = state.spec.located(replace(state.spec.base, **dict(best.settings)))
        except SettingError:
            return None
    return replace(found, seed=fresh_seed(state), train_size=None, test=True)


def write_best(state: SweepState) -> Path | None:
    """Write the best settings so far into the folder of the sweep, if they have changed.

    Returns:
        The file; None without a completed trial, or if it cannot be written.
    """
    config = best_config(state)
    if config is None or state.best is None:
        return None
    path = best_path(state)
    head = (
        f"# Trial {state.best.number} of {state.name}; the seed is one that it has not trained.\n"
    )
    content = (head + to_toml(config)).encode()
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
    except OSError:
        return None
    return path


def final_command(state: SweepState) -> str:
    """Return the command that trains the best settings over fresh seeds on all training images.

    It leaves no validation images, and evaluates the test set once per seed, at the end.
    """
    return f"{_seeds(state)} --val-size 0"


def validation_command(state: SweepState) -> str:
    """Return the command that measures the validation figure again, over fresh seeds.

    It trains on as many images as the sweep.
    """
    size = train_size(state)
    return f"{_seeds(state)} --no-test{f' --train-size {size}' if size is not None else ''}"


def train_size(state: SweepState) -> int | None:
    """Return the number of images on which the best trial was trained; None for all."""
    settings = state.best.settings if state.best is not None else {}
    size = settings.get("train_size", state.spec.base.train_size)
    return None if size is None else int(size)


def _seeds(state: SweepState) -> str:
    path = shlex.quote(str(best_path(state)))
    seeds = f"--seeds {FRESH_SEEDS} --seed {fresh_seed(state)}"
    return f"mnist-tui seeds --config {path} {seeds}"
