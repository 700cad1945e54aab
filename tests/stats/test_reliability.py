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
    """Confidences, many near 1, and correct predictions of an overconfident model."""
    rng = np.random.default_rng(images)
    confidence = 1 - rng.random(images) ** 4 * 0.9
    correct = rng.random(images) < confidence ** (1 / power)
    return confidence.tolist(), correct.tolist()


def ece_by_numpy(confidence: Any, correct: Any, bins: int) -> float:
    """An independent computation from the definition, with masks."""
    confidence, correct, total = np.asarray(confidence), np.asarray(correct, dtype=float), 0.0
    for place in range(bins):
        inside = (confidence > place / bins) & (confidence <= (place + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return float(total)


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
@pytest.mark.parametrize("binning", [EQUAL_WIDTH, EQUAL_MASS])
def test_the_bins_match_scikit_learn(bins: int, binning: str) -> None:
    confidence, correct = judged()
    found = Calibration.of(confidence, correct, edges_of(confidence, bins, binning))
    accuracy, confidence = calibration_curve(
        correct, confidence, n_bins=bins, strategy=STRATEGIES[binning]
    )
    full = [each for each in found.bins if each.images]
    assert [each.accuracy for each in full] == pytest.approx(accuracy.tolist())
    assert [each.confidence for each in full] == pytest.approx(confidence.tolist())


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
def test_ece_matches_its_definition(bins: int) -> None:
    confidence, correct = judged()
    found = Calibration.of(confidence, correct, edges_of(confidence, bins))
    assert found.ece == pytest.approx(ece_by_numpy(confidence, correct, bins), abs=1e-12)
    assert found.mce == max(abs(each.gap) for each in found.bins)


def test_errors_by_hand() -> None:
    """Two bins: four images at 0.4, two correct (gap 0.1); one at 0.9, wrong (gap 0.9)."""
    confidence, correct = [0.4] * 4 + [0.9], [True, True, False, False, False]
    found = Calibration.of(confidence, correct, edges_of(confidence, 2))
    assert found.ece == pytest.approx((4 * 0.1 + 0.9) / 5)
    assert found.mce == pytest.approx(0.9)
    assert found.gap == pytest.approx(0.5 - 0.4)
    assert found.bins[0].interval == wilson(2, 4)
    assert found.bins[0].gap == pytest.approx(-0.1)


def test_an_edge_belongs_to_the_lower_bin_and_0_to_the_lowest() -> None:
    edges = edges_of([0.0], 5)
    assert places([0.0, 0.2, 0.2000001, 0.6, 0.8, 1.0, 1.0000001], edges) == [0, 0, 1, 2, 3, 4, 4]


def test_an_empty_bin_has_no_accuracy() -> None:
    found = Calibration.of([0.95], [True], edges_of([0.95], 10))
    empty = found.bins[0]
    assert (empty.accuracy, empty.interval, empty.gap) == (None, None, 0.0)
    assert found.ece == pytest.approx(0.05)


@pytest.mark.parametrize("confidence", [[0.7], [1.0] * 9, [0.5, 0.5, 1.0]])
@pytest.mark.parametrize("binning", [EQUAL_WIDTH, EQUAL_MASS])
def test_few_or_identical_confidences_can_be_binned(confidence: list[float], binning: str) -> None:
    found = Calibration.of(confidence, [True] * len(confidence), edges_of(confidence, 15, binning))
    assert found.images == len(confidence)
    assert found.ece == pytest.approx(1 - sum(confidence) / len(confidence))


def test_equal_mass_has_as_many_images_in_each_bin() -> None:
    confidence, _ = judged(1_000)
    counts = np.bincount(places(confidence, edges_of(confidence, 10, EQUAL_MASS)))
    assert counts.tolist() == pytest.approx([100] * 10, abs=1)


def test_the_interval_of_the_gap_is_the_interval_of_a_mean() -> None:
    confidence, correct = judged()
    found = Calibration.of(confidence, correct, edges_of(confidence, 15))
    gaps = np.array(confidence) - np.array(correct)
    half = 1.959964 * gaps.std(ddof=1) / math.sqrt(len(gaps))
    assert found.gap == pytest.approx(gaps.mean())
    assert found.gap_interval == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert found.gap_interval[0] > 0  # overconfident, as constructed


def test_brier_and_log_loss_match_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    exps = np.exp(rng.normal(size=(500, 10)) * 2)
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 10, 500)
    rows, correct = probabilities.tolist(), probabilities[np.arange(500), labels].tolist()
    truth = np.eye(10)[labels]
    by_class = [brier_score_loss(truth[:, each], probabilities[:, each]) for each in range(10)]
    assert brier(rows, labels.tolist()) == pytest.approx(sum(by_class))
    assert negative_log_likelihood(correct) == pytest.approx(
        log_loss(labels, probabilities, labels=range(10))
    )


def test_a_probability_of_0_gives_a_finite_loss() -> None:
    assert 80 < negative_log_likelihood([0.0]) < 100
    assert brier([[1.0, 0.0]], [1]) == 2.0
