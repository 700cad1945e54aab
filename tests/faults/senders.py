"""Commands that reach a real trainer through ``commands.jsonl``, at known steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.faults.forks import TIMEOUT
from tui_trainer.protocol.commands import Command, Inbox
from tui_trainer.protocol.events import CommandApplied, CommandRejected, Event
from tui_trainer.recording.command_file import append
from tui_trainer.recording.folder import RunFolder

BY = "ada@lab-3"

Group = Sequence[Command] | Callable[[], object]
"""Commands to send, or something else to do with the file."""


class SteeredInbox(Inbox):
    """Sends commands to the file of its run at given steps, and waits until they arrive.

    While the run is paused, one group after the other of the same step is sent.

    Args:
        path: The folder of the run.
        script: The groups with the number of batches before them, in order.
        first: The step from which the run resumes.
    """

    def __init__(self, path: Path, script: Iterable[tuple[int, Group]], first: int = 0) -> None:
        super().__init__()
        self._path = path
        self._script = [(step, group) for step, group in script if step >= first]

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Send the next group if it is due, then return what has arrived."""
        while self._script and self._script[0][0] <= step:
            _, group = self._script.pop(0)
            if callable(group):
                group()
                continue
            ids = [send(self._path, command) for command in group]
            self.wait_for(ids)
            break
        return super().take(step, wait=wait)

    def wait_for(self, ids: Iterable[str]) -> None:
        """Wait until the commands with these ids have arrived."""
        last = time.monotonic() + TIMEOUT
        while not {*ids} <= {command.request for command in tuple(self._commands)}:
            assert time.monotonic() < last, "a command has not arrived"
            time.sleep(0.001)


_sent = 0


def send(path: Path, command: Command, by: str = BY) -> str:
    """Append a command with a new id; return the id."""
    global _sent
    _sent += 1
    request = f"{by} {_sent}"
    append(RunFolder(path).commands, replace(command, by=by, request=request))
    return request


def answers(events: Iterable[Event]) -> dict[str, CommandApplied | CommandRejected]:
    """Return the answers by the id of the command; each has at most one."""
    found: dict[str, CommandApplied | CommandRejected] = {}
    for event in events:
        if isinstance(event, CommandApplied | CommandRejected) and event.request:
            assert event.request not in found
            found[event.request] = event
    return found
