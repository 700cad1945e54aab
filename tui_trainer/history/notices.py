"""Notices: the events of a run that are worth a notification, as text."""

from __future__ import annotations

from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.events import (
    Diverged,
    Event,
    FindingRaised,
    RunFailed,
    RunFinished,
    StateChanged,
)
from tui_trainer.text import fmt

_AT_THIS_TERMINAL = ("interrupted", "disconnected", "detached")
"""Reasons for an end that the user of this terminal has caused, or nobody sees."""


def notice_of(event: Event, run: RunState) -> str | None:
    """Return what to notify the user of: an end, a divergence, a new finding that is an error.

    A divergence is reported once: neither its finding nor the end that follows is another notice.

    Args:
        event: The event.
        run: The state of the run before it.
    """
    name = run.started.model if run.started is not None else "the run"
    match event:
        case RunFailed():
            return f"{name} failed: {fmt.one_line(event.message)}"
        case StateChanged(state="killed"):
            return f"{name}: no process trains it, and it has not ended"
        case Diverged():
            return f"{name} diverged at step {fmt.count(event.step)}"
        case _ if run.divergence is not None:
            return None
        case RunFinished():
            return _end(event, name)
        case FindingRaised(severity="error"):
            before = run.findings.get(event.code)
            is_new = before is None or before.severity != "error"
            return f"{name}: error: {event.title}" if is_new else None
    return None


def _end(event: RunFinished, name: str) -> str | None:
    if event.reason in _AT_THIS_TERMINAL:
        return None
    if event.test_accuracy is None and event.reason == "stopped":
        return None  # the user has quit: only that stops a run without a test evaluation
    end = "finished" if event.reason == "completed" else event.reason
    accuracy = "test not evaluated"
    if event.test_accuracy is not None:
        accuracy = f"test {fmt.accuracy_with_interval(event.test_accuracy, event.test_interval)}"
    return f"{name} {end}: {accuracy}, {fmt.plural(event.epochs, 'epoch')}"
