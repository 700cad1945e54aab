"""A run on a folder of pictures, from its first line to its resumption on other pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, main_in
from tests.data.pictures import picture, write_tree
from tui_trainer.protocol.exit_codes import ExitCode

CLASSES = ("猫", "dog", "odd [b] name")


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data and a run on them."""
    folder = tmp_path_factory.mktemp("pictures")
    data = write_tree(
        folder / "data",
        (".",),
        CLASSES,
        24,
        make=lambda label, number: picture(label, number, (16, 16)),
    )
    (data / "dog" / "broken\n.png").write_text("text")
    words = ("--no-ui", "--model", "tiny", "--epochs", 1, "--batch-size", 16, "--threads", 1)
    more = ("--val-size", 6, "--data-dir", "data", "--out", "runs/mine")
    assert main_in(folder, *words, *more) == 0
    return folder


def test_the_record_lists_what_was_left_out(here: Path) -> None:
    lines = (here / "runs" / "mine" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    (started,) = [each for each in events if each["event"] == "RunStarted"]
    found = [each for each in events if each["event"] == "DatasetWarning"]

    assert (started["image_size"], started["channels"]) == (16, 3)
    assert started["class_names"] == ["dog", "odd [b] name", "猫"]
    assert (started["train_size"], started["val_size"], started["test_size"]) == (
        55,
        6,
        11,
    )  # broken.png would be for the test
    assert [each["message"].partition(":")[0] for each in found] == [
        "there is no test folder",
        "1 of 73 files left out",
    ]
    assert found[1]["files"] == [
        "'dog/broken\\n.png' is not a picture in a known format; convert it to PNG or JPEG"
    ]


def test_json_lines_have_the_warnings(once: Path, run: Cli) -> None:
    words = ("--no-ui", "--json", "--no-save", "--model", "tiny", "--epochs", 1, "--threads", 1)
    code, out, err = run(*words, "--data-dir", once / "data", "--image-size", 8, "--fit", "pad")
    events = [json.loads(line) for line in out.splitlines()]
    warnings = [each for each in events if each["event"] == "DatasetWarning"]

    assert code == 0
    assert len(warnings) == 2
    assert "1 of 73 files left out: 'dog/broken\\n.png' is not a picture" in err


def test_it_is_evaluated_and_resumed(here: Path, run: Cli) -> None:
    code, out, _ = run("evaluate", "runs/mine", "--view", "confusion")
    assert (code, "猫" in out) == (0, True)
    code, out, _ = run("resume", "runs/mine", "--no-ui", "--epochs", 2)
    assert (code, "completed: 2 epochs" in out) == (0, True)


@pytest.mark.parametrize("change", ["pixel", "removed", "renamed"])
def test_other_pictures_are_refused(here: Path, run: Cli, change: str) -> None:
    first = next(iter(sorted((here / "data" / "dog").glob("[0-9]*.png"))))
    match change:
        case "pixel":
            picture(0, 999, (16, 16)).save(first)
        case "removed":
            first.unlink()
        case "renamed":
            shutil.move(here / "data" / "dog", here / "data" / "zebra")
    words = ("resume", "runs/mine", "--no-ui", "--epochs", 2, "--data-dir", "data")
    code, _, err = run(*words)

    assert code == ExitCode.BAD_INPUT
    assert "was trained on other data" in err


def test_the_settings_of_pictures_are_recorded(here: Path, run: Cli) -> None:
    words = ("--no-ui", "--model", "tiny", "--epochs", 1, "--threads", 1, "--data-dir", "data")
    code, _, _ = run(*words, "--image-size", 12, "--fit", "stretch", "--channels", 1, "--out", "x")
    assert code == 0
    settings = (here / "x" / "config.toml").read_text()
    assert 'fit = "stretch"' in settings
    assert "image_size = 12" in settings
    code, _, err = run("resume", "x", "--no-ui", "--epochs", 2)
    assert code == 0, err
