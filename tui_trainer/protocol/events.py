"""Facts: everything that crosses from the engine to whoever watches.

Frozen, keyword-only records of plain numbers, texts and tuples; no tensors. Accuracies are
fractions of 1, losses are mean cross-entropy in nats, ``step`` counts trained batches from 1,
``epoch`` counts from 1, ``seconds`` is training time without pauses. Of all fields only those named
in :data:`CLOCK_FIELDS` depend on the clock: the rest is the same in two runs with the same seed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.layers import BUDGET, LayerRow
from tui_trainer.protocol.probed import Probe
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.text import fmt

CLOCK_FIELDS = frozenset({"seconds", "images_per_second", "folder", "input_share", "memory_left"})
"""The fields that differ between two runs with the same seed."""

State = Literal[
    "preparing",
    "training",
    "paused",
    "validating",
    "testing",
    "finished",
    "diverged",
    "failed",
    "viewing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """The run is now preparing, training, paused, validating or testing, or only on show."""

    state: State
    step: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """A dataset is being fetched; ``total_bytes`` is 0 where the server does not say."""

    dataset: str
    file: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetWarning:
    """The dataset of a folder trains, but is probably not what it seems."""

    folder: str
    message: str

    @property
    def warning(self) -> str:
        """What a person should know, in one line."""
        return f"{self.folder}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Everything is loaded; the first batch comes next.

    Attributes:
        model: What the network is called: its name in the zoo, or ``net.py:Net``.
        layers: The layer table of the network.
        review: What the design review says of it.
        about: What the network is, in a sentence; empty where nobody has said.
        budget: How many parameters it may have.
        schema: The number of the schema of the events that follow.
    """

    model: str
    dataset: str
    classes: int
    image_size: int
    parameters: int
    layers: tuple[LayerRow, ...]
    train_size: int
    val_size: int
    test_size: int
    mean: float
    std: float
    epochs: int
    batch_size: int
    base_lr: float
    optimizer: str
    schedule: str
    augmentation: bool
    dropout: float | None
    seed: int
    device: str
    threads: int
    review: tuple[Diagnosis, ...] = ()
    about: str = ""
    budget: int = BUDGET
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One batch was trained.

    Attributes:
        step: The batch's number in the run.
        epoch: The epoch it belongs to.
        epoch_images: Training images seen so far in this epoch, this batch included.
        images: Training images seen so far in the run, this batch included.
        batch_size: How many images it had; the last of an epoch may have fewer.
        loss: Its mean loss, before the update.
        accuracy: The share it had right, before the update.
        lr: The rate of its update: base times schedule.
        seconds: Training time so far.
    """

    step: int
    epoch: int
    epoch_images: int
    images: int
    batch_size: int
    loss: float
    accuracy: float
    lr: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDone:
    """Every training image was seen once more, and the validation images were looked at.

    The training figures are running ones: each batch as it was met, augmented, before its update.
    All ``val_`` fields are None where there is no validation split.

    Attributes:
        lr: The rate of its last update.
        val_interval: Wilson interval of the validation accuracy, 95 %.
        val_class_accuracy: Accuracy by class; None for a class without a validation image.
        val_loss_rise: Validation loss minus its lowest so far; 0 in the epoch that is the lowest.
        val_loss_rise_error: Standard error of that rise over the validation images, each compared
            with itself: a paired difference, so the images' own difficulty cancels.
        seconds: The epoch's time, training and validation, without pauses.
        images_per_second: Training images by the time spent on training alone.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    val_correct: int | None
    val_total: int | None
    val_interval: tuple[float, float] | None
    val_class_accuracy: tuple[float | None, ...] | None
    val_loss_rise: float | None
    val_loss_rise_error: float | None
    seconds: float
    images_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChanged:
    """A knob was turned; the next batch uses the new value.

    Attributes:
        setting: A name from :data:`tui_trainer.protocol.commands.KNOBS`.
        images: Training images seen when it changed: its place on the curves.
    """

    setting: str
    old: float
    new: float
    step: int
    epoch: int
    images: int

    @property
    def words(self) -> str:
        """The change in a few words: ``lr 0.1 → 0.05``."""
        old, new = (fmt.knob(self.setting, value) for value in (self.old, self.new))
        return f"{fmt.KNOB_NAMES[self.setting]} {old} → {new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected:
    """A command that could not be applied, or a question that got no answer, and why.

    Attributes:
        command: The command's class, or the question's topic.
    """

    command: str
    reason: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEvaluated:
    """The sealed test set was read; ``look`` counts the readings of this run from 1."""

    __test__ = False  # pytest: not a test class

    evaluation: int
    step: int
    images: int
    test_loss: float
    test_accuracy: float
    test_correct: int
    test_total: int
    test_interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """The loss is no longer a finite number; the weights are lost.

    Attributes:
        last_good_step: The step of the last good checkpoint, which a rewind restores.
        non_finite: The names of the parameters and running statistics that are not finite.
    """

    step: int
    epoch: int
    lr: float
    last_good_step: int = 0
    non_finite: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewound:
    """A diverged run has gone back to its last good state: what came after that is void.

    Attributes:
        step: The step of that state; the next batch is the one after it.
        epoch: The epoch it belongs to.
        images: Training images seen up to it.
        from_step: Where the run had diverged.
        lines: How many lines of the run's ``events.jsonl`` still hold; None if it is not recorded.
    """

    step: int
    epoch: int
    images: int
    from_step: int
    lines: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """A recorded run goes on from a checkpoint: what it told after that is void.

    Attributes:
        step: The checkpoint's step; the next batch is the one after it.
        epoch: The epoch it belongs to.
        images: Training images seen up to it.
        threads: CPU threads it goes on with.
        lines: How many lines of the run's ``events.jsonl`` still hold; None if it is not recorded.
    """

    step: int
    epoch: int
    images: int
    threads: int
    lines: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """The state after an epoch, or at the end, is on the disk.

    Those in the middle of an epoch are saved by the clock and are not told.

    Attributes:
        files: Names in the run's folder of checkpoints, without their suffix: ``last``, ``best``.
    """

    step: int
    epoch: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRaised(Diagnosis):
    """A rule has found something in the run; one finding a ``code`` stands at a time.

    Attributes:
        step: Since which step it holds.
        fix_setting: The knob that ``advice`` turns, or None where no knob does it.
        fix_value: The value to turn it to.
        cause: What it most likely comes from; empty where the title says that.
        plot: Some numbers that show it, in order; empty where a sentence is enough.
        plot_label: What they are, as in ``validation loss, epochs 3 to 9``.
    """

    step: int
    fix_setting: str | None = None
    fix_value: float | None = None
    cause: str = ""
    plot: tuple[float, ...] = ()
    plot_label: str = ""

    def is_news_after(self, before: FindingRaised) -> bool:
        """Whether it says more than that the numbers of a finding raised before have moved."""
        told = (self.severity, self.title, self.advice)
        return told != (before.severity, before.title, before.advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCleared:
    """The evidence of a finding is gone."""

    code: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStarted:
    """The run is recorded in a folder of its own."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotLocked:
    """The run's folder is on a file system that gives no lock; ``message`` is the system's reason.

    Two processes that open the run at the same moment are not kept apart.
    """

    folder: str
    message: str

    @property
    def warning(self) -> str:
        """What a person should know, in one line."""
        return (
            f"{self.folder}: not locked, its file system gives no lock ({self.message}); "
            "do not resume this run twice at the same time"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed:
    """A file of the run folder could not be written; training goes on, and it is tried again.

    Attributes:
        path: The file; what it held before is intact.
        message: Why, in the words of the system.
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRestored:
    """A file that could not be written is complete again."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The training raised; ``traceback`` is for whoever mends it."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run is over; always the last event of a run that did not fail.

    The ``test_`` fields are None where the test set was not read: after a divergence, or when the
    run was left in a hurry.

    Attributes:
        reason: ``completed``, ``stopped`` or ``diverged``; or what ended the process:
            ``interrupted`` (Ctrl+C), ``terminated``, ``hung up``.
        test_looks: How often the test set was read in this run, the final reading included.
    """

    reason: str
    epochs: int
    step: int
    test_loss: float | None
    test_accuracy: float | None
    test_correct: int | None
    test_total: int | None
    test_interval: tuple[float, float] | None
    test_evaluations: int
    val_accuracy: float | None
    parameters: int
    seconds: float


Event = (
    StateChanged
    | DownloadProgress
    | DatasetWarning
    | RunStarted
    | StepDone
    | EpochDone
    | SettingChanged
    | CommandRejected
    | TestEvaluated
    | Diverged
    | Rewound
    | RunResumed
    | CheckpointSaved
    | FindingRaised
    | FindingCleared
    | RecordingStarted
    | FolderNotLocked
    | RecordingFailed
    | RecordingRestored
    | RunFailed
    | RunFinished
    | Probe
    | Answered
)


def to_json(event: Event) -> str:
    """Return an event as one line of strict JSON: ``event`` is its class name, then its fields.

    JSON has no NaN and no infinity: such a number becomes null.
    """
    record = {"event": type(event).__name__, **plain(dataclasses.asdict(event))}
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: lists for tuples, null for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
