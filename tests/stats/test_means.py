from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from tui_trainer.stats.intervals import PairedAccuracy, holm, mcnemar
from tui_trainer.stats.means import (
    Band,
    band,
    independent_difference,
    mean_interval,
    paired_difference,
    single_difference,
    student_quantile,
    two_sided_p,
)

RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"


def recorded(preset: str) -> list[float]:
    """The test accuracies of a preset's real runs, by seed."""
    lines = (RECORDS / f"{preset}.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    return [run["test_correct"] / run["test_total"] for run in runs]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999999])
@pytest.mark.parametrize("freedom", [0.7, 1, 2, 3, 4.25, 9, 12, 13, 30, 99.5, 1_000, 100_000])
def test_the_quantile_agrees_with_scipy(freedom: float, confidence: float) -> None:
    expected = scipy_stats.t.ppf((1 + confidence) / 2, freedom)
    assert student_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 1.0, -2.5, 12.0, 1e3])
@pytest.mark.parametrize("freedom", [0.5, 1, 2, 5.5, 30, 5_000])
def test_the_p_value_agrees_with_scipy(t: float, freedom: float) -> None:
    expected = 2 * scipy_stats.t.sf(abs(t), freedom)
    assert two_sided_p(t, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("freedom", "confidence"), [(0, 0.95), (-1, 0.95), (3, 0), (3, 1)])
def test_what_has_no_quantile_is_rejected(freedom: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="no Student's t"):
        student_quantile(freedom, confidence)


@pytest.mark.parametrize("preset", ["fast", "micro"])
def test_the_interval_of_real_runs_agrees_with_scipy_and_statsmodels(preset: str) -> None:
    values = recorded(preset)
    interval = mean_interval(values)
    expected = DescrStatsW(np.array(values)).tconfint_mean()
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
    expected = scipy_stats.t.interval(
        0.9, len(values) - 1, loc=np.mean(values), scale=scipy_stats.sem(values)
    )
    ninety = mean_interval(values, 0.9)
    assert (ninety.low, ninety.high) == pytest.approx(expected, abs=1e-12)
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.count == len(values)


def test_a_single_value_has_no_interval() -> None:
    interval = mean_interval([0.99])
    assert (interval.mean, interval.count) == (0.99, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize("values", [[], [0.9, math.nan], [math.inf]])
def test_values_without_a_mean_are_rejected(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        mean_interval(values)


def test_a_paired_difference_of_real_runs_agrees_with_scipy() -> None:
    first, second = recorded("fast"), recorded("micro")
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    difference = paired_difference(first, second)
    expected = scipy_stats.ttest_rel(first, second)
    assert difference.p == pytest.approx(expected.pvalue, rel=1e-7)
    ends = expected.confidence_interval()
    assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high), abs=1e-12)
    assert difference.mean == pytest.approx(np.mean(first) - np.mean(second))
    assert difference.count == count


def test_an_independent_difference_agrees_with_scipy_and_statsmodels() -> None:
    first, second = recorded("fast"), recorded("micro")[:4]
    difference = independent_difference(first, second)
    expected = scipy_stats.ttest_ind(first, second, equal_var=False)
    assert difference.p == pytest.approx(expected.pvalue, rel=1e-7)
    means = CompareMeans.from_data(np.array(first), np.array(second))
    ends = means.tconfint_diff(usevar="unequal")
    assert (difference.low, difference.high) == pytest.approx(ends, abs=1e-12)
    assert difference.count == len(first) + 4


def test_a_single_value_and_a_group_agree_with_scipy() -> None:
    group, value = recorded("fast"), recorded("micro")[0]
    difference = single_difference(value, group)
    expected = scipy_stats.ttest_ind([value], group)
    assert difference.p == pytest.approx(expected.pvalue, rel=1e-7)
    ends = expected.confidence_interval()
    assert (difference.low, difference.high) == pytest.approx((ends.low, ends.high), abs=1e-12)
    assert math.isnan(single_difference(0.9, [0.8]).p)
    assert math.isnan(single_difference(0.9, [0.8, 0.8]).p)
    with pytest.raises(ValueError, match="finite value"):
        single_difference(math.nan, group)


