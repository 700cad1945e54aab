"""Fixtures for fault injection: a tiny dataset, and an uninterrupted run on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.runs import COMMANDS, CommandInbox, Left, begin, left_by, small_run
from tui_trainer.protocol.config import RunConfig


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """110 training, 10 validation and 40 test images of 8×8 pixels, ten classes."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", size=8, train=120, test=40)


@pytest.fixture(scope="package")
def config(data: Path) -> RunConfig:
    """The settings of the run."""
    return small_run(data)


@pytest.fixture(scope="package")
def whole_run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the uninterrupted run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    for _ in begin(path, config, CommandInbox(COMMANDS)):
        pass
    return path


@pytest.fixture(scope="package")
def whole(whole_run: Path) -> Left:
    """The result of the uninterrupted run."""
    return left_by(whole_run)
