"""kill -9 and Ctrl+C at any time in a sweep: nothing is lost, nothing is trained twice, and the
trials are those of an uninterrupted sweep."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.data.idx_files import write_dataset
from tests.faults.forks import Child, call, command
from tests.sweeps.fake_runs import FakeRuns, spec_with
from tui_trainer.protocol.events import StepDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import this_process
from tui_trainer.sweeps.study import Study
from tui_trainer.sweeps.sweep_file import SWEEP_FILE
from tui_trainer.sweeps.worker import Worker

SWEEP = """
model = "pico"
epochs = 2
batch_size = 4
device = "cpu"
threads = 1
data_dir = "{data}"

[space]
lr = {{ low = 0.001, high = 1.0, log = true }}
optimizer = ["sgd", "adam"]

[sweep]
trials = 12
pruning = "median"
"""
"""With more trials than TPE draws at random, and pruned ones."""

GROWTH = 250_000
"""Bytes that a process writes before it is interrupted, at most; a whole sweep writes 700,000."""

MOST = 60
"""The most processes of a sweep: each of them comes further than the one before."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    data = write_dataset(folder / "data", gzip=False)
    path = folder / "sweep.toml"
    path.write_text(SWEEP.format(data=data))
    return path


@pytest.fixture(scope="module")
def whole(file: Path) -> Path:
    """A sweep that nothing interrupts."""
    folder = file.parent / "whole"
    ended = call(command("sweep", file, "--no-ui", "--out", folder), file.parent / "output", 120)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """A sweep whose runs train nothing."""
    folder = tmp_path / "sweep"
    for _ in Worker(Study.create(spec_with("trials = 12"), folder), FakeRuns()).work():
        pass
    return folder


def written(folder: Path) -> int:
    """Return how many bytes the journals of a sweep and of its runs have."""
    files = (folder / "study.log", *folder.glob("trial-*/events.jsonl"))
    return sum(file.stat().st_size for file in files if file.exists())


def trials_of(folder: Path) -> list[tuple[Any, ...]]:
    """Return what the trials of a sweep are, without times."""
    return [
        (trial.number, trial.phase, trial.settings, trial.values, trial.last, trial.reason)
        for trial in Study.open(folder).state().trials
    ]


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    files = sorted(folder.glob("trial-*/checkpoints/last.safetensors"))
    return {str(file.relative_to(folder)): load_file(file) for file in files}


def assert_same_bits(folder: Path, whole: Path) -> None:
    found, wanted = weights(folder), weights(whole)
    assert found.keys() == wanted.keys()
    for name, tensors in wanted.items():
        for key, tensor in tensors.items():
            assert torch.equal(found[name][key], tensor), (name, key)


def assert_nothing_twice(folder: Path) -> None:
    """Each step of a run is recorded once, apart from those that a checkpoint made void."""
    for path in folder.glob("trial-*"):
        recorded = RunFolder(path).read_events().events
        steps = Counter(event.step for event in recorded if isinstance(event, StepDone))
        assert set(steps.values()) == {1}, path


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_an_interrupted_sweep_has_the_trials_of_a_whole_one(
    file: Path, whole: Path, tmp_path: Path, seed: int
) -> None:
    rng, folder, interrupted = random.Random(seed), tmp_path / "sweep", 0
    for _ in range(MOST):
        begun = (folder / SWEEP_FILE).exists()
        more = ("--resume", folder) if begun else (file, "--out", folder)
        until = written(folder) + rng.randint(1, GROWTH)
        child = Child(command("sweep", *more, "--no-ui"), tmp_path / "output")
        while written(folder) < until and child.is_running:
            time.sleep(0.002)
        os.kill(child.pid, rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
        ended = child.wait(120)
        assert "Traceback" not in ended.err
        if ended.code == 0:
            break
        assert ended.signal == signal.SIGKILL or ended.code == 130, ended.err
        interrupted += 1
    else:
        pytest.fail("the sweep does not end")
    assert interrupted > 1
    assert trials_of(folder) == trials_of(whole)
    assert {trial[1] for trial in trials_of(whole)} == {"completed", "pruned"}
    assert_same_bits(folder, whole)
    assert_nothing_twice(folder)


def test_a_lock_that_a_killed_process_left_does_not_block(ended: Path) -> None:
    study = Study.open(ended)
    dead = subprocess.Popen(["true"])
    dead.wait()
    link = ended / "study.log.lock"
    os.symlink(json.dumps({**this_process(), "pid": dead.pid, "began": "1"}), link)
    began = time.monotonic()
    study.set_budget(trials=12)
    assert time.monotonic() - began < 5
    assert not link.is_symlink()


def test_an_unfinished_line_of_a_killed_process_is_removed(ended: Path) -> None:
    before = trials_of(ended)
    with (ended / "study.log").open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"x","trial')
    assert trials_of(ended) == before  # all lines before it are read
    Study.open(ended).set_budget(trials=12)
    assert trials_of(ended) == before
    assert (ended / "study.log").read_bytes().count(b'"worker_id":"x"') == 0
