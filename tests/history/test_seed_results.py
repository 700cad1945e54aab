"""The results of runs that differ in their seed alone."""

from __future__ import annotations

import statistics

import pytest
from scipy import stats

from tests.headless.fakes import epoch_done, finished, started
from tui_trainer.history.run_state import RunState
from tui_trainer.history.seed_results import SeedResult, SeedResults, result_of
from tui_trainer.history.seed_table import result_lines
from tui_trainer.history.target import Target
from tui_trainer.protocol.events import Diverged, Event, TestEvaluated
from tui_trainer.text.lines import plain

TARGET = Target(0.99, 2)


def result(
    seed: int,
    *correct: int | None,
    test: int = 9_930,
    reason: str | None = "completed",
    target: Target | None = TARGET,
) -> SeedResult:
    """The result of a run with these correct predictions of 500 in its epochs."""
    evaluated = TestEvaluated(
        test_loss=0.03,
        test_accuracy=test / 10_000,
        test_correct=test,
        test_total=10_000,
        test_interval=(0.98, 0.99),
        evaluation=1,
        images=2_000,
        step=20,
    )
    epochs = [epoch_done(number, correct=count) for number, count in enumerate(correct, 1)]
    ends: list[Event] = [] if reason is None else [evaluated, finished(reason, correct=test)]
    run = RunState.of([started(epochs=len(correct)), *epochs, *ends])
    return result_of(seed, run, target)


def test_the_means_have_students_intervals() -> None:
    results = SeedResults(
        [result(0, 498, 496), result(1, 497, 499, test=9_940), result(2, 495, 495)], TARGET
    )
    lasts = [0.992, 0.998, 0.99]
    mean = results.mean("last")
    assert mean is not None
    expected = stats.t.interval(0.95, 2, statistics.fmean(lasts), stats.sem(lasts))
    assert (mean.low, mean.high) == pytest.approx(expected, rel=1e-12)
    best = results.mean("best")
    assert best is not None
    assert best.mean == pytest.approx(statistics.fmean([0.996, 0.998, 0.99]))
    lines = plain(result_lines(results, 78))
    assert lines[:2] == [
        "seed  best val     last val  test     epochs  time  state      target",
        "   0  99.60 % (1)  99.20 %   99.30 %       2  0:00  completed  ✓ 2 of 2",
    ]
    assert "mean last validation accuracy  99.33 % [98.30, 100.00]" in lines
    assert results.notes == ["[…]: 95 % Student's t interval of the mean over 3 seeds"]


def test_the_verdict_names_the_seeds_that_missed_the_target() -> None:
    results = SeedResults([result(0, 498, 496), result(1, 496, 490)], TARGET)
    assert not results.is_reached
    assert results.verdict_lines == [
        "✗ target missed by 1 of 2 seeds: validation accuracy ≥ 99.00 % in each of the last 2 "
        "epochs",
        "seed 1: validation at least 99.00 % in 1 of the last 2 epochs; lowest 98.00 % (epoch 2)"
        ", 1.00 points below",
    ]


def test_the_target_is_reached_by_each_seed() -> None:
    results = SeedResults([result(0, 498, 496), result(1, 496, 497)], TARGET)
    assert results.is_reached
    assert results.verdict_lines[0].startswith("✓ target reached by each of 2 seeds: ")


def test_a_diverged_run_is_a_result_outside_the_means() -> None:
    diverged = Diverged(step=3, epoch=1, lr=9.0, last_good_step=0)
    run = RunState.of([started(), diverged, finished("diverged", correct=None)])
    results = SeedResults([result(0, 498, 496), result_of(1, run, TARGET)], TARGET)
    assert results.has_diverged
    assert results.is_over
    assert not results.is_reached
    mean = results.mean("test")
    assert mean is not None
    assert mean.count == 1
    assert results.notes == [
        "one completed run has no interval: an interval needs two seeds or more",
        "not in the means: seed 1 diverged",
    ]
    assert "seed 1: the training diverged" in results.verdict_lines[1]


def test_an_unfinished_group_is_not_judged() -> None:
    results = SeedResults([result(0, 498, 496), result_of(1, None, TARGET)], TARGET)
    assert not results.is_over
    assert results.verdict_lines[0].startswith("target not judged yet: 1 of 2 seeds have a result")
    assert results.record()["target"] == {"accuracy": 0.99, "last": 2, "reached": None}


def test_unequal_runs_are_named() -> None:
    results = SeedResults([result(0, None, None, target=None), result(1, None, target=None)])
    assert results.mean("last") is None
    assert plain(result_lines(results, 78))[1].split()[1:3] == ["-", "-"]
    assert "the runs have different lengths: 1 and 2 epochs" in results.notes
    assert any(line.startswith("no validation images; --val-size 5000") for line in results.notes)
    assert results.verdict_lines == []


def test_a_run_that_was_killed_after_its_test_evaluation_is_complete() -> None:
    evaluated = result(0, 498, 496)
    assert evaluated.is_completed
    assert result(0, 498, 496, reason=None).state == "unfinished"


def test_the_record_is_plain_json() -> None:
    record = SeedResults([result(4, 498, 496)], TARGET).record()
    (seed,) = record["seeds"]
    assert (seed["seed"], seed["target_reached"], seed["target_epochs"]) == (4, True, 2)
    assert record["means"]["test_accuracy"] == {
        "mean": 0.993,
        "low": None,
        "high": None,
        "count": 1,
    }
