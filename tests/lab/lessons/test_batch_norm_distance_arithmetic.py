"""Batch norm on perfect logits, against torch's batch norm."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tui_trainer.lab.lessons.batch_norm_distance.arithmetic import best_possible


@pytest.mark.parametrize("classes", [2, 5, 10, 47])
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("size", [3.0, 500.0])
def test_perfect_logits_are_not_more_confident_than_that(
    classes: int, scale: float, size: float
) -> None:
    labels = torch.arange(classes).repeat(6)
    logits = size * functional.one_hot(labels).double()
    weight = torch.full((classes,), scale, dtype=torch.float64)
    normed = functional.batch_norm(logits, None, None, weight, training=True, eps=1e-15)
    expected = normed.softmax(dim=1)[torch.arange(len(labels)), labels]
    probability, loss = best_possible(classes, scale)
    assert probability == pytest.approx(float(expected.min()), abs=1e-12)
    assert probability == pytest.approx(float(expected.max()), abs=1e-12)
    assert loss == pytest.approx(float(functional.cross_entropy(normed, labels)), abs=1e-12)


def test_the_numbers_of_the_lesson() -> None:
    probability, loss = best_possible(10)
    assert f"{probability:.3f}" == "0.757"
    assert f"{loss:.3f}" == "0.278"
