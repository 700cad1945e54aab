from __future__ import annotations

import io
import json
from pathlib import Path

from tests.sweeps.made import sweep_of
from tui_trainer.headless.streams import Console, DataOut
from tui_trainer.headless.sweep_text import print_sweep, sweep_record, trial_line
from tui_trainer.sweeps.state import SweepState


def printed(state: SweepState, *, json_lines: bool = False) -> list[str]:
    stream = io.StringIO()
    print_sweep(state, DataOut(stream, Console(None, lambda: 0.0)), json_lines=json_lines)
    return stream.getvalue().splitlines()


def test_everything_is_printed_as_text(tmp_path: Path) -> None:
    state = sweep_of(40, folder=tmp_path / "my-sweep")
    state.folder.mkdir()
    lines = printed(state)
    text = "\n".join(lines)
    assert lines[0].startswith("my-sweep · tpe, asha · 41 trials")
    for part in ("trial  val accuracy", "best: trial ", "share of the differences", "optimistic"):
        assert part in text
    assert f"  mnist-tui seeds --config {state.folder}/best.toml --seeds 5 --seed 1 --no-test" in (
        lines
    )
    assert (state.folder / "best.toml").is_file()


def test_one_json_object(tmp_path: Path) -> None:
    state = sweep_of(40, folder=tmp_path)
    [line] = printed(state, json_lines=True)
    record = json.loads(line)
    assert record == sweep_record(state)
    assert record["best"]["trial"] == (state.best and state.best.number)
    assert len(record["trials"]) == 41
    assert [each["setting"] for each in record["importance"]] == [
        each.setting for each in state.importance
    ]
    assert len(record["commands"]) == 2
    assert record["optimism"]["most"] > 0


def test_an_empty_sweep(tmp_path: Path) -> None:
    state = sweep_of(0, running=0, folder=tmp_path)
    record = json.loads(printed(state, json_lines=True)[0])
    assert record["best"] is None
    assert record["trials"] == []
    assert record["commands"] == []
    assert "no trial has begun" in printed(state)
    assert not list(tmp_path.iterdir())


def test_a_trial_in_one_line() -> None:
    state = sweep_of(40)
    best = state.best
    assert best is not None
    assert trial_line(state, best).startswith(f"trial {best.number} · lr ")
    assert trial_line(state, best).endswith("(the best so far)")
    pruned = next(trial for trial in state.trials if trial.phase == "pruned")
    assert trial_line(state, pruned).endswith(f"pruned: {pruned.reason}")
