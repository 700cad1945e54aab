from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import residency
from tests.data.binary_files import write_binary
from tui_trainer.data.binary_files import CIFAR10
from tui_trainer.protocol.config import RunConfig


def test_both_train_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_binary(tmp_path / "data", CIFAR10, per_file=20)
    run = RunConfig(
        model="pico", data_dir=str(folder), batch_size=16, epochs=1, threads=1, device="cpu"
    )

    figures = residency.measure(run, 1)

    assert [figure.unit for figure in figures] == ["images/s", "batches/s"]
    assert all(figure.ratio > 0 for figure in figures)
