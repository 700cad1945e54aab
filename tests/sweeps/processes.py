"""Real sweeps of a small data set in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

from tui_trainer.protocol.events import EpochDone
from tui_trainer.recording.folder import RunFolder
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.sweeps.study import Study

TIMEOUT = 300.0
"""Seconds after which a test fails: a sweep of this size takes a tenth of that."""

SWEEP = """
model = "pico"
epochs = {epochs}
batch_size = 8
device = "cpu"
threads = 1
data_dir = "{data}"

[space]
lr = {{ low = 0.001, high = 0.1, log = true }}
optimizer = ["sgd", "adam"]

[sweep]
sampler = "random"
pruning = "none"
trials = {trials}
{more}
"""


def write_sweep(path: Path, data: Path, *, trials: int, epochs: int, storage: str = "") -> Path:
    """Write a sweep file; return its path."""
    more = f'storage = "{storage}"' if storage else ""
    path.write_text(SWEEP.format(data=data, trials=trials, epochs=epochs, more=more))
    return path


@contextmanager
def started(
    *arguments: object,
    start: type[subprocess.Popen[str]] = subprocess.Popen,
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """Start ``mnist-tui sweep`` without the window; kill it at the end if it still runs.

    Args:
        arguments: The command line after ``sweep``.
        start: What starts it: a new interpreter, or a forked process.
        variables: Environment variables.
    """
    process = start(
        [sys.executable, "-m", "tui_trainer", "sweep", *map(str, arguments), "--no-ui"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a process; return its exit code and what it printed."""
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def sweep(*arguments: object, **variables: str) -> tuple[int, str, str]:
    """Run ``mnist-tui sweep`` to its end."""
    with started(*arguments, start=subprocess.Popen, **variables) as process:
        return ended(process)


def until(is_true: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + TIMEOUT
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def running_trial(read: Callable[[], SweepState]) -> tuple[TrialState, int]:
    """Wait for a trial in the middle of its run; return it, and the id of its process."""
    found: list[TrialState] = []

    def is_found() -> bool:
        found[:] = [
            trial
            for trial in read().trials
            if trial.phase == "running" and 2 <= trial.epoch < trial.epochs / 2
        ]
        return bool(found)

    until(is_found, "no trial trains")
    return found[0], process_of(found[0])


def process_of(trial: TrialState) -> int:
    """Return the id of the process that trains a trial."""
    return int(trial.worker.rpartition(":")[2])


def kill(process: int) -> None:
    """Kill a process as the system does when memory is short."""
    os.kill(process, signal.SIGKILL)


def exists(process: int) -> bool:
    """Return whether a process runs."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def check_trained_once(state: SweepState) -> None:
    """Check that all trials are completed, and that no run has an epoch twice."""
    assert state.is_over, state
    assert [trial.number for trial in state.trials] == list(range(1, len(state.trials) + 1))
    for trial in state.trials:
        assert trial.phase == "completed", trial
        (run,) = trial.runs
        epochs = Counter(
            event.epoch
            for event in RunFolder(run).read_events().events
            if isinstance(event, EpochDone)
        )
        assert set(epochs) == set(range(1, trial.epochs + 1)), run
    folders = {path.parent.name for path in state.folder.glob("*/events.jsonl")}
    assert folders == {f"trial-{trial.number:03d}" for trial in state.trials}


def check_same_weights(state: SweepState, other: SweepState) -> None:
    """Check that two sweeps have the same trials, to the bits of their weights."""
    assert [trial.values for trial in state.trials] == [trial.values for trial in other.trials]
    for trial, twin in zip(state.trials, other.trials, strict=True):
        assert trial.settings == twin.settings
        tensors, expected = (weights_of(each.runs[0]) for each in (trial, twin))
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[name], expected[name]) for name in tensors)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of the last checkpoint of a run."""
    return load_file(RunFolder(run).checkpoint("last"))


def reader(where: Path | str, folder: Path) -> Callable[[], SweepState]:
    """Return what reads a sweep, as soon as it exists; before, it has no trials."""
    study: list[Study] = []

    def read() -> SweepState:
        if not study:
            study.append(Study.open(where, folder, folder.name))
        return study[0].state()

    return read
