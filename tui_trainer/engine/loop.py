"""The training loop, from the first batch to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.process_commands import (
    answer_until_stopped,
    process_commands,
    process_last_commands,
    wait_for_rewind,
)
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.engine.run import Assistant, DivergedError, Run
from tui_trainer.engine.snapshots import save
from tui_trainer.engine.steps import autocast, backward, loss_fn
from tui_trainer.models.build import locate_custom_model_errors
from tui_trainer.models.device import Ranks
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import EpochDone, Event, RunFinished
from tui_trainer.stats.intervals import wilson


def train(
    config: RunConfig,
    inbox: Inbox,
    *,
    assistant: Assistant | None = None,
    store: CheckpointStore | None = None,
    resume: Resumption | None = None,
    interactive: bool = False,
    ranks: Ranks | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Train a model; yield an event for everything that happens.

    A generator: it runs on the thread of its consumer, while the consumer waits for the next event.
    The last event is ``RunFinished``; in an interactive run, answers may follow it.

    Args:
        config: What to train, on what, and how.
        inbox: Receives commands; drained between two batches.
        assistant: Answers questions about the model; optional.
        store: Saves the checkpoints; None keeps them in memory only.
        resume: The checkpoint from which a recorded run continues; None starts a new run.
        interactive: Whether a diverged run waits for a rewind or a stop, and a finished run answers
            questions until it is stopped.
        ranks: The processes that train the model together; None if this one trains alone.
        clock: A monotonic clock, in seconds.

    Raises:
        InputError: If the device, the data, the checkpoint or the combination of settings cannot
            be used.
        CustomModelError: If a custom model raises; the message names the line.
    """
    with locate_custom_model_errors(config.model):
        run = yield from prepare(config, inbox, store or CheckpointStore(), clock, assistant, ranks)
        yield from _start(run, resume)
        reason = ""
        while not reason:
            try:
                yield from train_epochs(run)
                reason = run.control.stop.reason if run.control.stop else "completed"
            except DivergedError as error:
                yield error.event
                is_rewound = interactive and (yield from wait_for_rewind(run))
                reason = "" if is_rewound else "diverged"
        yield from finish(run, reason)
        if interactive and (run.control.stop is None or run.control.stop.test):
            yield from answer_until_stopped(run)


def _start(run: Run, resume: Resumption | None) -> Iterator[Event]:
    if resume is not None:
        resume_from(run, resume)
        yield run.resumed()
        return
    yield run.started()
    yield from run.first_probes
    yield from save(run, "last")


def train_epochs(run: Run) -> Iterator[Event]:
    """Train until the configured number of epochs is done or the run is stopped.

    Raises:
        DivergedError: If a loss or a weight is not finite.
    """
    while run.control.stop is None:
        if run.progress.epochs_done >= run.config.epochs:
            yield from process_last_commands(run)
            if run.progress.epochs_done >= run.config.epochs:
                break
        else:
            yield from train_epoch(run)
    run.check_weights()


def train_epoch(run: Run) -> Iterator[Event]:
    """Train on every training image once, then validate.

    Raises:
        DivergedError: If a loss is not finite.
    """
    if run.progress.epoch == run.progress.epochs_done:
        run.begin_epoch()
    while run.batches.stream.remaining:
        yield from process_commands(run)
        if run.control.stop is not None:
            return
        if not run.batches.stream.remaining:  # an adopted arm has trained them
            break
        yield from train_batch(run)
        if run.store.is_due(run.stopwatch.seconds):
            yield from run.flush()
            yield from save(run, "last")
    yield from run.flush()
    yield from end_epoch(run)


def train_batch(run: Run) -> Iterator[Event]:
    """Train on the next batch; report what is due.

    Raises:
        DivergedError: If a loss is not finite.
    """
    yield from run.probes.before_training()
    train_step(run)
    if run.is_flush_due or run.probes.has_results():
        yield from run.flush()
        yield from run.probes.after_step()


