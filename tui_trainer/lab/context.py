"""Where experiments are done: the run's images, its network to look at, and fresh ones to train."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.run import Run
from tui_trainer.lab.preflight.bench import some
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.build import build_network, use_innermost_channels
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.exhibit import counting
from tui_trainer.protocol.layers import LayerRow

DIGIT = counting("digit", "digit", 100)
"""Which digit is looked at."""

SEED = 1
"""What is drawn in an experiment is drawn from this seed, so that it can be shown again."""


@dataclass(frozen=True, slots=True)
class Digit:
    """An image of the validation split.

    Attributes:
        number: Which, from 0.
        label: Its class.
        pixels: Its greys (H, H), 0 to 255.
        network_input: The same as the network gets it (1, 1, H, H).
    """

    number: int
    label: int
    pixels: Tensor
    network_input: Tensor


@dataclass(frozen=True, slots=True)
class Bench:
    """What an experiment works with. It changes nothing of it.

    Attributes:
        config: The run's settings, its knobs where they stand now.
        data: Its images; the test set stays sealed.
        device: Where they lie.
        layers: The layer table of the run's network.
        network: The run's network as it is now, in the middle of its training: only to be copied.
        step: After how many batches.
        clock: Seconds that only go up.
    """

    config: RunConfig
    data: Data
    device: torch.device
    layers: tuple[LayerRow, ...]
    network: nn.Module
    step: int
    clock: Callable[[], float] = time.perf_counter

    @property
    def digits(self) -> Split:
        """The images to look at: those of validation, or of training where there is none."""
        return self.data.val if len(self.data.val) else self.data.train

    @property
    def split_name(self) -> str:
        """Which images these are."""
        return "validation" if len(self.data.val) else "training"

    def digit(self, number: int) -> Digit:
        """Return an image to look at; beyond the last one it begins anew."""
        number %= len(self.digits)
        pixels = self.digits.images[number]
        return Digit(
            number=number,
            label=int(self.digits.labels[number]),
            pixels=pixels,
            network_input=self.data.prepare(pixels.unsqueeze(0)),
        )

    def sample(self, count: int, *, training: bool = False) -> Split:
        """Return so many images, each class with its share; of validation unless told otherwise."""
        return some(self.data.train if training else self.digits, count)

    def copy(self, *, training: bool = False) -> nn.Module:
        """Return a copy of the run's network as it is now, in evaluation mode or in training's."""
        network = copy_model(self.network)
        if training:
            begin_training(network)
        else:
            network.eval()
        return network

    def fresh(self, model: str | None = None) -> nn.Module:
        """Return an untrained network for these images, the run's own kind if none is named.

        Raises:
            InputError: If it cannot be built.
        """
        return self.build(
            lambda: build_network(
                model or self.config.model,
                image_size=self.data.image_size,
                classes=self.data.classes,
                dropout=self.config.dropout if model is None else None,
            )
        )

    def build(self, build: Callable[[], nn.Module], seed: int = SEED) -> nn.Module:
        """Return a network built from a seed, where the images are, for training."""
        seed_all(seed)
        network = build().to(self.device)
        if self.device.type == "cpu":
            network = use_innermost_channels(network, self.data.image_size)
        begin_training(network)
        return network

    def trial(self, network: nn.Module, data: Data | None = None, **settings: object) -> Trial:
        """Return a training of a copy of a network, at a constant rate unless told otherwise.

        Args:
            network: Where it begins.
            data: Other images than the run's.
            settings: Fields of ``RunConfig`` that take the place of the run's own; without an
                ``lr`` it is that of the run.
        """
        still = dict.fromkeys(("rotate", "shift", "scale", "shear", "crop", "crop_probability"))
        changed = {"schedule": "constant", "augment": "none", "seed": SEED, **still, **settings}
        config = replace(self.config, **changed)  # type: ignore[arg-type]
        return make_trial(network, data or self.data, config)


def open_bench(run: Run) -> Bench:
    """Return a bench for experiments beside a run, which may be in the middle of its training."""
    config = replace(run.config, lr=run.base_lr, batch_size=run.batches.batch_size)
    if run.dropout is not None and config.dropout is not None:
        config = replace(config, dropout=run.dropout)
    return Bench(
        config=config,
        data=run.data,
        device=run.device,
        layers=run.layers,
        network=run.model,
        step=run.progress.step,
    )
