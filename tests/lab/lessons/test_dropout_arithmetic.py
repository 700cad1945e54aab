"""Dropout against all masks of a few features."""

from __future__ import annotations

import itertools
import math

import pytest

from tui_trainer.lab.lessons.dropout.arithmetic import std_of_sum


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_over_all_masks_mean_and_std_match_the_formulas(share: float) -> None:
    values = [0.5, -1.0, 2.0, 0.0, 3.0]
    mean = square = 0.0
    for kept in itertools.product((True, False), repeat=len(values)):
        weight = math.prod(1 - share if keeps else share for keeps in kept)
        total = sum(value / (1 - share) for value, keeps in zip(values, kept, strict=True) if keeps)
        mean += weight * total
        square += weight * total**2
    assert mean == pytest.approx(sum(values))
    assert math.sqrt(max(0.0, square - mean**2)) == pytest.approx(
        std_of_sum(values, share), abs=1e-6
    )
