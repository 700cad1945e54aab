"""The configuration of a run: a frozen, validated dataclass, and the table of its settings."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.protocol.errors import SettingError
from tui_trainer.protocol.layers import BUDGET
from tui_trainer.protocol.reference import (
    REFERENCE_SYNTAX,
    absolute,
    absolute_path,
    parse_reference,
    suggestion_for,
)
from tui_trainer.protocol.settings import (
    AUGMENTATION,
    DATA,
    LONGEST_SHOWN,
    MACHINE,
    MODEL,
    RECORD,
    TRAINING,
    setting,
    settings_of,
    shown,
)

MODELS = (
    *("mlp", "conv-fc", "conv-gap", "squeeze", "squeeze-norm", "squeeze-dropout", "under-8k"),
    *("pico", "nano", "micro", "tiny", "small", "pool-early", "pool-late"),
    *("era-s6-as-run", "era-s6", "era-s6-dropout", "era-s6-plain"),
    *("norm-batch", "norm-group", "norm-layer", "dilated", "residual"),
)
"""The models of the zoo, in the order of the course."""

BUDGETS: Mapping[str, int] = {
    **dict.fromkeys(("norm-batch", "norm-group", "norm-layer"), 50_000),
    **dict.fromkeys(("dilated", "residual"), 200_000),
}
"""The parameter budgets of the course's later sessions; all other models have ``BUDGET``."""

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
    "cifar10",
    "cifar100",
    "svhn",
    "stl10",
)
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "step", "cosine", "one-cycle")
AUGMENTS = ("none", "light", "course", "color")
INTERPOLATIONS = ("bilinear", "nearest")
FITS = ("crop", "pad", "stretch")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "tf32", "bf16", "auto")
PRESETS = (
    *("cifar10", "era-s6", "fast", "micro", "nano", "pico"),
    *(f"story-{step}" for step in range(1, 9)),
    "tiny",
)
"""The built-in recipes: the files in the folder ``presets``."""

