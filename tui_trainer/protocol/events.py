"""Events: everything that the engine reports to front ends, findings and the recording.

Frozen, keyword-only records of plain numbers, strings and tuples, without tensors. Accuracies are
fractions of 1, losses are the mean cross-entropy in nats, ``step`` counts trained batches from 1,
``epoch`` counts from 1, ``seconds`` is training time without pauses. Only the fields named in
:data:`CLOCK_FIELDS` depend on the clock; all others are equal in two runs with the same seed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.diagnosis import Cause, Diagnosis
from tui_trainer.protocol.layers import BUDGET, LayerRow
from tui_trainer.protocol.probed import Probe
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.text import fmt

CLOCK_FIELDS = frozenset(
    {"seconds", "images_per_second", "folder", "input_share", "memory_left", "by", "request"}
)
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
    "killed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """The state of the run has changed.

    ``viewing`` is a recorded run that is only inspected. ``killed`` is a run whose trainer is gone
    before its end; an attached process reports it, and it is never recorded.
    """

    state: State
    step: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadProgress:
    """A dataset is being downloaded; ``total_bytes`` is 0 if the server does not report it."""

    dataset: str
    file: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeProgress:
    """The pictures in a folder are being listed, ``total`` is 0 then, or decoded."""

    folder: str
    done: int
    total: int

    @property
    def words(self) -> str:
        """The progress in words: ``decoding 640 of 1,000 pictures``."""
        if not self.total:
            return f"listing pictures: {fmt.count(self.done)}"
        return f"decoding {fmt.count(self.done)} of {fmt.plural(self.total, 'picture')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetWarning:
    """The dataset in a folder can be trained on, but probably has a problem.

    ``files`` lists files that are left out, with the reason; the message names only the first.
    """

    folder: str
    message: str
    files: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """The warning in one line."""
        return f"{self.folder}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Model and data are loaded; the first batch comes next.

    Attributes:
        model: The model's name in the zoo, or ``net.py:Net``.
        mean: The mean of the training pixels of each channel, on a scale of 0 to 1.
        std: Their standard deviation.
        channels: The channels of an image.
        layers: The layer table of the model.
        review: The verdicts of the design review.
        about: A description of the model in one sentence; empty if there is none.
        budget: The parameter budget.
        momentum: The momentum of SGD; None for other optimizers, and in older records.
        weight_decay: The weight decay; None in older records, like the label smoothing.
        resize_until: The share of the training with images of ``resize_to`` pixels.
        augment_until: The share of the training after which images are not augmented.
        precision: The precision of a training step: ``float32``, ``tf32`` or ``bf16``.
        processes: The number of processes that train it together; ``threads`` are of each.
        schema: The schema version of the events of this run.
        script: The training script of a watched run; empty for a run of this program.
        unavailable: What this run cannot do, with the reason: a knob of
            :data:`tui_trainer.protocol.commands.KNOBS` or the class of a command, as ``Stop``.
        class_names: The names of the classes; empty if they are numbers, and in older records.
            :func:`tui_trainer.protocol.class_names.class_name` shows them.
        image_bytes: The bytes of all images; 0 in older records.
        image_readers: The threads that read images during training; 0: all are in memory.
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
    mean: tuple[float, ...]
    std: tuple[float, ...]
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
    channels: int = 1
    momentum: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    resize_until: float = 0.0
    resize_to: int | None = None
    augment_until: float = 1.0
    precision: str = "float32"
    processes: int = 1
    schema: int = SCHEMA
    script: str = ""
    unavailable: tuple[tuple[str, str], ...] = ()
    class_names: tuple[str, ...] = ()
    image_bytes: int = 0
    image_readers: int = 0

    @property
    def hardware(self) -> str:
        """The device, with the threads of a CPU, and the number of processes: ``cpu ×2``."""
        device = f"{self.device} ×{self.threads}" if self.device == "cpu" else self.device
        return device if self.processes == 1 else f"{device} in {self.processes} processes"

    @property
    def division(self) -> str:
        """How several processes divide a batch, in one line; empty for one process."""
        if self.processes == 1:
            return ""
        share = -(-self.batch_size // self.processes)
        size = fmt.count(self.batch_size)
        whole = f"each process trains on {fmt.count(share)} of the {size} images of a batch"
        if not any(row.kind == "batch norm" for row in self.layers):
            return whole
        return (
            f"{whole}; batch norm normalizes these by themselves, and its running statistics are "
            "averaged over the processes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One batch was trained.

    Attributes:
        step: The batch's number in the run.
        epoch_images: Training images seen so far in this epoch, this batch included.
        images: Training images seen so far in the run, this batch included.
        batch_size: The number of its images; the last batch of an epoch may have fewer.
        loss: Its mean loss, before the update.
        accuracy: Its accuracy, before the update.
        lr: The learning rate of its update: base × schedule.
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
    """An epoch is trained and validated.

    The training figures are running averages over the batches of the epoch: augmented, each batch
    before its update. All ``val_`` fields are None without a validation split.

    Attributes:
        lr: The learning rate of its last update.
        val_interval: Wilson interval of the validation accuracy, 95 %.
        val_class_accuracy: Accuracy by class; None for a class without a validation image.
        val_loss_rise: Validation loss minus the lowest one so far; 0 in the best epoch.
        val_loss_rise_error: Standard error of that rise over the validation images. The difference
            is paired, image by image, so the difficulty of the images cancels.
        seconds: The time of the epoch, training and validation, without pauses.
        images_per_second: Training images per second of training, without validation.
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
    """A knob was set; the next batch uses the new value.

    Attributes:
        setting: A name from :data:`tui_trainer.protocol.commands.KNOBS`.
        images: Training images seen when it changed: its position on the curves.
        by: Who changed it, ``user@host``; empty if that is not known.
    """

    setting: str
    old: float
    new: float
    step: int
    epoch: int
    images: int
    by: str = ""

    @property
    def words(self) -> str:
        """The change as a short text: ``lr 0.1 → 0.05``."""
        old, new = (fmt.knob(self.setting, value) for value in (self.old, self.new))
        return f"{fmt.KNOB_NAMES[self.setting]} {old} → {new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected:
    """A command could not be applied, or a question could not be answered; ``reason`` says why.

    Attributes:
        command: The name of the command's class, or the question's topic.
        by: Who sent it, as in ``SettingChanged``.
        request: The id of the command; empty if it has none.
    """

    command: str
    reason: str
    step: int
    by: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandApplied:
    """A command with an id was applied; the fields are those of ``CommandRejected``."""

    command: str
    step: int
    by: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestEvaluated:
    """The sealed test set was evaluated; ``evaluation`` counts the evaluations of this run."""

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
    """The loss or a weight is no longer finite (NaN or infinity): the run has diverged.

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
    """A diverged run was reset to its last good checkpoint; all events after that are void.

    Attributes:
        step: The step of that checkpoint.
        epoch: Its epoch.
        images: Training images seen until then.
        from_step: The step at which the run diverged.
        lines: How many lines of ``events.jsonl`` are still valid; None if the run is not recorded.
    """

    step: int
    epoch: int
    images: int
    from_step: int
    lines: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """A recorded run continues from a checkpoint; all its events after that are void.

    Attributes:
        step: The step of the checkpoint.
        epoch: Its epoch.
        images: Training images seen until then.
        threads: The number of CPU threads from now on.
        lines: How many lines of ``events.jsonl`` are still valid; None if the run is not recorded.
        processes: The number of processes from now on.
    """

    step: int
    epoch: int
    images: int
    threads: int
    lines: int | None
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRead:
    """The record of a run was read from its beginning, in place of all earlier events.

    Attached processes read it at first, and again after a ``RunResumed``, which makes the events
    after the checkpoint void. A long record is read in parts. Never recorded.

    Attributes:
        events: The valid events of the record, or of a part of it.
        continues: Whether these events follow those of the part before.
    """

    events: tuple[Event, ...]
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved:
    """A checkpoint was written, after an epoch or at the end of the run.

    Checkpoints within an epoch depend on the clock and are not reported.

    Attributes:
        files: The names of the files, without their suffix: ``last``, ``best``.
    """

    step: int
    epoch: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRaised(Diagnosis):
    """A rule has found a problem in the run. At most one finding of a ``code`` is active.

    Attributes:
        step: The step since which it holds.
        fix_setting: The knob that ``advice`` sets; None if no knob fixes it.
        fix_value: The value to set it to.
        cause: The most likely cause; empty if the title already names it.
        causes: All causes that were not excluded, the most likely first; ``cause``, ``advice`` and
            the fix are those of the first, except that a diverged run is fixed by a rewind. Empty
            in records of version 0.1.
        plot: The values of a small plot of the evidence; empty if there is none.
        plot_label: The label of that plot, as in ``validation loss, epochs 3 to 9``.
    """

    step: int
    fix_setting: str | None = None
    fix_value: float | None = None
    cause: str = ""
    causes: tuple[Cause, ...] = ()
    plot: tuple[float, ...] = ()
    plot_label: str = ""

    @property
    def ranked_causes(self) -> tuple[Cause, ...]:
        """The causes; a record without ``causes`` has the one that its texts name."""
        if self.causes or not (self.cause or self.advice):
            return self.causes
        only = Cause(code=self.code, title=self.cause, likelihood="likely", advice=self.advice)
        return (only,)

    def is_news_after(self, before: FindingRaised) -> bool:
        """Whether more than evidence or the lower causes of a finding has changed."""

        def key(found: FindingRaised) -> tuple[str, ...]:
            first = found.causes[0].code if found.causes else ""
            return (found.severity, _without_numbers(found.title), first, found.advice)

        return key(self) != key(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCleared:
    """The evidence of a finding no longer holds."""

    code: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStarted:
    """The run is recorded in a folder."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNotLocked:
    """The run's folder could not be locked; ``message`` is the reason of the operating system.

    Nothing prevents two processes from writing the run at the same time.
    """

    folder: str
    message: str

    @property
    def warning(self) -> str:
        """The warning in one line."""
        return (
            f"{self.folder}: not locked, the file system does not support it ({self.message}); "
            "do not resume this run twice at the same time"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed:
    """A file of the run folder could not be written. Training continues; the write is retried.

    Attributes:
        path: The file; its previous content is intact.
        message: The reason of the operating system.
    """

    path: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRestored:
    """A file that could not be written before is now complete."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFailed:
    """A command of ``--on-end`` or ``--on-finding`` failed; the run is not affected.

    It says nothing about the run, so it is not recorded. It may follow ``RunFinished``.

    Attributes:
        hook: ``on-end`` or ``on-finding``.
        message: What went wrong.
    """

    hook: str
    message: str

    @property
    def warning(self) -> str:
        """The warning in one line."""
        return f"--{self.hook}: {self.message}; the run is not affected"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The training raised an exception."""

    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run has ended; the last recorded event of a run that did not fail.

    The fields of the test set are None if it was not evaluated at the end: after a divergence, or
    when a signal ended the run.

    Attributes:
        reason: ``completed``, ``stopped`` or ``diverged``; ``detached`` if a process in the
            background continues it; or the signal that ended the process: ``interrupted``
            (Ctrl+C), ``terminated``, ``disconnected``.
        test_evaluations: The number of test evaluations of this run, the final one included.
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
    | DecodeProgress
    | DatasetWarning
    | RunStarted
    | StepDone
    | EpochDone
    | SettingChanged
    | CommandRejected
    | CommandApplied
    | TestEvaluated
    | Diverged
    | Rewound
    | RunResumed
    | RecordRead
    | CheckpointSaved
    | FindingRaised
    | FindingCleared
    | RecordingStarted
    | FolderNotLocked
    | RecordingFailed
    | RecordingRestored
    | HookFailed
    | RunFailed
    | RunFinished
    | Probe
    | Answered
)


def _without_numbers(text: str) -> str:
    """Return a text without its numbers; those in a name, as in ``conv2``, stay."""
    return re.sub(r"(?<![\w.])\d[\d,.]*", "", text)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def to_json(event: Event) -> str:
    """Return an event as one line of strict JSON: ``event`` (its class name), then its fields.

    JSON has neither NaN nor infinity: they become null.
    """
    return _ENCODER.encode({"event": type(event).__name__, **plain(event)})


def plain(value: Any) -> Any:
    """Return a value for JSON: records become dicts, tuples lists, non-finite numbers null.

    There is an event for each step, and ``dataclasses.asdict`` takes several times as long.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return {name: plain(getattr(value, name)) for name in _names(value.__class__)}
    return value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
