"""Replaying a recorded run: the same commands at the same steps."""

from __future__ import annotations

from collections.abc import Iterable

from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import KNOBS, Command, Inbox, Stop
from tui_trainer.protocol.events import Event


def recorded_commands(events: Iterable[Event]) -> list[tuple[int, Command]]:
    """Return the commands that changed a run, each with the number of batches trained before it."""
    changes = RunState.of(events).interventions
    return [(change.step, KNOBS[change.setting](change.new)) for change in changes]


class ReplayInbox(Inbox):
    """Releases recorded commands at their steps; new commands are taken in between.

    Args:
        commands: The commands with their steps, in the order of the steps.
        stop_at: The step after which the run was stopped; None if it completed.
    """

    def __init__(self, commands: Iterable[tuple[int, Command]], stop_at: int | None) -> None:
        super().__init__()
        self._recorded = list(commands)
        self._stop_at = stop_at

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Return the recorded commands that are due, then those that have arrived."""
        due: list[Command] = []
        while self._recorded and self._recorded[0][0] <= step:
            due.append(self._recorded.pop(0)[1])
        if self._stop_at is not None and step >= self._stop_at:
            due.append(Stop(reason="stopped", test=False))
        return due + super().take(step, wait=wait and not due)
