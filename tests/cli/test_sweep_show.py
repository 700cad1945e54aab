"""``sweep --show``: a sweep as text and JSON, without training anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tui_trainer.sweeps.sweep_file import SWEEP_FILE, parse_sweep

pytest.importorskip("optuna")

TEXT = 'model = "tiny"\n[space]\nlr = { low = 0.01, high = 1.0, log = true }\n'


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The folder of a sweep that has not begun."""
    from tui_trainer.sweeps.study import Study

    Study.create(parse_sweep(TEXT, SWEEP_FILE), tmp_path / "first")
    return tmp_path / "first"


def test_a_sweep_without_trials(run: Cli, sweep: Path) -> None:
    before = sorted(path.name for path in sweep.iterdir())
    code, out, err = run("sweep", "--show", str(sweep))
    assert (code, err) == (0, "")
    assert "no trial has begun" in out
    assert sorted(path.name for path in sweep.iterdir()) == before


def test_as_one_json_object(run: Cli, sweep: Path) -> None:
    code, out, _ = run("sweep", "--show", str(sweep), "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["event"], record["name"], record["trials"]) == ("SweepShown", "first", [])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--resume"], "--resume: cannot be used with --show"),
        (["--join", "first"], "--join: cannot be used with --show"),
        (["--trials", "3"], "--trials: cannot be used with --show"),
        (["--out", "there"], "--out: cannot be used with --show"),
    ],
)
def test_what_has_no_meaning_is_refused(
    run: Cli, sweep: Path, arguments: list[str], problem: str
) -> None:
    code, out, err = run("sweep", "--show", str(sweep), *arguments)
    assert (code, out) == (2, "")
    assert problem in err
    assert len(err.strip().splitlines()) == 1


def test_no_such_sweep(run: Cli) -> None:
    code, _, err = run("sweep", "--show", "nowhere")
    assert code == 2
    assert "nowhere: no such sweep" in err
