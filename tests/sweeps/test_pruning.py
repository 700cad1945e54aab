"""When a trial falls behind."""

from __future__ import annotations

from tests.sweeps.made import spec_of
from tui_trainer.sweeps.pruning import clearly_worse, falls_behind

ASHA, MEDIAN = spec_of(pruning="asha"), spec_of(pruning="median")
LOSS = spec_of(pruning="asha", objective="val_loss")


def curve(*values: float) -> dict[int, float]:
    return dict(enumerate(values, 1))


def test_asha_keeps_the_best_third_of_a_level() -> None:
    others = [curve(value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert not falls_behind(ASHA, curve(0.45), others, [])
    assert falls_behind(ASHA, curve(0.35), others, []) == (
        "epoch 1: 0.3500, not in the best 2 of 6 trials (0.4000)"
    )
    assert not falls_behind(LOSS, curve(0.15), others, [])
    assert falls_behind(LOSS, curve(0.25), others, [])


def test_asha_compares_only_at_its_levels_and_from_three_trials_on() -> None:
    others = [curve(0.5, 0.5, 0.5), curve(0.6, 0.6, 0.6)]
    assert falls_behind(ASHA, curve(0.1), others, [])
    assert not falls_behind(ASHA, curve(0.1, 0.1), others, [])
    assert falls_behind(ASHA, curve(0.1, 0.1, 0.1), others, [])
    assert not falls_behind(ASHA, curve(0.1), others[:1], [])
    assert not falls_behind(ASHA, curve(0.1, 0.1, 0.1), [curve(0.5), curve(0.6)], [])


def test_the_best_epoch_so_far_counts() -> None:
    others = [curve(0.5, 0.5, 0.5), curve(0.6, 0.6, 0.6)]
    assert not falls_behind(ASHA, curve(0.1, 0.7, 0.2), others, [])


def test_equals_of_the_last_that_is_kept_are_kept() -> None:
    assert not falls_behind(ASHA, curve(0.5), [curve(0.5), curve(0.5)], [])


def test_the_median_needs_five_completed_trials() -> None:
    completed = [curve(value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert falls_behind(MEDIAN, curve(0.25), completed, completed)
    assert not falls_behind(MEDIAN, curve(0.35), completed, completed)
    assert not falls_behind(MEDIAN, curve(0.05), completed, completed[:4])


def test_without_pruning_nothing_is_pruned() -> None:
    others = [curve(0.9)] * 9
    assert not falls_behind(spec_of(pruning="none"), curve(0.0), others, others)


def test_seeds_are_left_out_only_where_the_spread_is_known() -> None:
    spec = spec_of(seeds=3)
    best = (0.980, 0.981, 0.982)
    trials = [best, (0.970, 0.971, 0.972)]
    assert clearly_worse([0.90], best, trials, spec)
    assert not clearly_worse([0.9775], best, trials, spec)
    assert not clearly_worse([0.90], best, trials[:1], spec)  # two degrees of freedom
    assert not clearly_worse([0.90], (), trials, spec)
    assert not clearly_worse([0.99], best, trials, spec)
