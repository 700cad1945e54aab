"""The confusion matrix view, on the real 10,000 against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import (
    figures,
    only,
    random_context,
    small_split,
    trained_context,
    with_predictions,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST
from tui_trainer.lab.views.confusion import PREVIEW
from tui_trainer.protocol.exhibit import Link, Matrix, Pictures, Table
from tui_trainer.stats.intervals import wilson


def agrees(context: Context, seen: Seen) -> None:
    shown = figures(seen(context, "confusion", images=TEST))
    judged = context.prediction_store.by_split[TEST]
    labels, predicted = judged.labels.numpy(), judged.predicted.numpy()
    expected = metrics.confusion_matrix(labels, predicted)
    assert shown["images"] == len(labels) == 10_000
    assert shown["confusion"] == expected.tolist()
    assert shown["correct"] == metrics.accuracy_score(labels, predicted, normalize=False)
    wrong = sum(pair["count"] for pair in shown["worst_pairs"])
    assert wrong == 10_000 - shown["correct"]


def test_the_matrix_is_scikit_learns_on_the_real_10_000(context_of: Contexts, seen: Seen) -> None:
    agrees(random_context(context_of("tiny"), TEST), seen)


@pytest.mark.slow
def test_the_matrix_of_a_trained_model_is_scikit_learns(seen: Seen) -> None:
    agrees(trained_context(), seen)


def test_it_selects_the_most_frequent_confusion_and_links_to_its_images(
    context_of: Contexts, seen: Seen
) -> None:
    shown = seen(random_context(context_of("tiny")), "confusion")
    worst = figures(shown)["worst_pairs"][0]
    matrix = only(Matrix, shown)
    assert matrix.cell == (worst["true"], worst["predicted"])
    assert matrix.intensities[worst["true"]][worst["predicted"]] == 1.0
    assert shown.opens == Link(
        view="misclassified",
        choices=(
            ("images", "validation"),
            ("true", float(worst["true"])),
            ("predicted", float(worst["predicted"])),
        ),
        hint=f"the {worst['count']} images of true {worst['true']}, predicted {worst['predicted']}",
    )


def test_shares_are_of_the_true_class(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    counts = figures(seen(context, "confusion"))["confusion"]
    matrix = only(Matrix, seen(context, "confusion", numbers="shares"))
    for row, texts in zip(counts, matrix.texts, strict=True):
        assert list(texts) == [f"{100 * c / sum(row):.1f}" if c else "·" for c in row]


def test_the_worst_pairs_are_sorted_by_frequency(context_of: Contexts, seen: Seen) -> None:
    worst = only(Table, seen(random_context(context_of("tiny")), "confusion")).rows
    assert len(worst) == 8
    assert sorted(worst, key=lambda row: -int(row[2])) == list(worst)


def test_the_accuracy_line_names_the_test_evaluation(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"), TEST)
    shown = seen(context, "confusion", images=TEST)
    low, high = wilson(figures(shown)["correct"], 10_000)
    assert "on 10,000 test images, step 0, test evaluation 1" in shown.evidence
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in shown.evidence


def test_one_correct_image_leaves_no_error(context_of: Contexts, seen: Seen) -> None:
    context = small_split(context_of("tiny"), 1)
    shown = seen(with_predictions(context, torch.eye(10)[context.digits.labels]), "confusion")
    assert figures(shown)["worst_pairs"] == []
    assert words(shown) == "No image is misclassified."


def test_the_hardest_images_of_the_selected_cell_are_below(
    context_of: Contexts, seen: Seen
) -> None:
    context = random_context(context_of("tiny"))
    worst = figures(seen(context, "confusion"))["worst_pairs"][0]
    cell = {"true": float(worst["true"]), "predicted": float(worst["predicted"])}
    digits = figures(seen(context, "misclassified", **cell))["digits"]

    shown = only(Pictures, seen(context, "confusion", **cell)).items
    numbers = [int(picture.caption.split()[0].removeprefix("#")) for picture in shown]
    assert numbers == [digit["image"] for digit in digits][:PREVIEW]


def test_an_empty_cell_has_no_images_below(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    counts = figures(seen(context, "confusion"))["confusion"]
    row, column = next((r, c) for r in range(10) for c in range(10) if not counts[r][c])

    shown = seen(context, "confusion", true=float(row), predicted=float(column))
    assert not [block for block in shown.blocks if isinstance(block, Pictures)]
