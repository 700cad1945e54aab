"""The cells of the table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tui_trainer.recording.about import About
from tui_trainer.recording.folder import ListedRun, RunFolder
from tui_trainer.recording.run_fields import FIELDS
from tui_trainer.recording.run_table import (
    COLUMNS,
    cell,
    default_columns,
    row,
    text_of,
)
from tui_trainer.recording.summary import Summary
from tui_trainer.text import fmt
from tui_trainer.text.tables import csv_table


def listed(name: str = "run", *, about: About | None = None, **results: Any) -> ListedRun:
    return ListedRun(RunFolder(Path(name)), Summary(**results), about=about or About())


def test_a_narrow_terminal_drops_columns_until_the_others_fit() -> None:
    runs = [
        listed("a-run", model="small", epochs=3, state="completed"),
        ListedRun(RunFolder(Path("broken")), None, "broken"),
    ]
    assert [field.name for field in default_columns(runs)] == list(COLUMNS)
    assert "model" not in {field.name for field in default_columns(runs, 70)}
    for width in range(35, 120):
        fields = default_columns(runs, width)
        rows = [row(run, fields) for run in runs]
        used = sum(max(map(fmt.columns, column)) + 2 for column in zip(*rows, strict=True)) - 2
        assert used <= width
        assert {"name", "best", "state"} <= {field.name for field in fields}


def test_notes_and_tags_have_a_column_once_there_are_some() -> None:
    runs = [listed(), listed("other", about=About("a note", ("a", "b")))]
    names = [field.name for field in default_columns(runs)]
    assert names == [*COLUMNS, "tag", "note"]
    assert row(runs[1], default_columns(runs))[-2:] == ["a, b", "a note"]
    assert row(runs[0], default_columns(runs))[-2:] == ["-", "-"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("best", 0.99312, "99.31 %"),
        ("params", 19_810, "19,810"),
        ("seed", 12_345, "12345"),
        ("lr", 0.05, "0.05"),
        ("momentum", 0.9, "0.9"),
        ("nesterov", False, "off"),
        ("time", 312.4, "5:12"),
        ("val_loss", 0.0412, "0.0412"),
        ("tag", ("a", "b"), "a, b"),
        ("started", "yesterday", "yesterday"),
        ("note", "a\x1b[31m", r"'a\x1b[31m'"),
        ("dropout", None, "-"),
    ],
)
def test_values_are_formatted_by_their_kind(name: str, value: Any, text: str) -> None:
    assert text_of(FIELDS[name], value) == text


def test_accuracies_of_a_run_have_their_interval() -> None:
    run = listed(
        val_accuracy=0.98, val_interval=(0.97, 0.99), epochs=5, epochs_done=3, images=100, seconds=2
    )
    assert cell(run, FIELDS["val_acc"]) == "98.00 % [97.00, 99.00]"
    assert cell(run, FIELDS["epochs"]) == "3/5"
    assert cell(run, FIELDS["speed"]) == "50 img/s"
    assert cell(run, FIELDS["best"]) == "-"
    damaged = ListedRun(RunFolder(Path("run")), None, "not JSON")
    assert row(damaged, [FIELDS["name"], FIELDS["state"], FIELDS["best"]]) == [
        *("run", "not JSON", "-"),
    ]


def test_csv_has_plain_values() -> None:
    rows = [[True, None, float("nan"), ("a", "b"), "a,b", 0.1]]
    assert csv_table(["a", "b"], rows) == 'a,b\ntrue,,,a b,"a,b",0.1\n'
