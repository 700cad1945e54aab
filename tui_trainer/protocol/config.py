"""What a run is asked to do: one frozen, validated record, read from TOML and written to it."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.protocol.errors import SettingError
from tui_trainer.protocol.layers import BUDGET
from tui_trainer.protocol.reference import HOW, absolute, absolute_path, advice_on, parse_reference

MODELS = (
    *("mlp", "conv-fc", "conv-gap", "squeeze", "squeeze-norm", "squeeze-dropout", "under-8k"),
    *("tiny", "small", "pool-early", "pool-late"),
    *("era-s6-as-run", "era-s6", "era-s6-dropout", "era-s6-plain"),
)
"""The networks of the zoo, in the order in which they tell the course's story."""

DATASETS = (
    "mnist",
    "fashion-mnist",
    "kmnist",
    "qmnist",
    "emnist-balanced",
    "emnist-byclass",
    "emnist-bymerge",
    "emnist-digits",
    "emnist-letters",
    "emnist-mnist",
)
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "step", "cosine", "one-cycle")
AUGMENTS = ("none", "light", "course")
INTERPOLATIONS = ("bilinear", "nearest")
DEVICES = ("auto", "cpu", "cuda", "mps")

MAX_EPOCHS = 10_000
MAX_BATCH_SIZE = 65_536
MAX_CLASSES = 1_000
LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How each image of a batch is moved, drawn anew for each image and each time it is used.

    Attributes:
        rotate: Largest rotation either way, in degrees.
        shift: Largest shift along each axis, in pixels.
        scale: Largest change of size, as a fraction: 0.08 is from 0.92 to 1.08.
        shear: Largest shear along x, in degrees.
        crop: Side of the centre crop, in pixels of a 28-pixel image (other sizes in proportion).
            The crop is enlarged to the full size again.
        crop_probability: The share of images that are cropped.
        interpolation: How a moved pixel gets its grey: ``bilinear`` is a mean of four, which
            softens every stroke a little; ``nearest`` keeps them as sharp as the test images.
    """

    rotate: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop: int = 22
    crop_probability: float = 0.0
    interpolation: str = "bilinear"

    @property
    def is_none(self) -> bool:
        """Whether it leaves every image as it is."""
        moves = (self.rotate, self.shift, self.scale, self.shear, self.crop_probability)
        return not any(moves)


NAMED_AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(rotate=10.0, shift=2.0, scale=0.08),
    # The course's, as its scripts are commonly written: a centre crop of 22 pixels in one of ten
    # images, and up to 15 degrees. The course's page gives no amounts. The nearest pixel is what
    # torchvision's RandomRotation takes unless told otherwise.
    "course": Augmentation(rotate=15.0, crop=22, crop_probability=0.1, interpolation="nearest"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """One run, from its first batch to its last. Every field has a default.

    ``model`` is a name of the zoo or the place of a custom model; see
    :mod:`tui_trainer.protocol.reference`. ``budget`` is how many parameters it may have: what the
    layer table and the review measure it by, and nothing else. ``probes`` is whether samples of
    gradients and activations are taken while it trains; they change nothing of it.

    Raises:
        SettingError: From the constructor, naming the field, if a value cannot be used.
    """

    model: str = "era-s6"
    budget: int = BUDGET
    dropout: float | None = None
    dataset: str = "mnist"
    data_dir: str | None = None
    classes: int | None = None
    val_size: int | None = None
    train_size: int | None = None
    epochs: int = 10
    batch_size: int = 128
    seed: int = 0
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: str = "one-cycle"
    step_size: int = 15
    gamma: float = 0.1
    augment: str = "light"
    rotate: float | None = None
    shift: float | None = None
    scale: float | None = None
    shear: float | None = None
    crop: int | None = None
    crop_probability: float | None = None
    interpolation: str | None = None
    device: str = "auto"
    threads: int | None = None
    target_accuracy: float | None = None
    checkpoint_every: int | None = None
    probes: bool = True

    def __post_init__(self) -> None:
        for name, (kind, optional) in FIELD_TYPES.items():
            _check_type(name, getattr(self, name), kind, optional)
        if self.model not in MODELS and parse_reference(self.model) is None:
            raise SettingError("model", _unknown_model(self.model))
        for name, names in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in names:
                known = ", ".join(names)
                raise SettingError(name, f"unknown {name} {_shown(value)}; choose {known}")
        for name, (low, high, what) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SettingError(name, f"{what}, not {_shown(value)}")
        if self.lr is not None and self.lr == 0:
            raise SettingError("lr", f"{_RANGES['lr'][2]}, not 0")
        if self.data_dir == "":
            raise SettingError("data_dir", "names no folder; . is the present one")
        if self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            raise SettingError("nesterov", "needs momentum above 0; or switch nesterov off")

    @property
    def learning_rate(self) -> float:
        """The base learning rate: ``lr``, or the optimizer's usual one where it is not set."""
        if self.lr is not None:
            return self.lr
        return 0.1 if self.optimizer == "sgd" else 0.003

    @property
    def augmentation(self) -> Augmentation:
        """The named augmentation with every amount that was set by itself in its place."""
        base = NAMED_AUGMENTATIONS[self.augment]
        names = (field.name for field in dataclasses.fields(Augmentation))
        changes = {name: value for name in names if (value := getattr(self, name)) is not None}
        if "crop" in changes and "crop_probability" not in changes and not base.crop_probability:
            changes["crop_probability"] = 0.1
        return dataclasses.replace(base, **changes)

    def resolved(self) -> RunConfig:
        """Return the same run with every value that follows from others written out."""
        amounts = {} if self.augmentation.is_none else dataclasses.asdict(self.augmentation)
        return dataclasses.replace(self.with_absolute_paths(), lr=self.learning_rate, **amounts)

    def with_absolute_paths(self) -> RunConfig:
        """Return the same run with absolute paths, which hold from any folder."""
        data = None if self.data_dir is None else absolute_path(self.data_dir)
        return dataclasses.replace(self, model=absolute(self.model), data_dir=data)

    def as_dict(self) -> dict[str, Any]:
        """Return every setting that has a value, in the order of the fields: what TOML can hold."""
        values = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in values if value is not None}


