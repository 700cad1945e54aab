"""The state of a run: the only place where events are interpreted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from tui_trainer.protocol.class_names import class_name
from tui_trainer.protocol.events import (
    CheckpointSaved,
    CommandRejected,
    DecodeProgress,
    Diverged,
    DownloadProgress,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RecordingFailed,
    RecordingRestored,
    RecordingStarted,
    RecordRead,
    Rewound,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    SettingChanged,
    State,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.loop_probed import LoopProbed
from tui_trainer.protocol.probed import (
    DataProbed,
    ModelProbed,
    SampleProbed,
    UpdateProbed,
    UpdatesTried,
)

PROBES_KEPT = 128
"""The latest probes of updates, and likewise of the sample, that are kept."""

SPEED_SECONDS = 3.0
"""The window over which the current speed is measured, in training seconds."""

MARK_SECONDS = 0.1
"""Training seconds between two measurements of the speed."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A finding from when it was raised until it was cleared.

    Attributes:
        finding: The latest version of the finding.
        step: The step after which it was raised.
        epoch: The epoch of that step; 0 before the first.
        cleared_step: The step after which it was cleared; None while it is active.
        cleared_epoch: The epoch of that step.
    """

    finding: FindingRaised
    step: int
    epoch: int
    cleared_step: int | None = None
    cleared_epoch: int | None = None


@dataclass
class RunState:
    """The state of a run without curves; :class:`History` adds them. A step costs a microsecond.

    ``folder`` is where the run is recorded, ``unsaved`` are the files that cannot be written, with
    the reason, ``saved`` is the last reported checkpoint. ``divergence`` is reset by a rewind.
    ``updates``, ``samples`` and ``loops`` are the latest probes, ``data_probe`` and ``model_probe``
    the checks of images, labels and model before the first step, ``updates_tried`` the trial of a
    model that learns nothing. ``findings`` are the active ones by code, ``past_findings`` the
    cleared ones.
    """

    state: State = "preparing"
    detail: str = ""
    started: RunStarted | None = None
    last_step: StepDone | None = None
    epochs: list[EpochDone] = field(default_factory=list)
    interventions: list[SettingChanged] = field(default_factory=list)
    settings: dict[str, float] = field(default_factory=dict)
    findings: dict[str, FindingRaised] = field(default_factory=dict)
    past_findings: list[Episode] = field(default_factory=list)
    tests: list[TestEvaluated] = field(default_factory=list)
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    download: DownloadProgress | None = None
    decoding: DecodeProgress | None = None
    folder: str | None = None
    unsaved: dict[str, str] = field(default_factory=dict)
    saved: CheckpointSaved | None = None
    divergence: Diverged | None = None
    rejection: CommandRejected | None = None
    updates: deque[UpdateProbed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    samples: deque[SampleProbed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    loops: deque[LoopProbed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    data_probe: DataProbed | None = None
    model_probe: ModelProbed | None = None
    updates_tried: UpdatesTried | None = None
    images_per_second: float = 0.0
    batches_in_epoch: int = 0
    _raised: dict[str, tuple[int, int]] = field(default_factory=dict)
    _guess_loss: float | None = None
    _first_loss: float = 0.0
    _loss_sum: float = 0.0
    _correct: float = 0.0
    _counted: int = 0
    _speed_marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return the state after these events."""
        run = cls()
        for event in events:
            run.apply(event)
        return run

    def apply(self, event: Event) -> None:
        """Apply an event."""
        match event:
            case StepDone():
                self._step(event)
            case StateChanged():
                self.state, self.detail, self.decoding = event.state, event.detail, None
            case RunStarted():
                self._start(event)
            case UpdateProbed():
                self.updates.append(event)
            case SampleProbed():
                self.samples.append(event)
            case LoopProbed():
                self._probe_loop(event)
            case ModelProbed():
                self.model_probe = event
            case DataProbed():
                self.data_probe = event
            case UpdatesTried():
                self.updates_tried = event
            case EpochDone():
                self.epochs.append(event)
            case SettingChanged():
                self._change(event)
            case FindingRaised():
                self._raised.setdefault(event.code, (self.step, self.epoch))
                self.findings[event.code] = event
            case FindingCleared():
                self._clear(event)
            case TestEvaluated():
                self.tests.append(event)
            case Diverged():
                self.state, self.divergence = "diverged", event
            case Rewound():
                self._go_back(event)
            case RunResumed():
                self.finished = self.failure = self.divergence = None
                if event.step < self.step:
                    self._go_back(event)
            case RecordRead():
                self._read(event)
            case RunFinished():
                self._finish(event)
            case RunFailed():
                self.failure, self.state, self.detail = event, "failed", event.message
            case DownloadProgress():
                self.download = event
            case DecodeProgress():
                self.decoding = event
            case RecordingStarted():
                self.folder = event.folder
            case RecordingFailed():
                self.unsaved[event.path] = event.message
            case RecordingRestored():
                self.unsaved.pop(event.path, None)
            case CheckpointSaved():
                self.saved = event
            case CommandRejected():
                self.rejection = event

    def _probe_loop(self, event: LoopProbed) -> None:
        self.loops.append(event)
        if event.loss is None:
            return
        if event.loss.guess_loss is not None:
            self._guess_loss = event.loss.guess_loss
        elif self._guess_loss is None and self._first_loss > 0:
            self._guess_loss = self._first_loss

    def _read(self, record: RecordRead) -> None:
        if not record.continues:
            vars(self).update(vars(type(self)()))
        for event in record.events:
            self.apply(event)

    @property
    def shown_settings(self) -> dict[str, float]:
        """The knobs to show: augmentation is off once its share of the training is over."""
        run, last = self.started, self.last_step
        if run is None or last is None or run.augment_until == 1:
            return self.settings
        is_over = last.images >= run.augment_until * run.train_size * run.epochs
        return {**self.settings, "augmentation": 0} if is_over else self.settings

    def _start(self, event: RunStarted) -> None:
        self.started = event
        self.download = None
        self.settings = {
            "base_lr": event.base_lr,
            "batch_size": event.batch_size,
            "augmentation": event.augmentation,
        }
        if event.dropout is not None:
            self.settings["dropout"] = event.dropout

    def _finish(self, event: RunFinished) -> None:
        self.finished = event
        match event.reason:
            case "diverged":
                self.state = "diverged"
            case "detached":
                self.state, self.detail = "preparing", "a process in the background takes over"
            case _:
                self.state = "finished"

    def _change(self, event: SettingChanged) -> None:
        self.interventions.append(event)
        self._set(event.setting, event.new)

    def _set(self, setting: str, value: float) -> None:
        if setting != "epochs":
            self.settings[setting] = value
        elif self.started is not None:
            self.started = replace(self.started, epochs=int(value))

    def _clear(self, event: FindingCleared) -> None:
        found = self.findings.pop(event.code, None)
        if found is not None:
            raised = self._raised.pop(event.code)
            self.past_findings.append(Episode(found, *raised, self.step, self.epoch))

    def _go_back(self, event: Rewound | RunResumed) -> None:
        """Drop what a rewind or resume has made void."""
        self.divergence = None
        if self.last_step is not None and self.started is not None:
            before = (event.epoch - 1) * self.started.train_size
            self.last_step = replace(
                self.last_step,
                step=event.step,
                epoch=event.epoch,
                images=event.images,
                epoch_images=event.images - before,
            )
        self.epochs = [epoch for epoch in self.epochs if epoch.step <= event.step]
        for probes in (self.updates, self.samples, self.loops):
            while probes and probes[-1].step > event.step:
                probes.pop()
        for change in reversed(self.interventions):
            if change.step > event.step:
                self._set(change.setting, change.old)
        self.interventions = [c for c in self.interventions if c.step <= event.step]
        self._loss_sum, self._correct, self._counted = 0.0, 0.0, 0
        self._speed_marks.clear()

    def _step(self, event: StepDone) -> None:
        before, marks = self.last_step, self._speed_marks
        if before is None and math.isfinite(event.loss):
            self._first_loss = event.loss
        if before is None or event.epoch != before.epoch:
            self.batches_in_epoch = self._counted = 0
            self._loss_sum = self._correct = 0.0
            if before is not None:
                # The validation between the two steps would count as slow training.
                seconds, images = event.seconds - before.seconds, event.images - before.images
                for place, (then, seen) in enumerate(marks):
                    marks[place] = (then + seconds, seen + images)
        self.last_step = event
        self.batches_in_epoch += 1
        self._loss_sum += event.loss * event.batch_size
        self._correct += event.accuracy * event.batch_size
        self._counted += event.batch_size
        if not marks or event.seconds - marks[-1][0] >= MARK_SECONDS:
            self._measure_speed(event)

    def _measure_speed(self, event: StepDone) -> None:
        marks = self._speed_marks
        marks.append((event.seconds, event.images))
        while len(marks) > 2 and event.seconds - marks[0][0] > SPEED_SECONDS:
            marks.popleft()
        (first, seen), (now, images) = marks[0], marks[-1]
        if now > first:
            self.images_per_second = (images - seen) / (now - first)

    def epochs_at(self, images: int) -> float:
        """Return a number of training images as epochs: the x of the curves."""
        return images / self.started.train_size if self.started else 0.0

    @property
    def batches_left(self) -> int:
        """The number of batches left in this epoch at the current batch size."""
        if self.started is None or self.last_step is None:
            return 0
        images = self.started.train_size - self.last_step.epoch_images
        return math.ceil(images / self.settings["batch_size"])

    def knob(self, setting: str) -> float | None:
        """Return the value of a knob; None before the start, and if the model does not have it."""
        if setting == "epochs":
            return self.started.epochs if self.started else None
        return self.settings.get(setting)

    def class_name(self, label: int) -> str:
        """Return how a class is called where it is shown: ``cat``, or ``7``."""
        return class_name(self.started.class_names if self.started else (), label)

    @property
    def is_color(self) -> bool:
        """Whether its images have several channels."""
        return self.started is not None and self.started.channels > 1

    @property
    def guessing_loss(self) -> float:
        """The chance-level loss: ln(classes), that of equal logits for all classes.

        In a user's own loop, that of its kind of loss; of an unknown kind, the first loss.
        """
        if self._guess_loss is not None:
            return self._guess_loss
        is_known = self.last_step is None or self.last_step.accuracy is not None
        if self.started and self.started.script and not is_known and self._first_loss > 0:
            return self._first_loss  # without logits and labels, not even the classes are known
        return math.log(self.started.classes) if self.started else math.inf

    @property
    def step(self) -> int:
        """The number of trained batches."""
        return self.last_step.step if self.last_step else 0

    @property
    def epoch(self) -> int:
        """The current epoch, from 1; 0 before the first batch."""
        return self.last_step.epoch if self.last_step else 0

    @property
    def epoch_loss(self) -> float:
        """The mean loss of this epoch's batches, each before its update; NaN before any."""
        return self._loss_sum / self._counted if self._counted else math.nan

    @property
    def epoch_accuracy(self) -> float:
        """The accuracy over this epoch's batches, each before its update; NaN before any."""
        return self._correct / self._counted if self._counted else math.nan

    @property
    def fraction(self) -> float:
        """The fraction of the run's training that is done, 0 to 1."""
        if self.started is None or self.last_step is None:
            return 0.0
        return min(1.0, self.epochs_at(self.last_step.images) / self.started.epochs)

    @property
    def has_begun(self) -> bool:
        """Whether the training has begun; before, there is nothing to save."""
        return self.state != "preparing"

    @property
    def last_epoch(self) -> EpochDone | None:
        """The last completed epoch."""
        return self.epochs[-1] if self.epochs else None

    @property
    def last_sample(self) -> SampleProbed | None:
        """The last probe of the sample."""
        return self.samples[-1] if self.samples else None

    @property
    def last_update(self) -> UpdateProbed | None:
        """The last probed update."""
        return self.updates[-1] if self.updates else None

    @property
    def best_epoch(self) -> EpochDone | None:
        """The (first) epoch with the highest validation accuracy."""
        validated = (epoch for epoch in self.epochs if epoch.val_accuracy is not None)
        return max(validated, key=lambda epoch: epoch.val_accuracy or 0.0, default=None)

    @property
    def is_probed(self) -> bool:
        """Whether gradients and activations were sampled."""
        return bool(self.updates or self.samples)

    @property
    def episodes(self) -> list[Episode]:
        """The active findings with their start, in the order of :attr:`most_severe_first`."""
        return [Episode(found, *self._raised[found.code]) for found in self.most_severe_first]

    @property
    def is_over(self) -> bool:
        """Whether training has ended: the run finished, failed, was killed, or is only viewed."""
        is_without_trainer = self.is_viewing or self.state == "killed"
        return self.finished is not None or self.failure is not None or is_without_trainer

    @property
    def is_viewing(self) -> bool:
        """Whether one of its checkpoints is inspected, without training."""
        return self.state == "viewing"

    @property
    def most_severe_first(self) -> list[FindingRaised]:
        """The active findings by severity; within a severity, those that a knob fixes first."""
        return sorted(
            self.findings.values(), key=lambda found: (found.rank, found.fix_setting is None)
        )

    @property
    def seconds_left(self) -> float | None:
        """The remaining training time at the current speed; None while that is unknown."""
        if self.started is None or self.last_step is None or not self.images_per_second:
            return None
        images = self.started.epochs * self.started.train_size - self.last_step.images
        validations = self.started.epochs - len(self.epochs)
        return images / self.images_per_second + validations * self._validation_seconds()

    def _validation_seconds(self) -> float:
        """Return the validation time of the last epoch."""
        last = self.last_epoch
        if last is None or self.started is None:
            return 0.0
        training = self.started.train_size / max(last.images_per_second, 1e-9)
        return max(0.0, last.seconds - training)
