from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import gpu
from tests.engine.conftest import MNIST
from tui_trainer.protocol.config import RunConfig

RUN = RunConfig(
    model="small", data_dir=str(MNIST), train_size=50, epochs=2, device="cpu", threads=1
)


@pytest.mark.slow
def test_two_runs_of_a_seed_are_compared_and_each_seed_is_trained() -> None:
    lines: list[str] = []

    assert gpu.measure(RUN, range(7, 9), 1e9, lines.append) == 0

    assert lines[0].startswith("warm-up: ")
    assert [line.split(":")[0] for line in lines[1:3]] == ["seed 7", "seed 8"]
    assert "bit for bit" in lines[3]
    assert "over 2 seeds" in lines[4]


def test_two_runs_that_differ_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result, lines = gpu.Result(0.99, 1.0, 100, 10, "a"), list[str]()
    results = iter([result, result, replace(result, digest="b")])
    monkeypatch.setattr(gpu, "train", lambda config: next(results))

    assert gpu.measure(RUN, range(7, 9), 1e9, lines.append) == gpu.DIFFERENT

    assert lines[-1] == "seed 7: two runs differ: a, b"


def test_no_seed_starts_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list[str]()
    times = iter([0.0, 1.0, 2.0, 11.0])
    monkeypatch.setattr(gpu, "train", lambda config: gpu.Result(0.99, 1.0, 100, 10, "a"))

    assert gpu.measure(RUN, range(7, 10), 10.0, lines.append, lambda: next(times)) == 0

    assert "time is up: seeds from 8 on were not trained" in lines
    assert "over 1 seeds" in lines[-1]


@pytest.mark.parametrize("arguments", [["--preset", "no"], ["--data-dir", "no/such/folder"]])
def test_unusable_input_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as left:
        gpu.main([*arguments, "--device", "cpu"])

    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
