"""The window of a sweep in a terminal, with real workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.windows import Window
from tests.sweeps.processes import TIMEOUT, exists, process_of, reader, running_trial, write_sweep
from tui_trainer.sweeps.storage import JOURNAL

pytestmark = pytest.mark.slow


@pytest.fixture
def file(tmp_path: Path) -> Path:
    data = write_dataset(tmp_path / "data", gzip=False)
    return write_sweep(tmp_path / "sweep.toml", data, trials=4, epochs=16)


@pytest.fixture
def window(file: Path, tmp_path: Path) -> Iterator[Window]:
    made = Window("sweep", str(file), "--out", str(tmp_path / "sweep"), "--workers", "2")
    yield made
    made.close()


def test_the_window_shows_the_workers_and_the_summary_is_printed_after_it(
    window: Window, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    window.wait_until((folder / JOURNAL).is_file, TIMEOUT)
    read = reader(folder, folder)
    window.wait_until(lambda: read().is_over, TIMEOUT)
    for _ in range(100):  # until the window has read the end, it asks before it quits
        window.read(0.05)
    os.write(window.master, b"q")
    assert window.wait(TIMEOUT) == 0
    assert b"best: trial " in window.shown
    assert b"mnist-tui seeds --config" in window.shown


def test_a_closed_terminal_leaves_no_worker(window: Window, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    window.wait_until((folder / JOURNAL).is_file, TIMEOUT)
    read = reader(folder, folder)
    running_trial(read)
    workers = [process_of(trial) for trial in read().trials]
    window.pull_out()
    assert window.wait(TIMEOUT) == 129
    assert not any(map(exists, workers))
    assert {trial.phase for trial in read().trials} <= {"waiting", "completed"}
