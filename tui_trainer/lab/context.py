"""The context of an answer: the run's images, a copy of its model, and new models to train."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tui_trainer.data.dataset import Data, Split
from tui_trainer.data.recorded_inputs import RecordedInputs
from tui_trainer.engine.optimizers import Optimizer
from tui_trainer.lab.example_forgetting import ExampleForgetting
from tui_trainer.lab.predictions import TEST, VALIDATION, Predictions, PredictionStore
from tui_trainer.lab.racing import Racing
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.build import build_model, is_custom, to_channels_last
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import seed_all
from tui_trainer.models.tensors import probabilities_of
from tui_trainer.protocol.class_names import class_name, full_name
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exhibit import Control, Exhibit, counting, of_classes
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe

DIGIT = counting("digit", "digit", 100)
"""The control that selects an image."""

Parts = Iterator[Exhibit | None]
"""A view in progress: after each slice of a few hundredths of a second an exhibit, or None."""

SEED = 1
"""The random seed of experiments, so that they are reproducible."""

IMAGES = Control(name="images", label="images", value=VALIDATION, steps=(VALIDATION, TEST))
"""The evaluated split. Only enter evaluates the test set, and each evaluation is counted."""

MOST_TRAINING = 5_000
"""Training images that are evaluated if there is no validation split."""

MAX_AGE = 20.0
"""Seconds for which predictions of an earlier step are reused during training."""

PART_PIXELS = 128 * 28 * 28
"""Pixels per slice of an evaluation."""


@dataclass(frozen=True, slots=True)
class Digit:
    """An image of the validation split.

    Attributes:
        number: Its index in the split.
        label: Its class.
        pixels: Its grays (H, W) or colors (3, H, W), 0 to 255.
        model_input: The normalized input of the model (1, channels, H, W).
        name: The name of its class: ``cat``, or ``7``.
    """

    number: int
    label: int
    pixels: Tensor
    model_input: Tensor
    name: str = ""

    @property
    def caption(self) -> str:
        """The name of its class as a caption: ``cat``, or ``a 7``."""
        return f"a {self.label}" if self.name == str(self.label) else self.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape[-2:]
        return height, width


@dataclass(slots=True, eq=False)
class Context:
    """The read-only input of an answer: the current model, its images, and its history.

    Attributes:
        initial: The settings at the start of the run.
        config: The current settings, with the current values of the knobs.
        data: The images of the run; the test set stays sealed.
        device: The device of the images.
        layers: The layer table of the model.
        model: The current model. For a view it is a copy in evaluation mode that does not change
            while the run continues; code that modifies or hooks it copies it again. For other
            answers it is the run's own model in the middle of its training: only copy it.
        step: The training step of the model.
        forgetting: The history of the predictions of each validation image.
        prediction_store: Earlier predictions.
        checkpoints: The path of each checkpoint of the run, by name.
        began: The time of the question, by the run's clock in seconds.
        max_age: The largest age of reused predictions in seconds. During training it is above 0, so
            that a view that is opened from another one shows the same predictions.
        is_background: Whether nobody waits: any predictions that were not shown yet are good
            enough.
        clock: A monotonic clock in seconds.
        first_probes: The checks of the data and the model before the run's first step.
        racing: The run itself and its last race; None where no run is trained.
        optimizer: The run's own optimizer; only copy its state. None if it has no training loop.
        is_augmenting: Whether the training images are augmented at the moment.
        done: The share of the training that is done, 0 to 1.
        shown_step: The step of the shown predictions, which may be older than ``step``.
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
    first_probes: tuple[Probe, ...] = ()
    racing: Racing | None = None
    optimizer: Optimizer | None = None
    is_augmenting: bool = False
    done: float = 0.0
    shown_step: int = field(init=False)

    def __post_init__(self) -> None:
        self.shown_step = self.step

    @property
    def test(self) -> Split:
        """The test images; show them only after an evaluation."""
        return self.data.test.shown()

    @property
    def digits(self) -> Split:
        """The validation images, or the training images if there is no validation split."""
        return self.data.val if len(self.data.val) else self.data.train

    @property
    def split_name(self) -> str:
        """The name of the split of ``digits``."""
        return "validation" if len(self.data.val) else "training"

    def split(self, images: str) -> Split:
        """Return a split by name; of the training split the first :data:`MOST_TRAINING` images."""
        if images == TEST:
            return self.test
        if images == VALIDATION:
            return self.digits
        return Split(self.digits.images[:MOST_TRAINING], self.digits.labels[:MOST_TRAINING])

    def digit(self, number: int, images: str | None = None) -> Digit:
        """Return an image of ``digits`` or of a named split; the index wraps around."""
        split = self.digits if images is None else self.split(images)
        number %= len(split)
        chosen = split.images[number].unsqueeze(0)
        return Digit(
            number=number,
            label=int(split.labels[number]),
            pixels=self.data.pictures(chosen)[0],
            model_input=self.data.prepare(chosen),
            name=self.class_name(int(split.labels[number])),
        )

    def class_name(self, label: int) -> str:
        """Return how a class is called where it is shown: ``cat``, or ``7``."""
        return class_name(self.data.class_names, label)

    def class_control(self, name: str, label: str, value: float | None = None) -> Control:
        """Return a control of a class of the data."""
        return of_classes(name, label, self.data.class_names, self.data.classes, value=value)

    def names_of(self, **labels: int) -> dict[str, str | None]:
        """Return the names of classes for JSON, next to their numbers: ``true_name`` for ``true``.

        Empty if classes have only numbers.
        """
        names = self.data.class_names
        return {f"{key}_name": full_name(names, label) for key, label in labels.items() if names}

    def sample(self, count: int, *, training: bool = False) -> Split:
        """Return a stratified sample of ``digits``, or of the training split."""
        return (self.data.train if training else self.digits).sample(count)

    def copy(self, *, training: bool = False) -> nn.Module:
        """Return a copy of the current model, in evaluation or training mode."""
        model = copy_model(self.model)
        if training:
            begin_training(model)
        else:
            model.eval()
        return model

    def fresh(self, reference: str | None = None) -> nn.Module:
        """Return an untrained model for these images; by default the run's own.

        Raises:
            InputError: If the model cannot be built.
        """
        return self.build(
            lambda: build_model(
                reference or self.config.model,
                image_size=self.data.input_size,
                classes=self.data.classes,
                dropout=self.config.dropout if reference is None else None,
            )
        )

    def build(self, build: Callable[[], nn.Module], seed: int = SEED) -> nn.Module:
        """Return a model built from a seed, on the device of the images, in training mode."""
        seed_all(seed)
        model = build().to(self.device)
        if self.device.type == "cpu":
            model = to_channels_last(model, self.data.input_size)
        begin_training(model)
        return model

    def trial(self, model: nn.Module, data: Data | None = None, **settings: object) -> Trial:
        """Return a training of a copy of a model; by default with a constant learning rate.

        Args:
            model: The initial model.
            data: Other images than the run's.
            settings: Fields of ``RunConfig`` that override the run's own; without ``lr``, its
                learning rate is used.
        """
        no_augmentation = dict.fromkeys(
            ("rotate", "shift", "scale", "shear", "crop", "crop_probability")
        )
        changed = {
            "schedule": "constant",
            "augment": "none",
            "seed": SEED,
            **no_augmentation,
            **settings,
        }
        config = replace(self.config, **changed)  # type: ignore[arg-type]
        return make_trial(model, data or self.data, config)

    @property
    def images_control(self) -> Control:
        """The control of the evaluated split; training if there is no validation split."""
        steps = (self.split_name, TEST) if len(self.data.test) else (self.split_name,)
        return replace(IMAGES, value=self.split_name, steps=steps)

    def predict(self, images: str) -> Generator[None, None, Predictions | None]:
        """Return the predictions for a split; yield after each slice.

        For the test set they are those of the latest test evaluation; None before the first one.
        """
        found = self.prediction_store.by_split.get(images)
        if images == TEST or (found is not None and self._is_recent(found)):
            return self._mark_shown(found)
        split = self.split(images)
        parts: list[Tensor] = []
        size = max(1, PART_PIXELS // self.data.values)
        for start in range(0, len(split), size):
            parts.append(self.probabilities(split.images[start : start + size]))
            yield
        predictions = Predictions(
            images, self.step, torch.cat(parts), split.labels.cpu(), at=self.began
        )
        self.prediction_store.keep(predictions)
        return self._mark_shown(predictions)

    def _mark_shown(self, predictions: Predictions | None) -> Predictions | None:
        """Record that predictions are shown, and return them."""
        if predictions is not None:
            self.shown_step = self.prediction_store.shown_steps[predictions.images] = (
                predictions.step
            )
        return predictions

    def _is_recent(self, found: Predictions) -> bool:
        """Return whether predictions are recent enough to be reused."""
        if found.step == self.step:
            return True
        if self.is_background:
            return found.step > self.prediction_store.shown_steps.get(found.images, -1)
        return self.began - found.at < self.max_age

    def probabilities(self, images: Tensor, model: nn.Module | None = None) -> Tensor:
        """Return the probabilities (N, classes) of images, see :meth:`Data.prepare`, on the CPU."""
        with torch.no_grad():
            logits = (model or self.model)(self.data.prepare(images))
        return probabilities_of(logits).cpu()

    def initial_model(self) -> nn.Module:
        """Return the initial model, as it was before the first batch, on the CPU.

        Raises:
            InputError: If it cannot be built, or the initial weights of a custom model are not
                reproducible.
            CustomModelError: If a custom model raises; the message names the line.
        """
        if isinstance(self.data, RecordedInputs):
            raise InputError("the script has drawn them, and they are not recorded")
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
        """Build the model as the run does, with the current state of the global rngs."""
        return build_model(
            self.initial.model,
            image_size=self.data.input_size,
            classes=self.data.classes,
            dropout=self.initial.dropout,
        )


def _are_alike(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two models have bitwise equal states."""
    state, again = one.state_dict(), other.state_dict()
    return state.keys() == again.keys() and all(
        torch.equal(_bits(tensor), _bits(again[name])) for name, tensor in state.items()
    )


def _bits(tensor: Tensor) -> Tensor:
    """Return a tensor of any kind as bytes, so that NaN equals itself."""
    dense = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return dense.resolve_conj().contiguous().reshape(-1).view(torch.uint8)
