"""Calibration, against numpy and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from tui_trainer.stats.intervals import wilson
from tui_trainer.stats.reliability import (
    EQUAL_MASS,
    EQUAL_WIDTH,
    Calibration,
    brier,
    edges_of,
    negative_log_likelihood,
    places,
)

STRATEGIES = {EQUAL_WIDTH: "uniform", EQUAL_MASS: "quantile"}


def judged(images: int = 2_000, power: float = 0.8) -> tuple[list[float], list[bool]]:
    """Confidences, many near 1, and hits that are less frequent than they say."""
    chance = np.random.default_rng(images)
    sure = 1 - chance.random(images) ** 4 * 0.9
    correct = chance.random(images) < sure ** (1 / power)
    return sure.tolist(), correct.tolist()


def ece_by_numpy(sure: Any, correct: Any, bins: int) -> float:
    """Straight from the definition, with masks: an independent computation."""
    sure, correct, total = np.asarray(sure), np.asarray(correct, dtype=float), 0.0
    for place in range(bins):
        inside = (sure > place / bins) & (sure <= (place + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - sure[inside].mean())
    return float(total)


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
@pytest.mark.parametrize("binning", [EQUAL_WIDTH, EQUAL_MASS])
def test_the_bins_are_those_of_scikit_learn(bins: int, binning: str) -> None:
    sure, correct = judged()
    found = Calibration.of(sure, correct, edges_of(sure, bins, binning))
    accuracy, confidence = calibration_curve(
        correct, sure, n_bins=bins, strategy=STRATEGIES[binning]
    )
    full = [each for each in found.bins if each.images]
    assert [each.accuracy for each in full] == pytest.approx(accuracy.tolist())
    assert [each.confidence for each in full] == pytest.approx(confidence.tolist())


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
def test_ece_is_that_of_the_definition(bins: int) -> None:
    sure, correct = judged()
    found = Calibration.of(sure, correct, edges_of(sure, bins))
    assert found.ece == pytest.approx(ece_by_numpy(sure, correct, bins), abs=1e-12)
    assert found.mce == max(abs(each.gap) for each in found.bins)


def test_errors_by_hand() -> None:
    """Two bins: four images at 0.4, two right (gap 0.1); one at 0.9, wrong (gap 0.9)."""
    sure, correct = [0.4] * 4 + [0.9], [True, True, False, False, False]
    found = Calibration.of(sure, correct, edges_of(sure, 2))
    assert found.ece == pytest.approx((4 * 0.1 + 0.9) / 5)
    assert found.mce == pytest.approx(0.9)
    assert found.gap == pytest.approx(0.5 - 0.4)
    assert found.bins[0].interval == wilson(2, 4)
    assert found.bins[0].gap == pytest.approx(-0.1)


def test_an_edge_belongs_to_the_bin_below_it_and_0_to_the_lowest() -> None:
    edges = edges_of([0.0], 5)
    assert places([0.0, 0.2, 0.2000001, 0.6, 0.8, 1.0, 1.0000001], edges) == [0, 0, 1, 2, 3, 4, 4]


def test_an_empty_bin_says_nothing() -> None:
    found = Calibration.of([0.95], [True], edges_of([0.95], 10))
    empty = found.bins[0]
    assert (empty.accuracy, empty.interval, empty.gap) == (None, None, 0.0)
    assert found.ece == pytest.approx(0.05)


@pytest.mark.parametrize("sure", [[0.7], [1.0] * 9, [0.5, 0.5, 1.0]])
@pytest.mark.parametrize("binning", [EQUAL_WIDTH, EQUAL_MASS])
def test_few_images_or_all_alike_are_in_bins_nevertheless(sure: list[float], binning: str) -> None:
    found = Calibration.of(sure, [True] * len(sure), edges_of(sure, 15, binning))
    assert found.images == len(sure)
    assert found.ece == pytest.approx(1 - sum(sure) / len(sure))


def test_equal_mass_has_as_many_images_in_each_bin() -> None:
    sure, _ = judged(1_000)
    counts = np.bincount(places(sure, edges_of(sure, 10, EQUAL_MASS)))
    assert counts.tolist() == pytest.approx([100] * 10, abs=1)


def test_the_interval_of_the_gap_is_that_of_a_mean() -> None:
    sure, correct = judged()
    found = Calibration.of(sure, correct, edges_of(sure, 15))
    gaps = np.array(sure) - np.array(correct)
    half = 1.959964 * gaps.std(ddof=1) / math.sqrt(len(gaps))
    assert found.gap == pytest.approx(gaps.mean())
    assert found.gap_interval == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert found.gap_interval[0] > 0  # too sure, as it was made


def test_brier_and_log_loss_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(5)
    scores = np.exp(chance.normal(size=(500, 10)) * 2)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    labels = chance.integers(0, 10, 500)
    rows, correct = probabilities.tolist(), probabilities[np.arange(500), labels].tolist()
    truth = np.eye(10)[labels]
    by_class = [brier_score_loss(truth[:, each], probabilities[:, each]) for each in range(10)]
    assert brier(rows, labels.tolist()) == pytest.approx(sum(by_class))
    assert negative_log_likelihood(correct) == pytest.approx(
        log_loss(labels, probabilities, labels=range(10))
    )


def test_a_probability_of_0_for_the_truth_is_a_number_still() -> None:
    assert 80 < negative_log_likelihood([0.0]) < 100
    assert brier([[1.0, 0.0]], [1]) == 2.0
