"""Training a recorded run again: the same wishes at the same steps."""

from __future__ import annotations

from collections.abc import Iterable

from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.commands import KNOBS, Command, Inbox, Stop
from tui_trainer.protocol.events import Event


def recorded_commands(events: Iterable[Event]) -> list[tuple[int, Command]]:
    """Return the wishes that changed a run, each with the number of batches trained before it."""
    changes = RunState.of(events).interventions
    return [(change.step, KNOBS[change.setting](change.new)) for change in changes]


class ReplayInbox(Inbox):
    """Releases recorded wishes at their steps; a person's own come in between.

    Args:
        wishes: The wishes with their steps, in the order of the steps.
        stop_at: The step after which the run was left; None if it came to its end.
    """

    def __init__(self, wishes: Iterable[tuple[int, Command]], stop_at: int | None) -> None:
        super().__init__()
        self._recorded = list(wishes)
        self._stop_at = stop_at

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Return what was wished at this step, then what has arrived since."""
        due: list[Command] = []
        while self._recorded and self._recorded[0][0] <= step:
            due.append(self._recorded.pop(0)[1])
        if self._stop_at is not None and step >= self._stop_at:
            due.append(Stop(reason="stopped", test=False))
        return due + super().take(step, wait=wait and not due)
