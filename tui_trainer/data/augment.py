"""Random affine transforms of a batch of images, drawn for each image separately.

torchvision's random transforms draw one set of parameters for a whole batch. Here one matrix
product and one ``grid_sample`` transform a batch, with one matrix per image.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.protocol.config import Augmentation

MNIST_SIDE = 28
"""The image size, in pixels, to which ``Augmentation.crop`` refers."""


def sampling_matrices(
    count: int, image_size: int, augmentation: Augmentation, rng: torch.Generator
) -> Tensor:
    """Draw an affine map for each image, from a pixel of the output to its position in the input.

    Args:
        count: The number of maps.
        image_size: Height and width of the images, in pixels.
        augmentation: The strength of each transform, drawn uniformly from -strength to +strength.
        rng: On the CPU.

    Returns:
        A tensor (count, 2, 3) on the CPU, in the coordinates of ``affine_grid``: the image spans
        -1 to 1.
    """
    unit = torch.rand(6, count, generator=rng)
    angle, shear_angle, stretch, shift_x, shift_y = unit[:5] * 2 - 1
    cosine = torch.cos(angle * math.radians(augmentation.rotate))
    sine = torch.sin(angle * math.radians(augmentation.rotate))
    shear = torch.tan(shear_angle * math.radians(augmentation.shear))
    # The map goes from output to input: an image that grows is sampled in smaller steps.
    zoom = 1 / (1 + stretch * augmentation.scale)
    zoom = torch.where(
        unit[5] < augmentation.crop_probability, zoom * augmentation.crop / MNIST_SIDE, zoom
    )
    row_x = torch.stack((cosine * zoom, (cosine * shear - sine) * zoom), dim=1)
    row_y = torch.stack((sine * zoom, (sine * shear + cosine) * zoom), dim=1)
    turn = torch.stack((row_x, row_y), dim=1)
    # The shift comes last: it is in pixels of the output, independent of rotation and scale.
    move = torch.stack((shift_x, shift_y), dim=1).mul(-2 * augmentation.shift / image_size)
    return torch.cat((turn, turn @ move.unsqueeze(2)), dim=2)


def augment(
    images: Tensor,
    augmentation: Augmentation,
    rng: torch.Generator,
    size: int | None = None,
    part: tuple[int, slice] | None = None,
) -> Tensor:
    """Transform every image of a batch by its own random affine map; fill the outside with 0.

    Args:
        images: Floats (N, 1, H, H) before normalization: the background is 0.
        augmentation: The strength of each transform.
        rng: On the CPU; the only source of randomness.
        size: The side of the result, in pixels; None for that of the images.
        part: If the images are a part of a batch: its size, and which of its images they are. They
            are transformed as if the whole batch were.

    Returns:
        A new tensor (N, 1, size, size).
    """
    side = images.shape[-1]
    count, chosen = part or (len(images), slice(None))
    # Asynchronous; not on mps, where the copy would read memory that is already freed.
    matrices = sampling_matrices(count, side, augmentation, rng)[chosen].to(
        images.device, non_blocking=images.device.type == "cuda"
    )
    grid = sampling_grid(matrices, size or side)
    return functional.grid_sample(
        images, grid, mode=augmentation.interpolation, padding_mode="zeros", align_corners=False
    )


def sampling_grid(matrices: Tensor, size: int) -> Tensor:
    """Return the input position of each output pixel (N, size, size, 2), as ``affine_grid``.

    One product of all matrices with all pixel positions, separately for x and y: on the CPU it
    takes a tenth of the time of ``affine_grid``, which multiplies image by image and was by far the
    most expensive part of the augmentation.
    """
    places = _pixel_places(size, matrices.device)
    return (matrices.flatten(0, 1) @ places).view(-1, 2, size, size).permute(0, 2, 3, 1)


@functools.lru_cache(maxsize=4)
def _pixel_places(size: int, device: torch.device) -> Tensor:
    """Return (x, y, 1) of every pixel center, row by row, as a tensor (3, size²)."""
    middle = (torch.arange(size, device=device) * 2 + 1) / size - 1
    x, y = middle.expand(size, size), middle.unsqueeze(1).expand(size, size)
    return torch.stack((x, y, torch.ones_like(x))).flatten(1)
