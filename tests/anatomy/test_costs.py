from __future__ import annotations

import pytest
import torchinfo
from torch import nn

from tests.anatomy.networks import SHAPE, branched
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.models.torchvision_compat import import_torchvision

TORCHVISION = ("mobilenet_v3_small", "resnet18", "squeezenet1_1")


def assert_costs_equal_torchinfos(model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Per layer and in total; a layer used twice counts its parameters once, its cost twice."""
    height, width, channels = shape
    theirs = torchinfo.summary(
        model, (1, channels, height, width), verbose=0, device="cpu", mode="eval"
    )
    rows = layer_table(model, shape)

    layers = [layer for layer in theirs.summary_list if layer.is_leaf_layer and layer.macs]
    assert [(row.parameters, row.multiply_adds) for row in rows if row.multiply_adds] == [
        (0 if layer.is_recursive else layer.num_params, layer.macs) for layer in layers
    ]
    assert sum(row.parameters for row in rows) == theirs.total_params
    assert sum(row.multiply_adds for row in rows) == theirs.total_mult_adds > 0


@pytest.mark.parametrize("name", zoo.REGISTRY)
@pytest.mark.sampled(3)
def test_the_zoo_models_cost_what_torchinfo_counts(name: str) -> None:
    model = zoo.build(name, image_size=28, classes=10)

    assert_costs_equal_torchinfos(model, SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_models_cost_what_torchinfo_counts(name: str) -> None:
    model = getattr(import_torchvision().models, name)()

    assert_costs_equal_torchinfos(model, (224, 224, 3))


@pytest.mark.parametrize("what", branched())
def test_branches_cost_what_torchinfo_counts(what: str) -> None:
    assert_costs_equal_torchinfos(branched()[what], SHAPE)


def test_a_layer_used_twice_counts_its_parameters_once_and_its_cost_twice() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    model = nn.Sequential(nn.Conv2d(1, 4, 1), shared, nn.MaxPool2d(2), shared)

    first, _, second = layer_table(model, SHAPE)[2:]

    assert (first.name, second.name) == ("1", "1_2")
    assert (first.parameters, second.parameters) == (4 * 4 * 9 + 4, 0)
    assert first.multiply_adds == 4 * second.multiply_adds > 0
    assert_costs_equal_torchinfos(model, SHAPE)


def test_weights_that_two_layers_share_are_counted_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3))
    model[2].weight = model[0].weight

    rows = layer_table(model, SHAPE)

    assert [row.parameters for row in rows] == [0, 10, 0, 1]
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())


def test_unused_parameters_have_a_separate_row() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model[1].register_module("forgotten", nn.Conv2d(3, 5, 3))

    *_, last = layer_table(model, SHAPE)

    assert (last.name, last.kind) == ("not used in the forward pass", "unused")
    assert (last.parameters, last.multiply_adds) == (3 * 5 * 9 + 5, 0)
    assert last.undefined


def test_weights_that_are_made_of_others_count_where_they_are_used() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
    model = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    rows = layer_table(model, SHAPE)

    assert [row.name for row in rows] == ["input", "0", "1", "2"]
    assert rows[1].kind == "conv"
    assert rows[1].parameters == sum(p.numel() for p in model.parameters())
