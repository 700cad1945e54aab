"""Events as text: pure functions from an event to a line, or to the cells of one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tui_trainer.course.subject import unusual_shape
from tui_trainer.course.topics import TOPICS, lesson_label
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import (
    DecodeProgress,
    Diverged,
    DownloadProgress,
    EpochDone,
    FindingRaised,
    RunFinished,
    RunStarted,
    SettingChanged,
    TestEvaluated,
    plain,
)
from tui_trainer.render.cause_lines import (
    cause_lines,
    evidence_of,
    is_named,
    others_line,
)
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import UNWRAPPED
from tui_trainer.text.lines import plain as plain_lines
from tui_trainer.text.sparkline import caption, sparkline

PLOT_WIDTH = 60
"""Maximum columns of a plot."""

_MIN_BAR = 9  # a blank, two ends, six columns
_MAX_BAR = 33
_DOWNLOAD_BAR = 12
_MIN_NAME = 16

_NOT_READ = {
    "diverged": "the training diverged",
    "interrupted": "the run was interrupted",
    "terminated": "the process was terminated",
    "disconnected": "the terminal was closed",
    "stopped": "the run was stopped without a test evaluation",
    "completed": "--no-test keeps it sealed",
}


def header(run: RunStarted) -> str:
    """Return a run in one line: model, data, recipe, device."""
    parts = [
        run.model,
        f"{fmt.count(run.parameters)} parameters",
        " ".join([run.dataset, *([shape] if (shape := unusual_shape(run)) else [])])
        + f" {fmt.count(run.train_size)}"
        + (f"+{fmt.count(run.val_size)}" if run.val_size else ""),
        fmt.plural(run.epochs, "epoch"),
        f"batch {fmt.count(run.batch_size)}",
        f"{run.optimizer} lr {fmt.learning_rate(run.base_lr)} {run.schedule}",
        *([f"{run.resize_to} px until {run.resize_until:.0%}"] if run.resize_to else []),
        *([_augmented(run)] if run.augmentation else []),
        *([f"dropout {run.dropout:g}"] if run.dropout else []),
        *([run.precision] if run.precision != "float32" else []),
        f"seed {run.seed}",
        run.hardware,
    ]
    return " · ".join(parts)


def _augmented(run: RunStarted) -> str:
    until = f" until {run.augment_until:.0%}" if run.augment_until < 1 else ""
    return f"augmented{until}"


def epoch_cells(event: EpochDone, epochs: int) -> list[Cell]:
    """Return an epoch as the cells of an aligned line; see :func:`tui_trainer.text.fmt.fit`."""
    cells = [
        Cell(f"epoch {event.epoch:>{len(str(epochs))}}/{epochs}"),
        Cell("  train", rank=4),
        Cell(f" {fmt.loss(event.train_loss)}", rank=5),
        Cell(f" {fmt.percent(event.train_accuracy):>8}", rank=4),
    ]
    if event.val_accuracy is not None and event.val_loss is not None:
        bounds = fmt.interval(event.val_interval) if event.val_interval else ""
        cells += [
            Cell("  val"),
            Cell(f" {fmt.loss(event.val_loss)}", rank=5),
            Cell(f" {fmt.percent(event.val_accuracy):>8}"),
            Cell(f" {bounds:<15}", rank=3),
        ]
    return [
        *cells,
        Cell(f" {event.seconds:>6.1f} s", rank=6),
        Cell(f"  {fmt.speed(event.images_per_second):>11}", rank=7),
    ]


def live_cells(run: RunState, width: int, *, activity: str = "", ascii_only: bool) -> list[Cell]:
    """Return the live line: epoch, progress bar, loss, accuracy, speed, time left.

    If it is too long, the least important cells are dropped; the bar fills the rest.

    Args:
        run: The state of the run; before its start there are no cells.
        width: Available columns.
        activity: The current activity other than training; replaces loss and accuracy.
        ascii_only: Draw the bar without block characters.
    """
    if run.started is None:
        return []
    epochs, left = run.started.epochs, run.seconds_left
    head = Cell(f"epoch {max(1, run.epoch):>{len(str(epochs))}}/{epochs}")
    figures = [
        Cell(f"  loss {fmt.loss(run.epoch_loss)}", rank=3),
        Cell(f" {fmt.percent(run.epoch_accuracy):>8}", rank=2),
    ]
    if activity:  # as wide as the figures, so that the bar keeps its length
        figures = [Cell(f"  {activity:<10}", rank=2), Cell(" " * 10, rank=3)]
    tail = [
        *figures,
        Cell(f"  {fmt.speed(run.images_per_second or math.nan):>11}", rank=4),
        Cell(f"  ETA {fmt.duration(math.nan if left is None else left):>5}", rank=1),
    ]
    kept = fmt.fit([head, *tail], width - _MIN_BAR)
    room = width - sum(fmt.columns(cell.text) for cell in kept) - 1
    drawn = fmt.bar(run.fraction, max(3, min(_MAX_BAR, room)), ascii_only=ascii_only)
    return [kept[0], Cell(f" {drawn}", rank=9, style="train"), *kept[1:]]


def summary(
    event: RunFinished, last_epoch: EpochDone | None, *, is_script: bool = False
) -> list[str]:
    """Return the result of a run: test, validation, then its end; a script has its own test."""
    lines = []
    if event.test_accuracy is None:
        why = _NOT_READ.get(event.reason, "not requested")
        lines += [] if is_script else [f"test not evaluated: {why}"]
    else:
        accuracy = fmt.accuracy_with_interval(event.test_accuracy, event.test_interval)
        right = _of(event.test_correct, event.test_total)
        lines.append(f"test {accuracy} — {right}, evaluations: {event.test_evaluations}")
        if event.test_evaluations > 1:
            lines.append(
                f"after {event.test_evaluations} test evaluations, this result is no longer "
                "independent of your choices"
            )
    if event.val_accuracy is not None:
        same = last_epoch is not None and last_epoch.val_accuracy == event.val_accuracy
        bounds = last_epoch.val_interval if last_epoch is not None and same else None
        lines.append(f"validation {fmt.accuracy_with_interval(event.val_accuracy, bounds)}")
    lines.append(
        f"{event.reason}: {fmt.plural(event.epochs, 'epoch')}, "
        f"{fmt.plural(event.step, 'step')}, {fmt.duration(event.seconds)}, "
        f"{fmt.count(event.parameters)} parameters"
    )
    return lines


def test_line(event: TestEvaluated) -> str:
    """Return a test evaluation: its result, its number, its step."""
    accuracy = fmt.accuracy_with_interval(event.test_accuracy, event.test_interval)
    return (
        f"test {accuracy} — {_of(event.test_correct, event.test_total)}, evaluations: "
        f"{event.evaluation}, step {fmt.count(event.step)}"
    )


def finding_lines(event: FindingRaised) -> list[str]:
    """Return a finding: title, first step and evidence; first cause and advice; other causes."""
    lines = [f"{event.title}, since step {fmt.count(event.step)}: {event.evidence}"]
    if not event.ranked_causes:
        return lines
    first, *others = event.ranked_causes
    evidence = evidence_of(first, event)
    measured = f" ({evidence})" if evidence else ""
    if is_named(first, event):
        advice = f" → {first.advice}" if first.advice else ""
        lines.append(f"{first.label}: {first.title}{measured}{advice}")
    elif first.advice:
        lines.append(f"try: {first.advice}{measured}")
    return [*lines, *filter(None, [others_line(others, event)])]


def diagnosis_lines(found: Diagnosis) -> list[str]:
    """Return a diagnosis as lines: title and lesson, evidence, advice."""
    return [f"{found.heading}  [{lesson_label(found.lesson)}]", *body_lines(found)]


def body_lines(found: Diagnosis, *, has_bars: bool = True) -> list[str]:
    """Return the lines below the title of a diagnosis; ``has_bars`` adds a sparkline."""
    lines = [f"  {found.evidence}"]
    if not isinstance(found, FindingRaised):
        return [*lines, f"  try: {found.advice}"] if found.advice else lines
    if found.plot:
        bars = f"{sparkline(found.plot, PLOT_WIDTH)}  " if has_bars else ""
        lines.append(f"  {bars}{caption(found.plot, found.plot_label)}")
    return [*lines, *plain_lines(cause_lines(found, UNWRAPPED))]


def diagnosis_record(found: Diagnosis) -> dict[str, Any]:
    """Return the JSON record of a diagnosis; non-finite numbers become None."""
    return {**plain(dataclasses.asdict(found)), "topic": TOPICS.get(found.lesson, "")}


def setting_line(event: SettingChanged) -> str:
    """Return a changed setting: ``learning rate 0.1 → 0.05 after step 1,240``."""
    by = f", by {event.by}" if event.by else ""
    return (
        f"{fmt.knob_name(event.setting)} {fmt.knob(event.setting, event.old)} → "
        f"{fmt.knob(event.setting, event.new)} after step {fmt.count(event.step)}{by}"
    )


def diverged_line(event: Diverged) -> str:
    """Return where the run diverged, and at which learning rate."""
    return (
        f"diverged at step {fmt.count(event.step)}, epoch {event.epoch}: the loss is not finite "
        f"(learning rate {fmt.learning_rate(event.lr)})"
    )


def download_cells(event: DownloadProgress, width: int, *, ascii_only: bool) -> list[Cell]:
    """Return the live line of a download; no bar and no percentage if the size is unknown.

    Args:
        event: The progress of the file.
        width: Available columns; a long name is clipped before the figures are.
        ascii_only: Draw the bar without block characters.
    """
    done = fmt.megabytes(event.done_bytes)
    figures = [Cell(f"  {done}", rank=2)]
    if event.total_bytes:
        share = event.done_bytes / event.total_bytes
        drawn = fmt.bar(share, _DOWNLOAD_BAR, ascii_only=ascii_only)
        figures = [
            Cell(f" {drawn}", rank=3, style="train"),
            Cell(f"  {done.removesuffix(' MB')} of {fmt.megabytes(event.total_bytes)}", rank=2),
            Cell(f"  {100 * share:3.0f} %", rank=1),
        ]
    figures = fmt.fit(figures, width - _MIN_NAME)
    room = width - sum(fmt.columns(cell.text) for cell in figures)
    return [Cell(fmt.clip(file_name(event), room)), *figures]


def decode_cells(event: DecodeProgress, width: int, *, ascii_only: bool) -> list[Cell]:
    """Return the live line of decoding pictures; see :func:`download_cells`."""
    cells = [Cell(event.words)]
    if event.total:
        share = event.done / event.total
        drawn = fmt.bar(share, _DOWNLOAD_BAR, ascii_only=ascii_only)
        cells += [Cell(f" {drawn}", rank=2, style="train"), Cell(f"  {100 * share:3.0f} %", rank=1)]
    return fmt.fit(cells, width)


def file_name(event: DownloadProgress) -> str:
    """Return the dataset and the file name."""
    return fmt.one_line(f"{event.dataset} {event.file}")


def _of(correct: int | None, total: int | None) -> str:
    return f"{fmt.count(correct or 0)} of {fmt.count(total or 0)}"
