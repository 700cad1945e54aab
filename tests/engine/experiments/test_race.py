"""Trainings side by side: equal terms, a budget, and what can be told apart."""

from __future__ import annotations

import math

import pytest
import torch

from tests.engine.experiments.conftest import Benches, Ticking
from tui_trainer.engine.experiments.bench import Bench
from tui_trainer.engine.experiments.race import Arm, Score, distinguishable, race, score


def arms_of(bench: Bench, *rates: float) -> list[Arm]:
    network = bench.fresh()
    return [Arm(f"{rate:g}", bench.trial(network, lr=rate)) for rate in rates]


def test_every_arm_sees_the_same_images_from_the_same_start(bench_of: Benches) -> None:
    arms = arms_of(bench_of("tiny"), 0.02, 0.05, 0.02)
    shares = list(race(arms, images=200, clock=Ticking(), seconds=1e9))

    assert {arm.trial.images for arm in arms} == {arms[0].trial.images}
    assert arms[0].trial.images >= 200
    assert arms[0].losses == arms[2].losses != arms[1].losses
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


def test_a_race_ends_in_time_and_its_arms_are_equally_far(bench_of: Benches) -> None:
    arms = arms_of(bench_of("tiny"), 0.02, 0.05)
    shares = list(race(arms, images=10**9, clock=Ticking(0.2), seconds=10.0))

    seen = [arm.trial.images for arm in arms]
    assert max(seen) - min(seen) <= 32
    assert 10 < sum(seen) / 32 < 50
    assert shares[-1] > 0.9


def test_by_time_a_slower_arm_sees_fewer_images(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    network = bench.fresh()
    arms = [Arm(str(size), bench.trial(network, batch_size=size)) for size in (8, 64)]
    list(race(arms, images=10**9, clock=Ticking(0.2), seconds=20.0, by_time=True))

    # Each step takes one tick of this clock, whatever its batch.
    assert arms[1].trial.images > 6 * arms[0].trial.images


def test_an_arm_that_diverges_stands_still_and_the_others_go_on(bench_of: Benches) -> None:
    arms = arms_of(bench_of("tiny"), 0.02, 0.05)
    with torch.no_grad():
        next(arms[1].trial.network.parameters()).fill_(math.nan)
    list(race(arms, images=200, clock=Ticking(), seconds=1e9))

    assert [arm.is_lost for arm in arms] == [False, True]
    assert arms[1].losses == []
    assert arms[0].trial.images >= 200


def test_a_score_is_that_of_the_network_in_evaluation_mode(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    trial = bench.trial(bench.fresh())
    split = bench.sample(100)
    told = score(trial, split)
    with torch.no_grad():
        scores = trial.network.eval()(bench.data.prepare(split.images))

    assert told.total == 100
    assert told.correct == int((scores.argmax(1) == split.labels).sum())
    low, high = told.interval
    assert low < told.accuracy < high


@pytest.mark.parametrize(("other", "is_told_apart"), [(960, False), (930, True)])
def test_only_a_difference_beyond_chance_counts(other: int, is_told_apart: bool) -> None:
    scores = {"a": Score(970, 1_000, 0.1), "b": Score(other, 1_000, 0.2)}

    assert distinguishable(scores) == ([("a", "b")] if is_told_apart else [])
