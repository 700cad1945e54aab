"""What has happened so far: the one place where events are interpreted."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace

from tui_trainer.history.series import Series, Trend
from tui_trainer.protocol.events import (
    CheckpointSaved,
    CommandRejected,
    Diverged,
    DownloadProgress,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RecordingFailed,
    RecordingRestored,
    RecordingStarted,
    Rewound,
    RunFailed,
    RunFinished,
    RunStarted,
    SettingChanged,
    State,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.probed import ModelTried, SampleProbed, UpdateProbed
from tui_trainer.protocol.verdicts import FINDING_SIGNS

SMOOTHING_IMAGES = 1_500
"""Half-life of the training curves' trend, in images."""

SMOOTHING_SHARE = 1 / 30
"""… but at most this share of an epoch."""

LOSS_CAP = 3.0
"""A batch counts in :attr:`History.steady_loss` as at most so many times the loss of guessing."""

PROBES_KEPT = 128
"""Probes of updates that are remembered, and probes of the sample likewise."""

RATE_SECONDS = 3.0
"""Span over which the present speed is measured, in training seconds."""


@dataclass
class History:
    """A run as far as its events have told it. Memory is bounded, whatever the number of steps.

    The curves' x is counted in epochs: training images seen by the size of the training split.
    ``folder`` is where the run is recorded, ``unsaved`` has the files that cannot be written, with
    the reason; ``saved`` is the last checkpoint that was told; ``lost`` is a divergence that the
    run has not come back from. ``updates`` and ``samples`` are what the probes saw lately,
    ``tried`` is how the model answered before the first step.
    """

    state: State = "preparing"
    detail: str = ""
    started: RunStarted | None = None
    last_step: StepDone | None = None
    epochs: list[EpochDone] = field(default_factory=list)
    interventions: list[SettingChanged] = field(default_factory=list)
    findings: dict[str, FindingRaised] = field(default_factory=dict)
    tests: list[TestEvaluated] = field(default_factory=list)
    finished: RunFinished | None = None
    failure: RunFailed | None = None
    download: DownloadProgress | None = None
    folder: str | None = None
    unsaved: dict[str, str] = field(default_factory=dict)
    saved: CheckpointSaved | None = None
    lost: Diverged | None = None
    rejection: CommandRejected | None = None
    train_loss: Series = field(default_factory=Series)
    train_accuracy: Series = field(default_factory=Series)
    learning_rate: Series = field(default_factory=Series)
    settings: dict[str, float] = field(default_factory=dict)
    updates: deque[UpdateProbed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    samples: deque[SampleProbed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    tried: ModelTried | None = None
    images_per_second: float = 0.0
    batches_in_epoch: int = 0
    _loss_trend: Trend = field(default_factory=lambda: Trend(SMOOTHING_IMAGES))
    _accuracy_trend: Trend = field(default_factory=lambda: Trend(SMOOTHING_IMAGES))
    _steady_trend: Trend = field(default_factory=lambda: Trend(SMOOTHING_IMAGES))
    _rate_marks: deque[tuple[float, int]] = field(default_factory=deque)

    def apply(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StepDone():
                self._step(event)
            case StateChanged():
                self.state, self.detail = event.state, event.detail
            case RunStarted():
                self._start(event)
            case UpdateProbed():
                self.updates.append(event)
            case SampleProbed():
                self.samples.append(event)
            case ModelTried():
                self.tried = event
            case EpochDone():
                self.epochs.append(event)
            case SettingChanged():
                self._change(event)
            case FindingRaised():
                self.findings[event.code] = event
            case FindingCleared():
                self.findings.pop(event.code, None)
            case TestEvaluated():
                self.tests.append(event)
            case Diverged():
                self.state, self.lost = "diverged", event
            case Rewound():
                self._go_back(event)
            case RunFinished():
                self.finished = event
                self.state = "diverged" if event.reason == "diverged" else "finished"
            case RunFailed():
                self.failure, self.state, self.detail = event, "failed", event.message
            case DownloadProgress():
                self.download = event
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

    def _start(self, event: RunStarted) -> None:
        self.started = event
        self.download = None
        # On few images the usual half-life would be many epochs, and the trend far behind.
        half_life = min(SMOOTHING_IMAGES, event.train_size * SMOOTHING_SHARE)
        self._loss_trend, self._accuracy_trend = Trend(half_life), Trend(half_life)
        self.settings = {
            "learning_rate": event.learning_rate,
            "batch_size": event.batch_size,
            "augmentation": event.augmentation,
        }
        if event.dropout is not None:
            self.settings["dropout"] = event.dropout

    def _change(self, event: SettingChanged) -> None:
        self.interventions.append(event)
        if event.setting == "epochs" and self.started is not None:
            self.started = replace(self.started, epochs=int(event.new))
        else:
            self.settings[event.setting] = event.new

    def _go_back(self, event: Rewound) -> None:
        """Forget what came after an earlier state, as far as it is on show."""
        self.lost = None
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
        for probes in (self.updates, self.samples):
            while probes and probes[-1].step > event.step:
                probes.pop()
        for change in reversed(self.interventions):
            if change.step > event.step:
                self.settings[change.setting] = change.old
        self.interventions = [c for c in self.interventions if c.step <= event.step]
        for curve in (self.train_loss, self.train_accuracy, self.learning_rate):
            curve.cut(self.epochs_at(event.images))
        for trend, curve in (
            (self._loss_trend, self.train_loss),
            (self._accuracy_trend, self.train_accuracy),
            (self._steady_trend, self.train_loss),
        ):
            trend.restart(curve.trend[-1] if curve.trend else None)
        self._rate_marks.clear()

    def _step(self, event: StepDone) -> None:
        if self.last_step is None or event.epoch != self.last_step.epoch:
            self.batches_in_epoch = 0
        self.batches_in_epoch += 1
        self.last_step = event
        x = self.epochs_at(event.images)
        if math.isfinite(event.loss):
            trend = self._loss_trend.add(event.loss, event.batch_size)
            self.train_loss.append(x, event.loss, trend)
            trend = self._accuracy_trend.add(event.accuracy, event.batch_size)
            self.train_accuracy.append(x, event.accuracy, trend)
            self._steady_trend.add(min(event.loss, LOSS_CAP * self.guessing_loss), event.batch_size)
        self.learning_rate.append(x, event.learning_rate)
        marks = self._rate_marks
        marks.append((event.seconds, event.images))
        while len(marks) > 2 and event.seconds - marks[0][0] > RATE_SECONDS:
            marks.popleft()
        spent = marks[-1][0] - marks[0][0]
        if spent > 0:
            self.images_per_second = (marks[-1][1] - marks[0][1]) / spent

    def epochs_at(self, images: int) -> float:
        """Return the place on the curves where that many training images had been seen."""
        return images / self.started.train_size if self.started else 0.0

    @property
    def batches_to_come(self) -> int:
        """How many batches this epoch still has at the present batch size."""
        if self.started is None or self.last_step is None:
            return 0
        images = self.started.train_size - self.last_step.epoch_images
        return math.ceil(images / self.settings["batch_size"])

    @property
    def guessing_loss(self) -> float:
        """The loss of a network that gives every class the same score: ln(classes)."""
        return math.log(self.started.classes) if self.started else math.inf

    @property
    def smoothed_loss(self) -> float | None:
        """The trend of the training loss now."""
        return self._loss_trend.value

    @property
    def steady_loss(self) -> float | None:
        """That trend with every batch capped, so that one explosion outweighs no sound batches."""
        return self._steady_trend.value

    @property
    def smoothed_accuracy(self) -> float | None:
        """The trend of the training accuracy now."""
        return self._accuracy_trend.value

    @property
    def epoch(self) -> int:
        """The epoch under way, from 1; 0 before the first batch."""
        return self.last_step.epoch if self.last_step else 0

    @property
    def is_over(self) -> bool:
        """Whether no batch will be trained any more: it has ended, well or not, or is on show."""
        return self.finished is not None or self.failure is not None or self.is_on_show

    @property
    def is_on_show(self) -> bool:
        """Whether one of its states is looked at, and nothing is trained."""
        return self.state == "on show"

    @property
    def gravest_first(self) -> list[FindingRaised]:
        """The findings that stand: the gravest first, of equals those that a knob mends."""
        order = list(FINDING_SIGNS)
        return sorted(
            self.findings.values(),
            key=lambda found: (order.index(found.severity), found.fix_setting is None),
        )

    @property
    def seconds_left(self) -> float | None:
        """Training time still to come at the present speed; None while it is not known."""
        if self.started is None or self.last_step is None or not self.images_per_second:
            return None
        images = self.started.epochs * self.started.train_size - self.last_step.images
        validations = self.started.epochs - len(self.epochs)
        return images / self.images_per_second + validations * self._validation_seconds()

    def _validation_seconds(self) -> float:
        """Return how long looking at the validation images took in the last epoch."""
        if not self.epochs or self.started is None:
            return 0.0
        last = self.epochs[-1]
        training = self.started.train_size / max(last.images_per_second, 1e-9)
        return max(0.0, last.seconds - training)
