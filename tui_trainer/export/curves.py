"""A run as CSV tables, as a TensorBoard log and as a picture.

Needs no torch; the packages for drawing and logging are imported when needed. The events are
used as given: for a run that was rewound, pass only the valid ones.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from tui_trainer.export.targets import replacing, require
from tui_trainer.history.history import History
from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.protocol.events import (
    EpochDone,
    Event,
    FindingRaised,
    SettingChanged,
    StepDone,
    TestEvaluated,
)
from tui_trainer.text.fmt import knob, knob_name

PICTURES = (".png", ".svg")
"""The picture formats, by file extension."""

PNG_DOTS_PER_INCH = 150

_LOG = "the TensorBoard log"


def write_steps_csv(events: Iterable[Event], path: Path) -> None:
    """Write a CSV table with a row per batch; the columns are the fields of ``StepDone``.

    Floats have all their digits, so that reading them back gives the same numbers; ``nan`` and
    ``inf``
    are non-finite numbers. UTF-8, commas, a row ends with a line feed.

    Raises:
        InputError: If the file cannot be written.
    """
    names = [field.name for field in fields(StepDone)]
    rows = (
        [getattr(event, name) for name in names] for event in events if isinstance(event, StepDone)
    )
    _write_csv(path, names, rows)


def write_epochs_csv(events: Iterable[Event], path: Path) -> None:
    """Write a CSV table with a row per epoch; the columns are the fields of ``EpochDone``.

    The validation interval is ``val_interval_low`` and ``val_interval_high``; the accuracy per
    class
    is ``val_accuracy_class_0`` and so on, omitted without a validation split. None is an empty
    cell;
    otherwise as in :func:`write_steps_csv`.

    Raises:
        InputError: If the file cannot be written.
    """
    epochs = [event for event in events if isinstance(event, EpochDone)]
    classes = max((len(epoch.val_class_accuracy or ()) for epoch in epochs), default=0)
    names, *rows = (_epoch_row(epoch, classes) for epoch in (None, *epochs))
    _write_csv(path, list(names), (list(row.values()) for row in rows))


def _epoch_row(epoch: EpochDone | None, classes: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in fields(EpochDone):
        value = getattr(epoch, field.name, None)
        match field.name:
            case "val_interval":
                row["val_interval_low"], row["val_interval_high"] = value or (None, None)
            case "val_class_accuracy":
                shares = enumerate(value or [None] * classes)
                row |= {f"val_accuracy_class_{index}": share for index, share in shares}
            case name:
                row[name] = value
    return row


def _write_csv(path: Path, names: list[str], rows: Iterable[list[Any]]) -> None:
    # The writer formats floats by repr and None as an empty cell, as documented above.
    with replacing(path) as part, part.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def write_tensorboard(events: Iterable[Event], folder: Path) -> None:
    """Write a run as a TensorBoard event file into a folder; the folder is created if needed.

    Scalars by step: ``train/loss``, ``train/accuracy`` and ``lr`` of each batch;
    ``train_epoch/…`` and ``validation/…`` of each epoch; ``test/accuracy`` of each test evaluation.
    Each changed setting is a text under ``interventions``, each finding with its causes one under
    ``findings``. Accuracies are fractions of 1; the
    format keeps seven digits. The times are the export time plus the training time, so that
    TensorBoard's relative axis shows training seconds.

    Raises:
        InputError: If tensorboardX is not installed, the folder cannot be written, or it already
            contains a TensorBoard run: two in one folder would be drawn as one curve.
    """
    require("tensorboardX", _LOG)
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.glob("*tfevents*"))
    except OSError as error:
        raise path_error(folder, f"cannot be written: {reason(error)}") from error
    if taken:
        raise path_error(folder, "already contains a TensorBoard run; choose another folder")
    began = time.time()
    with (
        _removed_on_failure(folder if is_new else None),
        replacing(folder / f"events.out.tfevents.{began:.0f}.mnist-tui") as part,
    ):
        log = _TensorBoardLog(part, began)
        try:
            for event in events:
                log.add(event)
        finally:
            log.close()


@contextmanager
def _removed_on_failure(folder: Path | None) -> Iterator[None]:
    """Remove a newly created folder after a failure."""
    try:
        yield
    except BaseException:
        if folder is not None:
            with suppress(OSError):
                folder.rmdir()
        raise


class _TensorBoardLog:
    """A TensorBoard event file, written record by record.

    tensorboardX's SummaryWriter writes on its own thread, behind a queue. When the disk is full,
    that thread dies, the queue fills up, and the next scalar waits forever.
    """

    def __init__(self, path: Path, began: float) -> None:
        records, summary, writer = (
            require(f"tensorboardX.{module}", _LOG)
            for module in ("proto.event_pb2", "summary", "record_writer")
        )
        self._record, self._scalar_of, self._text_of = records.Event, summary.scalar, summary.text
        self._began, self._seconds = began, 0.0
        self._raised: dict[str, FindingRaised] = {}
        self._file = writer.RecordWriter(str(path))
        self._write(file_version="brain.Event:2")

    def close(self) -> None:
        self._file.close()

    def add(self, event: Event) -> None:
        match event:
            case StepDone():
                self._seconds = event.seconds
                self._scalar("train/loss", event.loss, event.step)
                self._scalar("train/accuracy", event.accuracy, event.step)
                self._scalar("lr", event.lr, event.step)
            case EpochDone():
                self._scalar("train_epoch/loss", event.train_loss, event.step)
                self._scalar("train_epoch/accuracy", event.train_accuracy, event.step)
                self._scalar("validation/loss", event.val_loss, event.step)
                self._scalar("validation/accuracy", event.val_accuracy, event.step)
            case TestEvaluated():
                self._scalar("test/accuracy", event.test_accuracy, event.step)
            case SettingChanged():
                old, new = (knob(event.setting, value) for value in (event.old, event.new))
                text = f"{knob_name(event.setting)} {old} → {new}"
                self._write(step=event.step, summary=self._text_of("interventions", text))
            case FindingRaised():
                self._finding(event)

    def _finding(self, event: FindingRaised) -> None:
        """Write a finding when it is raised, and again when more than its numbers changes."""
        before, self._raised[event.code] = self._raised.get(event.code), event
        if before is not None and not event.is_news_after(before):
            return
        lines = [event.heading, event.evidence]
        for cause in event.ranked_causes:
            advice = f"try: {cause.advice}" if cause.advice else ""
            parts = [f"{cause.label}: {cause.title}", cause.evidence, advice]
            lines.append("; ".join(part for part in parts if part))
        self._write(step=event.step, summary=self._text_of("findings", "\n\n".join(lines)))

    def _scalar(self, tag: str, value: float | None, step: int) -> None:
        if value is not None:
            summary = self._scalar_of(tag, 0.0)
            summary.value[0].simple_value = value  # NaN as an argument would print a warning
            self._write(step=step, summary=summary)

    def _write(self, **content: Any) -> None:
        record = self._record(wall_time=self._began + self._seconds, **content)
        self._file.write(record.SerializeToString())


def write_picture(events: Iterable[Event], path: Path) -> None:
    """Draw the curves of loss and accuracy as a picture, PNG or SVG by the file extension.

    The same events give the same bytes with the same matplotlib.

    Raises:
        InputError: If matplotlib is not installed, the extension is another one, no batch was
            trained, or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in PICTURES:
        raise path_error(path, "choose a file name that ends in .png or .svg")
    require("matplotlib", "the picture")
    history = History.of(events)
    if history.started is None or history.last_step is None:
        raise InputError("nothing to draw: no batch was trained")

    import matplotlib

    from tui_trainer.export.curve_picture import draw

    metadata = {"Date": None, "Creator": None} if kind == ".svg" else {"Software": None}
    with matplotlib.rc_context():
        # The user's matplotlibrc must not change the picture.
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.fonttype"] = "none"
        matplotlib.rcParams["svg.hashsalt"] = "mnist-tui"
        figure = draw(history)
        with replacing(path) as part:
            figure.savefig(part, format=kind[1:], dpi=PNG_DOTS_PER_INCH, metadata=metadata)
