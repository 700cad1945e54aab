"""The confusion matrix and its metrics, against scikit-learn, and their intervals by simulation."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from tui_trainer.stats.confusion_matrix import ClassMetrics, Confusion, mean_of
from tui_trainer.stats.intervals import wilson

Drawn = tuple[list[int], list[int]]


def drawn(images: int, classes: int, wrong: float, seed: int) -> Drawn:
    """Labels and predictions of a classifier with a share of errors, larger for some classes."""
    rng = random.Random(seed)
    labels = [rng.randrange(classes) for _ in range(images)]
    predicted = [
        rng.randrange(classes) if rng.random() < wrong * (1 + label) / classes else label
        for label in labels
    ]
    return labels, predicted


def theirs(true: list[int], predicted: list[int], **settings: Any) -> Any:
    return metrics.precision_recall_fscore_support(true, predicted, zero_division=0, **settings)


@pytest.mark.parametrize(("classes", "wrong"), [(2, 0.3), (10, 0.1), (10, 1.5), (62, 0.5)])
def test_metrics_match_scikit_learn(classes: int, wrong: float) -> None:
    labels, predicted = drawn(3_000, classes, wrong, classes)
    confusion = Confusion.of(labels, predicted, classes)

    assert confusion.counts == tuple(
        map(tuple, metrics.confusion_matrix(labels, predicted, labels=range(classes)).tolist())
    )
    precision, recall, f1, support = theirs(labels, predicted, labels=range(classes))
    per_class = confusion.per_class
    assert [score.precision or 0.0 for score in per_class] == pytest.approx(precision.tolist())
    assert [score.recall or 0.0 for score in per_class] == pytest.approx(recall.tolist())
    assert [score.f1 or 0.0 for score in per_class] == pytest.approx(f1.tolist())
    assert [score.images for score in per_class] == support.tolist()
    assert confusion.correct / confusion.total == metrics.accuracy_score(labels, predicted)
    macros = (confusion.macro_precision, confusion.macro_recall, confusion.macro_f1)
    expected = theirs(labels, predicted, average="macro")[:3]
    assert [each.value for each in macros] == pytest.approx(list(expected))


def test_undefined_metrics_are_none_and_count_as_0() -> None:
    """Class 1 is never predicted, class 2 has no image, class 3 has neither."""
    labels, predicted = [0, 0, 0, 1], [0, 0, 2, 0]
    confusion = Confusion.of(labels, predicted, 4)
    per_class = confusion.per_class
    assert [score.precision for score in per_class] == [2 / 3, None, 0.0, None]
    assert [score.recall for score in per_class] == [2 / 3, 0.0, None, None]
    assert [score.f1 for score in per_class] == [2 / 3, 0.0, 0.0, None]
    assert (
        per_class[3].f1_interval is per_class[2].recall_interval is per_class[1].precision_interval
    )
    assert per_class[3].f1_interval is None
    expected = theirs(labels, predicted, average="macro")
    assert confusion.macro_precision.value == pytest.approx(expected[0])
    assert confusion.macro_recall.value == pytest.approx(expected[1])
    assert confusion.macro_f1.value == pytest.approx(expected[2])


def test_intervals_of_precision_and_recall_are_wilsons() -> None:
    score = ClassMetrics(label=3, images=40, predicted=50, correct=36)
    assert score.precision_interval == wilson(36, 50)
    assert score.recall_interval == wilson(36, 40)


@pytest.mark.parametrize(
    ("images", "predicted", "correct"), [(30, 28, 0), (30, 30, 30), (40, 36, 33)]
)
def test_the_interval_of_f1_contains_it(images: int, predicted: int, correct: int) -> None:
    score = ClassMetrics(0, images, predicted, correct)
    assert score.f1 is not None
    assert score.f1_interval is not None
    low, high = score.f1_interval
    assert 0 <= low <= score.f1 <= high <= 1
    assert high - low > 0.03


def test_the_interval_of_f1_has_its_nominal_coverage() -> None:
    """Samples of 400 from known shares: the interval contains the true F1 in 19 of 20 cases."""
    truth = np.array([[300, 20, 5], [30, 250, 45], [10, 15, 325]]) / 1_000
    exact = 2 * truth.diagonal() / (truth.sum(0) + truth.sum(1))
    rng, trials = np.random.default_rng(0), 600
    inside, inside_macro = 0, 0
    for counts in rng.multinomial(400, truth.flatten(), size=trials):
        confusion = Confusion(tuple(map(tuple, counts.reshape(3, 3).tolist())))
        low, high = confusion.per_class[1].f1_interval or (1.0, 0.0)
        inside += low <= exact[1] <= high
        low, high = confusion.macro_f1.interval
        inside_macro += low <= exact.mean() <= high
    assert 0.925 <= inside / trials <= 0.975
    assert 0.925 <= inside_macro / trials <= 0.985


def test_the_interval_of_macro_f1_matches_a_bootstrap() -> None:
    labels, predicted = drawn(1_000, 4, 0.5, 3)
    confusion = Confusion.of(labels, predicted, 4)
    shares = np.array(confusion.counts) / 1_000
    again = np.random.default_rng(1).multinomial(1_000, shares.flatten(), size=2_000)
    again = again.reshape(-1, 4, 4)
    correct = again.diagonal(axis1=1, axis2=2)
    f1 = (2 * correct / (again.sum(1) + again.sum(2))).mean(axis=1)
    assert confusion.macro_f1.interval == pytest.approx(np.percentile(f1, [2.5, 97.5]), abs=0.004)


def test_a_perfect_classifier_has_an_interval() -> None:
    perfect = Confusion.of([0, 1] * 20, [0, 1] * 20, 2)
    assert perfect.macro_f1.value == perfect.macro_recall.value == 1.0
    for average in (perfect.macro_f1, perfect.macro_recall, perfect.macro_precision):
        assert average.interval[0] < 0.97
        assert average.interval[1] == 1.0


def test_a_mean_of_one_class_has_its_interval() -> None:
    assert mean_of([(0.5, (0.4, 0.7))]).interval == pytest.approx((0.4, 0.7))


def test_the_worst_pairs_come_first() -> None:
    confusion = Confusion(((8, 2, 0), (2, 1, 1), (0, 1, 9)))
    assert confusion.worst_pairs() == [(1, 0, 2), (0, 1, 2), (1, 2, 1), (2, 1, 1)]
    assert confusion.share(1, 0) == 0.5
    assert confusion.images == (10, 4, 10)
    assert confusion.predicted == (10, 4, 10)


def test_without_images_the_share_is_0() -> None:
    empty = Confusion.of([], [], 2)
    assert (empty.total, empty.correct, empty.share(0, 1)) == (0, 0, 0.0)
    assert empty.worst_pairs() == []
