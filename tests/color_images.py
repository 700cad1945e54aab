"""A rendered dataset in color: filled shapes of known classes on backgrounds of other colors.

Shape and color together make the class, so that neither luminance nor the mean color is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLORS = {"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230)}
SHAPES = ("disc", "square", "cross")
CLASS_NAMES = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
"""The names of the nine classes, by label."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ColorImages:
    """Images (N, H, W, 3) of uint8, red, green and blue, with their labels (N)."""

    pixels: Pixels
    labels: NDArray[np.uint8]

    @property
    def planes(self) -> bytes:
        """The bytes of the images as (N, 3, H, W)."""
        return self.pixels.transpose(0, 3, 1, 2).tobytes()


def color_images(count: int, size: int = 32, seed: int = 0) -> ColorImages:
    """Return ``count`` images of ``size`` × ``size`` pixels; the classes take turns.

    The same arguments give the same bytes on every machine.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = np.arange(count, dtype=np.uint8) % len(CLASS_NAMES)
    pixels = np.stack([_image(int(label), size, rng) for label in labels]) if count else _none(size)
    return ColorImages(pixels, labels)


def _none(size: int) -> Pixels:
    return np.zeros((0, size, size, 3), dtype=np.uint8)


def _image(label: int, size: int, rng: np.random.Generator) -> Pixels:
    color = list(COLORS.values())[label // len(SHAPES)]
    down, across = np.mgrid[0:size, 0:size] / size
    slope = (down if rng.random() < 0.5 else across)[..., None]
    ends = rng.integers(90, 200, size=(2, 3))
    ground = ends[0] * (1 - slope) + ends[1] * slope
    inside = _shape(SHAPES[label % len(SHAPES)], down, across, rng)[..., None]
    shade = rng.integers(-25, 26)
    noise = rng.integers(-8, 9, size=(size, size, 3))
    return np.clip(np.where(inside, np.array(color) + shade, ground) + noise, 0, 255).astype(
        np.uint8
    )


def _shape(
    name: str, down: NDArray[np.float64], across: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    y, x = rng.uniform(0.38, 0.62, size=2)
    radius = rng.uniform(0.2, 0.32)
    dy, dx = np.abs(down - y), np.abs(across - x)
    if name == "disc":
        return np.asarray(np.hypot(dy, dx) < radius)
    if name == "square":
        return np.asarray(np.maximum(dy, dx) < 0.85 * radius)
    return np.asarray((np.minimum(dy, dx) < 0.3 * radius) & (np.maximum(dy, dx) < radius))
