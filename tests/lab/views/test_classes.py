"""The classification report, on the real 10,000 against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import (
    figures,
    only,
    random_context,
    trained_context,
    with_predictions,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST
from tui_trainer.protocol.exhibit import Table
from tui_trainer.stats.intervals import wilson


def agrees(context: Context, seen: Seen) -> None:
    shown = figures(seen(context, "classes", images=TEST))
    judged = context.prediction_store.by_split[TEST]
    labels, predicted = judged.labels.numpy(), judged.predicted.numpy()
    expected = metrics.precision_recall_fscore_support(labels, predicted)
    for name, theirs in zip(("precision", "recall", "f1", "images"), expected, strict=True):
        assert [each[name] for each in shown["classes"]] == pytest.approx(theirs.tolist()), name
    macro = metrics.precision_recall_fscore_support(labels, predicted, average="macro")
    for name, value in zip(("precision", "recall", "f1"), macro, strict=False):
        reported = shown[f"macro_{name}"]
        assert reported["value"] == pytest.approx(value)
        assert reported["interval"][0] < value < reported["interval"][1]
    assert shown["accuracy"] == metrics.accuracy_score(labels, predicted)
    for each in shown["classes"]:
        assert each["recall_interval"] == list(wilson(each["correct"], each["images"]))
        assert each["precision_interval"] == list(wilson(each["correct"], each["predicted"]))
        low, high = each["f1_interval"]
        assert low < each["f1"] < high


def test_the_metrics_are_scikit_learns_on_the_real_10_000(context_of: Contexts, seen: Seen) -> None:
    agrees(random_context(context_of("tiny"), TEST), seen)


@pytest.mark.slow
def test_the_metrics_of_a_trained_model_are_scikit_learns(seen: Seen) -> None:
    agrees(trained_context(), seen)


def test_the_worst_class_is_marked_in_either_order(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    shown = seen(context, "classes")
    classes = figures(shown)["classes"]
    worst = min(classes, key=lambda each: each["f1"])["class"]
    assert only(Table, shown).marked == worst
    assert shown.result.startswith(f"Class {worst} has the lowest F1: ")
    table = only(Table, seen(context, "classes", order="worst first"))
    order = sorted(classes, key=lambda each: each["f1"])
    assert [row[0] for row in table.rows] == [str(each["class"]) for each in order]
    assert table.marked == 0
    assert shown.opens is not None
    assert float(worst) in dict(shown.opens.choices).values()


def test_a_class_that_is_never_predicted_has_no_precision(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    all_threes = torch.zeros((200, 10))
    all_threes[:, 3] = 1.0
    shown = seen(with_predictions(context, all_threes), "classes")
    rows = only(Table, shown).rows
    assert rows[0][2] == "–"
    assert rows[3][3].startswith("100 [")
    assert "never predicted: class 0, 1, 2, 4, 5, 6, 7, 8, 9" in words(shown)
    assert figures(shown)["classes"][0]["precision"] is None
    assert figures(shown)["classes"][0]["f1"] == 0.0
    accuracy = figures(shown)["accuracy"]
    assert figures(shown)["macro_precision"]["value"] == pytest.approx(accuracy / 10)


def test_only_exact_shares_are_100_or_0(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"), TEST)
    rows = only(Table, seen(context, "classes", images=TEST)).rows
    assert not any(cell.startswith("100.0") for row in rows for cell in row)
    right = with_predictions(context, torch.eye(10)[context.digits.labels.cpu()])
    rows = only(Table, seen(right, "classes")).rows
    assert all(cell.startswith("100 [") and cell.endswith(", 100]") for r in rows for cell in r[2:])
