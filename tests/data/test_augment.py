from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.augment import (
    Draws,
    augment,
    cut_out,
    flip_and_shift,
    gray_of,
    jitter_colors,
    sampling_grid,
    sampling_matrices,
)
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation

SIZES = (8, 9, 16, 28, 29, 64, 127, 128)


def seeded_rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, size: int) -> Tensor:
    return torch.rand(count, 1, size, size, generator=seeded_rng(9)) * 255


Draw = Callable[..., None]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Fix the next draws; each value is from -1 to 1, the strength in either direction."""

    def fix(
        *,
        angle: float = 0.0,
        shear: float = 0.0,
        stretch: float = 0.0,
        x: float = 0.0,
        y: float = 0.0,
        crops: bool = False,
    ) -> None:
        moves = [(move + 1) / 2 for move in (angle, shear, stretch, x, y)]
        units = torch.tensor([*moves, 0.0 if crops else 0.999]).unsqueeze(1)

        def rand(rows: int, count: int, *, generator: torch.Generator) -> Tensor:
            return units.expand(rows, count)

        monkeypatch.setattr(torch, "rand", rand)

    return fix


def moved(image: Tensor, *, right: int, down: int) -> Tensor:
    """Shift an image by whole pixels; fill with 0."""
    size = image.shape[-1]
    result = torch.zeros_like(image)
    rows = slice(max(0, down), size + min(0, down)), slice(max(0, -down), size + min(0, -down))
    columns = (
        slice(max(0, right), size + min(0, right)),
        slice(max(0, -right), size + min(0, -right)),
    )
    result[..., rows[0], columns[0]] = image[..., rows[1], columns[1]]
    return result


# --- the meaning of each parameter


@pytest.mark.parametrize("size", SIZES)
def test_no_augmentation_leaves_every_image_unchanged(size: int) -> None:
    images = noise(5, size)

    assert torch.allclose(augment(images, Augmentation(), seeded_rng()), images, atol=0.02)


def test_a_smaller_result_shows_the_same_picture(draw: Draw) -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[..., 4:12, 16:24] = 100.0

    plain = augment(image, Augmentation(), seeded_rng(), 14)
    draw(x=1.0)
    shifted = augment(image, Augmentation(shift=4.0), seeded_rng(), 14)

    expected = torch.nn.functional.avg_pool2d(image, 2)
    assert torch.allclose(plain, expected, atol=0.1)
    assert torch.allclose(shifted, moved(expected, right=2, down=0), atol=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_shift_is_in_pixels(size: int, draw: Draw) -> None:
    images = noise(2, size)
    draw(x=1.0, y=-1.0)

    result = augment(images, Augmentation(shift=3.0), seeded_rng())

    assert torch.allclose(result, moved(images, right=3, down=-3), atol=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_a_quarter_turn_is_a_quarter_turn(size: int, draw: Draw) -> None:
    images = noise(2, size)
    draw(angle=1.0)

    result = augment(images, Augmentation(rotate=90.0), seeded_rng())

    assert torch.allclose(result, torch.rot90(images, 1, (2, 3)), atol=0.1)


def test_a_known_rotation_moves_a_known_pixel_where_it_should(draw: Draw) -> None:
    image = torch.zeros(1, 1, 29, 29)
    image[0, 0, 14, 24] = 100.0  # ten pixels to the right of the center
    draw(angle=1.0)

    result = augment(image, Augmentation(rotate=30.0), seeded_rng())[0, 0]

    # Positive angles are counterclockwise; rows count downwards.
    column, row = 14 + 10 * math.cos(math.radians(30)), 14 - 10 * math.sin(math.radians(30))
    ys, xs = torch.meshgrid(torch.arange(29.0), torch.arange(29.0), indexing="ij")
    assert float((result * xs).sum() / result.sum()) == pytest.approx(column, abs=0.2)
    assert float((result * ys).sum() / result.sum()) == pytest.approx(row, abs=0.2)


@pytest.mark.parametrize("size", SIZES)
def test_the_shift_comes_last_and_is_not_turned_with_the_image(size: int, draw: Draw) -> None:
    images = noise(2, size)
    draw(angle=1.0, x=1.0, y=0.5)

    result = augment(images, Augmentation(rotate=90.0, shift=2.0), seeded_rng())

    turned = torch.rot90(images, 1, (2, 3))
    assert torch.allclose(result, moved(turned, right=2, down=1), atol=0.1)


@pytest.mark.parametrize(("size", "cropped"), [(28, 22), (56, 44), (14, 11)])
def test_the_center_crop_enlarges_the_center(size: int, cropped: int, draw: Draw) -> None:
    images = noise(2, size)
    border = (size - cropped) // 2 if (size - cropped) % 2 == 0 else None
    draw(crops=True)

    result = augment(images, Augmentation(crop=22, crop_probability=0.1), seeded_rng())

    # 22 of 28 pixels become 28: the edge of the crop becomes the edge of the image.
    step = cropped / size
    if border is not None:
        center = images[..., border : size - border, border : size - border]
        wanted = functional.interpolate(center, size, mode="bilinear", align_corners=False)
        assert torch.allclose(result[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2], atol=0.1)
    matrix = sampling_matrices(1, size, Augmentation(crop=22, crop_probability=0.1), seeded_rng())
    wanted_matrix = torch.tensor([[[step, 0, 0], [0, step, 0]]])
    assert torch.allclose(matrix, wanted_matrix, atol=1e-6)


def test_the_share_of_cropped_images_is_the_one_asked_for() -> None:
    augmentation = Augmentation(crop=22, crop_probability=0.1)

    zooms = sampling_matrices(10_000, 28, augmentation, seeded_rng())[:, 0, 0]

    cropped = torch.isclose(zooms, torch.tensor(22 / 28))
    assert bool((cropped | torch.isclose(zooms, torch.tensor(1.0))).all())
    assert 850 < int(cropped.sum()) < 1_150  # 5 standard deviations of 30 either way


@pytest.mark.parametrize("stretch", [1.0, -1.0])
def test_scale_is_the_change_of_size(stretch: float, draw: Draw) -> None:
    draw(stretch=stretch)

    (matrix,) = sampling_matrices(1, 28, Augmentation(scale=0.25), seeded_rng())

    size = 1 + stretch * 0.25
    wanted = torch.tensor([[1 / size, 0, 0], [0, 1 / size, 0]])
    assert torch.allclose(matrix, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [8, 28, 128])
def test_everything_together_agrees_with_the_formula(size: int, draw: Draw) -> None:
    """The forward map, built in numpy from its parts, inverted."""
    augmentation = Augmentation(20.0, 2.0, 0.1, 10.0, crop=22, crop_probability=0.5)
    draw(angle=0.7, shear=-0.4, stretch=0.3, x=0.5, y=-0.9, crops=True)
    angle, shear = math.radians(0.7 * 20), math.radians(-0.4 * 10)
    back_turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back_shear = np.array([[1, math.tan(shear)], [0, 1]])
    forward = np.linalg.inv(back_turn @ back_shear) * (1 + 0.3 * 0.1) * 28 / 22
    shift = np.array([0.5 * 2, -0.9 * 2]) / (size / 2)
    affine = np.vstack([np.column_stack([forward, shift]), [0, 0, 1]])

    (matrix,) = sampling_matrices(1, size, augmentation, seeded_rng())

    np.testing.assert_allclose(matrix.numpy(), np.linalg.inv(affine)[:2], atol=1e-6)


def test_moves_are_drawn_uniformly_up_to_their_largest() -> None:
    augmentation = Augmentation(rotate=15.0)

    matrices = sampling_matrices(10_000, 28, augmentation, seeded_rng())

    degrees = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert -15.001 < float(degrees.min()) < -14.9
    assert 14.9 < float(degrees.max()) < 15.001
    assert abs(float(degrees.mean())) < 0.45  # 5 standard errors of 15 / sqrt(3) / 100
    assert float(degrees.std()) == pytest.approx(15 / 3**0.5, rel=0.03)


# --- how it is used


def test_equal_images_of_a_batch_are_moved_differently() -> None:
    images = noise(1, 28).expand(3, 1, 28, 28)

    result = augment(images, NAMED_AUGMENTATIONS["light"], seeded_rng())

    assert not torch.allclose(result[0], result[1], atol=1)
    assert not torch.allclose(result[1], result[2], atol=1)


def test_what_comes_in_from_outside_is_background(draw: Draw) -> None:
    white = torch.full((1, 1, 28, 28), 255.0)
    draw(angle=1.0)

    result = augment(white, Augmentation(rotate=45.0), seeded_rng())[0, 0]

    assert result[0, 0] == result[0, 27] == result[27, 0] == result[27, 27] == 0
    assert float(result[14, 14]) == pytest.approx(255, abs=0.01)


@pytest.mark.parametrize("name", ["light", "course"])
def test_it_depends_on_its_rng_alone(name: str) -> None:
    images, augmentation = noise(8, 28), NAMED_AUGMENTATIONS[name]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = augment(images, augmentation, seeded_rng())
    torch.manual_seed(2)
    second = augment(images, augmentation, seeded_rng())
    third = augment(images, augmentation, seeded_rng(1))
    torch.manual_seed(1)

    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_neither_changes_nor_keeps_its_input() -> None:
    images = noise(2, 28)
    before = images.clone()

    result = augment(images, NAMED_AUGMENTATIONS["light"], seeded_rng())

    assert torch.equal(images, before)
    assert result.data_ptr() != images.data_ptr()


def test_every_size_from_8_to_128_keeps_its_shape() -> None:
    for size in range(8, 129):
        result = augment(noise(2, size), NAMED_AUGMENTATIONS["course"], seeded_rng())
        assert result.shape == (2, 1, size, size)
        assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("size", SIZES)
def test_the_sampling_grid_is_that_of_affine_grid(size: int) -> None:
    matrices = sampling_matrices(5, size, NAMED_AUGMENTATIONS["light"], seeded_rng())

    theirs = functional.affine_grid(matrices, [5, 1, size, size], align_corners=False)

    torch.testing.assert_close(sampling_grid(matrices, size), theirs, atol=1e-5, rtol=0)


# --- photographs: flip, shift, jitter, cutout


def photos(count: int, size: int, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, size, size, generator=seeded_rng(4)) * 255


def draws_of(count: int, *numbers: float) -> Draws:
    """Return draws that are these numbers, each one for every image."""

    class Fixed(Draws):
        def uniform(self, rows: int) -> Tensor:
            assert rows == len(numbers)
            return torch.tensor(numbers).unsqueeze(1).expand(rows, count)

    return Fixed(seeded_rng(), count, slice(None), torch.device("cpu"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 9, 32])
@pytest.mark.parametrize(("down", "along"), [(0, 0), (4, -4), (-3, 1), (-4, 4)])
@pytest.mark.parametrize("flips", [False, True])
def test_a_shift_mirrors_what_it_brings_in_as_torchvision_pads(
    channels: int, size: int, down: int, along: int, flips: bool
) -> None:
    images = photos(3, size, channels)
    units = [(move + 4 + 0.5) / 9 for move in (down, along)]
    result = flip_and_shift(
        images, Augmentation(flip=0.5, pad_shift=4), draws_of(3, 0.2 if flips else 0.7, *units)
    )

    padded = functional.pad(images, (4, 4, 4, 4), mode="reflect")
    wanted = padded[..., 4 + down : 4 + down + size, 4 + along : 4 + along + size]
    if flips:
        # The picture is mirrored, then shifted the other way: both are drawn with equal chances.
        wanted = padded.flip(3)[..., 4 + down : 4 + down + size, 4 + along : 4 + along + size]
    assert torch.equal(result, wanted)


def test_each_shift_is_as_likely_as_any_other_and_half_are_flipped() -> None:
    images = torch.arange(32.0).expand(1, 32, 32).repeat(20_000, 1, 1, 1)
    result = augment(images, Augmentation(flip=0.5, pad_shift=2), seeded_rng(5))

    rises = result[:, 0, 0, 16] > result[:, 0, 0, 15]
    assert 0.48 < float(rises.float().mean()) < 0.52
    middle = torch.where(rises, result[:, 0, 0, 15] - 15, 16 - result[:, 0, 0, 15])
    shares = torch.bincount((middle + 2).long(), minlength=5) / len(images)
    assert shares.tolist() == pytest.approx([0.2] * 5, abs=0.012)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_jitter_is_that_of_torchvision(channels: int, factor: float, which: int) -> None:
    import_torchvision()
    from torchvision.transforms.v2 import functional as reference

    images = photos(4, 16, channels)
    units = [0.5, 0.5, 0.5]
    units[which] = (factor - 0.6) / 0.8
    result = jitter_colors(images, 0.4, draws_of(4, *units)) / 255

    names = ("adjust_brightness", "adjust_contrast", "adjust_saturation")
    wanted = getattr(reference, names[which])(images / 255, factor)
    # Its weights of red, green and blue have four decimals.
    assert torch.allclose(result, wanted, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_cutout_is_a_square_of_the_mean_color(channels: int) -> None:
    images = photos(2, 16, channels) + 1
    fill = (10.0, 20.0, 30.0)[:channels]
    result = cut_out(images, 6, draws_of(2, 0.5, 0.75), fill)

    changed = (result != images).any(dim=1)
    inside = torch.zeros(2, 16, 16, dtype=torch.bool)
    inside[:, 5:11, 9:15] = True
    assert torch.equal(changed, inside)
    assert result[0, :, 7, 12].tolist() == list(fill)
    clipped = cut_out(images, 6, draws_of(2, 0.0, 0.0), fill)
    assert int((clipped != images).any(dim=1).sum()) == 2 * 9


def test_a_part_of_a_batch_gets_what_the_whole_batch_would() -> None:
    images = photos(8, 16)
    strong = Augmentation(rotate=9.0, flip=0.5, pad_shift=3, jitter=0.3, cutout=5)
    whole = augment(images, strong, seeded_rng(), fill=(1.0, 2.0, 3.0))
    part = augment(images[2:5], strong, seeded_rng(), part=(8, slice(2, 5)), fill=(1.0, 2.0, 3.0))
    assert torch.allclose(part, whole[2:5], atol=1e-4)
    assert not torch.equal(whole[0], whole[1])


def test_what_has_no_strength_draws_nothing() -> None:
    """So that a run of before with the same seed gets the same images."""
    images, light = photos(4, 28, 1), NAMED_AUGMENTATIONS["light"]
    one, other = seeded_rng(), seeded_rng()
    augment(images, light, one)
    other_matrices = sampling_matrices(4, 28, light, other)
    assert other_matrices.shape == (4, 2, 3)
    assert torch.equal(one.get_state(), other.get_state())


def test_a_resized_cutout_covers_the_same_share() -> None:
    images = torch.full((1, 3, 32, 32), 200.0)
    rng = seeded_rng(1)
    small = augment(images, Augmentation(cutout=16), rng, 16)
    assert small.shape == (1, 3, 16, 16)
    assert int((small == 0).all(dim=1).sum()) <= 64


def test_a_gray_image_has_the_luminance_of_its_colors() -> None:
    pixels = torch.tensor([[255.0, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]).view(4, 3, 1, 1)
    assert gray_of(pixels).flatten().tolist() == pytest.approx([76.245, 149.685, 29.07, 9])
