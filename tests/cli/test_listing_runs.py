"""``mnist-tui runs`` with filters, groups and columns, and the commands that keep runs in order."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Refused
from tests.protocol.facts import epoch_done, finished, started, step
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.recorder import Recorder
from tui_trainer.recording.run_fields import FIELDS
from tui_trainer.stats.means import mean_interval

RECORDED = Path(__file__).parents[1] / "recording"
ACCURACIES = {"a": 0.97, "b": 0.98, "c": 0.99}


def record(name: str, *events: Event, seed: int = 0, **settings: object) -> RunFolder:
    config = RunConfig(model="tiny", seed=seed, **settings).resolved()  # type: ignore[arg-type]
    recorder = Recorder.create(Path("runs", name), config)
    list(recorder.record(iter([started(seed=seed), step(1), *events])))
    return recorder.folder


@pytest.fixture
def _runs() -> None:
    """Three runs that differ in seed and result, one of another learning rate, one without end."""
    for seed, (name, accuracy) in enumerate(ACCURACIES.items()):
        record(name, epoch_done(val_accuracy=accuracy), finished(), seed=seed, lr=0.1)
    record("other", epoch_done(val_accuracy=0.5), finished(), lr=0.5, nesterov=False)
    record("left", lr=0.1)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def listed(run: Cli, *options: str) -> list[str]:
    code, out, err = run("runs", *options, "--csv", "--columns", "name")
    assert (code, err) == (0, "")
    return [row["name"] for row in table(out)]


@pytest.mark.usefixtures("_runs")
def test_runs_are_filtered_and_sorted(run: Cli) -> None:
    assert listed(run, "--sort", "-val_acc,name") == ["c", "b", "a", "other", "left"]
    assert listed(run, "--sort", "val_acc", "--filter", "val_acc > 0.97 or lr=0.5") == [
        *("other", "b", "c")
    ]
    assert listed(run, "--filter", "nesterov = off") == ["other"]
    assert listed(run, "--filter", "state = killed") == ["left"]


@pytest.mark.usefixtures("_runs")
def test_csv_has_every_field_unrounded(run: Cli) -> None:
    _, out, _ = run("runs", "--csv", "--filter", "other")
    (row,) = table(out)
    assert list(row) == list(FIELDS)
    assert (row["val_acc"], row["lr"], row["nesterov"], row["dropout"]) == (
        *("0.5", "0.5", "false", ""),
    )
    assert row["recipe"].startswith("era-s6 lr=0.5 nesterov=off")


@pytest.mark.usefixtures("_runs")
def test_the_table_has_the_chosen_columns(run: Cli) -> None:
    code, out, err = run("runs", "--columns", "name, val_accuracy,lr", "--filter", "name = a")
    assert (code, err) == (0, "")
    head, row = out.splitlines()
    assert (head.split(), row.split()[0], row.split()[-1]) == (["run", "val_acc", "lr"], "a", "0.1")
    assert "note" not in run("runs")[1].splitlines()[0]
    run("note", "a", "the first")
    run("tag", "a", "good", "old")
    head, row = run("runs", "--filter", "tag = good")[1].splitlines()
    assert head.split()[-2:] == ["tag", "note"]
    assert row.endswith("good, old  the first")


@pytest.mark.usefixtures("_runs")
def test_json_has_the_summary_or_the_chosen_fields(run: Cli) -> None:
    (whole,) = json.loads(run("runs", "--json", "--filter", "other")[1])
    assert whole["val_accuracy"] == 0.5
    assert whole["settings"]["lr"] == 0.5
    assert (whole["group"], whole["note"], whole["tags"]) == ("", "", [])
    (some,) = json.loads(run("runs", "--json", "--filter", "left", "--columns", "name,val_acc")[1])
    assert some == {"name": "left", "val_acc": None}


@pytest.mark.usefixtures("_runs")
def test_groups_have_means_with_intervals(run: Cli) -> None:
    code, out, err = run("runs", "--group", "lr", "--json")
    assert code == 0
    fast, slow = json.loads(out)
    mean = mean_interval([*ACCURACIES.values()])
    assert fast["group"] == {"lr": 0.1}
    assert fast["means"]["val_acc"] == {
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "count": 3,
    }
    assert len(fast["runs"]) == 4
    assert len(fast["counted"]) == 3
    assert slow["means"]["val_acc"] == {"mean": 0.5, "low": None, "high": None, "count": 1}
    assert slow["means"]["test_acc"] is None
    _, out, err = run("runs", "--group", "lr", "--sort", "-lr", "--columns", "lr,val_acc")
    assert [line.split()[0] for line in out.splitlines()] == ["lr", "0.5", "0.1"]
    assert "98.00 % [95.52, 100.00] (3 of 4)" in out
    assert "lr 0.1: 1 of 4 runs was killed; left out of its means: left." in err
    _, out, _ = run("runs", "--group", "lr", "--csv")
    assert [row["val_acc_count"] for row in table(out)] == ["3", "1"]


def test_what_limits_the_mean_of_a_group_is_reported(run: Cli) -> None:
    record("a", epoch_done(val_accuracy=0.9), finished(), batch_size=64)
    record("b", epoch_done(1), epoch_done(2), finished(), seed=1)
    record("c", finished(reason="diverged"), seed=2)
    record("d", finished(), seed=3).summary.write_text("{")
    _, _, err = run("runs", "--group", "model")
    assert "different lengths, 1, 2 epochs" in err
    assert "1 of 3 runs diverged; left out of its means, so the means are too favorable: c." in err
    assert "its runs differ in batch_size, so the intervals are not over seeds alone" in err
    assert "1 damaged run left out: d" in err
    assert "\n\n" not in err


def test_runs_of_older_versions_are_filtered_by_their_settings(run: Cli) -> None:
    for old in ("runs_0_1", "runs_schema_2"):
        shutil.copytree(RECORDED / old, Path("runs"), dirs_exist_ok=True)
    everything = listed(run)
    assert len(everything) >= 3
    some = listed(run, "--filter", "batch_size = 64 and augment = light")
    assert some
    assert sorted(some + listed(run, "--filter", "not (batch_size=64 and augment=light)")) == (
        sorted(everything)
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--filter", "val_acc >"], "--filter val_acc >: column 10: a value is missing"),
        (["--filter", "val_ac > 1"], "column 1: unknown field val_ac; did you mean val_acc?"),
        (["--sort", "-best,nam"], "--sort -best,nam: column 7: unknown field nam"),
        (["--group", "x"], "--group x: column 1: unknown field x"),
        (["--columns", ""], "--columns : column 1: names no field"),
        (["--group", "lr", "--columns", "model"], "--columns model: not a number"),
        (["--csv", "--json"], "--csv and --json: choose one"),
        (["nowhere"], "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(refused: Refused, options: list[str], expected: str) -> None:
    assert expected in refused("runs", *options)


def test_an_empty_list(run: Cli) -> None:
    nothing = (0, "", "runs: contains no runs\n")
    assert run("runs") == run("runs", "--group", "lr") == nothing
    record("a", finished())
    assert run("runs", "--filter", "b") == (0, "", "runs: none of its 1 run matches --filter\n")
    assert run("runs", "--filter", "b", "--json") == (0, "[]\n", "")
    assert run("runs", "--filter", "b", "--group", "lr", "--json") == (0, "[]\n", "")


def test_the_fields_are_listed(run: Cli) -> None:
    code, out, err = run("runs", "--fields")
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines() if line.startswith("  ")} == set(FIELDS)


def test_a_run_is_renamed_annotated_and_tagged(run: Cli) -> None:
    record("a", epoch_done(), finished())
    assert run("rename", "a", "b") == (0, "", "a is now b\n")
    assert run("note", "b", "first try") == (0, "", "")
    assert run("note", "b") == (0, "first try\n", "")
    assert run("tag", "b", "x", "y") == (0, "x y\n", "")
    assert run("tag", "b", "x", "--remove") == (0, "y\n", "")
    assert run("tag", "b") == (0, "y\n", "")
    assert run("note", "b", "") == (0, "", "")
    assert run("note", "b") == (0, "\n", "")


def test_deleting_is_asked_and_all_names_are_checked_first(run: Cli, refused: Refused) -> None:
    for name in "ab":
        record(name, finished())
    assert "no terminal to ask on; add --yes" in refused("delete", "a")
    assert "c: no such run" in refused("delete", "a", "c", "--yes")
    assert sorted(os.listdir("runs")) == ["a", "b"]
    lock = Lock(RunFolder(Path("runs/a")).lock)
    assert "is training it" in refused("delete", "a", "--yes")
    lock.release()
    code, out, err = run("delete", "a", "b", "a", "--yes", "--permanently")
    assert (code, out, err) == (0, "", "a: removed\nb: removed\n")
    assert os.listdir("runs") == []
