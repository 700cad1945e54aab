"""Range tests of curves that are made up: what they suggest, and what makes that unreliable."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from tui_trainer.stats.lr_doubts import Setup, doubts
from tui_trainer.stats.lr_range import (
    BELOW,
    MARGIN,
    UPDATES,
    MovingLoss,
    RangeTest,
    Suggestion,
    learning_rates,
    mean_curve,
    suggestion,
)

LRS = learning_rates(1e-4, 10.0, 101)
SETUP = Setup(low=1e-4, high=10.0, updates=101, batch_size=32, train_images=60_000, is_fresh=True)


def sigmoid(lr: float, middle: float, width: float = 0.15) -> float:
    return 1 / (1 + math.exp(-(math.log10(lr / middle)) / width))


def fresh(seed: int, *, middle: float = 0.01, back: float = 1.0, noise: float = 0.02) -> RangeTest:
    """Return a test whose loss falls from 2.3 to 1.3 around ``middle`` and returns at ``back``."""
    rng = random.Random(seed)
    middle *= 10 ** rng.gauss(0, 0.05)
    losses = [
        2.3 - sigmoid(lr, middle) + sigmoid(lr, back, 0.05) + rng.gauss(0, noise) for lr in LRS
    ]
    return RangeTest(seed, LRS, tuple(losses), len(LRS))


def trained(seed: int, *, edge: float = 0.3, level: float = 0.1) -> RangeTest:
    """Return a test from trained weights: flat until the loss explodes at ``edge``."""
    rng = random.Random(seed)
    edge *= 10 ** rng.gauss(0, 0.05)
    losses = [
        level * rng.uniform(0.6, 1.4) + (0 if lr < edge else math.log10(lr / edge) * 5)
        for lr in LRS
    ]
    return RangeTest(seed, LRS, tuple(losses), len(LRS))


def of(*tests: RangeTest, setup: Setup = SETUP) -> tuple[Suggestion, list[str]]:
    found = suggestion(tests)
    return found, [doubt.code for doubt in doubts(tests, found, setup)]


def test_the_learning_rates_are_geometric_with_exact_ends() -> None:
    assert (LRS[0], LRS[-1], len(LRS)) == (1e-4, 10.0, 101)
    assert LRS[60] == pytest.approx(0.1)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (1.0, 0.1), (0.0, 1.0), (1.0, math.inf)])
def test_an_empty_range_has_no_learning_rates(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no range"):
        learning_rates(*ends, 100)


def test_a_fall_is_found_where_it_is() -> None:
    found, codes = of(*(fresh(seed) for seed in range(5)))

    # 20 updates per decade: their rates add up to 0.01 · 20 / ln 10 at the half fall.
    wanted = 0.01 * 20 / math.log(10) / UPDATES
    assert found.rule == "fall"
    assert found.lr == pytest.approx(wanted, rel=0.15)
    assert found.low < wanted < found.high
    assert codes == []


def test_twice_the_updates_of_the_same_training_suggest_the_same() -> None:
    lrs = learning_rates(1e-4, 10.0, 201)
    # The loss depends on the sum of the rates: it falls at half of the rate.
    slow = [2.3 - sigmoid(lr, 0.005) + sigmoid(lr, 1.0, 0.05) for lr in lrs]
    twice = suggestion([RangeTest(0, lrs, tuple(slow), 201)])

    losses = tuple(2.3 - sigmoid(lr, 0.01) + sigmoid(lr, 1.0, 0.05) for lr in LRS)
    once = suggestion([RangeTest(0, LRS, losses, 101)])
    assert twice.lr == pytest.approx(once.lr, rel=0.05)


def test_the_suggestion_stays_below_the_return_of_the_loss() -> None:
    found, _ = of(*(fresh(seed, back=0.05) for seed in range(5)))

    assert found.lr == pytest.approx(0.05 / BELOW, rel=0.2)


def test_trained_weights_suggest_a_share_of_where_the_loss_doubles() -> None:
    tests = [trained(seed) for seed in range(5)]
    found, codes = of(*tests, setup=replace(SETUP, is_fresh=False))

    assert found.rule == "rise"
    assert found.lr == pytest.approx(0.3 / MARGIN, rel=0.2)
    assert codes == []


def test_the_interval_is_that_of_a_repeat() -> None:
    inside = total = 0
    for number in range(150):
        seeds = range(10 * number, 10 * number + 10)
        one = suggestion([fresh(seed) for seed in seeds[:5]])
        other = suggestion([fresh(seed) for seed in seeds[5:]])
        inside += one.low <= other.lr <= one.high
        total += 1

    assert one.confidence == 0.95
    assert 0.88 <= inside / total <= 0.99


def test_equal_seeds_have_the_width_of_an_update() -> None:
    found = suggestion([fresh(1)] * 4)

    assert found.high / found.low == pytest.approx(LRS[1] / LRS[0])


def test_one_seed_has_no_interval() -> None:
    found, codes = of(fresh(0))

    assert math.isfinite(found.lr)
    assert math.isnan(found.low)
    assert codes == ["few_seeds"]


@pytest.mark.parametrize("spike", [1e6, math.inf])
def test_a_loss_that_explodes_ends_a_test(spike: float) -> None:
    moving = MovingLoss()
    for loss in (2.3, 2.2, 1.0, 0.8):
        moving.add(loss)
    assert not moving.has_exploded

    moving.add(spike)
    assert moving.has_exploded


def test_a_nan_ends_a_test() -> None:
    moving = MovingLoss()
    moving.add(math.nan)
    assert moving.has_exploded


def test_the_mean_ends_where_most_tests_have_ended() -> None:
    long, short = fresh(0), fresh(1)
    short = replace(short, lrs=short.lrs[:60], losses=short.losses[:60])
    mean = mean_curve([test.smoothed() for test in (long, short, short)])

    assert mean.x[-1] == pytest.approx(math.log10(LRS[59]), abs=0.05)


# --- doubts


def test_a_loss_that_is_nan_from_the_start_suggests_nothing() -> None:
    broken = RangeTest(3, LRS[:1], (math.nan,), len(LRS))
    found, codes = of(fresh(0), fresh(1), broken)
    assert codes == ["not_finite"]

    only = suggestion([broken, broken])
    assert math.isnan(only.lr)
    [doubt] = doubts([broken, broken], only, SETUP)
    assert "before the first update" in doubt.evidence
    assert "mnist-tui check" in doubt.advice
    [doubt] = doubts([broken, broken], only, replace(SETUP, is_fresh=False))
    assert "rewind" in doubt.advice
    assert found.lrs[2] != found.lrs[2]  # NaN


def test_a_loss_that_breaks_at_the_lowest_rate_asks_for_a_lower_one() -> None:
    broken = RangeTest(3, LRS[:3], (2.3, 50.0, math.inf), len(LRS))
    [doubt] = doubts([broken], suggestion([broken]), SETUP)

    assert "--from" in doubt.advice


def test_a_flat_loss_suggests_nothing() -> None:
    flat = [RangeTest(seed, LRS, (2.3,) * 101, 101) for seed in range(3)]
    found, codes = of(*flat)

    assert math.isnan(found.lr)
    assert codes == ["no_effect"]


def test_a_fresh_model_that_only_explodes_has_a_doubt() -> None:
    _, codes = of(*(trained(seed, level=2.3, edge=0.05) for seed in range(5)))

    assert codes == ["no_fall"]


def test_a_loss_that_still_falls_at_the_end_needs_a_wider_range() -> None:
    _, codes = of(*(fresh(seed, middle=3.0, back=1e9) for seed in range(5)))

    assert "falls_at_end" in codes


def test_a_loss_that_falls_at_once_needs_a_lower_start() -> None:
    tests = [trained(seed, edge=2e-4) for seed in range(5)]
    _, codes = of(*tests, setup=replace(SETUP, is_fresh=False))

    assert "begins_high" in codes


def test_seeds_that_disagree_are_reported() -> None:
    found, codes = of(
        *(fresh(seed, middle=middle) for seed, middle in enumerate((1e-3, 0.01, 0.1)))
    )

    assert found.high > 4 * found.low
    assert codes == ["seeds_disagree"]


def test_a_seed_that_explodes_below_the_suggestion_is_reported() -> None:
    early = fresh(9)
    early = replace(early, lrs=early.lrs[:48], losses=early.losses[:48])  # ends at 0.022
    _, codes = of(*(fresh(seed) for seed in range(4)), early)

    assert "exploded_early" in codes


def test_a_seed_without_a_suggestion_is_reported() -> None:
    flat = RangeTest(9, LRS, (2.3,) * 101, 101)
    found, codes = of(*(fresh(seed) for seed in range(4)), flat)

    assert math.isnan(found.lrs[-1])
    assert codes == ["seeds_without_rate"]


def test_few_updates_and_repeated_images_are_reported() -> None:
    few = replace(SETUP, updates=40, train_images=1_000, batch_size=128)
    _, codes = of(*(fresh(seed) for seed in range(5)), setup=few)

    assert codes == ["few_updates", "few_images"]


def test_advice_stays_within_the_limits_of_a_learning_rate() -> None:
    flat = [RangeTest(0, LRS, (2.3,) * 101, 101)]
    [doubt] = doubts(flat, suggestion(flat), replace(SETUP, high=900.0))

    assert "--to 1000" in doubt.advice
