"""The sentences: pure functions from an event to a line of text or to the cells of one."""

from __future__ import annotations

from tui_trainer.run import text
from tui_trainer.run.events import (
    Diverged,
    DownloadProgress,
    EpochDone,
    FindingRaised,
    RunFinished,
    RunStarted,
    SettingChanged,
    TestEvaluated,
)
from tui_trainer.run.text import Cell

_DOWNLOAD_BAR = 12
_LEAST_NAME = 16

_NOT_READ = {
    "diverged": "the training diverged",
    "interrupted": "the run was interrupted",
    "terminated": "the run was told to end",
    "hung up": "the terminal was closed",
    "stopped": "the run was stopped in a hurry",
}


def header(run: RunStarted) -> str:
    """Return a run in one line: network, data, recipe, device."""
    parts = [
        run.model,
        f"{text.count(run.parameters)} parameters",
        f"{run.dataset} {text.count(run.train_size)}"
        + (f"+{text.count(run.val_size)}" if run.val_size else ""),
        text.plural(run.epochs, "epoch"),
        f"batch {text.count(run.batch_size)}",
        f"{run.optimizer} lr {text.learning_rate(run.learning_rate)} {run.schedule}",
        *(["augmented"] if run.augmentation else []),
        *([f"dropout {run.dropout:g}"] if run.dropout else []),
        f"seed {run.seed}",
        f"{run.device} ×{run.threads}" if run.device == "cpu" else run.device,
    ]
    return " · ".join(parts)


def epoch_cells(event: EpochDone, epochs: int) -> list[Cell]:
    """Return an epoch as the cells of one aligned line; see :func:`tui_trainer.run.text.fit`."""
    cells = [
        Cell(f"epoch {event.epoch:>{len(str(epochs))}}/{epochs}"),
        Cell("  train", rank=4),
        Cell(f" {text.loss(event.train_loss)}", rank=5),
        Cell(f" {text.percent(event.train_accuracy):>8}", rank=4),
    ]
    if event.val_accuracy is not None and event.val_loss is not None:
        bounds = text.interval(event.val_interval) if event.val_interval else ""
        cells += [
            Cell("  val"),
            Cell(f" {text.loss(event.val_loss)}", rank=5),
            Cell(f" {text.percent(event.val_accuracy):>8}"),
            Cell(f" {bounds:<15}", rank=3),
        ]
    return [
        *cells,
        Cell(f" {event.seconds:>6.1f} s", rank=6),
        Cell(f"  {text.rate(event.images_per_second):>11}", rank=7),
    ]


def summary(event: RunFinished, last_epoch: EpochDone | None) -> list[str]:
    """Return the run's result: test, validation, then how it ended."""
    lines = []
    if event.test_accuracy is None:
        lines.append(f"test not read: {_NOT_READ.get(event.reason, 'no reading was asked for')}")
    else:
        accuracy = text.accuracy_with_interval(event.test_accuracy, event.test_interval)
        right = _of(event.test_correct, event.test_total)
        lines.append(f"test {accuracy} — {right}, look {event.test_looks}")
        if event.test_looks > 1:
            lines.append(
                f"the test set was looked at {event.test_looks} times: "
                "this figure is no longer quite blind"
            )
    if event.val_accuracy is not None:
        same = last_epoch is not None and last_epoch.val_accuracy == event.val_accuracy
        bounds = last_epoch.val_interval if last_epoch is not None and same else None
        lines.append(f"validation {text.accuracy_with_interval(event.val_accuracy, bounds)}")
    lines.append(
        f"{event.reason}: {text.plural(event.epochs, 'epoch')}, "
        f"{text.plural(event.step, 'step')}, {text.duration(event.seconds)}, "
        f"{text.count(event.parameters)} parameters"
    )
    return lines


def look_line(event: TestEvaluated) -> str:
    """Return a look at the test set: its figures, its number, its place in the run."""
    accuracy = text.accuracy_with_interval(event.test_accuracy, event.test_interval)
    return (
        f"test {accuracy} — {_of(event.test_correct, event.test_total)}, "
        f"look {event.look} at the test set, after step {text.count(event.step)}"
    )


def finding_line(event: FindingRaised) -> str:
    """Return a finding: its title, since when, the evidence, the likely cause, what to try."""
    told = f"{event.title}, since step {text.count(event.step)}: {event.evidence}"
    likely = f" — likely: {event.cause}" if event.cause else ""
    return f"{told}{likely}{f' — try: {event.advice}' if event.advice else ''}"


def is_news(event: FindingRaised, before: FindingRaised) -> bool:
    """Return whether a finding that is raised again says more than that its numbers have moved."""
    told = (event.severity, event.title, event.advice)
    return told != (before.severity, before.title, before.advice)


def setting_line(event: SettingChanged) -> str:
    """Return a turned knob: ``learning rate 0.1 → 0.05 after step 1,240``."""
    return (
        f"{event.setting.replace('_', ' ')} {text.knob(event.setting, event.old)} → "
        f"{text.knob(event.setting, event.new)} after step {text.count(event.step)}"
    )


def diverged_line(event: Diverged) -> str:
    """Return where the loss was lost, and at which learning rate."""
    return (
        f"diverged at step {text.count(event.step)}, epoch {event.epoch}: the loss is no longer a "
        f"finite number (learning rate {text.learning_rate(event.learning_rate)})"
    )


def download_cells(event: DownloadProgress, width: int, *, ascii_only: bool) -> list[Cell]:
    """Return a download's live line; without a known size it has no bar and no percentage.

    Args:
        event: How far the file has come.
        width: Columns it may use; a long name is clipped before the figures are.
        ascii_only: Draw the bar without block characters.
    """
    done = text.megabytes(event.done_bytes)
    figures = [Cell(f"  {done}", rank=2)]
    if event.total_bytes:
        share = event.done_bytes / event.total_bytes
        drawn = text.bar(share, _DOWNLOAD_BAR, ascii_only=ascii_only)
        figures = [
            Cell(f" {drawn}", rank=3, style="train"),
            Cell(f"  {done.removesuffix(' MB')} of {text.megabytes(event.total_bytes)}", rank=2),
            Cell(f"  {100 * share:3.0f} %", rank=1),
        ]
    figures = text.fit(figures, width - _LEAST_NAME)
    room = width - sum(text.columns(cell.text) for cell in figures)
    return [Cell(text.clip(file_name(event), room)), *figures]


def file_name(event: DownloadProgress) -> str:
    """Return what is fetched: the dataset and the file."""
    return text.one_line(f"{event.dataset} {event.file}")


def _of(correct: int | None, total: int | None) -> str:
    return f"{text.count(correct or 0)} of {text.count(total or 0)}"
