"""The state of a run with its curves, for the window, exported plots and the findings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from tui_trainer.history.run_state import RunState
from tui_trainer.history.series import MovingAverage, Series
from tui_trainer.history.timeline import Timeline
from tui_trainer.protocol.events import Rewound, RunResumed, RunStarted, StepDone
from tui_trainer.protocol.loop_probed import LoopProbed

SMOOTHING_IMAGES = 1_500
"""Half-life of the moving averages of the training curves, in images …"""

SMOOTHING_SHARE = 1 / 30
"""… but at most this share of an epoch."""

LOSS_CAP = 3.0
"""In :attr:`History.capped_loss` a batch counts at most this multiple of the chance-level loss."""

DRAWN_LOSS = 10.0
"""Next to other runs, larger losses are drawn at this multiple of the chance-level loss: a diverged
run would squeeze all others into the bottom of the chart."""


class Point(NamedTuple):
    """A measured value at a position in epochs, with its 95 % interval if it has one."""

    x: float
    y: float
    interval: tuple[float, float] | None = None


class Curve(NamedTuple):
    """A metric over a run: each batch, the current moving average, validations and tests."""

    train: Series
    trend: float | None
    validation: list[Point]
    tests: list[Point]


@dataclass
class History(RunState):
    """The state of a run with its curves. Memory is bounded for any number of steps.

    x of the curves is in epochs: training images seen divided by the size of the training split.
    ``timeline`` maps it to steps and seconds, ``smoothing_epochs`` is the half-life of the moving
    averages.
    """

    train_loss: Series = field(default_factory=Series)
    train_accuracy: Series = field(default_factory=Series)
    lr: Series = field(default_factory=Series)
    timeline: Timeline = field(default_factory=Timeline)
    smoothing_epochs: float = 0.0
    _loss_trend: MovingAverage = field(default_factory=lambda: MovingAverage(SMOOTHING_IMAGES))
    _accuracy_trend: MovingAverage = field(default_factory=lambda: MovingAverage(SMOOTHING_IMAGES))
    _steady_trend: MovingAverage = field(default_factory=lambda: MovingAverage(SMOOTHING_IMAGES))

    def _start(self, event: RunStarted) -> None:
        super()._start(event)
        # With few images the usual half-life would span many epochs, and the average would lag.
        half_life = min(SMOOTHING_IMAGES, event.train_size * SMOOTHING_SHARE)
        self._loss_trend, self._accuracy_trend = MovingAverage(half_life), MovingAverage(half_life)
        self.smoothing_epochs = half_life / event.train_size

    def _go_back(self, event: Rewound | RunResumed) -> None:
        super()._go_back(event)
        for curve in (self.train_loss, self.train_accuracy, self.lr):
            curve.cut(self.epochs_at(event.images))
        self.timeline.cut(self.epochs_at(event.images), event.step)
        for trend, curve in (
            (self._loss_trend, self.train_loss),
            (self._accuracy_trend, self.train_accuracy),
            (self._steady_trend, self.train_loss),
        ):
            trend.restart(curve.trend[-1] if curve.trend else None)

    def _probe_loop(self, event: LoopProbed) -> None:
        before = self.guessing_loss
        super()._probe_loop(event)
        if not 0.5 < self.guessing_loss / before < 2:
            self._steady_trend.restart(None)  # it was capped by another scale

    def _step(self, event: StepDone) -> None:
        super()._step(event)
        x = self.epochs_at(event.images)
        if math.isfinite(event.loss):
            trend = self._loss_trend.add(event.loss, event.batch_size)
            self.train_loss.append(x, event.loss, trend)
            trend = self._accuracy_trend.add(event.accuracy, event.batch_size)
            self.train_accuracy.append(x, event.accuracy, trend)
            most = LOSS_CAP * self.guessing_loss
            self._steady_trend.add(min(event.loss, most), event.batch_size)
        self.lr.append(x, event.lr)
        self.timeline.append(x, event.step, event.seconds)

    @property
    def loss_curve(self) -> Curve:
        """The loss over the run."""
        done = [Point(e.epoch, e.val_loss) for e in self.epochs if e.val_loss is not None]
        tests = [Point(self.epochs_at(test.images), test.test_loss) for test in self.tests]
        return Curve(self.train_loss, self.smoothed_loss, done, tests)

    @property
    def accuracy_curve(self) -> Curve:
        """The accuracy over the run."""
        done = [
            Point(e.epoch, e.val_accuracy, e.val_interval)
            for e in self.epochs
            if e.val_accuracy is not None
        ]
        tests = [
            Point(self.epochs_at(test.images), test.test_accuracy, test.test_interval)
            for test in self.tests
        ]
        return Curve(self.train_accuracy, self.smoothed_accuracy, done, tests)

    @property
    def largest_drawn_loss(self) -> float:
        """Where a chart of several runs draws all larger losses; see :data:`DRAWN_LOSS`."""
        return DRAWN_LOSS * self.guessing_loss

    @property
    def smoothed_loss(self) -> float | None:
        """The current moving average of the training loss."""
        return self._loss_trend.value

    @property
    def capped_loss(self) -> float | None:
        """The same with the loss of each batch capped, so that an exploding batch is no outlier."""
        return self._steady_trend.value

    @property
    def smoothed_accuracy(self) -> float | None:
        """The current moving average of the training accuracy."""
        return self._accuracy_trend.value
