from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tui_trainer.data.augment import augment, sampling_grid, sampling_matrices
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
