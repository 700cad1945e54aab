from __future__ import annotations

import random
from itertools import product

import pytest
import torch
from torch import nn

from tests.anatomy.comparing import assert_arithmetic_is_measured, bounds
from tests.anatomy.networks import SHAPE, named, sequential
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.layers import Box

CHAINS = [
    name
    for name in zoo.REGISTRY
    if isinstance(zoo.build(name, image_size=28, classes=10), nn.Sequential)
]


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


# --- chains


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.sampled(6)
def test_the_zoos_fields_are_the_measured_ones(name: str) -> None:
    model = zoo.build(name, image_size=28, classes=10)

    compared = assert_arithmetic_is_measured(model)

    assert compared >= len(layer_table(model, SHAPE))


def test_the_zoo_has_chains_to_compare() -> None:
    assert {"era-s6", "small", "tiny", "mlp"} <= set(CHAINS)


def random_chain(rng: random.Random, size: int) -> nn.Sequential:
    """Return random convolutions and pools whose kernel, stride, padding and dilation fit."""
    layers: list[nn.Module] = []
    shape = torch.Size((1, 1, size, size))
    while len(layers) < 7:
        kernel, stride, dilation = rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 3)
        if shape[-1] < 2 * (dilation * (kernel - 1) + 1):
            break
        padding, channels = rng.randint(0, kernel // 2), shape[1]
        layers.append(
            rng.choice(
                [
                    nn.Conv2d(channels, 2, kernel, stride, padding, dilation),
                    nn.Conv2d(channels, 2, kernel, 1, "same", dilation),
                    nn.MaxPool2d(kernel, stride, padding, dilation),
                    nn.AvgPool2d(kernel, stride, padding, ceil_mode=True),
                    nn.ReLU(),
                ]
            )
        )
        with torch.no_grad():
            shape = nn.Sequential(*layers)(torch.zeros(1, 1, size, size)).shape
    return sequential(*layers, nn.Flatten(), nn.Linear(shape[1:].numel(), 3))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.sampled(3)
def test_the_fields_of_random_chains_are_the_measured_ones(seed: int) -> None:
    """At the center of each map; where the box lies in the image, it equals the measured one.

    Beyond an edge a dilated or an even kernel may have added zeros below its outermost weights, and
    see less than the part of the box that lies on the image.
    """
    shape = (64, 64, 1)
    model = random_chain(random.Random(seed), 64)
    equal = 0
    for place, row in enumerate(layer_table(model, shape)):
        height, width, _ = row.output_shape
        box = row.box(height // 2, width // 2)
        assert box is not None
        seen = bounds(measured_field(model, shape, place, height // 2, width // 2))
        assert seen is not None
        inside = box.within(64, 64)
        if inside == box:
            assert seen == box, row
            equal += 1
        assert (
            Box(
                min(inside.top, seen.top),
                min(inside.left, seen.left),
                max(inside.bottom, seen.bottom),
                max(inside.right, seen.right),
            )
            == inside
        ), row
    assert equal >= 3


@pytest.mark.parametrize(
    ("layer", "size", "jump", "start"),
    [
        (nn.Conv2d(1, 2, 3), 3, 1, 1.0),
        (nn.Conv2d(1, 2, 3, padding=1), 3, 1, 0.0),
        (nn.Conv2d(1, 2, 3, dilation=2), 5, 1, 2.0),
        (nn.Conv2d(1, 2, 5, stride=2, padding=2), 5, 2, 0.0),
        (nn.Conv2d(1, 2, 2), 2, 1, 0.5),
        (nn.Conv2d(1, 2, 4, padding="same"), 4, 1, 0.5),
        (nn.MaxPool2d(2), 2, 2, 0.5),
        (nn.MaxPool2d(3, stride=2, padding=1), 3, 2, 0.0),
        (nn.AdaptiveAvgPool2d(7), 4, 4, 1.5),
        (nn.AdaptiveMaxPool2d(1), 28, 28, 13.5),
        (nn.ZeroPad2d(2), 1, 1, -2.0),
    ],
)
def test_one_layer_widens_the_field_by_its_kernel(
    layer: nn.Module, size: int, jump: int, start: float
) -> None:
    _, row = layer_table(nn.Sequential(layer), SHAPE)

    assert row.receptive_field == (size, size)
    assert row.jump == (jump, jump)
    assert row.start == (start, start)


def test_down_and_across_are_independent() -> None:
    _, row = layer_table(nn.Sequential(nn.Conv2d(1, 2, (3, 7), (1, 2), (1, 0), (2, 1))), SHAPE)

    assert (row.receptive_field, row.jump, row.start) == ((5, 7), (1, 2), (1.0, 3.0))
    assert (row.kernel_size, row.stride, row.padding, row.dilation) == (
        (3, 7),
        (1, 2),
        (1, 0),
        (2, 1),
    )
    assert row.kernel == "3×7 /1×2 ·2×1"


def test_a_fully_connected_layer_sees_the_grid_that_was_flattened() -> None:
    model = sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * 13 * 13, 10)
    )
    *_, pool, flatten, logits = layer_table(model, SHAPE)

    assert flatten.receptive_field == pool.receptive_field == (4, 4)
    assert flatten.jump == logits.jump == (2, 2)
    assert logits.receptive_field == (28, 28)
    assert logits.start == (13.5, 13.5)


def test_known_models_have_the_published_fields() -> None:
    """Araujo, Norris and Sim (Distill 2019) give AlexNet 195 and VGG-16 212 pixels, 32 apart."""
    alexnet = nn.Sequential(
        nn.Conv2d(1, 1, 11, 4),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(1, 1, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *(nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)),
        nn.MaxPool2d(3, 2),
    )
    vgg = [
        layer
        for count in (2, 2, 3, 3, 3)
        for layer in (*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(count)), nn.MaxPool2d(2))
    ]

    for model, size in ((alexnet, 195), (nn.Sequential(*vgg), 212)):
        last = layer_table(model, (224, 224, 1))[-1]
        assert (last.receptive_field, last.jump) == ((size, size), (32, 32))


@pytest.mark.slow
def test_resnet18_sees_435_pixels_before_its_mean() -> None:
    """Its ten 3×3 kernels' share, by hand: 7 + 2·2, then 2 × jump each, on the longest way."""
    jumps = [4] * 4 + [4, 8, 8, 8] + [8, 16, 16, 16] + [16, 32, 32, 32]
    rows = named(import_torchvision().models.resnet18(), (224, 224, 3))

    last = rows["layer4.1.conv2"]

    assert last.receptive_field == (7 + 2 * 2 + 2 * sum(jumps),) * 2 == (435, 435)
    assert last.jump == (32, 32)
    assert last.start == (0.0, 0.0)


# --- features dropped


@pytest.mark.parametrize(
    ("layer", "unused"),
    [
        (nn.AvgPool2d(3), (1, 1)),
        (nn.AvgPool2d(2), (0, 0)),
        (nn.MaxPool2d(5), (3, 3)),
        (nn.MaxPool2d(5, ceil_mode=True), (0, 0)),
        (nn.Conv2d(1, 1, 3, 2), (1, 1)),
        (nn.Conv2d(1, 1, 3, 2, 1), (0, 0)),
        (nn.Conv2d(1, 1, (2, 3), (3, 1)), (2, 0)),
        (nn.AdaptiveAvgPool2d(1), (0, 0)),
    ],
)
@pytest.mark.sampled(3)
def test_features_that_no_kernel_reads_are_counted(
    layer: nn.Module, unused: tuple[int, int]
) -> None:
    _, row = layer_table(nn.Sequential(layer), SHAPE)

    assert row.unused == unused
    seen = torch.zeros(28, 28, dtype=torch.bool)
    for at in product(*map(range, row.output_shape[:2])):
        seen |= measured_field(nn.Sequential(layer), SHAPE, 1, *at)
    assert not seen[28 - unused[0] :].any()
    assert seen[: 28 - unused[0], : 28 - unused[1]].any(dim=0)[-1]
