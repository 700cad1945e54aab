"""``mnist-tui diagnose``: real runs, with the same findings as during the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.test_import_hygiene import HEAVY, loaded_by
from tests.ui.fakes import recording, run_folder
from tui_trainer.findings import with_findings
from tui_trainer.protocol.events import Event, FindingCleared, FindingRaised, RunStarted, StepDone

TINY = ["--no-ui", "--json", "--model", "small", "--train-size", 600, "--val-size", 100]
BRIEF = ["--threads", 1, "--device", "cpu", "--epochs", 1, "--batch-size", 16]


def judged(name: str) -> list[Event]:
    """Return a recorded run with the findings of the current rules."""
    old = (FindingRaised, FindingCleared)
    return list(with_findings(e for e in recording(name) if not isinstance(e, old)))


@pytest.mark.parametrize("base_lr", [pytest.param(0.1, marks=pytest.mark.slow), 1_000])
def test_it_finds_what_the_run_reported(run: Cli, tmp_path: Path, base_lr: float) -> None:
    path = tmp_path / "one"
    code, out, err = run(*TINY, *BRIEF, "--lr", base_lr, "--out", path)
    assert code == (4 if base_lr == 1_000 else 0), err
    active_findings: dict[str, dict[str, object]] = {}
    gone: list[str] = []
    for event in map(json.loads, out.splitlines()):
        if event["event"] == "FindingRaised":
            active_findings[event["code"]] = event
        elif event["event"] == "FindingCleared":
            gone.append(event["code"])
            del active_findings[event["code"]]
    code, out, err = run("diagnose", path, "--json")
    assert (code, err) == (0, "")
    output = json.loads(out)
    assert sorted(record["code"] for record in output["timeline"]) == sorted(gone)
    assert {record["code"] for record in output["active"]} == set(active_findings)
    for record in output["active"]:
        event = active_findings[record["code"]]
        assert {name: record[name] for name in event if name != "event"} == {
            name: value for name, value in event.items() if name != "event"
        }
    assert (base_lr == 1_000) == ("divergence" in active_findings)
    assert output["run"]["folder"] == str(path)
    assert output["run"]["is_probed"]


def test_it_is_printed_as_text(run: Cli) -> None:
    run_folder(Path("runs/one"), judged("diverged"))
    code, out, err = run("diagnose", "one")
    assert (code, err) == (0, "")
    assert out.startswith("one: era-s6 · 19,568 parameters")
    assert "✗ diverged in epoch 1 · since step" in out
    assert run("diagnose")[1] == out, "the last run is the one that is meant"


def test_a_run_under_way_is_judged_as_far_as_it_has_come(run: Cli) -> None:
    events = recording("mid-run")
    folder = run_folder(Path("runs/one"), events[:-1], state="running")
    with folder.events.open("a") as lines:
        lines.write('{"event": "StepDo')
    _, out, _ = run("diagnose")
    last = [event.step for event in events[:-1] if isinstance(event, StepDone)][-1]
    assert f"step {last:,}" in out


def test_what_cannot_be_diagnosed_is_refused_in_a_line(run: Cli) -> None:
    def refused(*arguments: object) -> str:
        code, out, err = run("diagnose", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    assert "runs: contains no runs" in refused()
    assert "nothing: no such run" in refused("nothing")
    start = [event for event in recording("finished") if isinstance(event, RunStarted)]
    folder = run_folder(Path("runs/one"), start)
    assert "one: nothing to diagnose: no batch was trained" in refused("one")
    folder.events.write_text("{}\n")
    assert "line 1: not an event" in refused("one")


def test_it_loads_neither_torch_nor_the_window(tmp_path: Path) -> None:
    run_folder(tmp_path / "one", recording("diverged"))
    arguments = ["mnist-tui", "diagnose", str(tmp_path / "one")]
    roots = loaded_by(f"import tui_trainer.cli as c; sys.argv = {arguments!r}; c.main()")
    assert "tui_trainer" in roots
    assert not roots & (HEAVY | {"textual", "plotext"})
