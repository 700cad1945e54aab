"""The cells of a list of runs, the same in the window and on the command line."""

from __future__ import annotations

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.summary import Summary
from tui_trainer.text import fmt

HEAD = ("run", "network", "parameters", "epochs", "best validation", "test", "time", "state")

RIGHT = frozenset({2, 3, 6})
"""The columns that are flush right."""


def cells(run: ListedRun) -> tuple[str, ...]:
    """Return a run as the cells of its row; a damaged one has its error as state."""
    summary = run.summary
    if summary is None:
        return (run.folder.name, "", "", "", "", "", "", run.error)
    return (
        run.folder.name,
        summary.model,
        fmt.count(summary.parameters),
        f"{summary.epochs_done}/{summary.epochs}",
        best(summary),
        test(summary),
        fmt.duration(summary.seconds),
        summary.state,
    )


def best(summary: Summary) -> str:
    """Return the best validation accuracy with its interval and its epoch."""
    if summary.best_val_accuracy is None:
        return "-"
    accuracy = fmt.accuracy_with_interval(summary.best_val_accuracy, summary.best_val_interval)
    return f"{accuracy} ({summary.best_epoch})"


def test(summary: Summary) -> str:
    """Return the test accuracy with its interval, and how often the test set was read."""
    if summary.test_accuracy is None:
        return "-"
    accuracy = fmt.accuracy_with_interval(summary.test_accuracy, summary.test_interval)
    looks = "" if summary.test_evaluations == 1 else f", {summary.test_evaluations} looks"
    return accuracy + looks
