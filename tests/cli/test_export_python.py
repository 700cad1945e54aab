"""``mnist-tui export --as python``, on a dataset of sixty images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tests.export.programs import complaints_of_ruff

BRIEF = ["--no-ui", "--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]


def train(run: Cli, *arguments: object, name: str = "r") -> None:
    """Train on ``digits`` in the current folder; the run is ``runs/NAME``."""
    if not Path("digits").exists():
        write_dataset(Path("digits"), gzip=False)
    code, _, err = run(*BRIEF, "--data-dir", "digits", "--out", f"runs/{name}", *arguments)
    assert code == 0, err


def written(run: Cli, name: str = "r", *arguments: object) -> str:
    """Export a run as a program; return the program."""
    code, out, err = run("export", f"runs/{name}", "--as", "python", *arguments)
    assert (code, err) == (0, ""), err
    assert "0 of 20 test images have another predicted class than in torch" in out
    exports = Path(f"runs/{name}/exports")
    assert sorted(path.name for path in exports.iterdir()) == ["train.py", "weights.pt"]
    return (exports / "train.py").read_text(encoding="utf-8")


def refusal(run: Cli, name: str = "r") -> str:
    """Export a run whose model has no source; return the reason."""
    code, out, err = run("export", f"runs/{name}", "--as", "python")
    assert (code, out) == (2, "")
    assert not list(Path(f"runs/{name}/exports").iterdir())
    (line,) = err.splitlines()
    return line.removeprefix("mnist-tui: error: train.py: not written: ")


def program(*arguments: str, folder: Path | str = "runs/r/exports") -> str:
    """Execute a program in a process of its own, without mnist-tui; return what it prints."""
    code = (
        "import runpy, sys\n"
        "sys.modules['tui_trainer'] = None\n"
        "runpy.run_path('train.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_evaluates_and_trains_without_mnist_tui(run: Cli) -> None:
    train(run, "--model", "small")
    summary = json.loads(Path("runs/r/summary.json").read_text())
    data = str(Path("digits").absolute())

    text = written(run)

    assert f"# {summary['test_correct']} of 20 test images correct" in text
    shown = program("--data", data, "--evaluate", "weights.pt").splitlines()
    assert shown[0].startswith(f"validation: {round(summary['val_accuracy'] * 5)} of 5 correct")
    assert shown[1].startswith(f"test: {summary['test_correct']} of 20 correct")
    assert shown[1].endswith(f"loss {summary['test_loss']:.4f}")
    shown = program("--data", data).splitlines()
    assert [line.split(":")[0] for line in shown] == ["epoch 1", *["validation"] * 2, "test"]
    assert Path("runs/r/exports/trained.pt").exists()
    again = program("--data", data, "--evaluate", "trained.pt").splitlines()
    assert again == shown[2:]


def test_a_sealed_test_set_stays_sealed(run: Cli) -> None:
    train(run, "--model", "pico", "--no-test")

    assert "test_set)" not in written(run)
    shown = program("--data", str(Path("digits").absolute()), "--evaluate", "weights.pt")
    assert shown.startswith("validation: ")
    assert len(shown.splitlines()) == 1


def test_an_earlier_checkpoint_has_its_own_results(run: Cli) -> None:
    train(run, "--model", "pico", "--epochs", "2", "--checkpoint-every", "1")

    text = written(run, "r", "--checkpoint", "epoch-1")

    assert "# Weights: checkpoint epoch-1 of the run, after step 4, epoch 1 of 2." in text
    assert "test images correct" not in text
    assert "of 5 validation images correct" in text
    assert "have seen 55 of 110 training images; the program trains all epochs." in text


@pytest.mark.parametrize(
    "name",
    [
        'a """ b',
        "'; import os; os.remove('digits') #",
        "coding=latin-1",
        "back\\slash \\N{DIGIT ONE} {x} %s",
        "ümläut 漢 \u202e",
        "fmt: off",
    ],
)
def test_a_run_may_have_any_name(run: Cli, name: str, once: Path) -> None:
    Path("runs").mkdir()
    shutil.copytree(once / "runs/r", Path("runs") / name)

    text = written(run, name, "--data-dir", once / "digits")

    compile(text, "train.py", "exec")
    assert complaints_of_ruff(Path("runs") / name / "exports") == ""
    assert repr(name)[1:-1] in text
    data = str(once / "digits")
    folder = Path("runs") / name / "exports"
    assert program("--data", data, "--evaluate", "weights.pt", folder=folder).count("\n") == 2


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its data."""
    here = tmp_path_factory.mktemp("once")
    write_dataset(here / "digits", gzip=False)
    options = ["--model", "pico", "--data-dir", "digits", "--out", "runs/r"]
    subprocess.run(
        [sys.executable, "-m", "tui_trainer", *BRIEF, *options],
        cwd=here,
        check=True,
        capture_output=True,
    )
    return here


# --- data in other forms


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"gzip": True, "flat": False}, 28),
        ({"prefix": "emnist-letters-"}, 28),
        ({"classes": 300, "train": 600, "test": 20}, 20),
        ({"prefix": 'my "own" set-'}, 12),
    ],
    ids=str,
)
def test_a_folder_of_any_layout_is_read_as_in_the_run(
    run: Cli, options: dict[str, object], size: int
) -> None:
    write_dataset(Path("digits"), size=size, **options)  # type: ignore[arg-type]
    train(run, "--model", "small")
    summary = json.loads(Path("runs/r/summary.json").read_text())

    written(run)

    shown = program("--data", str(Path("digits").absolute()), "--evaluate", "weights.pt")
    assert f"test: {summary['test_correct']} of 20 correct" in shown
    assert f"loss {summary['test_loss']:.4f}" in shown
    assert complaints_of_ruff(Path("runs/r/exports")) == ""
