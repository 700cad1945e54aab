"""A run recorded with schema 2 is listed, diagnosed, replayed, resumed and inspected.

Its knobs were changed, its test set was evaluated, it diverged and was rewound; then, in epoch 3 of
4, the terminal was closed.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_runs_of_version_0_1 import events_of
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.protocol.events import FindingRaised, SettingChanged
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.journal import from_json

LOSSES = (1.900242567062378, 1.865004539489746, 1.78190279006958, 1.9691556692123413)
"""The steps after the checkpoint, as continued by the version that recorded the run."""

RECORDED = Path(__file__).parents[1] / "recording" / "runs_schema_2" / "steered"


@pytest.fixture
def steered(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "runs" / "steered"))


def test_it_is_read_with_the_names_of_today(steered: Path) -> None:
    folder = RunFolder(steered)
    summary, events = folder.read_summary(), folder.read_events()
    assert (summary.state, summary.test_evaluations) == ("disconnected", 1)
    changed = [event.setting for event in events.events if isinstance(event, SettingChanged)]
    assert changed == ["base_lr", "batch_size", "augmentation", "base_lr"]
    written = map(from_json, folder.events.read_text(encoding="utf-8").splitlines())
    (found,) = (event for event in written if isinstance(event, FindingRaised))
    assert (found.code, found.fix_setting) == ("divergence", "base_lr")

    state = read_checkpoint(folder.checkpoint("last"))
    assert state.metadata["correct_sum"] == 113
    assert state.metadata["base_lr"] == 0.02
    assert set(state.part("best")) == {"losses", "correct"}
    assert {"shuffle", "augment", "torch"} <= set(state.part("rng"))
    assert "model/conv1.weight" in state.tensors
    assert "optimizer/momentum_buffer/0" in state.tensors


def test_it_is_listed_and_diagnosed(run: Cli, steered: Path) -> None:
    code, out, _ = run("runs", steered.parent)
    assert code == 0
    assert "disconnected" in out
    code, out, err = run("diagnose", steered)
    assert code == 0, err
    assert out.startswith("steered: ")


def test_it_is_resumed_with_the_same_bits(run: Cli, steered: Path) -> None:
    code, out, err = run("resume", steered, "--no-ui", "--json", "--threads", 1)
    assert code == 0, err
    assert [event["epoch"] for event in events_of(out, "EpochDone")] == [3, 4]
    steps = events_of(out, "StepDone")
    assert [event["step"] for event in steps[:4]] == [45, 46, 47, 48]
    assert steps[0]["lr"] == pytest.approx(0.010149633471776357, rel=1e-12)
    # Another processor may round otherwise.
    for event, loss in zip(steps[:4], LOSSES, strict=True):
        assert math.isclose(event["loss"], loss, rel_tol=1e-3)
    (finished,) = events_of(out, "RunFinished")
    assert finished["test_evaluations"] == 2


@pytest.mark.slow
def test_it_is_replayed(run: Cli, steered: Path) -> None:
    code, out, err = run("replay", "--no-ui", "--json", steered)
    assert code in (0, 8), err  # another processor may round otherwise
    assert [event["setting"] for event in events_of(out, "SettingChanged")][:2] == [
        "base_lr",
        "batch_size",
    ]


def test_what_it_has_learned_is_shown(run: Cli, steered: Path) -> None:
    code, out, err = run("evaluate", steered, "--view", "forgetting", "--json")
    assert code == 0, err
    assert json.loads(out)
