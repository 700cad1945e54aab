"""The training, from the first batch to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from tui_trainer.engine.apply import (
    answer_until_stopped,
    obey,
    take_last_wishes,
    wait_for_rewind,
)
from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.pending import DivergedError
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.engine.session import Assistant, Session
from tui_trainer.engine.snapshots import save
from tui_trainer.engine.steps import densify, forward_backward, loss_of
from tui_trainer.models.build import own_faults_told
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone, Event, RunFinished
from tui_trainer.stats.intervals import wilson


def train(
    config: RunConfig,
    inbox: Inbox,
    *,
    keeper: Keeper | None = None,
    resume: Resumption | None = None,
    assistant: Assistant | None = None,
    patient: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Train a network and tell everything that happens, as it happens.

    A generator: it works only while somebody asks for the next event, on that somebody's thread.
    The last event is ``RunFinished``; where a person watches, answers may come after it.

    Args:
        config: What to train, on what, and how.
        inbox: Where wishes arrive; drained between two batches.
        keeper: Where the run's states are kept; in memory alone if None.
        resume: From where a recorded run goes on; from the start if None.
        assistant: Whoever answers questions about the model; the run trains as well without.
        patient: Whether a person watches: a diverged run waits to be rewound or stopped, and one
            that is over goes on answering questions until it is told to stop.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data, the checkpoint or the combination of settings cannot
            be used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        yield from _train(config, inbox, keeper or Keeper(), resume, assistant, patient, clock)


def _train(
    config: RunConfig,
    inbox: Inbox,
    keeper: Keeper,
    resume: Resumption | None,
    assistant: Assistant | None,
    patient: bool,
    clock: Callable[[], float],
) -> Iterator[Event]:
    session = yield from prepare(config, inbox, keeper, clock, assistant)
    if resume is None:
        yield session.started()
        if session.tried is not None:
            yield session.tried
        yield from save(session, "last")
    else:
        resume_from(session, resume)
        yield session.resumed()
    reason = ""
    while not reason:
        try:
            yield from train_epochs(session)
            reason = session.stop.reason if session.stop else "completed"
        except DivergedError as error:
            yield error.event
            is_rewound = patient and (yield from wait_for_rewind(session))
            reason = "" if is_rewound else "diverged"
    yield from finish(session, reason)
    if patient and (session.stop is None or session.stop.test):
        yield from answer_until_stopped(session)


def train_epochs(session: Session) -> Iterator[Event]:
    """Train epoch after epoch, until there are as many as wanted or the run is stopped.

    Raises:
        DivergedError: If a loss or a weight is not a finite number.
    """
    while session.stop is None:
        if session.epochs_done >= session.config.epochs:
            yield from take_last_wishes(session)
            if session.epochs_done >= session.config.epochs:
                break
        else:
            yield from train_epoch(session)
    session.check_weights()


def train_epoch(session: Session) -> Iterator[Event]:
    """Meet every training image once, then look at the validation images.

    Raises:
        DivergedError: If a loss is not a finite number.
    """
    if session.epoch == session.epochs_done:
        session.begin_epoch()
    while session.stream.remaining:
        yield from obey(session)
        if session.stop is not None:
            return
        yield from session.probes.before_training(session)
        train_step(session)
        if len(session.pending) >= session.flush_every or session.probes.are_ready(session):
            yield from session.flush()
            yield from session.probes.after_step(session)
        if session.keeper.is_due(session.watch.seconds):
            yield from session.flush()
            yield from save(session, "last")
    yield from session.flush()
    yield from close_epoch(session)


def train_step(session: Session) -> None:
    """Train the next batch, without waiting for the device."""
    data, probes = session.data, session.probes
    probes.begin_step(session)
    indices = session.stream.take(session.batch_size)
    labels = data.train.labels[indices]
    images = data.prepare(data.train.images[indices], session.amounts, session.chance)
    rate = session.learning_rate
    probes.see_batch(labels)

    logits = session.network(images)
    session.optimizer.clear()
    smoothing = session.config.label_smoothing
    objective = forward_backward(logits, labels, smoothing)
    densify(session.optimizer.parameters)
    probes.see_gradients()
    session.optimizer.step(rate)

    logits = logits.detach()
    # What is told is the loss without smoothing: the validation loss can be compared with that.
    loss = loss_of(logits, labels) if smoothing else objective.detach()
    hits = (logits.argmax(dim=1) == labels).sum()
    session.count_step(loss, hits, len(indices), rate)
    probes.see_update(session, rate)


def close_epoch(session: Session) -> Iterator[Event]:
    """Validate, tell how the epoch went, and save it.

    Raises:
        DivergedError: If a weight or the validation loss is not a finite number.
    """
    session.check_weights()
    seen = session.epoch_images
    training_seconds = session.watch.seconds - session.epoch_began
    result = None
    rise: tuple[float, float] | tuple[None, None] = (None, None)
    if len(session.data.val):
        yield from session.enter("validating")
        result = session.validate()
        if not math.isfinite(result.loss):
            raise session.lost()
        if session.best is None or result.loss < session.best.loss:
            session.best = result
        rise = result.rise_over(session.best)
        session.val_accuracy = result.correct / result.total
    yield from session.probes.at_end_of_epoch(session)
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
        seconds=session.watch.seconds - session.epoch_began,
        images_per_second=seen / max(training_seconds, 1e-9),
    )
    yield from save(session, *_names_of_epoch(session), told=True)


def _names_of_epoch(session: Session) -> list[str]:
    """Return the names of the checkpoints that the epoch just done deserves."""
    names = ["last"]
    accuracy, best = session.val_accuracy, session.best_val_accuracy
    if accuracy is not None and (best is None or accuracy > best):
        session.best_val_accuracy = accuracy
        names.append("best")
    every = session.keeper.every
    if every is not None and session.epoch % every == 0:
        names.append(f"epoch-{session.epoch}")
    return names


def finish(session: Session, reason: str) -> Iterator[Event]:
    """Read the test set, unless the weights are lost or nobody waits for it, and end the run."""
    session.watch.pause()
    test = None
    if reason != "diverged" and (session.stop is None or session.stop.test):
        yield from session.enter("testing")
        test = session.look_at_test()
        yield test
    if reason != "diverged":
        yield from save(session, "last", told=True)
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
