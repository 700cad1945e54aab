"""What answers work with: the run's images, its model to look at, and fresh ones to train."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.engine.evaluation import probabilities_of
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import TEST, VALIDATION, Predictions, PredictionStore
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.build import build_model, is_custom, to_channels_last
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Control, Exhibit, counting
from tui_trainer.protocol.layers import LayerRow

DIGIT = counting("digit", "digit", 100)
"""Which digit is looked at."""

Parts = Iterator[Exhibit | None]
"""A view at work: after each part of a few hundredths of a second an exhibit, or None."""

SEED = 1
"""What is drawn in an experiment is drawn from this seed, so that it can be shown again."""

IMAGES = Control(name="images", label="images", value=VALIDATION, steps=(VALIDATION, TEST))
"""Which images are judged. The test set is opened by enter alone, and each look is counted."""

MOST_TRAINING = 5_000
"""Training images that are judged where there is no validation split."""

MAX_AGE = 20.0
"""Seconds that predictions are used while batches are trained, unless they are of the same step."""

PART_PIXELS = 128 * 28 * 28
"""Pixels that are judged in one part."""


@dataclass(frozen=True, slots=True)
class Digit:
    """An image of the validation split.

    Attributes:
        number: Which, from 0.
        label: Its class.
        pixels: Its greys (H, H), 0 to 255.
        model_input: The same as the network gets it (1, 1, H, H).
    """

    number: int
    label: int
    pixels: Tensor
    model_input: Tensor


@dataclass(slots=True, eq=False)
class Context:
    """What an answer works with: the model as it is, its images, and its past. It is only read.

    Attributes:
        initial: The settings that the run began with.
        config: The same, its knobs where they stand now.
        data: Its images; the test set stays sealed.
        device: Where they lie.
        layers: The layer table of the model.
        model: The model as it is now. A view's is a copy in evaluation mode, which stays as it
            is while the run goes on; what changes it, or hooks into it, takes a copy. Any other's
            is the run's own in the middle of its training: only to be copied.
        step: After how many batches.
        forgetting: What became of each validation image.
        prediction_store: What was found before.
        checkpoints: The saved states of the run, by name: where each is.
        began: When it was asked, by the run's clock in seconds.
        max_age: How many seconds old predictions may be: while batches are trained, what a person
            has opened is to fit what it was opened from.
        is_background: Whether nobody waits: any predictions will do that were not shown yet.
        clock: Seconds that only go up.
        shown_step: After how many batches the weights were as they are shown; predictions may be
            older.
    """

    initial: RunConfig
    config: RunConfig
    data: Data
    device: torch.device
    layers: tuple[LayerRow, ...]
    model: nn.Module
    step: int
    forgetting: ExampleForgetting
    prediction_store: PredictionStore
    checkpoints: Mapping[str, Path]
    began: float = 0.0
    max_age: float = 0.0
    is_background: bool = False
    clock: Callable[[], float] = time.perf_counter
    shown_step: int = field(init=False)

    def __post_init__(self) -> None:
        self.shown_step = self.step

    @property
    def test(self) -> Split:
        """The test images; only to be shown once they were judged."""
        return self.data.test.shown()

    @property
    def digits(self) -> Split:
        """The images to look at: those of validation, or of training where there is none."""
        return self.data.val if len(self.data.val) else self.data.train

    @property
    def split_name(self) -> str:
        """Which images these are."""
        return "validation" if len(self.data.val) else "training"

    def split(self, images: str) -> Split:
        """Return the images of a split by its name; of training images the first few thousand."""
        if images == TEST:
            return self.test
        if images == VALIDATION:
            return self.digits
        return Split(self.digits.images[:MOST_TRAINING], self.digits.labels[:MOST_TRAINING])

    def digit(self, number: int, images: str | None = None) -> Digit:
        """Return one of the digits, or of the images of a split; beyond the last it wraps."""
        split = self.digits if images is None else self.split(images)
        number %= len(split)
        pixels = split.images[number]
        return Digit(
            number=number,
            label=int(split.labels[number]),
            pixels=pixels,
            model_input=self.data.prepare(pixels.unsqueeze(0)),
        )

    def sample(self, count: int, *, training: bool = False) -> Split:
        """Return so many images, each class with its share; of validation unless told otherwise."""
        return (self.data.train if training else self.digits).sample(count)

    def copy(self, *, training: bool = False) -> nn.Module:
        """Return a copy of the run's network as it is now, in evaluation mode or in training's."""
        model = copy_model(self.model)
        if training:
            begin_training(model)
        else:
            model.eval()
        return model

    def fresh(self, reference: str | None = None) -> nn.Module:
        """Return an untrained network for these images, the run's own kind if none is named.

        Raises:
            InputError: If it cannot be built.
        """
        return self.build(
            lambda: build_model(
                reference or self.config.model,
                image_size=self.data.image_size,
                classes=self.data.classes,
                dropout=self.config.dropout if reference is None else None,
            )
        )

    def build(self, build: Callable[[], nn.Module], seed: int = SEED) -> nn.Module:
        """Return a network built from a seed, where the images are, for training."""
        seed_all(seed)
        model = build().to(self.device)
        if self.device.type == "cpu":
            model = to_channels_last(model, self.data.image_size)
        begin_training(model)
        return model

    def trial(self, model: nn.Module, data: Data | None = None, **settings: object) -> Trial:
        """Return a training of a copy of a network, at a constant rate unless told otherwise.

        Args:
            model: Where it begins.
            data: Other images than the run's.
            settings: Fields of ``RunConfig`` that take the place of the run's own; without an
                ``lr`` it is that of the run.
        """
        still = dict.fromkeys(("rotate", "shift", "scale", "shear", "crop", "crop_probability"))
        changed = {"schedule": "constant", "augment": "none", "seed": SEED, **still, **settings}
        config = replace(self.config, **changed)  # type: ignore[arg-type]
        return make_trial(model, data or self.data, config)

    @property
    def images_control(self) -> Control:
        """The control of the images that are judged.

        Where there is no validation split, the training images stand in.
        """
        return replace(IMAGES, value=self.split_name, steps=(self.split_name, TEST))

    def predict(self, images: str) -> Generator[None, None, Predictions | None]:
        """Return what the network says of all images of a split; after each part it breathes.

        Of the test set it is what the latest look has found, whenever that was; None before one.
        """
        found = self.prediction_store.by_split.get(images)
        if images == TEST or (found is not None and self._will_do(found)):
            return self._shown(found)
        split = self.split(images)
        parts: list[Tensor] = []
        size = max(1, PART_PIXELS // self.data.image_size**2)
        for start in range(0, len(split), size):
            parts.append(self.probabilities(split.images[start : start + size]))
            yield
        predictions = Predictions(
            images, self.step, torch.cat(parts), split.labels.cpu(), at=self.began
        )
        self.prediction_store.keep(predictions)
        return self._shown(predictions)

    def _shown(self, predictions: Predictions | None) -> Predictions | None:
        """Return predictions, now that they are to be shown."""
        if predictions is not None:
            self.shown_step = self.prediction_store.shown_steps[predictions.images] = (
                predictions.step
            )
        return predictions

    def _will_do(self, found: Predictions) -> bool:
        """Return whether predictions are new enough."""
        if found.step == self.step:
            return True
        if self.is_background:
            return found.step > self.prediction_store.shown_steps.get(found.images, -1)
        return self.began - found.at < self.max_age

    def probabilities(self, images: Tensor, model: nn.Module | None = None) -> Tensor:
        """Return the probabilities (N, classes) of images (N, H, H) of greys, on the CPU."""
        with torch.no_grad():
            logits = (model or self.model)(self.data.prepare(images))
        return probabilities_of(logits).cpu()

    def at_start(self) -> nn.Module:
        """Return the network as it was before its first batch, on the CPU.

        Raises:
            InputError: If it cannot be built, or a custom model is another one each time.
            CustomModelError: If a custom model raises; the message names the line.
        """
        model = self._seeded()
        if is_custom(self.config.model) and not _are_alike(model, self._seeded()):
            raise InputError(
                "the model draws its initial weights from a random generator other than torch's, "
                "NumPy's and Python's global ones; seed that generator in __init__"
            )
        return model

    def _seeded(self) -> nn.Module:
        seed_all(self.initial.seed)
        model = self.built()
        model.eval()
        return model

    def built(self) -> nn.Module:
        """Return a model built as the run begins with it, from the global random generators."""
        return build_model(
            self.initial.model,
            image_size=self.data.image_size,
            classes=self.data.classes,
            dropout=self.initial.dropout,
        )


def _are_alike(one: nn.Module, other: nn.Module) -> bool:
    """Say whether two models have the same state, bit by bit."""
    state, again = one.state_dict(), other.state_dict()
    return state.keys() == again.keys() and all(
        torch.equal(_bits(tensor), _bits(again[name])) for name, tensor in state.items()
    )


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor of any kind as bytes: NaN equals itself there."""
    dense = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return dense.resolve_conj().contiguous().reshape(-1).view(torch.uint8)
