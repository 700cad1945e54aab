"""resume, replay, runs and export, called in this process on a dataset of sixty images."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tui_trainer import cli
from tui_trainer.protocol.events import EpochDone
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder

BRIEF = ["--no-ui", "--threads", 1, "--device", "cpu", "--epochs", 2, "--batch-size", 16]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), gzip=False)


def begin(data: Path) -> list[str]:
    return ["mnist-tui", *map(str, BRIEF), "--model", "small", "--data-dir", str(data)]


@pytest.fixture(scope="module")
def once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``runs`` with a finished run, trained once for all tests."""
    here = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(sys, "argv", begin(data))
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert caught.value.code == 0
    return here / "runs"


@pytest.fixture
def trained(once: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunFolder:
    """A finished run below ``runs``: a copy that a test may change."""
    monkeypatch.chdir(tmp_path)
    (path,) = shutil.copytree(once, tmp_path / "runs").iterdir()
    return RunFolder(path)


def complaint(run: Cli, *arguments: object) -> str:
    """Return the error line about an unusable input."""
    code, out, err = run(*arguments)
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    (line,) = err.splitlines()
    return line.removeprefix("mnist-tui: error: ")


def test_a_run_prints_where_it_is_recorded(run: Cli, data: Path, tmp_path: Path) -> None:
    code, _, err = run(*begin(data)[1:])
    assert code == 0
    (path,) = Path("runs").iterdir()
    assert f"recorded in {path}" in err


# resume


def test_a_finished_run_wants_a_number_of_epochs(run: Cli, trained: RunFolder) -> None:
    output = complaint(run, "resume", "--no-ui")
    assert output == f"{trained.name}: all 2 epochs are done; to continue, add --epochs 4"
    output = complaint(run, "resume", "--no-ui", "--epochs", 1)
    assert output == "--epochs 1: epoch 2 has already started; choose at least 2"


def test_a_finished_run_is_resumed(run: Cli, trained: RunFolder) -> None:
    code, out, err = run("resume", trained.name, "--no-ui", "--epochs", 3)
    assert code == 0
    assert out.splitlines()[0].startswith("epoch 3/3")
    assert "evaluations: 2" in out
    assert "resumed after step" in err
    assert "▼ epochs 2 → 3" in err
    assert trained.read_summary().epochs_done == 3
    recorded = trained.read_events()
    epochs = [event.epoch for event in recorded.events if isinstance(event, EpochDone)]
    assert epochs == [1, 2, 3]


def test_with_json_only_new_events_are_printed(run: Cli, trained: RunFolder) -> None:
    code, out, _ = run("resume", "--no-ui", "--json", "--epochs", 3)
    assert code == 0
    events = [json.loads(line) for line in out.splitlines()]
    names = [event["event"] for event in events]
    assert [name for name in names if name != "StateChanged"][:4] == [
        "RunStarted",
        "RecordingStarted",
        "RunResumed",
        "SettingChanged",
    ]
    assert [e["epoch"] for e in events if e["event"] == "EpochDone"] == [3]


def test_another_learning_rate(run: Cli, trained: RunFolder) -> None:
    code, _, err = run("resume", "--no-ui", "--epochs", 3, "--lr", 0.001)
    assert code == 0
    assert "▼ learning rate 0.1 → 0.001" in err
    assert complaint(run, "resume", "--no-ui", "--epochs", 4, "--lr", 0).startswith("--lr: ")
    assert complaint(run, "resume", "--no-ui", "--epochs", 4, "--threads", 0).startswith("--threa")


def test_the_best_state_can_be_gone_on_from(run: Cli, trained: RunFolder) -> None:
    shutil.copy(trained.checkpoint("best"), trained.checkpoint("mine"))
    code, _, _ = run("resume", "--no-ui", "--epochs", 3, "--checkpoint", "mine")
    assert code == 0
    output = complaint(run, "resume", "--no-ui", "--checkpoint", "worst")
    assert output == f"--checkpoint worst: not in {trained.name}; choose best, last, mine"


@pytest.mark.parametrize("command", ["resume", "replay"])
def test_no_such_run(run: Cli, command: str) -> None:
    assert "runs: contains no runs" in complaint(run, command, "--no-ui")
    output = complaint(run, command, "--no-ui", "nothing")
    assert output == "nothing: no such run; `mnist-tui runs` lists all runs"


def test_a_run_of_which_nothing_was_saved(run: Cli, trained: RunFolder) -> None:
    shutil.rmtree(trained.checkpoints)
    output = complaint(run, "resume", "--no-ui")
    assert output.startswith(f"{trained.name}: has no checkpoint yet; start it again with ")


def test_other_data_than_before(run: Cli, trained: RunFolder) -> None:
    text = trained.config.read_text()
    trained.config.write_text(text + "train_size = 20\n")
    code, out, err = run("resume", "--no-ui", "--epochs", 3)
    assert (code, out) == (ExitCode.BAD_INPUT, "")
    assert "last.safetensors: was trained on other data" in err.splitlines()[-1]
    assert trained.read_summary().state == "completed", "the run is as it was"


def test_options_of_a_new_run_do_not_stand_before_a_command(run: Cli) -> None:
    output = complaint(run, "--epochs", 3, "resume", "--no-ui")
    assert output == "--epochs: is an option of a new run; put options of a command after it"


def test_no_such_command(run: Cli) -> None:
    assert "No such command 'retrain'" in complaint(run, "retrain")


# replay


def test_a_replay_ends_with_the_same_weights(run: Cli, trained: RunFolder) -> None:
    run("resume", "--no-ui", "--epochs", 3, "--lr", 0.02)
    code, out, err = run("replay", "--no-ui")
    assert code == 0
    assert out.splitlines()[2].startswith("epoch 3/3")
    assert f"0 of 641,728 bits of the weights differ from {trained.name}" in err
    assert len(list(trained.path.parent.iterdir())) == 1, "nothing new is saved"


def test_a_replay_that_differs_has_exit_code_8(run: Cli, trained: RunFolder) -> None:
    text = trained.config.read_text()
    trained.config.write_text(text.replace("seed = 0", "seed = 1"))
    code, _, err = run("replay", "--no-ui", trained.path)
    assert code == ExitCode.REPLAY_DIFFERS
    assert " 0 of 641,728 bits" not in err


def test_a_replay_can_be_saved(run: Cli, trained: RunFolder, tmp_path: Path) -> None:
    code, _, _ = run("replay", "--no-ui", "--out", tmp_path / "again")
    assert code == 0
    assert RunFolder(tmp_path / "again").read_summary().state == "completed"


# runs


def test_the_list_has_a_line_a_run(run: Cli, trained: RunFolder) -> None:
    code, out, err = run("runs")
    assert (code, err) == (0, "")
    head, line = out.splitlines()
    assert head.split()[:4] == ["run", "model", "parameters", "epochs"]
    assert line.split()[:4] == [trained.name, "small", "19,810", "2/2"]
    assert line.endswith("completed")
    summary = trained.read_summary()
    assert summary.test_accuracy is not None
    assert f"{100 * summary.test_accuracy:.2f} % [" in line


def test_the_list_as_json(run: Cli, trained: RunFolder) -> None:
    code, out, _ = run("runs", "--json")
    (record,) = json.loads(out)
    assert code == 0
    assert record["name"] == trained.name
    assert Path(record["folder"]).is_dir()
    summary = json.loads(trained.summary.read_text())
    assert {name: record[name] for name in summary} == summary


def test_a_damaged_run_is_listed_with_its_error(run: Cli, trained: RunFolder) -> None:
    trained.summary.write_text("{")
    assert "summary.json: not JSON; is the file damaged?" in run("runs")[1]
    (record,) = json.loads(run("runs", "--json")[1])
    assert "damaged" in record["error"]


def test_no_runs_are_an_empty_list(run: Cli, tmp_path: Path) -> None:
    assert run("runs", tmp_path) == (0, "", f"{tmp_path}: contains no runs\n")
    assert run("runs", tmp_path, "--json") == (0, "[]\n", "")


# export


def test_an_export_of_curves_and_weights(run: Cli, trained: RunFolder, tmp_path: Path) -> None:
    code, out, err = run("export", "--as", "csv, weights,svg", "--to", tmp_path / "out")
    assert (code, err) == (0, "")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["curves.svg", "epochs.csv", "steps.csv", "weights.safetensors"]
    assert len(out.splitlines()) == 3
    rows = (tmp_path / "out" / "epochs.csv").read_text().splitlines()
    assert len(rows) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formats", "files"),
    [("torch", ["model.pt2"]), ("torch,onnx", ["model.onnx", "model.pt2"])],
)
def test_an_exported_model_is_compared_on_the_test_images(
    run: Cli, trained: RunFolder, formats: str, files: list[str]
) -> None:
    code, out, _ = run("export", "--as", formats)
    assert code == 0
    assert sorted(path.name for path in (trained.path / "exports").iterdir()) == files
    assert len(out.splitlines()) == len(files)
    for line in out.splitlines():
        assert "0 of 20 test images have another predicted class than in torch" in line
        assert "input: (pixel / 255 - " in line


@pytest.mark.parametrize(
    ("formats", "output"),
    [
        ([], "--as: names no format; choose weights, onnx, torch, python, csv, "),
        (["--as", "gif"], "--as: unknown format 'gif'; choose weights, onnx"),
    ],
)
def test_an_export_of_nothing_known(run: Cli, formats: list[str], output: str) -> None:
    assert complaint(run, "export", *formats).startswith(output)


def test_an_export_to_where_nothing_can_be(run: Cli, trained: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = complaint(run, "export", "--as", "csv", "--to", tmp_path / "file")
    assert output.startswith(f"--to {tmp_path / 'file'}: cannot be created: ")


def test_weights_that_are_damaged_are_not_exported(run: Cli, trained: RunFolder) -> None:
    content = bytearray(trained.checkpoint("last").read_bytes())
    content[-1] ^= 1
    trained.checkpoint("last").write_bytes(content)
    output = complaint(run, "export", "--as", "weights")
    assert output.endswith("is corrupted: its checksum does not match its content")
