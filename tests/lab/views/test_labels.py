"""Label issues: flipped labels are found, and the expected number is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import (
    figures,
    random_context,
    random_probabilities,
    with_predictions,
    words,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions, PredictionStore
from tui_trainer.lab.views.labels import find_label_issues


def with_labels(context: Context, probabilities: Tensor, labels: Tensor) -> Context:
    """Return the context with other labels; 10,000 are those of the test set."""
    predictions, images = PredictionStore(), TEST if len(labels) == 10_000 else context.split_name
    predictions.keep(Predictions(images, context.step, probabilities, labels, int(images == TEST)))
    return replace(context, prediction_store=predictions)


def test_by_hand() -> None:
    """The thresholds are 0.75 for class 0 and 0.6 for class 1: the third image passes that of 1."""
    probabilities = torch.tensor(
        [[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.1, 0.9], [0.5, 0.5], [0.6, 0.4]]
    )
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    found = find_label_issues(probabilities, labels)
    assert found.thresholds == pytest.approx((0.75, 0.6))
    assert found.numbers == (2,)
    assert found.confident == 4  # two of class 0, two of class 1
    assert found.expected == pytest.approx(0.05 + 0.05 + 0.35 + 0.1)
    spread = (2 * 0.05 * 0.95 + 0.35 * 0.65 + 0.1 * 0.9) ** 0.5
    assert found.expected_high == pytest.approx(found.expected + 1.645 * spread)


def test_the_largest_margin_comes_first() -> None:
    confidence = torch.tensor([[0.3, 0.7], [0.01, 0.99], [0.1, 0.9], [0.9, 0.1], [0.4, 0.6]])
    assert find_label_issues(confidence, torch.tensor([0, 0, 0, 0, 1])).numbers == (1, 2, 0)


def test_a_class_without_images_has_no_issues() -> None:
    probabilities = torch.tensor([[0.9, 0.0, 0.1], [0.1, 0.0, 0.9], [0.2, 0.8, 0.0]])
    found = find_label_issues(probabilities, torch.tensor([0, 2, 0]))
    assert found.numbers == ()
    assert found.thresholds[1] != found.thresholds[1]


def test_flipped_labels_are_found(context_of: Contexts, seen: Seen) -> None:
    """2 % of 10,000 real labels are flipped, and the model is good."""
    context = context_of("tiny")
    truth = context.test.labels
    probabilities = random_probabilities(truth, strength=12.0)
    labels = truth.clone()
    changed = torch.randperm(10_000, generator=torch.Generator().manual_seed(1))[:200]
    labels[changed] = (labels[changed] + 3) % 10
    found = set(find_label_issues(probabilities, labels).numbers)
    correct = len(found & set(changed.tolist()))
    assert correct / 200 > 0.6  # the others are below their threshold
    assert correct / len(found) > 0.9
    shown = seen(with_labels(context, probabilities, labels), "labels", images=TEST)
    assert figures(shown)["label_issues"] == len(found)
    assert words(shown).startswith("More than ordinary errors")


def test_correct_labels_have_no_more_issues_than_expected(seen: Seen, context_of: Contexts) -> None:
    """Labels drawn from the probabilities: as many issues as expected."""
    context, counts = context_of("tiny"), []
    probabilities = random_probabilities(context.test.labels, strength=9.0)
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        labels = torch.multinomial(probabilities, 1, generator=rng).squeeze(1)
        found = find_label_issues(probabilities, labels)
        counts.append((len(found.numbers), found.expected, found.expected_high))
    mean = sum(count for count, _, _ in counts) / 20
    assert mean == pytest.approx(counts[0][1], rel=0.1)
    assert sum(count > high for count, _, high in counts) <= 4
    shown = seen(with_labels(context, probabilities, labels), "labels", images=TEST)
    assert words(shown).startswith("No more than ordinary errors")


def test_a_weak_model_questions_no_label(context_of: Contexts, seen: Seen) -> None:
    shown = seen(context_of("tiny"), "labels")
    assert figures(shown) == {"images": 200, "is_reliable": False, "issues": []}
    assert "too low to question labels" in words(shown)


def test_no_issue_is_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    shown = seen(with_predictions(context, torch.eye(10)[context.digits.labels.cpu()]), "labels")
    assert words(shown).startswith("No label issue in 200 images.")
    assert shown.opens is None


def test_many_issues_are_left_to_the_findings(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    labels = context.digits.labels.cpu()
    wrong = torch.where(torch.arange(200) % 5 == 0, (labels + 1) % 10, labels)
    shown = seen(with_labels(context, random_probabilities(labels, strength=12.0), wrong), "labels")
    assert figures(shown)["label_issues"] > 12
    assert "See the findings of the run." in words(shown)


@pytest.mark.parametrize(("size", "reported"), [(200, "was not trained on"), (0, "was trained on")])
def test_it_states_whether_the_images_were_trained_on(
    context_of: Contexts, seen: Seen, size: int, reported: str
) -> None:
    context = context_of("tiny", val_size=size)
    labels = context.digits.labels.cpu()
    found = with_labels(context, random_probabilities(labels), labels)
    assert f"The network {reported} these images" in words(seen(found, "labels"))


def test_enter_opens_the_selected_issue(context_of: Contexts, seen: Seen) -> None:
    context = random_context(context_of("tiny"))
    shown = seen(context, "labels")
    suspects = figures(shown)["issues"]
    assert shown.opens is not None
    opened = seen(context, shown.opens.view, **dict(shown.opens.choices))
    assert figures(opened)["chosen"] == suspects[0]["image"]
