"""``mnist-tui compare-runs``, called in this process on runs of a dataset of two hundred images."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tests.headless.test_html_report import Page
from tests.test_import_hygiene import HEAVY, loaded_by
from tui_trainer import cli
from tui_trainer.cli.same_images import CHANGE
from tui_trainer.protocol.events import SettingChanged, to_json
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.seed_group import SEEDS_FILE

BRIEF = ("--no-ui", "--threads", 1, "--model", "tiny", "--epochs", 2, "--batch-size", 20)

RUNS = {
    "first": ("--seed", 0, "--val-size", 40),
    "second": ("--seed", 1, "--val-size", 40),
    "slow-0": ("--seed", 0, "--val-size", 40, "--lr", 0.01),
    "slow-1": ("--seed", 1, "--val-size", 40, "--lr", 0.01),
    "other-split": ("--seed", 0, "--val-size", 30),
    "no-split": ("--seed", 0, "--val-size", 0),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs, and two groups of two of them."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_dataset(folder / "data", size=14, train=200, gzip=False)
    for name, options in RUNS.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            arguments = (*BRIEF, *options, "--data-dir", data, "--out", f"runs/{name}")
            patch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                cli.main()
        assert caught.value.code == 0
    for group, members in {"fast": ("first", "second"), "slow": ("slow-0", "slow-1")}.items():
        for number, name in enumerate(members):
            place = folder / "runs" / group / f"seed-{number}"
            shutil.copytree(folder / "runs" / name, place)
        (place.parent / SEEDS_FILE).write_text("")
    return folder


@pytest.fixture
def runs(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the folder of runs that a test may change."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained / "runs", tmp_path / "runs")


def record(run: Cli, *arguments: object) -> dict[str, Any]:
    code, out, err = run("compare-runs", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out, parse_constant=pytest.fail)
    return found


def test_two_runs_are_tested_image_by_image(run: Cli, runs: Path) -> None:
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    found = record(run, "first", "slow-0")
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before
    (difference,) = found["differences"]
    assert difference["test"] == "McNemar's test"
    images = difference["images"]
    assert sum(images.values()) == 40
    summaries = [RunFolder(runs / name).read_summary() for name in ("first", "slow-0")]
    correct = [round(40 * (summary.val_accuracy or 0)) for summary in summaries]
    assert correct == [
        images["both"] + images["only_second"],
        images["both"] + images["only_first"],
    ]
    assert found["compared"][0]["settings"] == {"lr": 0.1}
    assert found["compared"][1]["settings"] == {"lr": 0.01}
    assert "test_accuracy" not in difference
    assert all(summary.test_evaluations == 1 for summary in summaries)


def test_groups_are_paired_by_seed_without_loading_torch(run: Cli, runs: Path) -> None:
    found = record(run, "fast", "slow")
    assert [each["runs"] for each in found["compared"]] == [
        ["fast/seed-0", "fast/seed-1"],
        ["slow/seed-0", "slow/seed-1"],
    ]
    (difference,) = found["differences"]
    assert difference["seeds"] == [0, 1]
    assert difference["test"] == "paired t test" or difference["reason"]
    call = "import sys; sys.argv = ['mnist-tui', 'compare-runs', 'fast', 'slow']; "
    loaded = loaded_by(f"{call}from tui_trainer import cli; cli.main()")
    assert "tui_trainer" in loaded
    assert not loaded & HEAVY


def test_runs_and_groups_of_a_filter(run: Cli, runs: Path) -> None:
    found = record(run, "--filter", "val_size = 40 and group = none", "--group", "lr")
    assert [each["name"] for each in found["compared"]] == ["lr 0.01", "lr 0.1"]
    assert [each["seeds"] for each in found["compared"]] == [[0, 1], [0, 1]]
    found = record(run, "first", "--filter", "name ~ slow and group = none", "--no-evaluate")
    assert [each["name"] for each in found["compared"]] == ["first", "slow-1", "slow-0"]
    assert found["differences"][0]["test"] is None
    assert "not compared on the same images" in found["differences"][0]["verdict"]


def test_why_there_is_no_test_is_reported(run: Cli, runs: Path) -> None:
    (runs / "slow-0" / "checkpoints" / "best.safetensors").unlink()
    names = ("first", "other-split", "no-split", "slow-0", "slow-1")
    found = record(run, *names, "--checkpoint", "best")
    reasons = [each["reason"] for each in found["differences"]]
    assert reasons == [
        "their validation splits have different sizes",
        "no-split has no validation accuracy: it has no validation split",
        "--checkpoint best: not in slow-0; choose last",
        None,
    ]
    assert found["metric"] == "best_val_accuracy"
    assert "other-split: validated on 30 images, first on 40" in " ".join(found["notes"])


def test_a_changed_setting_is_listed(run: Cli, runs: Path) -> None:
    change = SettingChanged(setting="base_lr", old=0.1, new=0.05, step=8, epoch=1, images=160)
    assert CHANGE in to_json(change).encode()
    events = runs / "second" / "events.jsonl"
    lines = events.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if '"step": 9' in line)
    events.write_text("\n".join([*lines[:place], to_json(change), *lines[place:]]) + "\n")
    found = record(run, "first", "second", "--no-evaluate")
    assert found["compared"][1]["settings"]["changed in training"] == "lr 0.1 → 0.05"


def test_a_table_is_printed(run: Cli, runs: Path) -> None:
    code, out, err = run("compare-runs", "first", "slow-0")
    assert (code, err) == (0, "")
    assert "settings that differ" in out
    assert re.search(r"lr +0\.1 +0\.01", out)
    assert "momentum" not in out
    assert "McNemar's test" in out
    assert "on the same 40 validation images" in out
    assert max(map(len, out.splitlines())) <= 120


def test_csv_has_a_row_for_each(run: Cli, runs: Path) -> None:
    code, out, _ = run("compare-runs", "fast", "slow", "--csv")
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["name"] for row in rows] == ["fast", "slow"]
    assert [row["lr"] for row in rows] == ["0.1", "0.01"]
    assert rows[0]["difference"] == ""
    folders = [RunFolder(runs / "fast" / f"seed-{seed}") for seed in (0, 1)]
    losses = [folder.read_summary().train_loss or 0 for folder in folders]
    assert float(rows[0]["train_loss"]) == pytest.approx(sum(losses) / 2)
    assert rows[1]["difference"]


def test_a_report_is_one_file_with_the_curves(run: Cli, runs: Path, tmp_path: Path) -> None:
    code, out, err = run("compare-runs", "fast", "second", "slow-0", "--report", "diff.html")
    assert (code, err) == (0, "")
    assert out.startswith("diff.html: ")
    text = (tmp_path / "diff.html").read_text()
    page = Page(text)
    assert page.values("section", "id") == ["comparison", "curves"]
    assert text.count("class='band") == 4
    assert text.count("<figure class='plot'>") == 4
    assert not re.findall(r"(?:src|href)='(?!data:|#)", text)
    assert "mnist-tui compare-runs fast second slow-0 --report diff.html" in page.text
    assert "prefers-color-scheme: dark" in text


def test_a_report_and_json_at_once(run: Cli, runs: Path) -> None:
    code, out, err = run("compare-runs", "fast", "slow", "--report", "diff.html", "--json")
    assert code == 0
    assert json.loads(out)["baseline"] == "fast"
    assert err.startswith("diff.html: ")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "compare-runs needs two runs or groups, not 0: mnist-tui compare-runs RUN RUN"),
        (["first"], "compare-runs needs two runs or groups, not 1"),
        (["first", "nothing"], "nothing: no such run; `mnist-tui runs` lists all runs"),
        (["first", "empty"], "empty: this group contains no runs yet"),
        (["first", "second", "--json", "--csv"], "--json: cannot be used with --csv; choose one"),
        (["first", "second", "--checkpoint", "epoch-1"], "--checkpoint epoch-1: choose last, best"),
        (["--filter", "val_acc >"], "--filter val_acc >: column 10: a value is missing"),
        (["--group", "lrr"], "--group lrr: column 1: unknown field lrr; did you mean lr?"),
        (["--group", "model"], "--group model: the same in all of these runs; name a field in"),
        (["--filter", "nonesuch"], "runs: no run matches --filter nonesuch"),
        (["first", "second", "--report", "no/x.html"], "--report no/x.html: folder no does not"),
        (["first", "damaged"], "runs/damaged/summary.json: not JSON; is the file damaged?"),
    ],
)
def test_bad_input_is_one_line(run: Cli, runs: Path, arguments: list[str], problem: str) -> None:
    (runs / "empty").mkdir()
    (runs / "empty" / SEEDS_FILE).write_text("")
    shutil.copytree(runs / "first", runs / "damaged")
    (runs / "damaged" / "summary.json").write_text("{")
    code, out, err = run("compare-runs", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"mnist-tui: error: {problem}")
    assert err.count("\n") == 1
