"""What each command does to a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator

from tui_trainer.engine.preflight import is_custom, try_batch_size
from tui_trainer.engine.session import Session
from tui_trainer.engine.snapshots import restore, save
from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import KNOBS, Command, Knob, Question
from tui_trainer.protocol.errors import InputError, SettingError
from tui_trainer.protocol.events import CommandRejected, Event, Rewound, SettingChanged
from tui_trainer.protocol.reference import model_name


def obey(session: Session) -> Iterator[Event]:
    """Take the wishes that have arrived; while paused, wait here for more.

    This is the one place where commands come in, and it lies between two batches.

    Raises:
        DivergedError: As :meth:`Session.flush`: the steps before a wish are told before its answer.
    """
    if session.steps_left == 0:
        session.paused, session.steps_left = True, None
    wishes = session.inbox.take(session.step)
    if wishes or session.paused:
        yield from session.flush()
    yield from _grant(session, wishes)
    if session.paused and session.stop is None:
        session.watch.pause()
        yield from session.enter("paused")
        # A pause can be long, and the lid of a laptop be closed in it.
        yield from save(session, "last")
    while session.paused and session.stop is None:
        session.watch.pause()
        yield from session.enter("paused")
        yield from _grant(session, (yield from next_wishes(session)))
    if session.assistant.is_busy and session.stop is None:
        session.watch.pause()
        yield from session.assistant.work(waits=False)
    if session.stop is None:
        session.watch.start()
        yield from session.enter("training")


def _grant(session: Session, wishes: list[Command]) -> Iterator[Event]:
    for wish in wishes:
        match wish:
            case commands.Stop():
                session.stop = wish
            case _ if isinstance(wish, Question):
                session.watch.pause()
                yield from session.assistant.answer(wish)
            case _ if session.stop is not None:
                continue  # there is no next batch that it could be for
            case commands.Pause():
                session.paused, session.steps_left, session.pause_after_epoch = True, None, False
            case commands.Resume():
                session.paused, session.steps_left, session.pause_after_epoch = False, None, False
            case commands.RunStep():
                session.paused, session.steps_left = False, (session.steps_left or 0) + 1
            case commands.RunEpoch():
                session.paused, session.steps_left, session.pause_after_epoch = False, None, True
            case commands.LookAtTest():
                session.watch.pause()
                yield from session.enter("testing")
                yield session.look_at_test()
            case commands.Rewind():
                yield reject(session, wish, "the run has not diverged")
            case _:
                yield _turn(session, wish)


def take_last_wishes(session: Session) -> Iterator[Event]:
    """Take the wishes that came during the last epoch: one of them may ask for more epochs."""
    yield from _grant(session, session.inbox.take(session.step))


def wait_for_rewind(session: Session) -> Generator[Event, None, bool]:
    """Wait, after a divergence, until a person rewinds the run or stops it; return which it was."""
    session.watch.pause()
    session.state = "diverged"
    while session.stop is None and session.state == "diverged":
        for wish in (yield from next_wishes(session)):
            match wish:
                case commands.Stop():
                    session.stop = wish
                case commands.Rewind(rate) if session.state == "diverged":
                    yield from _rewind(session, wish, rate)
                case _ if isinstance(wish, Question):
                    yield from session.assistant.answer(wish)
                case _:
                    yield reject(session, wish, "the run has diverged; rewind it, or stop")
    return session.stop is None


def _rewind(session: Session, wish: Command, rate: float) -> Iterator[Event]:
    """Go back to the last good state; the knobs stay where they are, but for the learning rate."""
    try:
        dataclasses.replace(session.config, lr=rate)
    except SettingError as fault:
        yield reject(session, wish, fault.problem)
        return
    state = session.keeper.good
    if state is None:
        yield reject(session, wish, "there is no good state yet")
        return
    knobs = {**session.knobs(), "learning_rate": rate}
    from_step = session.step
    restore(session, state)
    session.paused, session.steps_left, session.pause_after_epoch = False, None, False
    yield Rewound(
        step=session.step,
        epoch=session.epoch,
        images=session.images,
        from_step=from_step,
        lines=state.facts["lines"],
    )
    for setting, value in session.knobs().items():
        if knobs[setting] != value:
            yield _turn(session, KNOBS[setting](knobs[setting]))
    yield from session.enter("training")


def _turn(session: Session, wish: Knob) -> SettingChanged | CommandRejected:
    """Turn a knob, or say why it does not turn: the rules are those of a run's settings."""
    old: float
    try:
        match wish:
            case commands.SetLearningRate(value):
                dataclasses.replace(session.config, lr=value)
                setting, old, session.base_rate = "learning_rate", session.base_rate, value
            case commands.SetBatchSize(value):
                dataclasses.replace(session.config, batch_size=value)
                if is_custom(session.config.model):
                    try_batch_size(session.network, session.data, session.config, value)
                setting, old, session.batch_size = "batch_size", session.batch_size, value
            case commands.SetAugmentation(value):
                setting, old = "augmentation", int(session.augmenting)
                session.augmenting, value = bool(value), int(value)
            case commands.SetDropout(value):
                if session.dropout is None:
                    return reject(
                        session, wish, f"{model_name(session.config.model)} has no dropout layer"
                    )
                dataclasses.replace(session.config, dropout=value)
                setting, old = "dropout", session.dropout
                session.set_dropout(value)
            case commands.SetEpochs(value):
                if value < session.epoch:
                    return reject(session, wish, f"epoch {session.epoch} has begun already")
                changed = dataclasses.replace(session.config, epochs=value)
                setting, old, session.config = "epochs", session.config.epochs, changed
    except SettingError as fault:
        return reject(session, wish, fault.problem)
    except InputError as error:
        return reject(session, wish, str(error))
    return SettingChanged(
        setting=setting,
        old=old,
        new=value,
        step=session.step,
        epoch=max(1, session.epoch),
        images=session.images,
    )


def next_wishes(session: Session) -> Generator[Event, None, list[Command]]:
    """Return the next wishes, one at least; what is asked for is worked on meanwhile."""
    while True:
        yield from session.assistant.work(waits=True)
        if wishes := session.inbox.take(session.step, wait=not session.assistant.is_busy):
            return wishes


def answer_until_stopped(session: Session) -> Iterator[Event]:
    """Answer questions about the network of a run that is over, until there are no more."""
    while True:
        for wish in (yield from next_wishes(session)):
            match wish:
                case commands.Stop():
                    return
                case _ if isinstance(wish, Question):
                    yield from session.assistant.answer(wish)
                case _:
                    yield reject(session, wish, "the run is over")


def reject(session: Session, wish: Command, reason: str) -> CommandRejected:
    """Return that a wish cannot be granted, and why."""
    return CommandRejected(command=type(wish).__name__, reason=reason, step=session.step)