FIELD_TYPES: Mapping[str, tuple[type, bool]] = {
    field.name: (
        {"str": str, "int": int, "float": float, "bool": bool}[str(field.type).split(" ")[0]],
        "None" in str(field.type),
    )
    for field in dataclasses.fields(RunConfig)
}
"""Each setting's type and whether it may be left unset; what TOML files are checked against."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "dataset": DATASETS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augment": AUGMENTS,
    "interpolation": INTERPOLATIONS,
    "device": DEVICES,
}

_RANGES: Mapping[str, tuple[float, float, str]] = {
    "budget": (1, 10**12, "the budget must be from 1 to 1,000,000,000,000 parameters"),
    "dropout": (0.0, 0.95, "dropout must be from 0 to 0.95"),
    "classes": (2, MAX_CLASSES, "classes must be from 2 to 1,000"),
    "val_size": (0, math.inf, "the validation split's size must be 0 or more images"),
    "train_size": (1, math.inf, "the training split's size must be 1 image or more"),
    "epochs": (1, MAX_EPOCHS, "epochs must be from 1 to 10,000"),
    "batch_size": (1, MAX_BATCH_SIZE, "the batch size must be from 1 to 65,536"),
    "seed": (0, 2**32 - 1, "the seed must be from 0 to 4,294,967,295"),
    "lr": (0.0, 1_000.0, "the learning rate must be above 0 and at most 1,000"),
    "momentum": (0.0, 0.9999, "momentum must be from 0 to 0.9999"),
    "weight_decay": (0.0, 10.0, "weight decay must be from 0 to 10"),
    "label_smoothing": (0.0, 0.9, "label smoothing must be from 0 to 0.9"),
    "step_size": (1, MAX_EPOCHS, "the schedule's step must be from 1 to 10,000 epochs"),
    "gamma": (1e-6, 1.0, "gamma must be from 0.000001 to 1"),
    "rotate": (0.0, 180.0, "rotation must be from 0 to 180 degrees"),
    "shift": (0.0, 64.0, "shift must be from 0 to 64 pixels"),
    "scale": (0.0, 0.9, "scale must be from 0 to 0.9"),
    "shear": (0.0, 60.0, "shear must be from 0 to 60 degrees"),
    "crop": (4, 28, "the centre crop must be from 4 to 28 pixels"),
    "crop_probability": (0.0, 1.0, "the share of cropped images must be from 0 to 1"),
    "threads": (1, 1_024, "threads must be from 1 to 1,024"),
    "checkpoint_every": (1, MAX_EPOCHS, "it must be from 1 to 10,000 epochs"),
    "target_accuracy": (0.0, 1.0, "the target accuracy must be a fraction from 0 to 1"),
}


def _unknown_model(model: str) -> str:
    """Return what is wrong with a model that is neither one of the zoo nor a reference."""
    if advice := advice_on(model):
        return f"{_shown(model)}: {advice}"
    if ":" in model:
        return f"no network of one's own is at {_shown(model)}; write {HOW}"
    near = difflib.get_close_matches(model.lower()[:LONGEST_SHOWN], MODELS, n=1)
    if near:
        return f"unknown model {_shown(model)}; did you mean {near[0]}? --help lists them all"
    return f"unknown model {_shown(model)}; choose {', '.join(MODELS)}, or your own: {HOW}"


def _check_type(name: str, value: object, kind: type, optional: bool) -> None:
    """Refuse a value of another type; bool is no number here, a whole number is a float."""
    if value is None and optional:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number if kind is float else isinstance(value, kind)
    if kind is int and isinstance(value, bool):
        fits = False
    if not fits:
        words = {str: "a text in quotes", int: "a whole number", float: "a number"}
        wanted = words.get(kind, "true or false")
        raise SettingError(name, f"needs {wanted}, not {_shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(name, f"needs a finite number, not {value}")
    if isinstance(value, str) and not value.isascii() and _is_no_unicode(value):
        raise SettingError(name, f"needs a text that UTF-8 can hold, not {_shown(value)}")


def _is_no_unicode(text: str) -> bool:
    """Whether it has bytes that Python could not decode: no TOML file can hold them."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    """Return a value as a person would write it, shortened where it is very long."""
    try:
        shown = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"