def train_step(run: Run) -> None:
    """Train on the next batch, without waiting for the device."""
    optimizer, probes, ranks = run.optimizer, run.probes, run.ranks
    probes.begin_step()
    images, labels = run.batches.next(run.done)
    lr = run.lr
    probes.record_batch(run.batches.labels)

    with autocast(run.device, run.config.precision):
        logits = run.forward(images)
    loss = loss_fn(logits, labels, run.config.label_smoothing)
    optimizer.zero_grad()
    probes.record_zero_grad(optimizer)
    backward(ranks.weighted(loss), optimizer.parameters)
    probes.record_gradients()
    optimizer.step(lr)

    logits = logits.detach()
    # Report the loss without label smoothing: only that is comparable with the validation loss.
    unsmoothed_loss = loss_fn(logits, labels) if run.config.label_smoothing else loss.detach()
    correct = (logits.argmax(dim=1) == labels).sum()
    unsmoothed_loss, correct = ranks.total(unsmoothed_loss, correct)
    run.count_step(unsmoothed_loss, correct, len(run.batches.labels), lr)
    probes.record_update(lr)


def end_epoch(run: Run) -> Iterator[Event]:
    """Validate, report the epoch and save a checkpoint.

    Raises:
        DivergedError: If a weight or the validation loss is not finite.
    """
    run.check_weights()
    progress, validation = run.progress, run.validation
    seen = progress.epoch_images
    training_seconds = run.stopwatch.seconds - progress.epoch_began
    result = None
    rise: tuple[float, float] | tuple[None, None] = (None, None)
    if len(run.data.val):
        yield from run.enter("validating")
        result = run.validate()
        if not math.isfinite(result.loss):
            raise run.diverged()
        if validation.best is None or result.loss < validation.best.loss:
            validation.best = result
        rise = result.rise_over(validation.best)
        validation.accuracy = result.accuracy
    yield from run.probes.at_end_of_epoch()
    progress.epochs_done = progress.epoch
    if run.control.pause_after_epoch:
        run.control.paused, run.control.pause_after_epoch = True, False
    yield EpochDone(
        epoch=progress.epoch,
        step=progress.step,
        lr=progress.last_lr,
        train_loss=progress.loss_sum / seen,
        train_accuracy=progress.correct_sum / seen,
        val_loss=result.loss if result else None,
        val_accuracy=validation.accuracy if result else None,
        val_correct=result.correct if result else None,
        val_total=result.total if result else None,
        val_interval=wilson(result.correct, result.total) if result else None,
        val_class_accuracy=result.class_accuracy(run.data.classes) if result else None,
        val_loss_rise=rise[0],
        val_loss_rise_error=rise[1],
        seconds=run.stopwatch.seconds - progress.epoch_began,
        images_per_second=seen / max(training_seconds, 1e-9),
    )
    yield from save(run, *_checkpoint_names(run), announce=True)


def _checkpoint_names(run: Run) -> list[str]:
    names, validation = ["last"], run.validation
    accuracy, best = validation.accuracy, validation.best_accuracy
    if accuracy is not None and (best is None or accuracy > best):
        validation.best_accuracy = accuracy
        names.append("best")
    every = run.store.every
    if every is not None and run.progress.epoch % every == 0:
        names.append(f"epoch-{run.progress.epoch}")
    return names


def finish(run: Run, reason: str) -> Iterator[Event]:
    """Evaluate on the test set, unless the run diverged or does without it; end the run."""
    run.stopwatch.pause()
    test = None
    is_tested = run.config.test and (run.control.stop is None or run.control.stop.test)
    if reason != "diverged" and is_tested:
        yield from run.enter("testing")
        test = run.evaluate_test()
        yield test
    if reason != "diverged":
        yield from save(run, "last", announce=True)
    yield RunFinished(
        reason=reason,
        epochs=run.progress.epochs_done,
        step=run.progress.step,
        test_loss=test.test_loss if test else None,
        test_accuracy=test.test_accuracy if test else None,
        test_correct=test.test_correct if test else None,
        test_total=test.test_total if test else None,
        test_interval=test.test_interval if test else None,
        test_evaluations=run.data.test.evaluations,
        val_accuracy=run.validation.accuracy,
        parameters=run.parameters,
        seconds=run.stopwatch.seconds,
    )
