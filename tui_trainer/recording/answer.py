"""Sending one command to the trainer of a run, and its answer in the recorded events."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.errors import CommandError, path_error, reason
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Diverged,
    Event,
    Rewound,
    RunFailed,
    RunFinished,
    SettingChanged,
    StateChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording import command_file
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.follower import Tail
from tui_trainer.recording.lock import Lock
from tui_trainer.text.fmt import printable

INTERVAL = 0.05
"""Seconds between two polls of the events."""

CHECK_SECONDS = 0.5
"""Seconds between two polls of the trainer's lock."""


@dataclass(slots=True)
class Answer:
    """What the trainer has answered so far.

    Attributes:
        command: The command, with its id.
        confirmed: Its confirmation; None before.
        result: The event that answers it: its rejection, the changed setting, the trained step,
            the evaluation, the end of the run; None before.
        is_alone: Whether no process trains the run.
    """

    command: Command
    confirmed: CommandApplied | None = None
    result: Event | None = None
    is_alone: bool = False
    _latest: dict[type, Event] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Process an event that was recorded after the command was sent."""
        if self.result is not None:
            return
        match event:
            case CommandRejected(request=request) if request == self.command.request:
                self.result = event
            case RunFinished() | RunFailed():
                self.result = event
            case CommandApplied(request=request) if request == self.command.request:
                self.confirmed = event
                self.result = self._result_at(event)
            case StepDone() | Diverged() if isinstance(self.command, commands.RunStep):
                is_next = self.confirmed is not None and event.step > self.confirmed.step
                self.result = event if is_next else None
            case SettingChanged() | TestEvaluated() | Rewound() | StateChanged():
                self._latest[type(event)] = event

    def _result_at(self, confirmation: CommandApplied) -> Event | None:
        match self.command:
            case commands.RunStep() | commands.Stop():
                return None  # more follows
            case commands.EvaluateTest():
                return self._latest.get(TestEvaluated)
            case commands.Rewind():
                return self._latest.get(Rewound)
            case commands.Pause() | commands.Resume() | commands.RunEpoch():
                return confirmation
            case _:
                return self._latest.get(SettingChanged)

    @property
    def in_progress(self) -> Event | None:
        """The confirmation of a command that is being processed; for a test evaluation its state.

        A test evaluation is confirmed at its end.
        """
        state = self._latest.get(StateChanged)
        if self.confirmed is None and isinstance(self.command, commands.EvaluateTest):
            return state if isinstance(state, StateChanged) and state.state == "testing" else None
        return self.confirmed

    @property
    def event(self) -> Event | None:
        """The event to print: the result, or else the confirmation."""
        return self.in_progress if self.result is None else self.result


def answer_of(
    folder: RunFolder,
    command: Command,
    timeout: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """Send a command and wait for its answer.

    Args:
        folder: The folder of the run.
        command: The command.
        timeout: Seconds to wait for the confirmation, and as long again for what follows it.
        clock: A monotonic clock, in seconds.
        sleep: Waits some seconds.

    Raises:
        CommandError: If no process trains the run.
        InputError: If the command cannot be written, or the events cannot be read.
    """
    sent = replace(command, by=command_file.sender(), request=secrets.token_hex(8))
    answer = Answer(sent)
    with closing(_tail(folder)) as tail:
        folder.check_lock()
        if not Lock.is_held(folder.lock):
            raise CommandError(
                f"{folder.name}: no process trains this run; "
                f"`mnist-tui resume {printable(folder.path)}` continues it",
                ExitCode.NO_TRAINER,
            )
        _append(folder, sent)
        checked_at = clock()
        until = checked_at + timeout
        while True:
            was_in_progress = answer.in_progress is not None
            is_held = True
            if (now := clock()) - checked_at >= CHECK_SECONDS:
                checked_at, is_held = now, Lock.is_held(folder.lock)
            for event in tail.new():  # after the lock, which is released after the last event
                answer.apply(event)
            answer.is_alone = not is_held
            if answer.result is not None or answer.is_alone or now >= until:
                return answer
            if answer.in_progress is not None and not was_in_progress:
                until = now + timeout
            sleep(INTERVAL)


def _tail(folder: RunFolder) -> Tail:
    try:
        return Tail(folder.events)
    except OSError as error:
        raise path_error(folder.events, f"cannot be read: {reason(error)}") from None


def _append(folder: RunFolder, command: Command) -> None:
    """Write a command.

    Raises:
        InputError: If the trainer would not read it, or it cannot be written.
    """
    path = folder.commands
    try:
        if not os.path.lexists(path):
            raise path_error(
                path, "missing: this trainer takes no commands; update it, then resume the run"
            )
        if problem := command_file.refusal(os.lstat(path), os.stat(folder.events).st_uid):
            raise path_error(path, f"{problem}; the trainer ignores its commands")
        command_file.append(path, command)
    except PermissionError:
        raise path_error(
            path, "no permission to write; the owner of the run can give it with chmod g+w"
        ) from None
    except OSError as error:
        raise path_error(path, f"cannot be written: {reason(error)}") from None
