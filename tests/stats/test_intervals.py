from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from tui_trainer.stats.intervals import Z95, mcnemar, wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        # Medicine 17 (1998), table I, method 3: score without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_by_hand() -> None:
    # With z = 2 and 4 of 8: center (0.5 + 4/16) / 1.5, half 2/1.5 · √(0.25/8 + 4/256)
    half = 2 / 1.5 * math.sqrt(0.03125 + 0.015625)
    assert wilson(4, 8, z=2) == pytest.approx((0.5 - half, 0.5 + half))


def test_the_bounds_solve_the_score_test() -> None:
    """At each bound the observed proportion is exactly z standard errors away."""
    for correct, total in [(9_931, 10_000), (3, 7), (4_999, 5_000), (1, 2)]:
        for bound in wilson(correct, total):
            error = math.sqrt(bound * (1 - bound) / total)
            assert abs(correct / total - bound) / error == pytest.approx(Z95)


def test_it_stays_inside_and_contains_the_share() -> None:
    for total in (1, 2, 10, 10_000):
        for correct in {0, 1, total // 2, total - 1, total}:
            low, high = wilson(correct, total)
            assert 0 <= low <= correct / total <= high <= 1
            assert high - low > 0
    assert wilson(10_000, 10_000)[1] == 1
    assert wilson(0, 10_000)[0] == 0


def test_successes_and_failures_are_symmetric() -> None:
    low, high = wilson(9_931, 10_000)
    assert wilson(69, 10_000) == pytest.approx((1 - high, 1 - low))


def test_more_images_narrow_the_interval() -> None:
    widths = [high - low for low, high in (wilson(99 * n, 100 * n) for n in (1, 4, 16, 64))]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (1, 0), (-1, 5), (6, 5), (0, -1)])
def test_invalid_proportions_are_refused(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"not a proportion: {correct} of {total}"):
        wilson(correct, total)


def test_the_quantile_is_that_of_95_percent() -> None:
    assert pytest.approx(NormalDist().inv_cdf(0.975)) == Z95


@pytest.mark.parametrize(
    "pair", [(0, 0), (1, 0), (5, 0), (0, 6), (3, 9), (10, 25), (8, 8), (40, 70)]
)
def test_mcnemar_is_the_exact_binomial_test(pair: tuple[int, int]) -> None:
    """The binomial tail probabilities of n fair coins, by Pascal's triangle."""
    total = sum(pair)
    row = [1]
    for _ in range(total):
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
    far = abs(pair[0] - pair[1])
    extreme = sum(ways for heads, ways in enumerate(row) if abs(2 * heads - total) >= far)
    assert mcnemar(*pair) == pytest.approx(extreme / 2**total)
    assert mcnemar(*pair) == mcnemar(*reversed(pair))


def test_mcnemar_of_a_published_table() -> None:
    # A. Agresti, "Categorical Data Analysis": 86 approved only before, 150 only after: z² = 17.36.
    assert mcnemar(86, 150) == pytest.approx(2 * (1 - NormalDist().cdf(math.sqrt(17.36))), rel=0.3)
    assert mcnemar(10_000, 10_000) == 1
