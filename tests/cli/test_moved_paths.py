"""Runs whose folder, model or data have moved."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tui_trainer import cli
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder

BRIEF = ["--no-ui", "--threads", 1, "--device", "cpu", "--epochs", 1, "--batch-size", 16]
MODEL_FILE = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, in_channels, image_size, classes):
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size ** 2, classes))
class Other(nn.Sequential):
    def __init__(self, in_channels, image_size, classes):
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size ** 2, 9),
                         nn.Linear(9, classes))
"""


def call(*arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mnist-tui", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert caught.value.code == 0


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, data and a run of both, given with relative paths."""
    home = tmp_path_factory.mktemp("home")
    write_dataset(home / "images", gzip=False)
    (home / "models").mkdir()
    (home / "models" / "net.py").write_text(MODEL_FILE)
    Image.new("L", (28, 28), 200).save(home / "gray.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        call(*BRIEF, "--model", "models/net.py:Net", "--data-dir", "images", "--out", "lab/run")
    return home


@pytest.fixture
def home(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same folder at its recorded path; the current folder is another one."""
    kept = tmp_path / "kept"
    shutil.copytree(once, kept)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    yield once
    shutil.rmtree(once, ignore_errors=True)
    shutil.copytree(kept, once)


def picture(folder: Path) -> Path:
    path = folder / "seven.png"
    image = Image.new("L", (28, 28), 255)
    for place in range(8, 20):
        image.putpixel((28 - place, place), 0)
        image.putpixel((place, 8), 0)
    image.save(path)
    return path


COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "resume": lambda run, here: ["resume", run, "--epochs", 2, "--no-ui"],
    "evaluate": lambda run, here: ["evaluate", run, "--view", "confusion", "--json"],
    "predict": lambda run, here: ["predict", picture(here), "--run", run],
    "export": lambda run, here: ["export", run, "--as", "weights", "--to", here / "out"],
    "replay": lambda run, here: ["replay", run, "--no-ui"],
    "learn": lambda run, here: ["learn", "softmax", "--run", run],
}
NEED_DATA = [name for name in COMMANDS if name not in ("predict", "export")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_can_be_used_from_another_folder(
    run: Cli, home: Path, tmp_path: Path, command: str
) -> None:
    code, _, err = run(*COMMANDS[command](home / "lab" / "run", tmp_path))
    assert code == 0, err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sampled(2)
def test_all_that_moved_together_is_found(
    run: Cli, home: Path, tmp_path: Path, command: str
) -> None:
    home.rename(tmp_path / "moved")
    code, _, err = run(*COMMANDS[command](tmp_path / "moved" / "lab" / "run", tmp_path))
    assert code == 0, err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sampled(2)
def test_a_model_that_is_gone_is_named_with_the_option(
    run: Cli, home: Path, tmp_path: Path, command: str
) -> None:
    words = COMMANDS[command](home / "lab" / "run", tmp_path)
    (home / "models").rename(tmp_path / "new")
    code, out, err = run(*words)
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    lead = "weights.safetensors: not written: " if command == "export" else ""
    assert err == (
        f"mnist-tui: error: {lead}{home}/models/net.py: the run's model does not exist; give its "
        "new path: --model PATH/net.py:Net\n"
    )
    code, _, err = run(*words, "--model", "../new/net.py:Net")
    assert code == 0, err


@pytest.mark.parametrize("command", NEED_DATA)
def test_data_that_are_gone_are_named_with_the_option(
    run: Cli, home: Path, tmp_path: Path, command: str
) -> None:
    words = COMMANDS[command](home / "lab" / "run", tmp_path)
    (home / "images").rename(tmp_path / "images")
    code, out, err = run(*words)
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    assert f"{home}/images: the run's data do not exist; give the new path: " in err
    assert "--data-dir FOLDER" in err
    code, _, err = run(*words, "--data-dir", "../images")
    assert code == 0, err


def test_another_model_is_refused(run: Cli, home: Path) -> None:
    place = f"{home}/models/net.py:Other"
    for words in (["resume", "--epochs", 2, "--no-ui"], ["evaluate", "--json"]):
        command, *more = words
        code, out, _ = run(command, home / "lab" / "run", *more, "--model", place)
        assert (code, out) == (ExitCode.BAD_INPUT, "")


def test_curves_need_neither_model_nor_data(run: Cli, home: Path, tmp_path: Path) -> None:
    shutil.rmtree(home / "models")
    shutil.rmtree(home / "images")
    run_folder = home / "lab" / "run"
    assert run("export", run_folder, "--as", "csv", "--to", tmp_path / "out")[0] == 0
    assert run("diagnose", run_folder)[0] == 0


def test_a_given_path_is_recorded_when_the_run_resumes(
    run: Cli, home: Path, tmp_path: Path
) -> None:
    (home / "models").rename(tmp_path / "new")
    folder = home / "lab" / "run"
    place = str(tmp_path / "new" / "net.py:Net")
    words = ["resume", folder, "--epochs", 2, "--no-ui"]
    assert run(*words, "--model", f"{place[:-3]}Other")[0] == ExitCode.BAD_INPUT
    assert RunFolder(folder).read_config().model == f"{home}/models/net.py:Net"
    assert run(*words, "--model", place)[0] == 0
    assert RunFolder(folder).read_config().model == place
    assert run(*COMMANDS["evaluate"](folder, tmp_path))[0] == 0


def test_resume_takes_other_batches(run: Cli, home: Path) -> None:
    folder = home / "lab" / "run"
    code, out, err = run("resume", folder, "--epochs", 2, "--batch-size", 8, "--no-ui")
    assert code == 0
    assert "batch size 16" in err
    assert "epoch 2/2" in out


@pytest.mark.parametrize("way", ["{}/", "{}/../run", "link", "."])
def test_a_folder_is_found_however_it_is_written(
    run: Cli, home: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "lab" / "run"
    if way == ".":
        monkeypatch.chdir(folder)
    else:
        os.symlink(folder, "link")
    code, _, err = run("resume", way.format(folder), "--epochs", 2, "--no-ui")
    assert code == 0, err


def test_recorded_paths_are_absolute(
    run: Cli, once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(once)
    monkeypatch.setenv("HOME", str(once))
    out = tmp_path / "run"
    code, _, err = run(
        *BRIEF, "--model", "~/models/net.py:Net", "--data-dir", "~/images", "--out", out
    )
    assert code == 0, err
    config = RunFolder(out).read_config()
    assert config.model == f"{once}/models/net.py:Net"
    assert config.data_dir == f"{once}/images"
