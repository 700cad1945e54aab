"""What a program needs to know about a run."""

from __future__ import annotations

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
        uses_test: Whether the test set may be evaluated.
        remarks: What the program does not reproduce, a sentence each.
        results: What the weights reach, a sentence each.
    """

    name: str
    config: RunConfig
    started: RunStarted
    changes: tuple[SettingChanged, ...] = ()
    folder: str = ""
    files: DataFiles | None = None
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
