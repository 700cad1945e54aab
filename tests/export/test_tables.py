from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.export.facts import STEPS, short_run
from tests.protocol.facts import epoch_done, step
from tui_trainer.export.curves import write_epochs_csv, write_steps_csv
from tui_trainer.protocol.events import Event, StepDone


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_step_is_a_row_and_a_field_a_column(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    write_steps_csv(short_run(), path)

    lines = path.read_bytes().split(b"\n")
    assert lines[0].decode() == ",".join(field.name for field in fields(StepDone))
    assert len(lines) == 1 + STEPS + 1  # the last line feed ends a row too
    assert lines[-1] == b""


def test_steps_read_from_the_table_are_the_steps_that_were_written(tmp_path: Path) -> None:
    steps = [step(7, loss=0.1 + 0.2, accuracy=1 / 3, lr=1e-7, seconds=2**0.5)]
    write_steps_csv(steps, tmp_path / "steps.csv")

    kinds = {"float": float, "int": int}
    read = [
        StepDone(**{f.name: kinds[str(f.type)](row[f.name]) for f in fields(StepDone)})
        for row in rows_of(tmp_path / "steps.csv")
    ]
    assert read == steps


def test_numbers_that_are_not_finite_keep_their_names(tmp_path: Path) -> None:
    steps = [step(1, loss=math.nan), step(2, loss=math.inf), step(3, loss=-math.inf)]
    write_steps_csv(steps, tmp_path / "steps.csv")

    assert [row["loss"] for row in rows_of(tmp_path / "steps.csv")] == ["nan", "inf", "-inf"]


def test_a_run_without_a_step_is_a_table_without_a_row(tmp_path: Path) -> None:
    write_steps_csv([], tmp_path / "steps.csv")

    assert (tmp_path / "steps.csv").read_text().count("\n") == 1


def test_the_tuples_of_an_epoch_are_columns_in_their_place(tmp_path: Path) -> None:
    epoch = epoch_done(val_interval=(0.87, 0.92), val_class_accuracy=(0.5, None, 1 / 3))
    write_epochs_csv([epoch], tmp_path / "epochs.csv")

    (row,) = rows_of(tmp_path / "epochs.csv")
    names = list(row)
    assert names[names.index("val_total") + 1 : names.index("val_loss_rise")] == [
        "val_interval_low",
        "val_interval_high",
        "val_accuracy_class_0",
        "val_accuracy_class_1",
        "val_accuracy_class_2",
    ]
    assert (row["val_interval_low"], row["val_interval_high"]) == ("0.87", "0.92")
    assert (row["val_accuracy_class_0"], row["val_accuracy_class_1"]) == ("0.5", "")
    assert float(row["val_accuracy_class_2"]) == 1 / 3
    assert (row["epoch"], row["val_correct"], row["train_loss"]) == ("1", "450", "0.5")


def test_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    without = epoch_done(
        2, val_loss=None, val_accuracy=None, val_correct=None, val_total=None, val_interval=None
    )
    write_epochs_csv([epoch_done(1, val_class_accuracy=(0.5, 0.6)), without], tmp_path / "e.csv")

    full, empty = rows_of(tmp_path / "e.csv")
    assert {name for name, cell in empty.items() if cell == ""} - {"val_loss_rise"} == {
        "val_loss",
        "val_accuracy",
        "val_correct",
        "val_total",
        "val_interval_low",
        "val_interval_high",
        "val_accuracy_class_0",
        "val_accuracy_class_1",
    }
    assert "" not in full.values()


def test_a_run_that_never_validates_has_no_columns_of_classes(tmp_path: Path) -> None:
    write_epochs_csv([epoch_done(val_class_accuracy=None)], tmp_path / "e.csv")

    (row,) = rows_of(tmp_path / "e.csv")
    assert "val_interval_low" in row
    assert not any(name.startswith("val_accuracy_class") for name in row)


def test_events_that_break_off_leave_no_table(tmp_path: Path) -> None:
    def broken() -> Iterator[Event]:
        yield step(1)
        raise ValueError("the third line is no event")

    with pytest.raises(ValueError, match="the third line"):
        write_steps_csv(broken(), tmp_path / "steps.csv")

    assert os.listdir(tmp_path) == []