@pytest.mark.parametrize("second", [[0.97, 0.98], [0.98, 0.99]])
def test_equal_differences_have_a_mean_and_no_test(second: list[float]) -> None:
    difference = paired_difference([0.98, 0.99], second)
    assert difference.mean == pytest.approx(0.98 - second[0])
    assert math.isnan(difference.p)
    assert math.isnan(difference.low)


def test_one_pair_and_one_value_have_no_test() -> None:
    assert math.isnan(paired_difference([0.98], [0.97]).p)
    assert math.isnan(independent_difference([0.98], [0.97, 0.98]).p)
    assert math.isnan(independent_difference([0.98, 0.98], [0.97, 0.97]).p)


def test_pairs_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_difference([0.98, 0.99], [0.97])


def test_mcnemar_agrees_with_statsmodels() -> None:
    rng = random.Random(0)
    for _ in range(50):
        one, other = rng.randrange(60), rng.randrange(60)
        expected = reference_mcnemar([[4_000, one], [other, 300]], exact=True).pvalue
        assert mcnemar(one, other) == pytest.approx(expected, rel=1e-9)


def test_an_interval_of_paired_accuracies_is_that_of_statsmodels_with_half_an_image_more() -> None:
    pair = PairedAccuracy(both=4_900, only_first=30, only_second=12, neither=58)
    low, high = pair.interval
    added = np.array([[4_900.5, 30.5], [12.5, 58.5]])
    share = (added[0, 1] - added[1, 0]) / 5_002
    error = math.sqrt(((added[0, 1] + added[1, 0]) / 5_002 - share**2) / 5_002)
    assert (low, high) == pytest.approx(scipy_stats.norm.interval(0.95, share, error))
    assert pair.images == 5_000
    assert pair.difference == pytest.approx(0.0036)
    assert pair.p == pytest.approx(reference_mcnemar([[4_900, 30], [12, 58]], exact=True).pvalue)
    same = PairedAccuracy(both=100, only_first=0, only_second=0, neither=0)
    assert same.p == 1
    assert same.interval[0] < 0 < same.interval[1]


def test_holms_correction_agrees_with_statsmodels() -> None:
    rng = random.Random(1)
    for length in (1, 2, 5, 11):
        p_values = [rng.random() ** 3 for _ in range(length)]
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    adjusted = holm([math.nan, 0.02, 0.9])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == [0.04, 0.9]


def test_the_band_of_one_grid_has_its_places_and_intervals() -> None:
    curves = [([1, 2, 3], [0.5, 0.7, 0.8]), ([1, 2, 3], [0.6, 0.7, 0.9]), ([1, 2], [0.4, 0.7])]
    found = band(curves)
    assert found.x == (1, 2, 3)
    assert found.counts == (3, 3, 2)
    for index, values in enumerate([[0.5, 0.6, 0.4], [0.7] * 3, [0.8, 0.9]]):
        expected = mean_interval(values)
        assert found.mean[index] == pytest.approx(expected.mean)
        assert (found.low[index], found.high[index]) == (expected.low, expected.high)


def test_the_band_of_different_grids_is_interpolated_as_numpy_does() -> None:
    rng = np.random.default_rng(0)
    curves = []
    for length in (300, 1_000, 457):
        xs = np.sort(rng.uniform(0, length, length))
        curves.append((xs.tolist(), np.exp(-xs / 200).tolist()))
    found = band(curves, 100)
    assert len(found.x) == 100
    for x, mean, count in zip(found.x, found.mean, found.counts, strict=True):
        values = [np.interp(x, xs, ys) for xs, ys in curves if xs[0] <= x <= xs[-1]]
        assert count == len(values)
        assert mean == pytest.approx(np.mean(values))


def test_a_diverged_curve_counts_until_it_diverges() -> None:
    found = band([([0, 1, 2, 3], [1, 2, math.nan, math.inf]), ([0, 1.5, 3], [1, 1, 1])])
    assert dict(zip(found.x, found.counts, strict=True)) == {0: 2, 1: 2, 1.5: 1, 2: 1, 3: 1}
    assert math.isnan(found.low[-1])


def test_places_without_a_finite_value_are_left_out() -> None:
    assert band([]) == band([([], [])]) == Band((), (), (), (), ())
    assert band([([1, 2], [math.nan, 3.0])]).x == (2,)
    # Between two curves that do not overlap there is no value.
    assert band([([0, 1], [1, 1]), ([9, 10], [2, 2])], 11).x[1:3] == (1, 9)
