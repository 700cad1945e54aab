"""What a program needs to know about a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import RunStarted, SettingChanged


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The four files of a dataset in a folder.

    Attributes:
        names: Their paths relative to the folder: the training images and labels, then those of
            the test split.
        first_label: The label of the first class.
        is_transposed: Whether rows and columns of the images are swapped, as in EMNIST's files.
        has_wide_labels: Whether a label has more than one byte.
        has_label_columns: Whether a label has several numbers, of which the first is the class.
        has_channels: Whether the images have a dimension for their one channel.
    """

    names: tuple[str, str, str, str]
    first_label: int = 0
    is_transposed: bool = False
    has_wide_labels: bool = False
    has_label_columns: bool = False
    has_channels: bool = False


@dataclass(frozen=True, slots=True)
class BinaryFiles:
    """The binary files of CIFAR-10, CIFAR-100 or STL-10.

    Attributes:
        train: Those with the training images, relative to the folder.
        test: The one with the test images.
        size: Height and width of an image.
        label_bytes: The bytes of the labels before each image, of which the last is the class; 0:
            the labels are in separate files, and planes are column-major.
        first_label: The label of the first class.
    """

    train: tuple[str, ...]
    test: str
    size: int = 32
    label_bytes: int = 1
    first_label: int = 0


@dataclass(frozen=True, slots=True)
class ArrayFiles:
    """NumPy arrays of images and labels.

    Attributes:
        archive: The ``.npz`` file in the folder; empty if the folder is itself that file, None if
            each array has a file.
        names: The name of each array, by its role: ``x_train``, ``y_train``, ``x_test`` …
        is_last: Whether the channels of the images are their last axis.
        scaled: What turns ``images`` into bytes; empty if they are bytes.
        is_one_hot: Whether labels are rows with a 1 for the class.
        first_label: The label of the first class.
    """

    archive: str | None
    names: Mapping[str, str]
    is_last: bool = False
    scaled: str = ""
    is_one_hot: bool = False
    first_label: int = 0


@dataclass(frozen=True, slots=True)
class PictureFolders:
    """Pictures in folders of classes.

    Attributes:
        classes: The folders of the classes, in order.
        splits: The folder of each split: ``train``, perhaps ``val`` and ``test``; empty for the
            folder itself.
        fit: How pictures are brought to the size: one of the configuration's fits.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, str]
    fit: str


AnyFiles = DataFiles | BinaryFiles | ArrayFiles | PictureFolders
"""The files of a folder of data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A run, for its program.

    Attributes:
        name: The name of the run.
        config: Its initial settings.
        started: Its start: sizes, mean and standard deviation of its data.
        changes: The settings that were changed during the training.
        folder: The name of the folder of its data; empty for a known dataset.
        files: The files in this folder; None for a known dataset.
        has_val: Whether the last training images are those that the data has for validation.
        uses_test: Whether the test set may be evaluated.
        remarks: What the program does not reproduce, a sentence each.
        results: What the weights reach, a sentence each.
    """

    name: str
    config: RunConfig
    started: RunStarted
    changes: tuple[SettingChanged, ...] = ()
    folder: str = ""
    files: AnyFiles | None = None
    has_val: bool = False
    uses_test: bool = True
    remarks: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    @property
    def initial(self) -> dict[str, float]:
        """The knobs at the first step, with the changes made before it."""
        started = self.started
        knobs: dict[str, float] = {
            "base_lr": started.base_lr,
            "batch_size": started.batch_size,
            "augmentation": int(started.augmentation),
            "epochs": started.epochs,
        }
        if started.dropout is not None:
            knobs["dropout"] = started.dropout
        return knobs | {c.setting: c.new for c in self.changes if not c.images}

    @property
    def later(self) -> tuple[SettingChanged, ...]:
        """The changes after the first step."""
        return tuple(change for change in self.changes if change.images)

    def is_changed(self, knob: str) -> bool:
        """Return whether a knob is changed after the first step."""
        return any(change.setting == knob for change in self.later)
