"""Programs of small runs, executed in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.faults.forks import call, program
from tests.training import train
from tui_trainer.engine.batches import rng_for
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.export.source_code import Program
from tui_trainer.export.source_code.augmentation import augmentation_of
from tui_trainer.export.source_code.recipe import DataFiles, Recipe
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunStarted

FILES = DataFiles(
    (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
)
"""The files of ``write_dataset(folder, gzip=False)``."""


class AtSteps(Inbox):
    """Releases each command before the batch after a step."""

    def __init__(self, *commands: tuple[int, Command]) -> None:
        super().__init__()
        self._later = list(commands)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Return the commands that are due."""
        due = [command for at, command in self._later if at <= step]
        self._later = [(at, command) for at, command in self._later if at > step]
        return due


@dataclass
class Trained:
    """A run of the engine: its settings, its events, its last weights."""

    config: RunConfig
    events: list[Event]
    weights: dict[str, Tensor]

    @property
    def started(self) -> RunStarted:
        """The start of the run."""
        return next(event for event in self.events if isinstance(event, RunStarted))

    def recipe(self, **changes: Any) -> Recipe:
        """Return the recipe of the run."""
        state = RunState.of(self.events)
        arguments: dict[str, Any] = {
            "name": "small",
            "config": self.config,
            "started": self.started,
            "changes": tuple(state.interventions),
            "folder": "digits",
            "files": FILES,
        }
        return Recipe(**arguments | changes)


def run_of(config: RunConfig, *commands: tuple[int, Command]) -> Trained:
    """Train with the engine; a command is processed after so many steps."""
    store = CheckpointStore()
    events = list(train(config, AtSteps(*commands), store=store))
    assert store.last_good is not None
    return Trained(config, events, store.last_good.part("model"))


def started_of(config: RunConfig, **changes: Any) -> RunStarted:
    """Return the start of a run of 60 images."""
    started = RunStarted(
        model=config.model,
        dataset="digits",
        classes=10,
        image_size=28,
        parameters=559,
        layers=(),
        train_size=55,
        val_size=5,
        test_size=20,
        mean=(0.2,),
        std=(0.3,),
        epochs=config.epochs,
        batch_size=config.batch_size,
        base_lr=config.base_lr,
        optimizer=config.optimizer,
        schedule=config.schedule,
        augmentation=not config.augmentation.is_none,
        dropout=None,
        seed=config.seed,
        device="cpu",
        threads=1,
    )
    return replace(started, **changes)


@dataclass
class Draws:
    """The random numbers of the engine, in the order in which a program asks for them."""

    recipe: Recipe
    rand: Any = field(default_factory=lambda: torch.rand)
    randperm: Any = field(default_factory=lambda: torch.randperm)
    rows: Iterator[Tensor] = field(default_factory=lambda: iter(()))
    is_resized: bool = False

    def __post_init__(self) -> None:
        seed = self.recipe.config.seed
        self.order, self.augment = rng_for(seed, "order"), rng_for(seed, "augmentation")

    def next_order(self, count: int) -> Tensor:
        """Replaces ``torch.randperm``."""
        order: Tensor = self.randperm(count, generator=self.order)
        return order

    def next_row(self, count: int) -> Tensor:
        """Replaces ``torch.rand``."""
        row = next(self.rows, None)
        if row is None:
            self.rows = iter(self._batch(count))
            row = next(self.rows)
        return row

    def _batch(self, count: int) -> Iterator[Tensor]:
        """Yield the rows of a batch, drawn in the order of the engine."""
        strengths = augmentation_of(self.recipe)
        assert strengths is not None

        def drawn(rows: int) -> Tensor:
            numbers: Tensor = self.rand(rows, count, generator=self.augment)
            return numbers

        affine = drawn(6) if strengths.is_affine or self.is_resized else None
        if strengths.flip or strengths.pad_shift:
            flip, down, along = drawn(3)
            yield from [flip] if strengths.flip else []
            yield from [down, along] if strengths.pad_shift else []
        if affine is not None and strengths.is_affine:
            yield affine[0]
            yield from [affine[1]] if strengths.shear else []
            yield from [affine[2]] if strengths.scale else []
            yield from [affine[5]] if strengths.crop_probability else []
            yield from [affine[3], affine[4]] if strengths.shift else []
        if strengths.jitter:
            yield from drawn(3)[: 3 if self.recipe.started.channels > 1 else 2]
        if strengths.cutout:
            yield from drawn(2)


def namespace_of(program: Program) -> dict[str, Any]:
    """Execute a script as a module, without its main function; return its names."""
    names: dict[str, Any] = {"__name__": "train"}
    exec(compile(program.script, "train.py", "exec"), names)
    return names


def output_of(folder: Path, *arguments: str) -> str:
    """Execute ``train.py`` of a folder in another process, without mnist-tui; return its output."""
    done = call(program(folder.absolute() / "train.py", *arguments), Path("output"))
    assert done.code == 0, done.err
    return done.out


def complaints_of_ruff(folder: Path) -> str:
    """Return what ruff has to say about the files of a folder, with its default rules."""
    found = ""
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--quiet", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        found += done.stdout + done.stderr
    return found
