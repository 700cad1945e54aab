"""Records of older schemas, upgraded to the current one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.protocol import facts
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import FindingRaised, RunStarted, to_json
from tui_trainer.protocol.schema import (
    SCHEMA,
    upgraded,
    upgraded_metadata,
    upgraded_summary,
    upgraded_tensors,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.journal import from_json

OLD_RUNS = Path(__file__).parent / "runs_0_1"
"""Three real runs, recorded by version 0.1."""

VERDICT = Diagnosis(
    code="budget", severity="warning", title="t", evidence="e", lesson=8, layers=("conv1",)
)


@pytest.mark.parametrize("name", ["finished", "steered", "killed"])
def test_a_run_of_version_0_1_has_the_current_severities(name: str) -> None:
    lines = (OLD_RUNS / name / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [from_json(line) for line in lines]
    old = [json.loads(line) for line in lines]
    (started,) = (event for event in events if isinstance(event, RunStarted))
    (review,) = (record["review"] for record in old if record["event"] == "RunStarted")
    scale = {"wrong": "error", "look": "warning", "good": "ok", "note": "note"}

    codes = [verdict["rule"].replace("-before-scores", "-before-logits") for verdict in review]
    assert [verdict.code for verdict in started.review] == codes
    assert [verdict.severity for verdict in started.review] == [scale[v["verdict"]] for v in review]
    found = [event for event in events if isinstance(event, FindingRaised)]
    raised = [record for record in old if record["event"] == "FindingRaised"]
    assert [event.severity for event in found] == [scale[record["severity"]] for record in raised]
    assert bool(found) == (name == "steered")
    assert RunFolder(OLD_RUNS / name).read_events().events


def test_a_record_names_its_schema() -> None:
    started = facts.started(review=(VERDICT,))
    line = to_json(started)

    assert json.loads(line)["schema"] == SCHEMA
    assert from_json(line) == started


def test_a_newer_schema_is_refused() -> None:
    line = json.dumps({**json.loads(to_json(facts.started())), "schema": SCHEMA + 1})

    with pytest.raises(InputError, match="update mnist-tui"):
        from_json(line)


@pytest.mark.parametrize(
    "damaged",
    [
        '{"event": "RunStarted", "review": [3]}',
        '{"event": "RunStarted", "review": 3}',
        '{"event": "RunStarted", "schema": "2"}',
        '{"event": "FindingRaised", "severity": ["look"]}',
        '{"event": "FindingRaised"}',
        "[]",
    ],
)
def test_a_damaged_record_is_no_event(damaged: str) -> None:
    with pytest.raises(InputError, match="not an event"):
        from_json(damaged)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"event": "SettingChanged", "setting": "learning_rate"}, {"setting": "base_lr"}),
        ({"event": "FindingRaised", "code": "exploding_scores"}, {"code": "exploding_logits"}),
        ({"event": "FindingCleared", "code": "memorising"}, {"code": "memorizing"}),
        ({"event": "RunFinished", "reason": "hung up"}, {"reason": "disconnected"}),
        ({"event": "RunFinished", "test_looks": 2}, {"test_evaluations": 2}),
        ({"event": "CommandRejected", "command": "LookAtTest"}, {"command": "EvaluateTest"}),
        ({"event": "ModelTried", "batch_gap": 0.1}, {"event": "ModelProbed", "batch_gap": 0.1}),
        ({"event": "SampleProbed", "batch_gap": 0.1}, {"batch_norm_gap": 0.1}),
        (
            {"event": "UpdateProbed", "gradient": 3, "parameters": [{"gradient": 2, "update": 1}]},
            {"gradient_norm": 3, "parameters": [{"gradient_norm": 2, "update_norm": 1}]},
        ),
    ],
)
def test_an_older_record_gets_the_current_names(old: dict[str, Any], new: dict[str, Any]) -> None:
    record = upgraded(old)

    assert record == {"event": old["event"], **new}
    assert upgraded(record) == record


def test_an_older_checkpoint_gets_the_current_names() -> None:
    names = ("network/fc.weight", "random/order", "random/numpy", "optimizer/mean/0", "best/hits")
    current = ["model/fc.weight", "rng/shuffle", "rng/numpy", "optimizer/exp_avg/0", "best/correct"]

    assert list(upgraded_tensors(dict.fromkeys(names, 0), "tiny")) == current
    assert list(upgraded_tensors(dict.fromkeys(current, 0), "tiny")) == current
    assert list(upgraded_tensors({"network/scores.bias": 0}, "tiny")) == ["model/logits.bias"]
    assert list(upgraded_tensors({"network/scores.bias": 0}, "a.py:A")) == ["model/scores.bias"]
    assert upgraded_metadata({"hit_sum": 3, "step": 7}) == {"correct_sum": 3, "step": 7}


def test_an_older_summary_gets_the_current_names() -> None:
    old = {"state": "hung up", "test_looks": 1}
    assert upgraded_summary(old) == {"state": "disconnected", "test_evaluations": 1}
