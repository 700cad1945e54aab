"""The examples run, and the one of MNIST has exactly eight lines more than without a window."""

from __future__ import annotations

import difflib
import importlib
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, Subset

from tests.watching.loops import digits, of_type
from tui_trainer.protocol.config_file import read_config
from tui_trainer.protocol.events import EpochDone, FindingRaised, RunFinished, RunStarted, StepDone
from tui_trainer.recording.folder import RUNS, list_runs
from tui_trainer.sweeps.spec import Range
from tui_trainer.sweeps.sweep_file import read_sweep

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run an example in this process, on few digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def few(folder: str | None, *, train: bool) -> Dataset[Any]:
        return Subset(digits(28)[0 if train else 1], range(192 if train else 100))

    def call(name: str, *words: str) -> dict[str, Any]:
        monkeypatch.setattr(importlib.import_module("digits"), "mnist", few)
        monkeypatch.setattr(sys, "argv", [name, *words])
        with torch.random.fork_rng():
            return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return call


def recorded() -> Path:
    (found,) = list_runs(RUNS)
    return found.folder.path


def test_the_sweep_files_are_accepted() -> None:
    files = [path for path in EXAMPLES.glob("*.toml") if "[sweep]" in path.read_text()]
    assert len(files) == 3
    for path in files:
        assert read_sweep(path).space


def test_the_norms_are_compared_at_the_same_settings() -> None:
    spec = read_sweep(EXAMPLES / "norms-sweep.toml")

    assert set(spec.space) == {"model", "batch_size"}
    models = spec.space["model"]
    assert not isinstance(models, Range)
    assert models.values == ("norm-batch", "norm-group", "norm-layer")
    assert (spec.sampler, spec.pruning, spec.seeds) == ("grid", "none", 3)


def test_the_recipe_is_inside_the_space_in_which_it_was_found() -> None:
    spec = read_sweep(EXAMPLES / "under-8k-sweep.toml")
    recipe = read_config(EXAMPLES / "under-8k.toml").settings
    for name, dimension in spec.space.items():
        if isinstance(dimension, Range):
            assert dimension.low <= recipe[name] <= dimension.high
        else:
            assert recipe[name] in dimension.values
    assert {**spec.settings, "epochs": 5, "val_size": 0, "augment": "light"} == {
        name: value for name, value in recipe.items() if name not in spec.space
    }


def warnings(folder: Path) -> set[str]:
    return {each.code for each in of_type(folder, FindingRaised) if each.severity != "note"}


def test_eight_lines_are_added_to_mnist_and_none_is_removed() -> None:
    plain, watched = (
        (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
        for name in ("mnist_plain.py", "mnist.py")
    )
    different = [line for line in difflib.ndiff(plain, watched) if not line.startswith("  ")]
    assert all(line.startswith("+ ") for line in different), different
    assert len(different) == 8


def test_mnist_trains_as_without_a_window(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--epochs", "2", "--save-model", "--no-accel"]
    run("mnist_plain.py", *words)
    plain = torch.load("mnist_cnn.pt")
    printed = capsys.readouterr().out
    run("mnist.py", *words)["run"].finish()  # at the end of the process
    watched = torch.load("mnist_cnn.pt")
    assert capsys.readouterr().out == printed
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    folder = recorded()
    started = of_type(folder, RunStarted)[0]
    assert (started.model, started.epochs, started.train_size) == ("Net", 2, 192)
    assert [step.step for step in of_type(folder, StepDone)] == list(range(1, 7))
    epochs = of_type(folder, EpochDone)
    assert [epoch.val_total for epoch in epochs] == [100, 100]
    assert f"{epochs[1].val_correct} of 100 correct" in printed
    assert warnings(folder) <= {"few_steps"}


def test_cifar_shaped(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("cifar_shaped.py", "--epochs", "2", "--images", "600", "--width", "4")
    folder = recorded()
    assert len(of_type(folder, StepDone)) == 20
    epochs = of_type(folder, EpochDone)
    assert f"epoch 2: {epochs[1].val_correct} of 120 correct" in capsys.readouterr().out
    assert [end.reason for end in of_type(folder, RunFinished)] == ["completed"]
    assert warnings(folder) <= {"few_steps"}


def test_lightning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")

    def few(data: Any, places: range) -> Subset[Any]:
        return Subset(data, [place % 200 for place in places[:128]])

    monkeypatch.setattr("torch.utils.data.Subset", few)
    run("lightning_module.py", "--epochs", "2")
    epochs = of_type(recorded(), EpochDone)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[1].val_accuracy is not None


@pytest.mark.slow
def test_mnist_with_the_packaged_digits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "mnist.py"), "--dry-run", "--epochs", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 1, 0 of 60,000 images: loss" in done.stdout
    assert "watch" in done.stderr
