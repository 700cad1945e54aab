"""The views on images in color."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.color_images import CLASS_NAMES, color_images
from tests.lab.color_data import SIZE, color_run
from tests.lab.views.conftest import Seen, open_context
from tui_trainer.data.dataset import Split
from tui_trainer.data.recorded_inputs import recorded_inputs
from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import image_picture, shrunk
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.attribution_methods import input_x_gradient, integrated_gradients
from tui_trainer.lab.views.gradient_ascent import ActivatingImage
from tui_trainer.lab.views.perturbations import COLOR_PERTURBATIONS, brightened, flattened, moved
from tui_trainer.lab.views.single_image import occluder, where
from tui_trainer.protocol.exhibit import Exhibit, Picture, Pictures, Words
from tui_trainer.protocol.inspection import NAMES


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return open_context(color_run(tmp_path_factory.mktemp("color")))


def pictures_of(exhibit: Exhibit) -> list[Picture]:
    return [item for b in exhibit.blocks if isinstance(b, Pictures) for item in b.items]


def channels_of(exhibit: Exhibit) -> list[int]:
    return [picture.channels for picture in pictures_of(exhibit)]


SHOWN_IN_COLOR = ("misclassified", "hardest", "kernels", "maps", "attribution", "activation")


@pytest.mark.parametrize("view", [*SHOWN_IN_COLOR, "robustness"])
def test_views_show_images_in_color(context: Context, seen: Seen, view: str) -> None:
    assert 3 in channels_of(seen(context, view))


@pytest.mark.parametrize("view", [name for name in NAMES if name not in SHOWN_IN_COLOR])
def test_the_other_views_take_them(context: Context, seen: Seen, view: str) -> None:
    assert seen(context, view).blocks


@pytest.mark.parametrize(
    "method", ["occlusion", "saliency", "input × gradient", "integrated gradients", "Grad-CAM"]
)
def test_an_image_in_color_is_next_to_its_maps(context: Context, seen: Seen, method: str) -> None:
    exhibit = seen(context, "attribution", method=method)

    assert channels_of(exhibit) == [3, 1, 1]
    pixels = context.digit(0, "validation").pixels
    assert pictures_of(exhibit)[0].values == tuple(pixels.movedim(0, -1).flatten().tolist())


def test_a_photograph_is_covered_with_the_mean_color(context: Context, seen: Seen) -> None:
    assert torch.equal(occluder(context), torch.zeros(3, 1, 1))
    about = seen(context, "attribution").blocks[-1]
    assert isinstance(about, Words)
    assert "occluding this region with the mean color" in about.text


def test_attributions_of_all_channels_add_up(context: Context) -> None:
    image, black = context.digit(3, "validation").model_input, context.data.black
    steps = integrated_gradients(context.copy(), image, black, 2)
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            found = stopped.value
            break
    with torch.no_grad():
        model = context.copy()
        logits, baseline = model(image)[0, 2], model(black.expand_as(image))[0, 2]
    assert float(found.sum()) == pytest.approx(float(logits - baseline), abs=0.05)
    slope = input_x_gradient(context.copy(), image, black, 2)
    assert slope is not None
    assert slope.shape == (SIZE, SIZE)


def test_half_of_a_map_is_on_few_pixels(context: Context) -> None:
    digit = context.digit(0, "validation")
    values = torch.zeros(SIZE, SIZE)
    values[0, :4] = 1.0
    assert where(digit, values, "map") == "Half of the map is on 0.5 % of the pixels."


def test_first_kernels_are_in_color_or_apart(context: Context, seen: Seen) -> None:
    together = seen(context, "kernels")
    apart = seen(context, "kernels", channels="apart")
    later = seen(context, "kernels", layer="conv2")

    assert set(channels_of(together)) == {3}
    assert set(channels_of(apart)) == set(channels_of(later)) == {1}
    assert "channels" not in {control.name for control in later.controls}
    weight = dict(context.model.named_parameters())["conv1.weight"].detach()
    (first, *_) = pictures_of(together)
    times = first.width // weight.shape[-1]
    drawn = torch.tensor(first.values).view(first.height, first.width, 3)[::times, ::times]
    assert torch.allclose(drawn.movedim(-1, 0), weight[0].cpu())
    assert first.is_signed
    assert first.high == pytest.approx(float(weight.abs().max()))


def test_thumbnails_are_whole(context: Context) -> None:
    pixels = torch.from_numpy(color_images(1, 64).pixels[0]).movedim(-1, 0)
    picture = gallery.thumbnail(pixels, "a disc", is_chosen=True)

    assert (picture.height, picture.width) == (gallery.COLOR_SIDE,) * 2
    assert picture.frame == (0, 0, picture.height, picture.width)
    means = torch.tensor(picture.values).view(-1, 3).mean(dim=0)
    assert torch.allclose(means, pixels.float().mean(dim=(1, 2)), atol=3.0)
    small = gallery.thumbnail(pixels[:, :8, :8], "")
    assert (small.height, small.width) == (8, 8)


def test_large_images_are_averaged() -> None:
    pixels = torch.arange(3 * 96 * 96).view(3, 96, 96) % 256
    picture = image_picture(pixels, "large", most=32)

    assert (picture.height, picture.width, picture.channels) == (32, 32, 3)
    assert picture.values[1] == pytest.approx(float(pixels[1, :3, :3].float().mean()))
    assert shrunk(pixels.float()).shape == (3, 32, 32)


def test_a_receptive_field_is_cut_out_in_color() -> None:
    pixels = torch.rand(3, 10, 10)
    image = ActivatingImage(pixels, 1, 1.0, (-1, 2, 4, 4))

    assert image.cut.shape == (3, 4, 4)
    assert not image.cut[:, 0].any()
    assert torch.equal(image.cut[:, 1:], pixels[:, :3, 2:6])


@pytest.mark.parametrize("perturbation", COLOR_PERTURBATIONS, ids=lambda each: each.name)
def test_perturbations_keep_three_channels(perturbation: object) -> None:
    images = torch.from_numpy(color_images(8, SIZE).pixels).movedim(-1, 1).float()
    changed = perturbation.apply(images, perturbation.strengths[1], 0)  # type: ignore[attr-defined]

    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255


def test_a_shift_brings_in_no_black_border() -> None:
    images = torch.full((1, 3, SIZE, SIZE), 200.0)
    assert torch.allclose(moved(images, right=3.0), images)


def test_light_is_changed_in_all_channels_alike() -> None:
    images = torch.tensor([100.0, 50.0, 20.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(brightened(images, 50), images * 1.5)
    assert torch.allclose(flattened(images, 100), torch.full_like(images, 170 / 3))


def test_without_a_pad_a_picture_is_opened(context: Context, seen: Seen, tmp_path: Path) -> None:
    (words,) = seen(context, "draw").blocks
    assert isinstance(words, Words)
    assert words.text.startswith("The drawing pad is for images with one channel")

    pixels = color_images(1, SIZE, seed=4).pixels[0]
    Image.fromarray(pixels).save(tmp_path / "one.png")
    exhibit = seen(context, "draw", picture=str(tmp_path / "one.png"))
    (picture,) = pictures_of(exhibit)
    assert picture.values == tuple(map(float, pixels.flatten()))
    assert any(name in exhibit.result for name in CLASS_NAMES)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_an_unusable_picture_is_one_line(
    context: Context, seen: Seen, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    (words,) = seen(context, "draw", picture=str(path)).blocks

    assert isinstance(words, Words)
    assert words.tone == "error"
    assert "a.png" in words.text
    assert "\n" not in words.text


def recorded(images: torch.Tensor) -> Iterator[torch.Tensor]:
    labels = torch.zeros(len(images), dtype=torch.int64)
    data = recorded_inputs("script", 2, Split(images, labels), Split(images[:0], labels[:0]))
    yield data.pictures(images)


def test_recorded_inputs_in_color_lose_their_normalization() -> None:
    pixels = torch.from_numpy(color_images(9, SIZE).pixels).movedim(-1, 1).float()
    pixels[0, :, 0, 0], pixels[1, :, 0, 0] = 0, 255
    mean = torch.tensor([120.0, 90.0, 60.0]).view(-1, 1, 1)
    std = torch.tensor([50.0, 60.0, 70.0]).view(-1, 1, 1)
    (drawn,) = recorded((pixels - mean) / std)

    assert torch.allclose(drawn, pixels, atol=0.01)


def test_recorded_inputs_of_other_channels_are_averaged() -> None:
    images = torch.rand(4, 5, 6, 6)
    (drawn,) = recorded(images)
    assert drawn.shape == (4, 6, 6)
