"""``mnist-tui export`` of custom models, in this process, on a dataset of sixty images."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.data.idx_files import write_dataset
from tui_trainer import cli
from tui_trainer.export import model_files
from tui_trainer.export.comparison import Comparison
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import TestEvaluated
from tui_trainer.recording.folder import RunFolder

MODEL = '''
import torch
from torch import nn


class Net(nn.Module):
    """One layer; it branches on what it sees, prints, and has a tensor outside its state."""

    def __init__(self, image_size, classes):
        super().__init__()
        self.head = nn.Linear(image_size**2, classes)
        self.shift = torch.rand(classes)

    def forward(self, x):
        print("shape", x.shape)
        if x.sum() > 1e9:
            x = -x
        return self.head(x.flatten(1)) + self.shift
'''


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished runs of a custom and a built-in model, and their data."""
    here = tmp_path_factory.mktemp("once") / "begun"
    here.mkdir()
    write_dataset(here / "data", gzip=False)
    (here / "net.py").write_text(MODEL)
    brief = ["--no-ui", "--threads", "1", "--device", "cpu", "--epochs", "1", "--batch-size", "16"]
    for model, name in (("net.py:Net", "own"), ("small", "zoo")):
        words = ["--model", model, "--data-dir", "data", "--out", f"runs/{name}"]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            patch.setattr(sys, "argv", ["mnist-tui", *brief, *words])
            with pytest.raises(SystemExit) as caught:
                cli.main()
        assert caught.value.code == 0
    return here.rename(here.with_name("trained"))  # the copy's own model and data are used


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_what_can_be_written_is_written_and_the_rest_is_one_line(run: Cli, here: Path) -> None:
    code, out, err = run("export", "runs/own", "--as", "torch,weights,csv")

    assert code == 2
    assert files(here / "runs/own/exports") == ["epochs.csv", "steps.csv", "weights.safetensors"]
    weights, steps = out.splitlines()
    assert "; lacks shift, not in the state_dict: " in weights
    assert steps.startswith("runs/own/exports/steps.csv: ")
    output = [line for line in err.splitlines() if line.startswith("mnist-tui: error: ")]
    assert output == [
        "mnist-tui: error: model.pt2: not written: net.py:16: `if x.sum() > 1e9` depends on the "
        "values of the images, but an exported program runs the same operations for all; use "
        "torch.where"
    ]


@pytest.mark.parametrize("error", [InputError("no\nway"), MemoryError(), ZeroDivisionError("by 0")])
def test_a_failure_leaves_the_file_of_an_earlier_export(
    run: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object, __: object, path: Path, ___: object) -> None:
        path.write_bytes(b"half")
        raise error

    exports = here / "exports"
    exports.mkdir()
    (exports / "model.pt2").write_bytes(b"good")
    monkeypatch.setattr(model_files, "write_torch_export", fail)

    code, out, err = run("export", "runs/zoo", "--as", "torch,csv", "--to", exports)

    assert code == 2
    assert (exports / "model.pt2").read_bytes() == b"good"
    assert files(exports) == ["epochs.csv", "model.pt2", "steps.csv"]
    assert len(out.splitlines()) == 1
    words = {
        InputError: "no way",
        MemoryError: "not enough memory",
        ZeroDivisionError: "ZeroDivisionError: by 0",
    }
    assert err == f"mnist-tui: error: model.pt2: not written: {words[type(error)]}\n"


def test_a_program_that_answers_differently_is_not_kept(
    run: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(_: object, __: object, images: list[object]) -> Comparison:
        return Comparison(len(images), 3, 0.5, is_same=False)

    monkeypatch.setattr(model_files, "compare_torch_export", other)

    code, out, err = run("export", "runs/zoo", "--as", "torch")

    assert (code, out) == (2, "")
    assert (
        "its outputs differ from the model's: 3 of 20 test images have another predicted class "
        "than in torch" in err
    )
    assert files(here / "runs/zoo/exports") == []


def test_a_comparison_is_no_test_evaluation(run: Cli, here: Path) -> None:
    folder = RunFolder(here / "runs/zoo")
    before = folder.read_events()

    assert run("export", "runs/zoo", "--as", "torch")[0] == 0

    after = folder.read_events()
    assert after.events == before.events
    assert (
        sum(isinstance(event, TestEvaluated) for event in after.events) == before.test_evaluations
    )


@pytest.mark.slow
def test_without_the_dataset_images_of_noise_are_compared(run: Cli, here: Path) -> None:
    (here / "data").rename(here / "elsewhere")

    code, out, _ = run("export", "runs/zoo", "--as", "torch,csv")

    assert code == 0
    assert "0 of 4 noise images have another predicted class than in torch" in out
    assert "; test images cannot be read: " in out
    assert "the run's data do not exist" in out
    assert "; input: (pixel / 255 - " in out
    out = run("export", "runs/zoo", "--as", "torch", "--data-dir", "elsewhere")[1]
    assert "0 of 20 test images have another predicted class than in torch" in out
    code, _, err = run("export", "runs/zoo", "--as", "torch", "--data-dir", "nowhere")
    assert code == 2
    assert "nowhere: " in err


def test_without_its_file_the_curves_of_a_model_are_written(run: Cli, here: Path) -> None:
    (here / "net.py").rename(here / "other.py")

    code, out, err = run("export", "runs/own", "--as", "weights,csv")

    assert code == 2
    assert out.startswith("runs/own/exports/steps.csv: ")
    assert "weights.safetensors: not written: " in err
    assert "give its new path: --model PATH/net.py:Net" in err
    assert run("export", "runs/own", "--as", "weights", "--model", "other.py:Net")[0] == 0


@pytest.mark.parametrize("name", ["x;$(y)'漢", "a b", "tab\there"])
@pytest.mark.sampled(3)
def test_a_run_may_have_any_name(run: Cli, here: Path, name: str) -> None:
    (here / "runs/zoo").rename(here / "runs" / name)

    code, out, err = run("export", f"runs/{name}", "--as", "csv,tensorboard,svg,weights")

    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4


def test_the_last_checkpoint_includes_all_later_events(run: Cli, here: Path) -> None:
    events = here / "runs/zoo/events.jsonl"
    last = next(line for line in reversed(events.read_text().splitlines()) if "StepDone" in line)
    with events.open("a") as file:
        file.write(last + "\n")

    def rows() -> int:
        return len((here / "runs/zoo/exports/steps.csv").read_text().splitlines())

    run("export", "runs/zoo", "--as", "csv", "--checkpoint", "best")
    at_best = rows()
    run("export", "runs/zoo", "--as", "csv")

    assert rows() == at_best + 1
