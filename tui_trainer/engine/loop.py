"""The training, from the first batch to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from torch.nn import functional

from tui_trainer.engine.metrics import evaluate
from tui_trainer.engine.obey import obey
from tui_trainer.engine.pending import DivergedError
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.session import Session
from tui_trainer.run.commands import Inbox
from tui_trainer.run.config import RunConfig
from tui_trainer.run.events import EpochDone, Event, RunFinished
from tui_trainer.run.stats import wilson


def train(
    config: RunConfig, inbox: Inbox, *, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Event]:
    """Train a network and tell everything that happens, as it happens.

    A generator: it works only while somebody asks for the next event, on that somebody's thread.
    The last event is ``RunFinished``.

    Args:
        config: What to train, on what, and how.
        inbox: Where wishes arrive; drained between two batches.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data or the combination of settings cannot be used.
    """
    session = yield from prepare(config, inbox, clock)
    yield session.started()
    try:
        while session.epochs_done < config.epochs and session.stop is None:
            yield from train_epoch(session)
        session.check_weights()
        reason = session.stop.reason if session.stop else "completed"
    except DivergedError as error:
        reason = "diverged"
        yield error.event
    yield from finish(session, reason)


def train_epoch(session: Session) -> Iterator[Event]:
    """Meet every training image once, then look at the validation images.

    Raises:
        DivergedError: If a loss is not a finite number.
    """
    session.begin_epoch()
    began = session.watch.seconds
    while session.stream.remaining:
        yield from obey(session)
        if session.stop is not None:
            return
        train_step(session)
        if len(session.pending) >= session.flush_every:
            yield from session.flush()
    yield from session.flush()
    training_seconds = session.watch.seconds - began
    yield from close_epoch(session, began, training_seconds)


def train_step(session: Session) -> None:
    """Train the next batch, without waiting for the device."""
    data = session.data
    indices = session.stream.take(session.batch_size)
    labels = data.train.labels[indices]
    images = data.prepare(data.train.images[indices], session.amounts, session.chance)
    rate = session.learning_rate

    scores = session.network(images)
    smoothing = session.config.label_smoothing
    objective = functional.cross_entropy(scores, labels, label_smoothing=smoothing)
    session.optimizer.clear()
    objective.backward()  # type: ignore[no-untyped-call]
    session.optimizer.step(rate)

    scores = scores.detach()
    # What is told is the loss without smoothing: the validation loss can be compared with that.
    loss = functional.cross_entropy(scores, labels) if smoothing else objective.detach()
    hits = (scores.argmax(dim=1) == labels).sum()
    session.count_step(loss, hits, len(indices), rate)


def close_epoch(session: Session, began: float, training_seconds: float) -> Iterator[Event]:
    """Validate and tell how the epoch went; ``began`` is its start on the session's watch.

    Raises:
        DivergedError: If a weight or the validation loss is not a finite number.
    """
    session.check_weights()
    seen = session.epoch_images
    result = None
    rise: tuple[float, float] | tuple[None, None] = (None, None)
    if len(session.data.val):
        yield from session.enter("validating")
        result = evaluate(session.network, session.data, session.data.val)
        if not math.isfinite(result.loss):
            raise session.lost()
        if session.best is None or result.loss < session.best.loss:
            session.best = result
        rise = result.rise_over(session.best)
        session.val_accuracy = result.correct / result.total
    session.epochs_done = session.epoch
    if session.pause_after_epoch:
        session.paused, session.pause_after_epoch = True, False
    yield EpochDone(
        epoch=session.epoch,
        step=session.step,
        learning_rate=session.last_rate,
        train_loss=session.loss_sum / seen,
        train_accuracy=session.hit_sum / seen,
        val_loss=result.loss if result else None,
        val_accuracy=result.correct / result.total if result else None,
        val_correct=result.correct if result else None,
        val_total=result.total if result else None,
        val_interval=wilson(result.correct, result.total) if result else None,
        val_class_accuracy=result.class_accuracy(session.data.classes) if result else None,
        val_loss_rise=rise[0],
        val_loss_rise_error=rise[1],
        seconds=session.watch.seconds - began,
        images_per_second=seen / max(training_seconds, 1e-9),
    )


def finish(session: Session, reason: str) -> Iterator[Event]:
    """Read the test set, unless the weights are lost or nobody waits for it, and end the run."""
    session.watch.pause()
    test = None
    if reason != "diverged" and (session.stop is None or session.stop.test):
        yield from session.enter("testing")
        test = session.look_at_test()
        yield test
    yield RunFinished(
        reason=reason,
        epochs=session.epochs_done,
        step=session.step,
        test_loss=test.test_loss if test else None,
        test_accuracy=test.test_accuracy if test else None,
        test_correct=test.test_correct if test else None,
        test_total=test.test_total if test else None,
        test_interval=test.test_interval if test else None,
        test_looks=session.data.test.looks,
        val_accuracy=session.val_accuracy,
        parameters=session.parameters,
        seconds=session.watch.seconds,
    )
