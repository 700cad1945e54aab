"""Runs recorded by version 0.1: they are listed, diagnosed, replayed, resumed and inspected.

``finished`` ran to its end; ``steered`` had its knobs changed, its test set evaluated, diverged and
was rewound; ``killed`` was ended by ``kill -9`` in its third epoch.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tui_trainer.protocol.schema import upgraded

RECORDED = Path(__file__).parents[1] / "recording" / "runs_0_1"
NAMES = ("finished", "steered", "killed")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "runs"))


def events_of(out: str, kind: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, out.splitlines()) if event["event"] == kind]


def recorded(name: str, kind: str) -> list[dict[str, Any]]:
    return events_of((RECORDED / name / "events.jsonl").read_text(encoding="utf-8"), kind)


def test_they_are_listed(run: Cli, runs: Path) -> None:
    code, out, _ = run("runs", runs)
    assert code == 0
    assert all(name in out for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_diagnosed(run: Cli, runs: Path, name: str) -> None:
    code, out, err = run("diagnose", runs / name)
    assert code == 0, err
    assert out.startswith(f"{name}: ")
    assert "no active findings" in out


@pytest.mark.slow  # by default, that with schema 2 is replayed
@pytest.mark.parametrize("name", NAMES)
def test_trained_again_they_meet_the_same_losses(run: Cli, runs: Path, name: str) -> None:
    code, out, err = run("replay", "--no-ui", "--json", runs / name)
    # Another processor may round otherwise, and end with other bits: that is exit code 8.
    assert code in (0, 8), err
    before, now = recorded(name, "StepDone")[:60], events_of(out, "StepDone")[:60]
    assert len(before) == len(now) == 60
    for old, new in zip(before, now, strict=True):
        assert upgraded(old).keys() == new.keys()
        assert [new[key] for key in ("step", "epoch", "images", "batch_size")] == [
            old[key] for key in ("step", "epoch", "images", "batch_size")
        ]
        assert math.isclose(new["loss"], old["loss"], rel_tol=0.05)


@pytest.mark.parametrize("name", [pytest.param("finished", marks=pytest.mark.slow), "killed"])
def test_they_are_resumed(run: Cli, runs: Path, name: str) -> None:
    done = len(recorded(name, "EpochDone"))
    options = ("--no-ui", "--json", "--epochs", done + 1, "--threads", 1)
    code, out, err = run("resume", runs / name, *options)
    assert code == 0, err
    (resumed,) = events_of(out, "RunResumed")
    assert resumed["epoch"] == done
    (epoch,) = events_of(out, "EpochDone")
    assert epoch["epoch"] == done + 1
    assert epoch["val_accuracy"] > recorded(name, "EpochDone")[0]["val_accuracy"]
    code, out, _ = run("diagnose", runs / name)
    assert code == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_they_have_learned_is_shown(run: Cli, runs: Path, name: str) -> None:
    code, out, err = run("evaluate", runs / name, "--view", "forgetting", "--json")
    assert code == 0, err
    assert json.loads(out)
