"""``mnist-tui export --as python``, on a dataset of sixty images."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, main_in
from tests.data.idx_files import write_dataset
from tests.export.programs import complaints_of_ruff, output_of

BRIEF = ["--no-ui", "--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]


forked = pytest.mark.usefixtures("forked_programs")
"""The comparison, too, in a forked process; the first test has it in a new one."""


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
    """Execute a program in another process, without mnist-tui; return what it prints."""
    return output_of(Path(folder), *arguments)


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


@forked
def test_an_edited_program_is_kept(run: Cli, once: Path) -> None:
    shutil.copytree(once, "here")
    path = Path("here/runs/r/exports/train.py")
    assert run("export", "here/runs/r", "--as", "python")[0] == 0
    best = ("--as", "python", "--checkpoint", "best")
    assert run("export", "here/runs/r", *best)[0] == 0
    assert "checkpoint best of the run" in path.read_text()
    path.write_text(path.read_text() + "# mine\n")

    code, out, err = run("export", "here/runs/r", "--as", "python")

    assert (code, out) == (2, "")
    assert "train.py: not written: was edited since mnist-tui wrote it" in err
    assert path.read_text().endswith("# mine\n")


@forked
def test_a_sealed_test_set_stays_sealed(run: Cli) -> None:
    train(run, "--model", "pico", "--no-test")

    assert "test_set)" not in written(run)
    shown = program("--data", str(Path("digits").absolute()), "--evaluate", "weights.pt")
    assert shown.startswith("validation: ")
    assert len(shown.splitlines()) == 1


@forked
def test_an_earlier_checkpoint_has_the_results_of_its_step(run: Cli) -> None:
    train(run, "--model", "pico", "--epochs", "2", "--checkpoint-every", "1")

    text = written(run, "r", "--checkpoint", "epoch-1")

    assert "# Weights: checkpoint epoch-1 of the run, after step 4, epoch 1 of 2." in text
    assert "test images correct" not in text
    assert "of 5 validation images correct" in text
    assert "have seen 55 of 110 training images; the program trains all epochs." in text


@forked
@pytest.mark.sampled(3)
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
    options = [*BRIEF, "--model", "pico", "--data-dir", "digits", "--out", "runs/r"]
    main_in(here, *options)
    return here


# --- data in other forms


@forked
@pytest.mark.sampled(4)
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


# --- custom models


FILES = {
    "parts.py": """
import math
from torch import nn

EPOCHS = 3.0
random = 1.0


def train(x):
    return x * EPOCHS * random


class Head(nn.Linear):
    def forward(self, x):
        return super().forward(train(x.flatten(1))) * math.pi
""",
    "net.py": """
from torch import nn

from parts import Head as evaluate


class Net(nn.Module):
    def __init__(self, image_size, classes):
        super().__init__()
        self.hidden = nn.Linear(image_size**2, 8)
        self.drop = nn.Dropout(0.1)
        self.head = evaluate(8, classes)

    def forward(self, x):
        return self.head(self.drop(self.hidden(x.flatten(1)).relu()))


class Outside(Net):
    def __init__(self, image_size, classes):
        super().__init__(image_size, classes)
        import torch

        self.shift = torch.rand(classes)

    def forward(self, x):
        return super().forward(x) + self.shift


class Late(Net):
    def __init__(self, image_size, classes):
        super().__init__(image_size, classes)
        from parts import EPOCHS

        self.epochs = EPOCHS

""",
}


def write_net() -> None:
    for name, text in FILES.items():
        Path(name).write_text(text)


@forked
def test_a_custom_model_may_have_the_names_of_the_program(run: Cli) -> None:
    write_net()
    train(run, "--model", "net.py:Net", "--dropout", "0.2")
    summary = json.loads(Path("runs/r/summary.json").read_text())

    text = written(run)

    assert "# The model is as written in 'parts.py', 'net.py'." in text
    assert complaints_of_ruff(Path("runs/r/exports")) == ""
    data = str(Path("digits").absolute())
    shown = program("--data", data, "--evaluate", "weights.pt")
    assert f"test: {summary['test_correct']} of 20 correct" in shown
    assert program("--data", data).startswith("epoch 1: ")


@forked
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Outside", "its outputs differ from the model's: "),
        ("Late", "the program fails: ModuleNotFoundError: import of parts halted"),
    ],
)
def test_a_model_without_source_is_one_line(run: Cli, name: str, reason: str) -> None:
    write_net()
    train(run, "--model", f"net.py:{name}")

    assert refusal(run).startswith(reason)


TORCHVISION = """
import torchvision
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.net = torchvision.models.squeezenet1_1(num_classes=num_classes)

    def forward(self, x):
        return self.net(x.repeat(1, 3, 2, 2))
"""


@pytest.mark.slow
def test_a_model_of_torchvision_stays_an_import(run: Cli) -> None:
    Path("net.py").write_text(TORCHVISION)
    train(run, "--model", "net.py:Net")

    assert "\nimport torchvision\n" in written(run)


@pytest.mark.slow
def test_a_changed_run_is_trained_with_its_changes(run: Cli) -> None:
    train(run, "--model", "squeeze-dropout", "--epochs", "2")
    more = ["--epochs", "3", "--lr", "0.01", "--batch-size", "11"]
    assert run("resume", "runs/r", "--no-ui", *more)[0] == 0

    text = written(run)

    assert '    (110, "lr", 0.01),\n    (110, "batch_size", 11),\n' in text
    assert complaints_of_ruff(Path("runs/r/exports")) == ""
    shown = program("--data", str(Path("digits").absolute()))
    assert "epoch 3: " in shown
    assert "epoch 4: " not in shown


@pytest.mark.slow
def test_on_all_of_mnist_it_reaches_the_accuracy_of_the_run(run: Cli) -> None:
    """One epoch each; the validation sets are the same 5,000 images."""
    arguments = ["--model", "small", "--epochs", "1", "--out", "runs/r"]
    assert run("--no-ui", "--device", "cpu", *arguments)[0] == 0
    assert run("export", "runs/r", "--as", "python")[0] == 0
    summary = json.loads(Path("runs/r/summary.json").read_text())
    data = str(resources.files("tui_trainer") / "datasets" / "mnist")

    evaluated = program("--data", data, "--evaluate", "weights.pt").splitlines()
    trained = program("--data", data).splitlines()

    assert evaluated[-1].startswith(f"test: {summary['test_correct']:,} of 10,000 correct")
    accuracy = float(trained[-1].split(", ")[-2].removesuffix("%")) / 100
    # Two seeds of this recipe differ by a few tenths of a point after one epoch.
    assert accuracy == pytest.approx(summary["test_accuracy"], abs=0.01)
