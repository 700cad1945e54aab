"""Perturbations of images, in rising strength: motion, noise, and strokes or light."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.augment import MNIST_SIDE, sampling_grid
from tui_trainer.data.ink import FINE, narrowed, widened

SHIFT, ROTATE, SCALE, THICKEN, NOISE = "shift", "rotate", "scale", "thicken", "noise"
BRIGHTNESS, CONTRAST = "brightness", "contrast"

Apply = Callable[[Tensor, float, int], Tensor]
"""Maps grays (N, H, H) or colors (N, 3, H, H) from 0 to 255, a strength and a seed (for noise) to
perturbed ones."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A perturbation in several strengths.

    Attributes:
        name: The name.
        kind: What it changes; several may share it.
        unit: The unit of its strengths.
        strengths: The strengths, rising.
        variants: Equally strong variants by name, such as directions.
    """

    name: str
    kind: str
    unit: str
    strengths: tuple[float, ...]
    variants: tuple[tuple[str, Apply], ...]

    def apply(self, images: Tensor, strength: float, seed: int) -> Tensor:
        """Return perturbed images, 0 to 255; the variants alternate over the images."""
        changed = images.clone()
        for turn, (_, variant) in enumerate(self.variants):
            if turn < len(images):
                changed[turn :: len(self.variants)] = variant(
                    images[turn :: len(self.variants)], strength, seed
                )
        return changed

    def strength_text(self, strength: float) -> str:
        """Return a strength with its unit."""
        return f"{strength:g} {self.unit}"


def moved(
    images: Tensor, *, right: float = 0.0, down: float = 0.0, turn: float = 0.0, zoom: float = 1.0
) -> Tensor:
    """Return images rotated and scaled about the center, then shifted.

    Grays are padded with 0, colors with their mirror image: a black border is no photograph.

    Args:
        images: Grays (N, H, H) or colors (N, 3, H, H).
        right: Shift to the right in pixels of a 28×28 image.
        down: Shift downwards, likewise.
        turn: Rotation clockwise, in degrees.
        zoom: Scale factor.
    """
    cosine, sine = math.cos(math.radians(turn)) / zoom, math.sin(math.radians(turn)) / zoom
    # From a pixel of the result to its source, y downwards.
    back = torch.tensor([[cosine, sine], [-sine, cosine]])
    move = back @ torch.tensor([-2 * right / MNIST_SIDE, -2 * down / MNIST_SIDE])
    matrix = torch.cat((back, move.unsqueeze(1)), dim=1).to(images.device)
    grid = sampling_grid(matrix.expand(len(images), 2, 3), images.shape[-1])
    if images.ndim == 4:
        return functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
    return functional.grid_sample(
        images.unsqueeze(1), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    ).squeeze(1)


def thickened(images: Tensor, strength: float) -> Tensor:
    """Return grays (N, H, H) with strokes thicker by pixels of a 28×28 image; negative: thinner.

    The steps are half a pixel, at ``FINE`` times MNIST's resolution.
    """
    fine = max(1, round(FINE * MNIST_SIDE / images.shape[-1]))
    larger = functional.interpolate(
        images.unsqueeze(1), scale_factor=fine, mode="bilinear", align_corners=False
    ).squeeze(1)
    changed = larger
    for _ in range(round(abs(strength) * FINE / 2)):
        changed = widened(changed) if strength > 0 else narrowed(changed)
    # Only the difference is added: resampling the whole image would blur it.
    difference = functional.avg_pool2d(changed - larger, fine)
    return (images + difference).clamp(0, 255)


def noisy(images: Tensor, strength: float, seed: int) -> Tensor:
    """Return images with Gaussian noise; ``strength`` is its std in % of the range."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape, generator=rng).to(images.device)
    return (images + noise * (2.55 * strength)).clamp(0, 255)


def brightened(images: Tensor, percent: float) -> Tensor:
    """Return images with all values larger by ``percent``; negative: smaller."""
    return (images * (1 + percent / 100)).clamp(0, 255)


def flattened(images: Tensor, percent: float) -> Tensor:
    """Return images with less contrast: closer to their mean gray by ``percent``."""
    mean = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
    return images + (mean - images) * (percent / 100)


_MOTION = (
    Perturbation(
        SHIFT,
        SHIFT,
        "px",
        (1, 2, 3, 5),
        (
            ("right", lambda images, strength, _: moved(images, right=strength)),
            ("down", lambda images, strength, _: moved(images, down=strength)),
            ("left", lambda images, strength, _: moved(images, right=-strength)),
            ("up", lambda images, strength, _: moved(images, down=-strength)),
        ),
    ),
    Perturbation(
        ROTATE,
        ROTATE,
        "°",
        (10, 20, 30, 45),
        (
            ("to the right", lambda images, strength, _: moved(images, turn=strength)),
            ("to the left", lambda images, strength, _: moved(images, turn=-strength)),
        ),
    ),
    Perturbation(
        "smaller",
        SCALE,
        "%",
        (10, 20, 30, 50),
        (("smaller", lambda images, strength, _: moved(images, zoom=1 - strength / 100)),),
    ),
    Perturbation(
        "larger",
        SCALE,
        "%",
        (10, 20, 30, 50),
        (("larger", lambda images, strength, _: moved(images, zoom=1 + strength / 100)),),
    ),
)

_STROKES = (
    Perturbation(
        "thinner",
        THICKEN,
        "px",
        (0.5, 1, 1.5, 2),
        (("thinner", lambda images, strength, _: thickened(images, -strength)),),
    ),
    Perturbation(
        "thicker",
        THICKEN,
        "px",
        (1, 2, 3, 4),
        (("thicker", lambda images, strength, _: thickened(images, strength)),),
    ),
)

_LIGHT = (
    Perturbation(
        "darker",
        BRIGHTNESS,
        "%",
        (20, 40, 60, 80),
        (("darker", lambda images, strength, _: brightened(images, -strength)),),
    ),
    Perturbation(
        "brighter",
        BRIGHTNESS,
        "%",
        (20, 40, 70, 100),
        (("brighter", lambda images, strength, _: brightened(images, strength)),),
    ),
    Perturbation(
        "less contrast",
        CONTRAST,
        "%",
        (30, 50, 70, 85),
        (("less contrast", lambda images, strength, _: flattened(images, strength)),),
    ),
)

_NOISE = (
    Perturbation(
        NOISE,
        NOISE,
        "%",
        (10, 20, 40, 60),
        (
            ("one sample", lambda images, strength, seed: noisy(images, strength, 2 * seed)),
            (
                "another sample",
                lambda images, strength, seed: noisy(images, strength, 2 * seed + 1),
            ),
        ),
    ),
)
PERTURBATIONS = (*_MOTION, *_STROKES, *_NOISE)
"""All perturbations of grays; lengths in pixels of a 28×28 image, noise as a standard deviation."""

COLOR_PERTURBATIONS = (*_MOTION, *_LIGHT, *_NOISE)
"""The same of colors: a photograph has no strokes, but light."""


def perturbations(channels: int) -> tuple[Perturbation, ...]:
    """Return the perturbations of images with this number of channels."""
    return COLOR_PERTURBATIONS if channels == 3 else PERTURBATIONS


def kinds(channels: int) -> tuple[str, ...]:
    """Return the kinds of these perturbations."""
    return tuple(dict.fromkeys(each.kind for each in perturbations(channels)))
