"""Random transforms of a batch of images, drawn for each image separately.

torchvision's random transforms draw one set of parameters for a whole batch. Here one matrix
product and one ``grid_sample`` transform a batch, with one matrix per image, and one ``gather``
flips and shifts it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    fill: Sequence[float] = (0.0,),
) -> Tensor:
    """Transform every image of a batch by its own random values.

    In this order: shift by whole pixels and horizontal flip, affine map with resizing (the outside
    is filled with 0), color jitter, cutout. Only what has a strength is drawn and done.

    Args:
        images: Floats (N, C, H, H) before normalization, 0 to 255: the background is 0.
        augmentation: The strength of each transform.
        rng: On the CPU; the only source of randomness.
        size: The side of the result, in pixels; None for that of the images.
        part: If the images are a part of a batch: its size, and which of its images they are. They
            are transformed as if the whole batch were.
        fill: The value that cutout puts into each channel.

    Returns:
        A new tensor (N, C, size, size).
    """
    side = images.shape[-1]
    draws = Draws(rng, *(part or (len(images), slice(None))), device=images.device)
    matrices = None
    if augmentation.is_affine or size is not None:
        matrices = draws.moved(sampling_matrices(draws.count, side, augmentation, rng))
    if augmentation.flip or augmentation.pad_shift:
        images = flip_and_shift(images, augmentation, draws)
    if matrices is not None:
        images = functional.grid_sample(
            images,
            sampling_grid(matrices, size or side),
            mode=augmentation.interpolation,
            padding_mode="zeros",
            align_corners=False,
        )
    if augmentation.jitter:
        images = jitter_colors(images, augmentation.jitter, draws)
    if augmentation.cutout:
        images = cut_out(images, augmentation.cutout * (size or side) / side, draws, fill)
    return images


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws random numbers for the images of a batch, or for a part of it.

    Attributes:
        rng: On the CPU.
        count: The images of the whole batch.
        chosen: Those of the part.
        device: The device of the images.
    """

    rng: torch.Generator
    count: int
    chosen: slice
    device: torch.device

    def uniform(self, rows: int) -> Tensor:
        """Return numbers (rows, N) from 0 to 1 on the device, N images in the part."""
        drawn = torch.rand(rows, self.count, generator=self.rng)
        return self.moved(drawn.t()).t()

    def moved(self, drawn: Tensor) -> Tensor:
        """Return those of the part of what is drawn (count, ...), on the device."""
        # Asynchronous; not on mps, where the copy would read memory that is already freed.
        return drawn[self.chosen].to(self.device, non_blocking=self.device.type == "cuda")


def flip_and_shift(images: Tensor, augmentation: Augmentation, draws: Draws) -> Tensor:
    """Mirror images (N, C, H, W) from left to right, and shift them by whole pixels.

    What a shift brings in is the mirror image of what is next to it. That is torchvision's
    ``RandomCrop`` with ``padding_mode="reflect"``, without padding: each pixel of the result is
    looked up once.
    """
    flip, down, along = draws.uniform(3)
    reach = augmentation.pad_shift
    height, width = images.shape[-2:]
    rows = _shifted(height, down, reach)
    columns = _shifted(width, along, reach)
    columns = torch.where((flip < augmentation.flip).unsqueeze(1), width - 1 - columns, columns)
    places = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1).unsqueeze(1)
    flat = images.flatten(2)
    return flat.gather(2, places.expand(-1, flat.shape[1], -1)).view_as(images)


def _shifted(length: int, unit: Tensor, reach: int) -> Tensor:
    """Return the places (N, length) to look up for shifts from -reach to +reach, mirrored."""
    shift = (unit * (2 * reach + 1)).floor().clamp(max=2 * reach).long() - reach
    places = torch.arange(length, device=unit.device) + shift.unsqueeze(1)
    last = length - 1
    return last - (last - places.abs()).abs()


LUMINANCE = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in a gray (ITU-R BT.601)."""


def gray_of(images: Tensor) -> Tensor:
    """Return the grays (N, 1, H, W) of images (N, C, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMINANCE, device=images.device, dtype=images.dtype)
    return (images * weights.view(-1, 1, 1)).sum(dim=1, keepdim=True)


def jitter_colors(images: Tensor, strength: float, draws: Draws) -> Tensor:
    """Change brightness, contrast and, of colors, saturation of images (N, C, H, W), 0 to 255.

    Each by a factor from 1 - strength to 1 + strength, as torchvision's ``ColorJitter`` does, but
    always in this order, and clamped once at the end.
    """
    drawn = draws.uniform(3).mul(2 * strength).add(1 - strength)
    brightness, contrast, saturation = drawn.view(3, -1, 1, 1, 1)
    images = images * brightness
    middle = gray_of(images).mean(dim=(1, 2, 3), keepdim=True)
    images = middle + contrast * (images - middle)
    if images.shape[1] > 1:
        gray = gray_of(images)
        images = gray + saturation * (images - gray)
    return images.clamp_(0, 255)


def cut_out(images: Tensor, side: float, draws: Draws, fill: Sequence[float]) -> Tensor:
    """Fill a square of each image (N, C, H, W) with one color; its center may be anywhere.

    Source: T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with
    cutout", 2017. They fill with the mean, which is 0 after normalization.

    Args:
        images: The images.
        side: The side of the square in pixels.
        draws: Draws the centers.
        fill: The value of each channel.
    """
    height, width = images.shape[-2:]
    down, along = draws.uniform(2)
    is_row, is_column = (
        (torch.arange(length, device=images.device) + 0.5 - unit.unsqueeze(1) * length).abs()
        < side / 2
        for length, unit in ((height, down), (width, along))
    )
    inside = (is_row.unsqueeze(2) & is_column.unsqueeze(1)).unsqueeze(1)
    color = torch.tensor(fill, device=images.device, dtype=images.dtype).view(-1, 1, 1)
    return torch.where(inside, color, images)


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
