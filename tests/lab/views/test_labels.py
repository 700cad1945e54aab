"""Suspected labels: those that were made wrong are found, and chance is told beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.lab.views.conftest import Scenes, Seen
from tests.lab.views.judgements import drawn_scene, drawn_scores, figures, judged_as, words
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions, PredictionStore
from tui_trainer.lab.views.labels import suspects_of


def with_labels(scene: Context, probabilities: Tensor, labels: Tensor) -> Context:
    """A scene whose images were judged by other labels than their own: 10,000 are those of test."""
    predictions, images = PredictionStore(), TEST if len(labels) == 10_000 else scene.split_name
    predictions.keep(Predictions(images, scene.step, probabilities, labels, int(images == TEST)))
    return replace(scene, predictions=predictions)


def test_by_hand() -> None:
    """Class 0 is 0.75 sure on average, class 1 0.6: the third image passes class 1's own."""
    probabilities = torch.tensor(
        [[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.1, 0.9], [0.5, 0.5], [0.6, 0.4]]
    )
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    found = suspects_of(probabilities, labels)
    assert found.thresholds == pytest.approx((0.75, 0.6))
    assert found.numbers == (2,)
    assert found.sure == 4  # two of class 0, two of class 1
    assert found.expected == pytest.approx(0.05 + 0.05 + 0.35 + 0.1)
    spread = (2 * 0.05 * 0.95 + 0.35 * 0.65 + 0.1 * 0.9) ** 0.5
    assert found.expected_high == pytest.approx(found.expected + 1.645 * spread)


def test_the_least_plausible_label_comes_first() -> None:
    sure = torch.tensor([[0.3, 0.7], [0.01, 0.99], [0.1, 0.9], [0.9, 0.1], [0.4, 0.6]])
    assert suspects_of(sure, torch.tensor([0, 0, 0, 0, 1])).numbers == (1, 2, 0)


def test_a_class_without_images_accuses_nobody() -> None:
    probabilities = torch.tensor([[0.9, 0.0, 0.1], [0.1, 0.0, 0.9], [0.2, 0.8, 0.0]])
    found = suspects_of(probabilities, torch.tensor([0, 2, 0]))
    assert found.numbers == ()
    assert found.thresholds[1] != found.thresholds[1]


def test_labels_that_were_made_wrong_are_found(scene_of: Scenes, seen: Seen) -> None:
    """Two in a hundred of 10,000 real labels are changed, and the network is a good one."""
    scene = scene_of("tiny")
    truth = scene.test.labels
    probabilities = drawn_scores(truth, strength=12.0)
    labels = truth.clone()
    changed = torch.randperm(10_000, generator=torch.Generator().manual_seed(1))[:200]
    labels[changed] = (labels[changed] + 3) % 10
    found = set(suspects_of(probabilities, labels).numbers)
    hits = len(found & set(changed.tolist()))
    assert hits / 200 > 0.6  # the others are images of which it is less sure than usual
    assert hits / len(found) > 0.9
    shown = seen(with_labels(scene, probabilities, labels), "labels", images=TEST)
    assert figures(shown)["suspected"] == len(found)
    assert words(shown).startswith("More than honest errors")


def test_right_labels_and_honest_doubt_are_no_more_than_chance(
    seen: Seen, scene_of: Scenes
) -> None:
    """Labels drawn from the probabilities: as many suspects as are said to be expected."""
    scene, counts = scene_of("tiny"), []
    probabilities = drawn_scores(scene.test.labels, strength=9.0)
    for seed in range(20):
        chance = torch.Generator().manual_seed(seed)
        labels = torch.multinomial(probabilities, 1, generator=chance).squeeze(1)
        found = suspects_of(probabilities, labels)
        counts.append((len(found.numbers), found.expected, found.expected_high))
    mean = sum(count for count, _, _ in counts) / 20
    assert mean == pytest.approx(counts[0][1], rel=0.1)
    assert sum(count > high for count, _, high in counts) <= 4
    shown = seen(with_labels(scene, probabilities, labels), "labels", images=TEST)
    assert words(shown).startswith("No more than honest errors")


def test_a_network_that_knows_little_accuses_nobody(scene_of: Scenes, seen: Seen) -> None:
    shown = seen(scene_of("tiny"), "labels")
    assert figures(shown) == {"images": 200, "can_judge": False, "suspects": []}
    assert "cannot accuse a label" in words(shown)


def test_without_a_suspect_it_says_so(scene_of: Scenes, seen: Seen) -> None:
    scene = scene_of("tiny")
    shown = seen(judged_as(scene, torch.eye(10)[scene.digits.labels.cpu()]), "labels")
    assert words(shown).startswith("No suspect among 200 images.")
    assert shown.opens is None


def test_many_suspects_are_left_to_the_findings(scene_of: Scenes, seen: Seen) -> None:
    scene = scene_of("tiny")
    labels = scene.digits.labels.cpu()
    wrong = torch.where(torch.arange(200) % 5 == 0, (labels + 1) % 10, labels)
    shown = seen(with_labels(scene, drawn_scores(labels, strength=12.0), wrong), "labels")
    assert figures(shown)["suspected"] > 12
    assert "The findings of the run judge that." in words(shown)


@pytest.mark.parametrize(("size", "told"), [(200, "was not trained on"), (0, "was trained on")])
def test_it_says_whether_the_images_were_trained_on(
    scene_of: Scenes, seen: Seen, size: int, told: str
) -> None:
    scene = scene_of("tiny", val_size=size)
    labels = scene.digits.labels.cpu()
    found = with_labels(scene, drawn_scores(labels), labels)
    assert f"The network {told} these images" in words(seen(found, "labels"))


def test_enter_opens_the_chosen_suspect(scene_of: Scenes, seen: Seen) -> None:
    scene = drawn_scene(scene_of("tiny"))
    shown = seen(scene, "labels")
    suspects = figures(shown)["suspects"]
    assert shown.opens is not None
    opened = seen(scene, shown.opens.view, **dict(shown.opens.choices))
    assert figures(opened)["chosen"] == suspects[0]["image"]
