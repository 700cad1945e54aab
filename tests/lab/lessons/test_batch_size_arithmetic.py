"""Products of random gradients with known signal and noise."""

from __future__ import annotations

import math
import random

import pytest

from tui_trainer.lab.lessons.batch_size.arithmetic import (
    cosines,
    expected_cosine,
    joined,
    noise_scale,
    scaled_lr,
)

Vectors = list[list[float]]


def products(vectors: Vectors) -> list[list[float]]:
    return [[sum(a * b for a, b in zip(v, w, strict=True)) for w in vectors] for v in vectors]


def drawn(batches: int, size: int, scale: float, numbers: int = 200) -> Vectors:
    """Gradients with |G|² = 1 and tr(Σ) = scale, each the mean of ``size`` images."""
    rng = random.Random(7)
    noise = math.sqrt(scale / numbers / size)
    true = 1 / math.sqrt(numbers)
    return [[true + rng.gauss(0, noise) for _ in range(numbers)] for _ in range(batches)]


def test_the_products_of_joined_batches_are_those_of_their_means() -> None:
    vectors = drawn(7, 1, 5.0, numbers=4)
    means = [
        [(a + b) / 2 for a, b in zip(*vectors[start : start + 2], strict=True)]
        for start in (0, 2, 4)
    ]
    for row, expected in zip(joined(products(vectors), 2), products(means), strict=True):
        assert row == pytest.approx(expected)


def test_cosines_are_those_of_the_vectors() -> None:
    assert cosines(products([[1, 0], [1, 1], [0, 2]])) == pytest.approx(
        [math.sqrt(0.5), 0.0, math.sqrt(0.5)]
    )
    assert cosines(products([[0, 0], [1, 1]])) == []


def test_the_noise_scale_is_that_of_the_drawn_gradients() -> None:
    vectors = drawn(40, 8, 60.0)
    assert noise_scale(products(vectors), 8) == pytest.approx(60.0, rel=0.15)
    found = cosines(products(vectors))
    assert sum(found) / len(found) == pytest.approx(expected_cosine(60.0, 8), abs=0.02)


def test_without_a_signal_there_is_no_noise_scale() -> None:
    rng = random.Random(2)
    noise = [[rng.gauss(0, 1) for _ in range(50)] for _ in range(20)]
    assert noise_scale(products(noise), 8) is None
    assert noise_scale(products([[1.0], [1.0]]), 8) is None


def test_the_linear_scaling_rule() -> None:
    assert scaled_lr(0.1, 1_024, 128) == pytest.approx(0.8)
