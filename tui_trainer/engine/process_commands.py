"""Process the commands of a run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial

from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import restore, save
from tui_trainer.models.build import set_dropout
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import KNOBS, Command, Knob, Question, name_of
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    Rewound,
    SettingChanged,
)
from tui_trainer.protocol.reference import model_name

_BATCHES = (commands.Pause, commands.Resume, commands.RunStep, commands.RunEpoch)
"""The commands that mean the next batch."""


def process_commands(run: Run) -> Iterator[Event]:
    """Process the commands that have arrived; while paused, wait here for more.

    Called between two batches: no other place of the training loop reads the inbox.

    Raises:
        DivergedError: From :meth:`Run.flush`: steps are reported before the effect of a command.
    """
    control = run.control
    if control.steps_left == 0:
        control.paused, control.steps_left = True, None
    received = run.take_commands()
    if received or control.paused:
        yield from run.flush()
    yield from _process(run, received)
    if control.paused and control.stop is None:
        run.stopwatch.pause()
        yield from run.enter("paused")
        # A pause can be long, and the laptop can be closed during it.
        yield from save(run, "last")
    while control.paused and control.stop is None:
        run.stopwatch.pause()
        yield from run.enter("paused")
        yield from _process(run, (yield from next_commands(run)))
    if run.assistant.is_busy and control.stop is None:
        run.stopwatch.pause()
        yield from run.assistant.work(waits=False)
    if control.stop is None:
        run.stopwatch.start()
        yield from run.enter("training")


def _process(run: Run, received: list[Command]) -> Iterator[Event]:
    for command in received:
        yield from _confirmed(run, command, _apply(run, command))


def _apply(run: Run, command: Command) -> Iterator[Event]:
    control = run.control
    match command:
        case commands.Stop():
            control.stop = command
        case _ if isinstance(command, Question):
            run.stopwatch.pause()
            yield from run.assistant.answer(command)
        case _ if control.stop is not None:  # no batch follows for which it could count
            if command.request:
                yield reject(run, command, "the run is being stopped")
        case commands.Pause():
            control.pause()
        case commands.Resume():
            control.resume()
        case commands.RunStep():
            control.paused, control.steps_left = False, (control.steps_left or 0) + 1
        case commands.RunEpoch():
            control.resume(one_epoch=True)
        case commands.EvaluateTest():
            run.stopwatch.pause()
            yield from run.enter("testing")
            yield run.evaluate_test()
        case commands.AdoptArm():
            run.stopwatch.pause()
            yield from run.assistant.answer(command)
        case commands.Rewind():
            yield reject(run, command, "the run has not diverged")
        case commands.Unusable(reason):
            yield reject(run, command, reason)
        case _:
            yield set_knob(run, command)


def _confirmed(run: Run, command: Command, events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a command; confirm one with an id, unless they reject it."""
    event = None
    for event in events:
        yield event
    if command.request and not isinstance(event, CommandRejected):
        sender = {"by": command.by, "request": command.request}
        yield CommandApplied(command=name_of(command), step=run.progress.step, **sender)


def process_last_commands(run: Run) -> Iterator[Event]:
    """Process the commands of the last epoch: one of them may add epochs."""
    for command in run.take_commands():
        is_over = run.progress.epochs_done >= run.config.epochs
        if command.request and is_over and isinstance(command, _BATCHES):
            yield reject(run, command, "the last epoch is done")
        else:
            yield from _process(run, [command])


def wait_for_rewind(run: Run) -> Generator[Event, None, bool]:
    """Wait after a divergence for a rewind or a stop; return whether the run was rewound."""
    control = run.control
    run.stopwatch.pause()
    control.state = "diverged"
    while control.stop is None and control.state == "diverged":
        for command in (yield from next_commands(run)):
            yield from _confirmed(run, command, _apply_to_diverged(run, command))
    return control.stop is None


