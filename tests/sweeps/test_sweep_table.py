from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweeps.made import MANY, spec_of, sweep_of
from tui_trainer.stats.intervals import wilson
from tui_trainer.sweeps.figures import best_first, interval_of, interval_words, setting_text
from tui_trainer.sweeps.progress import limits_of, seconds_left
from tui_trainer.sweeps.spec import Budget
from tui_trainer.sweeps.state import SweepState, TrialState, WorkerState
from tui_trainer.sweeps.sweep_table import (
    conclusion_lines,
    importance_lines,
    share_bar,
    table_lines,
    trial_rows,
)
from tui_trainer.text.lines import line_width, plain


def test_the_table_has_the_best_trial_first_and_those_without_a_value_last() -> None:
    state = sweep_of(40)
    rows = plain(table_lines(state))
    assert state.best is not None
    assert rows[1].split()[0] == str(state.best.number)
    phases = [trial.phase for trial in best_first(state)]
    assert phases == sorted(
        phases, key=["completed", "running", "waiting", "pruned", "failed"].index
    )


def test_the_columns_keep_their_width() -> None:
    rows = trial_rows(sweep_of(60, MANY), sweep_of(60, MANY).trials, 28)
    for column in zip(*rows, strict=True):
        assert len({len(text) for text in column}) == 1


def test_the_workers_of_several_machines_are_shown_and_where_the_runs_lie(tmp_path: Path) -> None:
    state = sweep_of(3, running=0)
    workers = (WorkerState(name="here:1"), WorkerState(name="there:2"))
    trials = (
        replace(state.trials[0], worker="here:1", runs=(tmp_path,), epoch=2),
        replace(state.trials[1], worker="there:2", runs=(), epoch=2),
        replace(state.trials[2], worker="there:2", runs=(), epoch=0, phase="running", values=()),
    )
    state = replace(state, trials=trials, workers=workers)
    head, *rows = trial_rows(state, trials)
    place = [name.strip() for name in head].index("worker")
    assert [row[place].strip() for row in rows] == ["here:1", "there:2, runs there", "there:2"]
    alone = replace(state, workers=workers[:1])
    assert "worker" not in [name.strip() for name in trial_rows(alone, trials)[0]]


def test_one_seed_has_the_wilson_interval_of_the_validation_images() -> None:
    state = sweep_of(26)
    best = state.best
    assert best is not None
    assert best.value is not None
    assert interval_of(state, best) == wilson(round(best.value * 5000), 5000)
    assert "Wilson" in interval_words(state)
    assert interval_of(replace(state, val_images=0), best) is None


def test_several_seeds_have_students_interval() -> None:
    state = sweep_of(26, seeds=3)
    best = state.best
    assert best is not None
    assert best.mean is not None
    assert interval_of(state, best) == (best.mean.low, best.mean.high)
    assert "Student" in interval_words(state)


def test_a_loss_of_one_seed_has_no_interval() -> None:
    state = sweep_of(26, function=lambda settings, rng: rng.random())
    state = replace(state, spec=replace(state.spec, objective="val_loss"))
    assert state.best is not None
    assert interval_of(state, state.best) is None
    assert "no interval" in interval_words(state)
    assert state.best.number == best_first(state)[0].number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "default"),
        (True, "on"),
        (0.05, "0.05"),
        (128, "128"),
        (20_000, "20,000"),
        ("small", "small"),
        ("a/long/path/net.py:Net", "net.py:Net"),
    ],
)
def test_settings_as_text(value: object, text: str) -> None:
    assert setting_text(value) == text


def test_an_empty_sweep() -> None:
    state = sweep_of(0, running=0)
    assert plain(table_lines(state)) == ["no trial has begun"]
    text = "\n".join(plain(conclusion_lines(state, 80)))
    assert "no best one yet" in text
    assert "importance needs 24" in text


@pytest.mark.parametrize("width", [38, 60, 78, 118])
def test_no_line_of_the_conclusion_is_too_wide(width: int) -> None:
    state = sweep_of(60, MANY)
    assert max(map(line_width, importance_lines(state, width))) <= width


def test_the_bar_has_the_share_and_the_interval() -> None:
    assert "".join(cell.text for cell in share_bar(0.5, 0.25, 0.75, 8, "ok")) == "██▓▓──  "
    assert "".join(cell.text for cell in share_bar(0.0, 0.0, 0.1, 8, "ok")) == "─       "


def budgeted(seconds: float, *trials: TrialState, **limits: float) -> SweepState:
    state = sweep_of(0, running=0, budget=Budget(**limits))  # type: ignore[arg-type]
    return replace(state, trials=trials, seconds=seconds)


def test_the_limit_that_is_reached_first_comes_first() -> None:
    done = TrialState(number=1, phase="completed", settings={}, epoch=4, epochs=4)
    half = TrialState(number=2, phase="running", settings={}, epoch=2, epochs=4)
    state = budgeted(60, done, half, trials=4, epochs=100, minutes=10)
    first, second, third = limits_of(state)
    assert (first.name, first.text) == ("trials", "1 of 4 trials")
    assert first.seconds_left == pytest.approx(60 / 1.5 * 2.5)
    assert (second.name, second.text) == ("minutes", "1:00 of 10:00")
    assert third.name == "epochs"
    assert third.seconds_left == pytest.approx(940)
    assert seconds_left(state) == pytest.approx(100)


def test_before_the_first_epoch_the_time_left_is_unknown() -> None:
    assert seconds_left(budgeted(0, trials=4)) is None
    assert seconds_left(replace(budgeted(60, trials=4), is_over=True)) is None
    assert spec_of().budget.trials == 40
