from __future__ import annotations

import dataclasses
import signal
import threading
from typing import get_args

import pytest

from tui_trainer.protocol.commands import (
    KNOBS,
    Ask,
    Command,
    EvaluateTest,
    Inbox,
    Pause,
    Resume,
    SetBaseLr,
    SetBatchSize,
    Stop,
)

PATIENCE = 20.0
"""The timeout of a thread in seconds; reached only if something is broken."""


def test_commands_are_taken_in_order() -> None:
    inbox = Inbox(Pause(), SetBatchSize(64))
    inbox.send(SetBaseLr(0.5))
    inbox.send(SetBaseLr(0.1))
    inbox.send(Resume())
    assert inbox.take(0) == [
        Pause(),
        SetBatchSize(64),
        SetBaseLr(0.5),
        SetBaseLr(0.1),
        Resume(),
    ]


def test_a_command_is_taken_once() -> None:
    inbox = Inbox(Stop())
    assert inbox.take(0) == [Stop()]
    assert inbox.take(1) == []
    inbox.send(Pause())
    assert inbox.take(1, wait=True) == [Pause()]
    assert inbox.take(1) == []


def test_take_does_not_wait_if_a_command_is_there() -> None:
    assert Inbox(EvaluateTest(), Stop()).take(3, wait=True) == [EvaluateTest(), Stop()]


def test_send_wakes_a_waiting_thread() -> None:
    inbox = Inbox()
    taken: list[Command] = []
    waiter = threading.Thread(target=lambda: taken.extend(inbox.take(0, wait=True)), daemon=True)
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive(), "there was nothing to wake it"
    inbox.send(Stop())
    waiter.join(PATIENCE)
    assert not waiter.is_alive()
    assert taken == [Stop()]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_a_signal_handler_wakes_the_thread_that_it_interrupts() -> None:
    inbox = Inbox()
    before = signal.signal(signal.SIGALRM, lambda *_: inbox.send(Stop(reason="interrupted")))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert inbox.take(0, wait=True) == [Stop(reason="interrupted")]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_many_threads_keep_all_commands_in_order() -> None:
    inbox, senders, each = Inbox(), 8, 1_000
    start = threading.Barrier(senders + 1)

    def send(sender: int) -> None:
        start.wait()
        for number in range(each):
            inbox.send(SetBatchSize(sender * each + number))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    start.wait()
    commands: list[Command] = []
    while any(thread.is_alive() for thread in threads):
        commands += inbox.take(0)
    commands += inbox.take(0)
    taken = [command.value for command in commands if isinstance(command, SetBatchSize)]
    assert sorted(taken) == list(range(senders * each))
    for sender in range(senders):
        mine = [value for value in taken if value // each == sender]
        assert mine == sorted(mine)


@pytest.mark.parametrize("kind", get_args(Command))
def test_a_command_is_a_frozen_value(kind: type[Command]) -> None:
    values = {field.name: 1 for field in dataclasses.fields(kind)}
    command = kind(**values)  # type: ignore[arg-type]
    assert command == kind(**values)  # type: ignore[arg-type]
    for name in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(command, name, 2)


def test_every_knob_has_a_command_with_a_value() -> None:
    assert set(KNOBS) == {"base_lr", "batch_size", "augmentation", "dropout", "epochs"}
    commands = {setting: make(1.0) for setting, make in KNOBS.items()}
    assert len({type(command) for command in commands.values()}) == len(KNOBS)
    assert [command.value for command in commands.values()] == [1.0, 1, True, 1.0, 1]
    assert type(commands["batch_size"].value) is type(commands["epochs"].value) is int


def test_a_stop_evaluates_the_test_set_by_default() -> None:
    assert Stop() == Stop(reason="stopped", test=True)


def test_only_a_background_question_is_not_urgent() -> None:
    inbox = Inbox(Ask("view/confusion", mode="background"))
    assert not inbox.is_urgent
    inbox.send(Pause())
    assert inbox.is_urgent
    inbox.take(0)
    assert not inbox.is_urgent
