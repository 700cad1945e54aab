"""The confusion matrix as it is shown, on the real 10,000 against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from tests.lab.views.conftest import Scenes, Seen
from tests.lab.views.judgements import (
    drawn_scene,
    figures,
    judged_as,
    only,
    small_split,
    trained_scene,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST
from tui_trainer.lab.views.confusion import PREVIEW
from tui_trainer.protocol.exhibit import Matrix, Opening, Pictures, Table
from tui_trainer.stats.intervals import wilson


def agrees(scene: Context, seen: Seen) -> None:
    shown = figures(seen(scene, "confusion", images=TEST))
    judged = scene.predictions.judged[TEST]
    labels, given = judged.labels.numpy(), judged.given.numpy()
    expected = metrics.confusion_matrix(labels, given)
    assert shown["images"] == len(labels) == 10_000
    assert shown["confusion"] == expected.tolist()
    assert shown["correct"] == metrics.accuracy_score(labels, given, normalize=False)
    wrong = sum(pair["count"] for pair in shown["worst_pairs"])
    assert wrong == 10_000 - shown["correct"]


def test_it_is_that_of_scikit_learn_on_the_real_10_000(scene_of: Scenes, seen: Seen) -> None:
    agrees(drawn_scene(scene_of("tiny"), TEST), seen)


@pytest.mark.slow
def test_so_it_is_of_a_trained_network(seen: Seen) -> None:
    agrees(trained_scene(), seen)


def test_it_begins_at_the_most_frequent_error_and_leads_to_its_digits(
    scene_of: Scenes, seen: Seen
) -> None:
    shown = seen(drawn_scene(scene_of("tiny")), "confusion")
    worst = figures(shown)["worst_pairs"][0]
    matrix = only(Matrix, shown)
    assert matrix.cell == (worst["true"], worst["said"])
    assert matrix.heats[worst["true"]][worst["said"]] == 1.0
    assert shown.opens == Opening(
        view="digits",
        choices=(
            ("images", "validation"),
            ("true", float(worst["true"])),
            ("said", float(worst["said"])),
        ),
        hint=f"the {worst['count']} digits of true {worst['true']}, said {worst['said']}",
    )


def test_shares_are_of_the_true_class(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    counts = figures(seen(scene, "confusion"))["confusion"]
    matrix = only(Matrix, seen(scene, "confusion", numbers="shares"))
    for row, texts in zip(counts, matrix.texts, strict=True):
        assert list(texts) == [f"{100 * c / sum(row):.1f}" if c else "·" for c in row]


def test_the_worst_pairs_are_told_the_most_frequent_first(scene_of: Scenes, seen: Seen) -> None:
    worst = only(Table, seen(drawn_scene(scene_of("tiny")), "confusion")).rows
    assert len(worst) == 8
    assert sorted(worst, key=lambda row: -int(row[2])) == list(worst)


def test_certainty_counts_the_look_at_the_test_set(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"), TEST)
    shown = seen(scene, "confusion", images=TEST)
    low, high = wilson(figures(shown)["correct"], 10_000)
    assert "10,000 test images after step 0, look 1 at the test set" in shown.certainty
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in shown.certainty


def test_one_image_that_is_right_leaves_no_error(scene_of: Scenes, seen: Seen) -> None:
    scene = small_split(scene_of("tiny"), 1)
    shown = seen(judged_as(scene, torch.eye(10)[scene.digits.labels]), "confusion")
    assert figures(shown)["worst_pairs"] == []
    assert words(shown) == "No error."


def test_the_hardest_digits_of_the_chosen_cell_stand_below(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    worst = figures(seen(scene, "confusion"))["worst_pairs"][0]
    cell = {"true": float(worst["true"]), "said": float(worst["said"])}
    digits = figures(seen(scene, "digits", **cell))["digits"]

    shown = only(Pictures, seen(scene, "confusion", **cell)).items
    numbers = [int(picture.caption.split()[0].removeprefix("#")) for picture in shown]
    assert numbers == [digit["image"] for digit in digits][:PREVIEW]


def test_a_cell_without_digits_has_none_below(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    counts = figures(seen(scene, "confusion"))["confusion"]
    row, column = next((r, c) for r in range(10) for c in range(10) if not counts[r][c])

    shown = seen(scene, "confusion", true=float(row), said=float(column))
    assert not [block for block in shown.blocks if isinstance(block, Pictures)]
