"""Recorded runs, evaluated by the current rules."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.protocol import facts
from tests.ui.fakes import recording
from tui_trainer.findings import RULES, with_findings
from tui_trainer.headless.diagnosis_text import RunDiagnosis, as_record, diagnose, diagnosis_lines
from tui_trainer.history.history import History
from tui_trainer.history.run_state import Episode
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised, RunStarted, StepDone
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed

OVERFITTING = recording("overfitting")
DIVERGED = recording("diverged")
FINDINGS = (FindingRaised, FindingCleared)


def judged(events: list[Event]) -> list[Event]:
    """Return a run's events, with the findings of the current rules."""
    return list(with_findings(event for event in events if not isinstance(event, FINDINGS)))


@pytest.mark.parametrize("name", ["overfitting", "diverged", "finished", "mid-run"])
def test_it_finds_what_the_run_itself_would_report(name: str) -> None:
    history = History()
    line = judged(recording(name))
    for event in line:
        history.apply(event)
    found = diagnose(name, line)
    assert [episode.finding for episode in found.active] == history.most_severe_first
    cleared = [event for event in line if isinstance(event, FindingCleared)]
    assert sorted(e.finding.code for e in found.cleared) == sorted(c.code for c in cleared)


def test_what_was_found_while_it_ran_is_left_aside() -> None:
    old = facts.finding(code="a rule of before", title="a rule of before")
    found = diagnose("one", [*OVERFITTING, old])
    assert old.code not in [episode.finding.code for episode in found.active]
    assert found.active, "it overfits"


def test_it_prints_the_run_and_the_active_findings_with_causes() -> None:
    found = diagnose("one", DIVERGED)
    lines = diagnosis_lines(found)
    steps = [event.step for event in DIVERGED if isinstance(event, StepDone)]
    assert lines[0].startswith("one: ")
    assert lines[0].endswith(f"diverged at step {steps[-1]}")
    (divergence,) = [e.finding for e in found.active if e.finding.code == "divergence"]
    assert f"  {divergence.evidence}" in lines
    assert f"  try: {divergence.advice}" in lines
    assert any(line.startswith(f"✗ {divergence.title} · since step ") for line in lines)
    assert any(line.endswith(" · lesson 7: learning rate") for line in lines)


def diagnosis(
    *, active: tuple[Episode, ...] = (), cleared: tuple[Episode, ...] = ()
) -> RunDiagnosis:
    start = facts.started()
    history = History()
    for event in (start, facts.step(1_300)):
        history.apply(event)
    return RunDiagnosis("one", start, history, active, cleared, ("dead units", "a plateau"))


GONE = Episode(facts.finding(), step=1_200, epoch=2, cleared_step=1_300, cleared_epoch=3)


def test_what_came_and_went_has_a_line() -> None:
    lines = diagnosis_lines(diagnosis(cleared=(GONE,)))
    assert "✓ no active findings" in lines
    assert "  ▲ step 1,200 (epoch 2) to step 1,300 (epoch 3): overfitting since epoch 3" in lines


def test_a_plot_is_drawn_where_bars_can_be_shown() -> None:
    found = facts.finding(plot=(1, 2), plot_label="loss", cause="few images", step=7)
    stands = diagnosis(active=(Episode(found, step=9, epoch=1),))
    lines = diagnosis_lines(stands)
    assert "▲ overfitting since epoch 3 · since step 7, raised at step 9, epoch 1" in lines[2]
    assert lines[4:7] == [
        "  ▁▁▁███  loss (1 to 2)",
        "  likely cause: few images",
        "  try: switch augmentation on",
    ]
    assert "  loss (1 to 2)" in diagnosis_lines(stands, has_bars=False)


def test_rules_without_their_events_are_listed_with_the_reason() -> None:
    line = diagnosis_lines(diagnosis())[-1]
    assert line == "· not evaluated (recorded without probes): dead units, a plateau"
    unseen = [e for e in DIVERGED if not isinstance(e, UpdateProbed | SampleProbed)]
    old = [replace(e, val_size=0) if isinstance(e, RunStarted) else e for e in unseen]
    found = diagnose("old", old)
    blind = {rule.label for rule in RULES if rule.on == (SampleProbed,)}
    assert blind <= set(found.not_evaluated) < {rule.label for rule in RULES}
    assert not {rule.label for rule in RULES if rule.is_for_scripts} & set(found.not_evaluated)
    line = diagnosis_lines(found)[-1]
    assert line.startswith("· not evaluated (recorded without probes and validation images): ")


def test_json_has_the_run_what_stands_and_what_went() -> None:
    stands = Episode(facts.finding(plot=(float("nan"), 1.0)), step=9, epoch=1)
    record = as_record(diagnosis(active=(stands,), cleared=(GONE,)))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == ["run", "active", "timeline"]
    assert record["run"]["is_probed"] is False
    assert record["run"]["not_evaluated"] == ["dead units", "a plateau"]
    (now,), (then,) = record["active"], record["timeline"]
    assert (now["code"], now["plot"], now["cleared_step"]) == ("overfitting", [None, 1.0], None)
    assert (now["topic"], now["raised_step"]) == ("overfitting, and when to use dropout", 9)
    assert (then["raised_epoch"], then["cleared_step"]) == (2, 1_300)


def test_a_run_without_a_step_is_refused() -> None:
    with pytest.raises(InputError, match="one: nothing to diagnose: no batch was trained"):
        diagnose("one", [facts.started()])
    with pytest.raises(InputError, match="nothing to diagnose"):
        diagnose("one", [])
