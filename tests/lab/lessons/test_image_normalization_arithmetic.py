"""Image normalization against the statistics of Python's standard library."""

from __future__ import annotations

import random
import statistics as stdlib

import pytest

from tui_trainer.lab.lessons.image_normalization.arithmetic import (
    RAW,
    UNIT,
    Scale,
    binned,
    scaled_statistics,
    statistics,
)


def test_pixel_statistics_are_those_of_the_pixels_one_by_one() -> None:
    rng = random.Random(1)
    pixels = [rng.choice((0, 0, 0, rng.randrange(256))) for _ in range(500)]
    mean, std = statistics([pixels.count(gray) for gray in range(256)])
    assert mean == pytest.approx(stdlib.fmean(p / 255 for p in pixels))
    assert std == pytest.approx(stdlib.pstdev([p / 255 for p in pixels]))


@pytest.mark.parametrize("scale", [RAW, UNIT, Scale(0.13, 0.31), Scale(0.5, -2.0)])
def test_scaling_changes_the_statistics_like_the_pixels(scale: Scale) -> None:
    grays = [0.0, 0.0, 0.2, 1.0, 0.7]
    after = scaled_statistics(stdlib.fmean(grays), stdlib.pstdev(grays), scale)
    moved = [scale.of(gray) for gray in grays]
    assert after == pytest.approx((stdlib.fmean(moved), stdlib.pstdev(moved)))


def test_raw_pixels_are_the_stored_ones() -> None:
    assert [RAW.of(gray / 255) for gray in (0, 17, 255)] == pytest.approx([0, 17, 255])


def test_every_pixel_is_in_one_bin() -> None:
    counts = list(range(256))
    assert binned(counts, (0, 1, 128, 256)) == [0, sum(range(1, 128)), sum(range(128, 256))]
