"""Whole runs in separate processes, on a dataset of sixty images.

One is started as a user starts it; the others are forked, which saves loading torch again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import ForkedProgram
from tests.faults.forks import Ended, call, command
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.protocol.events import CLOCK_FIELDS

PATIENCE = 120.0
"""Seconds after which a process counts as hung."""

ALONE = ["--no-ui", "--threads", "1", "--device", "cpu"]
COMMAND = [sys.executable, "-m", "tui_trainer", *ALONE]
# A learning rate so small that the model never memorizes its sixty images.
BRIEF = ["--epochs", "2", "--batch-size", "16", "--model", "small", "--seed", "3", "--lr", "1e-6"]

Record = dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), gzip=False)


def train(data: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, "--data-dir", str(data), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr
    return done


def train_forked(data: Path, place: Path, *arguments: object) -> Ended:
    """Run in a fork of this process; its output goes to its folder."""
    ended = call(command(*ALONE, "--data-dir", data, *arguments), place, PATIENCE)
    assert "Traceback" not in ended.err
    return ended


def records(text: str) -> list[Record]:
    """Return the events of a text that must contain only lines of strict JSON."""

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text[:-1].split("\n")]


def without_clock(output: list[Record]) -> list[Record]:
    return [{k: v for k, v in record.items() if k not in CLOCK_FIELDS} for record in output]


@pytest.fixture(scope="module")
def recorded(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A run of two epochs with --json and --out, and its folder."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    return train(data, *BRIEF, "--json", "--out", folder), folder


Recorded = tuple[subprocess.CompletedProcess[str], Path]


def test_json_is_the_whole_of_stdout(recorded: Recorded) -> None:
    done, _ = recorded
    assert done.returncode == 0
    output = records(done.stdout)
    assert {"StateChanged", "RunStarted", "StepDone", "EpochDone", "TestEvaluated"} <= {
        record["event"] for record in output
    }
    assert [record["event"] for record in output].count("RunFinished") == 1
    assert output[-1]["event"] == "RunFinished"


def test_an_epoch_has_the_promised_fields(recorded: Recorded) -> None:
    epochs = [record for record in records(recorded[0].stdout) if record["event"] == "EpochDone"]
    assert [record["epoch"] for record in epochs] == [1, 2]
    for record in epochs:
        for name in ("train_loss", "val_loss", "seconds", "images_per_second"):
            assert record[name] > 0
        for name in ("train_accuracy", "val_accuracy"):
            assert 0 <= record[name] <= 1


def test_the_end_has_the_promised_fields(recorded: Recorded) -> None:
    last = records(recorded[0].stdout)[-1]
    assert last["reason"] == "completed"
    assert last["test_total"] == 20
    assert last["test_accuracy"] == last["test_correct"] / last["test_total"]
    low, high = last["test_interval"]
    assert 0 <= low <= last["test_accuracy"] <= high <= 1
    assert last["test_loss"] > 0
    assert last["parameters"] == 19_810
    assert last["seconds"] > 0


def test_the_folder_agrees_with_the_output(recorded: Recorded, data: Path) -> None:
    done, folder = recorded
    files = [".lock", "checkpoints", "commands.jsonl", "config.toml", "events.jsonl"]
    files.append("summary.json")
    assert sorted(os.listdir(folder)) == files
    assert sorted(os.listdir(folder / "checkpoints")) == ["best.safetensors", "last.safetensors"]
    first, _, rest = done.stdout.partition("\n")
    assert json.loads(first) == {"event": "RecordingStarted", "folder": str(folder)}
    assert (folder / "events.jsonl").read_text(encoding="utf-8") == rest
    last = records(done.stdout)[-1]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["state"] == last["reason"]
    for name in ("test_accuracy", "test_interval", "val_accuracy", "step", "seconds"):
        assert summary[name] == last[name]
    asked = RunConfig(
        model="small",
        epochs=2,
        batch_size=16,
        seed=3,
        lr=1e-6,
        threads=1,
        device="cpu",
        data_dir=str(data),
    )
    assert compose(read_config(folder / "config.toml")) == asked.resolved()


def test_the_same_seed_gives_the_same_run_and_a_missed_target_code_3(
    recorded: Recorded, data: Path, tmp_path: Path
) -> None:
    """From the recorded settings, with a target that cannot be met."""
    done, folder = recorded
    first = records(done.stdout)
    asked = ["--config", folder / "config.toml", "--json", "--out", tmp_path / "again"]
    again = train_forked(data, tmp_path / "said", *asked, "--target-accuracy", 1)
    assert again.code == 3
    assert "target missed" in again.err
    second = records(again.out)
    assert without_clock(second) == without_clock(first)
    assert second != first, "the clock fields do differ"


def test_a_divergence_is_code_4(data: Path, tmp_path: Path) -> None:
    diverging = ["--model", "era-s6-plain", "--lr", "1000", "--schedule", "constant"]
    diverging += ["--epochs", "50", "--batch-size", "8"]
    ended = train_forked(data, tmp_path / "said", *diverging, "--json", "--no-save")
    assert ended.code == 4
    output = records(ended.out)
    assert output[-1]["event"] == "RunFinished"
    assert output[-1]["reason"] == "diverged"
    assert output[-1]["test_accuracy"] is None
    names = [record["event"] for record in output]
    assert names.count("Diverged") == 1
    found = [record for record in output if record["event"] == "FindingRaised"]
    assert found[-1]["code"] == "divergence"


def test_ctrl_c_finishes_the_batch_and_prints_the_resume_command(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = [*COMMAND, "--data-dir", str(data), "--epochs", "10000", "--model", "small", "--json"]
    words += ["--out", str(out)]
    pipe = subprocess.PIPE
    with ForkedProgram(words, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if '"StepDone"' in line:
                    break
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    output = records("".join(lines) + rest)
    assert output[-1]["event"] == "RunFinished"
    assert output[-1]["reason"] == "interrupted"
    assert output[-1]["test_total"] is None, "an interrupted run has no test evaluation"
    assert f"mnist-tui resume {out}" in errors
    steps = [record["step"] for record in output if record["event"] == "StepDone"]
    assert steps[-1] == output[-1]["step"]