MAX_EPOCHS = 10_000
MAX_BATCH_SIZE = 65_536
MAX_CLASSES = 1_000
MAX_IMAGE_SIZE = 256


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random augmentation of training images, drawn again for each image in each epoch.

    Attributes:
        rotate: Largest rotation in either direction, in degrees.
        shift: Largest translation along each axis, in pixels.
        scale: Largest change of scale, as a fraction: 0.08 is from 0.92 to 1.08.
        shear: Largest shear along x, in degrees.
        crop: Size of the center crop, in pixels of a 28-pixel image (other sizes in proportion);
            the crop is resized to the full size.
        crop_probability: The probability of the crop.
        interpolation: ``bilinear`` averages four pixels, which softens every stroke a little;
            ``nearest`` keeps strokes as sharp as in the test images.
        flip: The probability of a horizontal flip.
        pad_shift: Largest shift along each axis in whole pixels; what it brings in is mirrored.
        jitter: Largest change of brightness, contrast and saturation, as a fraction.
        cutout: Side of the square that is filled with the mean color, in pixels.
    """

    rotate: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop: int = 22
    crop_probability: float = 0.0
    interpolation: str = "bilinear"
    flip: float = 0.0
    pad_shift: int = 0
    jitter: float = 0.0
    cutout: int = 0

    @property
    def is_affine(self) -> bool:
        """Whether it moves pixels by an affine map."""
        moves = (self.rotate, self.shift, self.scale, self.shear, self.crop_probability)
        return any(moves)

    @property
    def is_none(self) -> bool:
        """Whether it changes no image."""
        return not (self.is_affine or self.flip or self.pad_shift or self.jitter or self.cutout)


AUGMENTATION_FIELDS = tuple(field.name for field in dataclasses.fields(Augmentation))
"""The settings that override single values of an augmentation preset."""

NAMED_AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(rotate=10.0, shift=2.0, scale=0.08),
    # As commonly written in scripts of the course: a center crop of 22 pixels with probability
    # 0.1, and rotations up to 15 degrees. The page of the course gives no strengths. Nearest is
    # the default interpolation of torchvision's RandomRotation.
    "course": Augmentation(rotate=15.0, crop=22, crop_probability=0.1, interpolation="nearest"),
    # For photographs; the usual one for CIFAR-10 (K. He and others, "Deep residual learning for
    # image recognition", CVPR 2016, 4.2).
    "color": Augmentation(flip=0.5, pad_shift=4),
}

GLYPHS = ("mnist", "kmnist", "qmnist", "svhn", "emnist-")
"""How the names of datasets begin whose images are digits or letters: mirrored, many of them are
others, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The settings of one run. Every setting has a default.

    ``model`` is the name of a model in the zoo or a reference to a custom model; see
    :mod:`tui_trainer.protocol.reference`. ``budget`` is used only by the layer table and the
    design review. ``probes`` do not change the weights of a run.

    Raises:
        SettingError: From the constructor, naming the field, if a value is invalid.
    """

    model: str = setting(
        "era-s6",
        MODEL,
        "Model",
        MODELS,
        also=f"; or a custom model (its code runs): {REFERENCE_SYNTAX}",
    )
    budget: int = setting(
        BUDGET, MODEL, "Parameter budget, for layer table and review", (1, 10**12)
    )
    dropout: float | None = setting(
        None,
        MODEL,
        "Dropout probability, for models with dropout layers",
        (0.0, 0.95),
        knob="dropout",
    )
    dataset: str = setting("mnist", DATA, "Dataset; stl10 is a download of 2.6 GB", DATASETS)
    data_dir: str | None = setting(
        None,
        DATA,
        "Folder of data, e.g. pictures with a subfolder a class, or .npz; replaces --dataset",
    )
    image_size: int | None = setting(
        None,
        DATA,
        "Size to which pictures in --data-dir are brought; default: theirs if all have the same, "
        "square, otherwise 32",
        (8, MAX_IMAGE_SIZE),
        limits=f"from 8 to {MAX_IMAGE_SIZE} pixels",
        subject="the image size",
    )
    fit: str = setting(
        "crop", DATA, "How other sizes are brought to it: cut, with black bars, distorted", FITS
    )
    channels: int | None = setting(
        None,
        DATA,
        "Channels of pictures in --data-dir, 1 or 3; default: 1 if all are gray",
        (1, 3),
        limits="1 (gray) or 3 (color)",
        subject="the number of channels",
    )
    classes: int | None = setting(
        None, DATA, "Number of classes in --data-dir, if its labels skip some", (2, MAX_CLASSES)
    )
    val_size: int | None = setting(
        None,
        DATA,
        "Validation images; default: 1 in 12, at most 5,000",
        (0, math.inf),
        subject="the validation split's size",
    )
    train_size: int | None = setting(
        None, DATA, "Training images; default: all others", (1, math.inf)
    )
    epochs: int = setting(10, TRAINING, "Epochs", (1, MAX_EPOCHS), knob="epochs")
    batch_size: int = setting(
        128,
        TRAINING,
        "Images per step",
        (1, MAX_BATCH_SIZE),
        subject="the batch size",
        knob="batch_size",
    )
    seed: int = setting(
        0,
        MACHINE,
        "Random seed; the same seed repeats a run bit for bit",
        (0, 2**32 - 1),
        subject="the seed",
    )
    optimizer: str = setting("sgd", TRAINING, "Optimizer", OPTIMIZERS)
    lr: float | None = setting(
        None,
        TRAINING,
        "Base learning rate",
        (math.ulp(0.0), 1_000.0),
        limits="above 0 and at most 1,000",
        subject="the learning rate",
        default_text="0.1 for sgd, 0.003 for adam and adamw",
        knob="base_lr",
    )
    momentum: float = setting(0.9, TRAINING, "SGD momentum", (0.0, 0.9999))
    nesterov: bool = setting(True, TRAINING, "Nesterov momentum for SGD")
    weight_decay: float = setting(5e-4, TRAINING, "Weight decay", (0.0, 10.0))
    label_smoothing: float = setting(
        0.0, TRAINING, "Label smoothing: share of each target spread over all classes", (0.0, 0.9)
    )
    schedule: str = setting("one-cycle", TRAINING, "Learning rate schedule", SCHEDULES)
    step_size: int = setting(
        15, TRAINING, "With --schedule step: decay period in epochs", (1, MAX_EPOCHS)
    )
    gamma: float = setting(0.1, TRAINING, "With --schedule step: decay factor", (1e-6, 1.0))
    resize_until: float = setting(
        0.0,
        TRAINING,
        "Progressive resizing: share of the training with smaller images",
        (0.0, 1.0),
        limits="a fraction from 0 to 1",
    )
    resize_to: int = setting(20, TRAINING, "With --resize-until: their size in pixels", (4, 128))
    augment: str = setting(
        "light", AUGMENTATION, "Augmentation preset", AUGMENTS, knob="augmentation"
    )
    rotate: float | None = setting(None, AUGMENTATION, "Largest rotation in degrees", (0.0, 180.0))
    shift: float | None = setting(None, AUGMENTATION, "Largest shift in pixels", (0.0, 64.0))
    scale: float | None = setting(
        None, AUGMENTATION, "Largest change of scale; 0.1 is 10 %", (0.0, 0.9)
    )
    shear: float | None = setting(None, AUGMENTATION, "Largest shear in degrees", (0.0, 60.0))
    crop: int | None = setting(
        None, AUGMENTATION, "Size of the center crop, of 28 pixels", (4, 28), default_text="22"
    )
    crop_probability: float | None = setting(
        None, AUGMENTATION, "Probability of the crop", (0.0, 1.0)
    )
    interpolation: str | None = setting(
        None, AUGMENTATION, "Interpolation (bilinear is softer)", INTERPOLATIONS
    )
    flip: float | None = setting(
        None, AUGMENTATION, "Probability of a horizontal flip; not for digits", (0.0, 1.0)
    )
    pad_shift: int | None = setting(
        None, AUGMENTATION, "Largest shift in whole pixels, with mirrored borders", (0, 32)
    )
    jitter: float | None = setting(
        None,
        AUGMENTATION,
        "Largest change of brightness, contrast, saturation; 0.2 is 20 %",
        (0.0, 0.9),
    )
    cutout: int | None = setting(
        None, AUGMENTATION, "Side in pixels of a square that is blanked", (0, 128)
    )
    augment_until: float = setting(
        1.0,
        AUGMENTATION,
        "Share of the training with augmentation; the rest without",
        (0.0, 1.0),
        limits="a fraction from 0 to 1",
    )
    device: str = setting("auto", MACHINE, "Device", DEVICES)
    precision: str = setting(
        "float32",
        MACHINE,
        "Precision of a training step; bf16 is autocast, tf32 needs a CUDA GPU, auto is bf16 where "
        "the processor has instructions for it",
        PRECISIONS,
    )
    threads: int | None = setting(
        None, MACHINE, "CPU threads; default: the fastest in a short trial", (1, 1_024)
    )
    memory_share: float = setting(
        0.5,
        MACHINE,
        "Images stay in memory if they take at most this share of what is free, a GPU's for a GPU; "
        "else they are read during training",
        (0.0, 1.0),
        limits="a fraction from 0 to 1",
        subject="the share of the memory",
    )
    target_accuracy: float | None = setting(
        None,
        RECORD,
        "Exit with code 3 if test accuracy is below this, e.g. 0.994; with --last, validation",
        (0.0, 1.0),
        limits="a fraction from 0 to 1",
        subject="the target accuracy",
    )
    last: int | None = setting(
        None,
        RECORD,
        "Validation accuracy must reach the target in each of the last N epochs",
        (1, MAX_EPOCHS),
        subject="the number of last epochs",
    )
    checkpoint_every: int | None = setting(
        None,
        RECORD,
        "Also keep a checkpoint every N epochs",
        (1, MAX_EPOCHS),
        subject="the number of epochs",
    )
    test: bool = setting(
        True, RECORD, "Evaluate the test set at the end; --no-test keeps it sealed while you choose"
    )
    probes: bool = setting(
        True, RECORD, "Sample gradients and activations in training; findings need them"
    )

    def __post_init__(self) -> None:
        for name, row in SETTINGS.items():
            row.check(getattr(self, name))
        if self.model not in MODELS and parse_reference(self.model) is None:
            raise SettingError("model", _unknown_model(self.model))
        if self.channels == 2:
            raise SettingError("channels", "the number of channels must be 1 (gray) or 3, not 2")
        if self.data_dir == "":
            raise SettingError("data_dir", "names no folder; . is the current one")
        if self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            raise SettingError("nesterov", "needs momentum above 0; or switch nesterov off")

    def check_target(self) -> None:
        """Check that the run can reach its target as it is set up.

        Not part of the constructor: the number of epochs can change during a run.

        Raises:
            SettingError: If it cannot.
        """
        if self.last is None:
            if self.target_accuracy is not None and not self.test:
                raise SettingError(
                    "target_accuracy",
                    "needs the test evaluation, and test is off; add --last 1 for validation",
                )
            return
        if self.target_accuracy is None:
            raise SettingError("last", "needs a target; add --target-accuracy 0.994")
        if self.val_size == 0:
            raise SettingError(
                "last", "needs validation images, and val_size is 0; add --val-size 5000"
            )
        if self.last > self.epochs:
            raise SettingError(
                "last",
                f"needs as many epochs, and the run has {self.epochs}; add --epochs {self.last} "
                "or more",
            )

    @property
    def base_lr(self) -> float:
        """The base learning rate: ``lr``, or the default of the optimizer if that is not set."""
        if self.lr is not None:
            return self.lr
        return 0.1 if self.optimizer == "sgd" else 0.003

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation preset with the single values that override it.

        A preset never flips digits or letters.
        """
        base = NAMED_AUGMENTATIONS[self.augment]
        changes = {
            name: value
            for name in AUGMENTATION_FIELDS
            if (value := getattr(self, name)) is not None
        }
        if "crop" in changes and "crop_probability" not in changes and not base.crop_probability:
            changes["crop_probability"] = 0.1
        if self.has_glyphs:
            changes.setdefault("flip", 0.0)
        return dataclasses.replace(base, **changes)

    @property
    def has_glyphs(self) -> bool:
        """Whether the dataset is known to be one of digits or letters."""
        return self.data_dir is None and self.dataset.startswith(GLYPHS)

    def resolved(self) -> RunConfig:
        """Return the same run with all derived values filled in."""
        values = {} if self.augmentation.is_none else dataclasses.asdict(self.augmentation)
        return dataclasses.replace(self.with_absolute_paths(), lr=self.base_lr, **values)

    def with_absolute_paths(self, folder: str = "") -> RunConfig:
        """Return the same run with absolute paths, from a folder or the current one."""
        data = None if self.data_dir is None else absolute_path(self.data_dir, folder)
        return dataclasses.replace(self, model=absolute(self.model, folder), data_dir=data)

    def with_knob(self, knob: str, value: float) -> RunConfig:
        """Return the configuration with another value of a knob."""
        if knob == "augmentation":
            # Single values would otherwise override the new preset.
            unset: dict[str, Any] = dict.fromkeys(AUGMENTATION_FIELDS)
            return dataclasses.replace(self, augment="light" if value else "none", **unset)
        row = next(row for row in SETTINGS.values() if row.knob == knob)
        return dataclasses.replace(self, **{row.name: row.kind(value)})

    def as_dict(self) -> dict[str, Any]:
        """Return every setting that is not None, in the order of the fields, for TOML."""
        values = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in values if value is not None}


SETTINGS = settings_of(RunConfig)
"""All settings by name, in the order of the fields."""


def budget_of(model: object) -> int:
    """Return the parameter budget of a model of the zoo; that of a custom model is ``BUDGET``."""
    return BUDGETS.get(model, BUDGET) if isinstance(model, str) else BUDGET


def _unknown_model(model: str) -> str:
    """Return the error message for a model that is neither in the zoo nor a reference."""
    if advice := suggestion_for(model):
        return f"{shown(model)}: {advice}"
    if ":" in model:
        return f"{shown(model)} is no custom model; write {REFERENCE_SYNTAX}"
    near = difflib.get_close_matches(model.lower()[:LONGEST_SHOWN], MODELS, n=1)
    if near:
        return f"unknown model {shown(model)}; did you mean {near[0]}? --help lists them all"
    choices = f"{', '.join(MODELS)}, or a custom model: {REFERENCE_SYNTAX}"
    return f"unknown model {shown(model)}; choose {choices}"
