"""The cells of the table of runs, for the window and the command line."""

from __future__ import annotations

from tui_trainer.recording.folder import ListedRun
from tui_trainer.recording.summary import Summary
from tui_trainer.text import fmt

HEAD = ("run", "model", "parameters", "epochs", "best validation", "test", "time", "state")

RIGHT = frozenset({2, 3, 6})
"""The right-aligned columns."""


def cells(run: ListedRun) -> tuple[str, ...]:
    """Return the row of a run; a damaged run has its error as its state."""
    summary = run.summary
    if summary is None:
        return (run.name, "", "", "", "", "", "", run.error)
    return (
        run.name,
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
    """Return the test accuracy with its interval and the number of test evaluations."""
    if summary.test_accuracy is None:
        return "-"
    accuracy = fmt.accuracy_with_interval(summary.test_accuracy, summary.test_interval)
    times = summary.test_evaluations
    evaluations = "" if times == 1 else f", {times} evaluations"
    return accuracy + evaluations
