"""sweep, called in this process on a dataset of sixty images."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import FORKING
from tests.faults.forks import Ended, call, command
from tui_trainer.cli import sweep as sweep_command
from tui_trainer.recording.folder import RunFolder, find_run, is_group, list_runs

SWEEP = """
model = "pico"
epochs = 2
batch_size = 16
device = "cpu"
threads = 1
data_dir = "{data}"

[space]
lr = {{ low = 0.01, high = 1.0, log = true }}

[sweep]
trials = 3
pruning = "none"
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("file")
    data = write_dataset(folder / "data", gzip=False)
    path = folder / "search.toml"
    path.write_text(SWEEP.format(data=data))
    return path


@pytest.fixture(scope="module")
def ended(file: Path) -> Ended:
    """The result of a sweep in the folder of its file, trained once for all tests."""

    def work() -> None:
        os.chdir(file.parent)
        command("sweep", file, "--no-ui")()

    return call(work, file.with_name("output"))


@pytest.fixture(scope="module")
def swept(file: Path, ended: Ended) -> Path:
    """The folder of the finished sweep."""
    assert ended.code == 0, ended.err
    (folder,) = (file.parent / "runs").iterdir()
    return folder


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers run in forked processes; only that of ``ended`` starts as a user's does."""
    monkeypatch.setattr("tui_trainer.cli.detach.subprocess", FORKING)


def test_a_line_for_each_trial_then_the_table(ended: Ended, swept: Path) -> None:
    lines = ended.out.splitlines()
    for number in (1, 2, 3):
        assert lines[number - 1].startswith(f"trial {number} · lr ")
        assert "2 epochs · val_accuracy " in lines[number - 1]
    assert any(line.startswith("best: trial ") for line in lines)
    assert "Traceback" not in ended.err
    assert swept.name.endswith("-search")


def test_each_trial_is_an_ordinary_run_of_a_group(run: Cli, swept: Path) -> None:
    assert is_group(swept)
    listed = list_runs(swept.parent)
    assert {each.name for each in listed} == {f"{swept.name}/trial-00{n}" for n in (1, 2, 3)}
    assert {each.group for each in listed} == {swept.name}
    for each in listed:
        assert each.summary is not None
        assert (each.summary.state, each.summary.test_accuracy) == ("completed", None)
        assert each.folder.read_events().test_evaluations == 0
    assert find_run(f"{swept.name}/trial-002", swept.parent).path == swept / "trial-002"
    code, out, _ = run("compare-runs", swept / "trial-001", swept / "trial-002")
    assert code == 0
    assert "trial-001" in out
    code, out, err = run("diagnose", swept / "trial-001")
    assert code in (0, 5), err


def test_trials_have_the_settings_of_the_sweep(swept: Path) -> None:
    configs = [RunFolder(swept / f"trial-00{n}").read_config() for n in (1, 2, 3)]
    assert len({config.lr for config in configs}) == 3
    assert {(config.model, config.epochs, config.test) for config in configs} == {
        ("pico", 2, False)
    }


@pytest.mark.usefixtures("_forked")
def test_a_finished_sweep_continues_with_more_trials(run: Cli, swept: Path) -> None:
    before = (swept / "trial-001" / "events.jsonl").read_bytes()
    code, out, _ = run("sweep", "--resume", swept, "--trials", 4, "--no-ui", "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [(each["event"], each.get("trial")) for each in records] == [
        ("TrialEnded", 4),
        ("SweepShown", None),
    ]
    assert len(records[1]["trials"]) == 4
    assert (swept / "trial-001" / "events.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["no-such.toml", "--no-ui"], "no-such.toml: cannot be read"),
        (["--no-ui"], "sweep: needs a sweep file"),
        (["--resume", "nothing", "--no-ui"], "nothing: no such sweep"),
        (["--resume", "--no-ui"], "runs: contains no sweeps"),
        (["x.toml", "--trials", "0", "--no-ui"], "--trials 0: choose from 1 to 100,000"),
    ],
)
def test_bad_input_is_one_line(run: Cli, arguments: list[str], problem: str) -> None:
    code, out, err = run("sweep", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"mnist-tui: error: {problem}")
    assert len(err.splitlines()) == 1


def test_a_folder_with_a_sweep_is_refused(run: Cli, file: Path, swept: Path) -> None:
    code, _, err = run("sweep", file, "--no-ui", "--out", swept)
    assert code == 2
    assert "already contains sweep.toml; choose another folder, or continue a sweep with: " in err


def test_without_optuna_the_extra_is_named(
    run: Cli, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> object:
        return None if name == "optuna" else importlib.util.find_spec(name)

    monkeypatch.setattr(sweep_command, "find_spec", find)
    code, out, err = run("sweep", file, "--no-ui")
    assert (code, out) == (2, "")
    assert err == (
        "mnist-tui: error: sweep: needs Optuna, which is not installed; run: "
        'pip install "mnist-tui[sweep]"\n'
    )


@pytest.mark.usefixtures("_forked")
def test_a_sweep_whose_trials_all_fail_ends_with_1(run: Cli, file: Path, tmp_path: Path) -> None:
    model = tmp_path / "broken.py"
    model.write_text("def Net():\n    raise ValueError('no such layer')\n")
    bad = tmp_path / "bad.toml"
    bad.write_text(file.read_text().replace('"pico"', f'"{model}:Net"'))
    code, out, err = run("sweep", bad, "--no-ui", "--trials", 20)
    assert code == 1
    assert out.count("failed: ") >= 3
    assert "trials" in err.splitlines()[-1] or "failed" in err
