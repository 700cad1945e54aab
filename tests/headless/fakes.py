"""A fake engine (plain events) and fake streams."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from tui_trainer.protocol.events import EpochDone, Event, RunFinished, RunStarted, StepDone
from tui_trainer.stats.intervals import wilson

TRAIN, VAL, TEST = 1_000, 500, 10_000
BATCH = 100
BASE_LR = 2_000.0


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeClock:
    """Each reading is ``step`` seconds after the previous one."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Engine(Iterator[Event]):
    """Events one by one, then an exception if given; records whether it was closed."""

    def __init__(self, events: Iterable[Event], error: BaseException | None = None) -> None:
        self._events, self._error = iter(events), error
        self.closed = False
        self.given = 0

    def __next__(self) -> Event:
        for event in self._events:
            self.given += 1
            return event
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        self.closed = True


def started(
    *,
    epochs: int = 2,
    val_size: int = VAL,
    dataset: str = "mnist",
    classes: int = 10,
    class_names: tuple[str, ...] = (),
    image_size: int = 28,
    channels: int = 1,
) -> RunStarted:
    return RunStarted(
        model="era-s6",
        dataset=dataset,
        classes=classes,
        class_names=class_names,
        image_size=image_size,
        channels=channels,
        parameters=19_568,
        layers=(),
        train_size=TRAIN,
        val_size=val_size,
        test_size=TEST,
        mean=(0.13,),
        std=(0.31,),
        epochs=epochs,
        batch_size=BATCH,
        base_lr=0.1,
        optimizer="sgd",
        schedule="one-cycle",
        augmentation=True,
        dropout=None,
        seed=0,
        device="cpu",
        threads=2,
    )


def step(number: int, *, loss: float = 0.5, accuracy: float = 0.8) -> StepDone:
    per_epoch = TRAIN // BATCH
    epoch, place = divmod(number - 1, per_epoch)
    return StepDone(
        step=number,
        epoch=epoch + 1,
        epoch_images=(place + 1) * BATCH,
        images=number * BATCH,
        batch_size=BATCH,
        loss=loss,
        accuracy=accuracy,
        lr=0.05,
        seconds=number * BATCH / BASE_LR,
    )


def epoch_done(epoch: int, *, correct: int | None = 480, seconds: float = 0.75) -> EpochDone:
    """An epoch of half a second of training and, by default, a quarter of validation."""
    accuracy = None if correct is None else correct / VAL
    return EpochDone(
        epoch=epoch,
        step=epoch * TRAIN // BATCH,
        lr=0.05,
        train_loss=0.2341,
        train_accuracy=0.9281,
        val_loss=None if correct is None else 0.0712,
        val_accuracy=accuracy,
        val_correct=correct,
        val_total=None if correct is None else VAL,
        val_interval=None if correct is None else wilson(correct, VAL),
        val_class_accuracy=None,
        val_loss_rise=None,
        val_loss_rise_error=None,
        seconds=seconds,
        images_per_second=BASE_LR,
    )


def finished(
    reason: str = "completed",
    *,
    correct: int | None = 9_931,
    test_evaluations: int = 1,
    val_accuracy: float | None = 0.96,
) -> RunFinished:
    return RunFinished(
        reason=reason,
        epochs=2,
        step=20,
        test_loss=None if correct is None else 0.02,
        test_accuracy=None if correct is None else correct / TEST,
        test_correct=correct,
        test_total=None if correct is None else TEST,
        test_interval=None if correct is None else wilson(correct, TEST),
        test_evaluations=0 if correct is None else test_evaluations,
        val_accuracy=val_accuracy,
        parameters=19_568,
        seconds=312.0,
    )


def whole_run(*, val_size: int = VAL) -> list[Event]:
    """Two epochs of ten steps."""
    correct = 480 if val_size else None
    run: list[Event] = [started(val_size=val_size)]
    for epoch in (1, 2):
        run += [step(number) for number in range(10 * epoch - 9, 10 * epoch + 1)]
        run.append(epoch_done(epoch, correct=correct))
    return [*run, finished(val_accuracy=0.96 if val_size else None)]
