"""Two models are compared only on the same images."""

from __future__ import annotations

import torch

from tui_trainer.lab.correct_images import CorrectImages
from tui_trainer.stats.intervals import PairedAccuracy


def of(*correct: int, digest: str = "a") -> CorrectImages:
    return CorrectImages(torch.tensor(correct, dtype=torch.bool), 10, digest)


def test_images_are_counted_in_pairs() -> None:
    first, second = of(1, 1, 1, 0, 0, 1), of(1, 0, 0, 1, 0, 1)
    assert first.paired_with(second) == PairedAccuracy(2, 2, 1, 1)
    assert second.paired_with(first) == PairedAccuracy(2, 1, 2, 1)
    assert first.accuracy == 4 / 6


def test_other_images_are_not_compared() -> None:
    assert of(1, 0).paired_with(of(1, 0, digest="b")) is None