def _apply_to_diverged(run: Run, command: Command) -> Iterator[Event]:
    match command:
        case commands.Stop():
            run.control.stop = command
        case commands.Rewind(lr) if run.control.state == "diverged":
            yield from _rewind(run, command, lr)
        case _ if isinstance(command, Question):
            yield from run.assistant.answer(command)
        case _:
            yield reject(run, command, "the run has diverged; rewind or stop it")


def _rewind(run: Run, command: Command, lr: float) -> Iterator[Event]:
    """Restore the last good checkpoint; keep the knobs, except the learning rate."""
    try:
        replace(run.config, lr=lr)
    except SettingError as error:
        yield reject(run, command, error.problem)
        return
    state = run.store.last_good
    if state is None:
        yield reject(run, command, "there is no good checkpoint yet; stop the run")
        return
    knobs = {**run.knobs(), "base_lr": lr}
    from_step = run.progress.step
    restore(run, state)
    run.control.resume()
    yield Rewound(
        step=run.progress.step,
        epoch=run.progress.epoch,
        images=run.progress.images,
        from_step=from_step,
        lines=state.metadata["lines"],
    )
    for setting, value in run.knobs().items():
        if knobs[setting] != value:
            yield set_knob(run, replace(KNOBS[setting](knobs[setting]), by=command.by))
    yield from run.enter("training")


def set_knob(run: Run, command: Knob) -> SettingChanged | CommandRejected:
    """Set a knob, or reject the command by the rules of the settings."""
    old: float
    try:
        match command:
            case commands.SetBaseLr(value):
                replace(run.config, lr=value)
                setting, old, run.base_lr = "base_lr", run.base_lr, value
            case commands.SetBatchSize(value):
                replace(run.config, batch_size=value)
                run.ranks.check_batch_size(value)
                trial = partial(run.assistant.try_batch_size, run.model, run.data, run.config)
                run.ranks.first(partial(trial, value))
                setting, old, run.batches.batch_size = "batch_size", run.batches.batch_size, value
            case commands.SetAugmentation(value):
                if value and run.config.augment_until <= run.done < 1:
                    return reject(run, command, "augmentation has ended (--augment-until)")
                setting, old = "augmentation", int(run.batches.augmenting)
                run.batches.augmenting, value = bool(value), int(value)
            case commands.SetDropout(value):
                if run.dropout is None:
                    return reject(
                        run, command, f"{model_name(run.config.model)} has no dropout layer"
                    )
                replace(run.config, dropout=value)
                setting, old = "dropout", run.dropout
                set_dropout(run.model, value)
            case commands.SetEpochs(value):
                if value < run.progress.epoch:
                    return reject(run, command, f"epoch {run.progress.epoch} has already started")
                changed = replace(run.config, epochs=value)
                setting, old, run.config = "epochs", run.config.epochs, changed
    except SettingError as error:
        return reject(run, command, error.problem)
    except InputError as error:
        return reject(run, command, str(error))
    return SettingChanged(
        setting=setting,
        old=old,
        new=value,
        step=run.progress.step,
        epoch=max(1, run.progress.epoch),
        images=run.progress.images,
        by=command.by,
    )


def next_commands(run: Run) -> Generator[Event, None, list[Command]]:
    """Return the next commands, at least one; work on questions until they arrive."""
    while True:
        yield from run.assistant.work(waits=True)
        if received := run.take_commands(wait=not run.assistant.is_busy):
            return received


def answer_until_stopped(run: Run, refusal: str = "the run is over") -> Iterator[Event]:
    """Answer questions about a model that is not trained, until a stop.

    Args:
        run: The run.
        refusal: The reason for which any other command is rejected.
    """
    while True:
        for command in (yield from next_commands(run)):
            match command:
                case commands.Stop():
                    return
                case _ if isinstance(command, Question):
                    yield from run.assistant.answer(command)
                case _:
                    yield reject(run, command, refusal)


def reject(run: Run, command: Command, reason: str) -> CommandRejected:
    """Return the event that rejects a command."""
    return CommandRejected(
        command=name_of(command),
        reason=reason,
        step=run.progress.step,
        by=command.by,
        request=command.request,
    )
