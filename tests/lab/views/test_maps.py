"""Feature maps: they are what the network computes, and the dead ones are marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.views.conftest import Scenes, Seen
from tests.lab.views.own_networks import write_odd
from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import PIXELS
from tui_trainer.protocol.exhibit import Bars, Pictures, Words


def with_dead_unit(scene: Context) -> Context:
    """The same scene, the third unit of its first norm always below 0."""
    network = scene.copy().requires_grad_(False)
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    norm.weight[2], norm.bias[2] = 0.0, -1.0
    return replace(scene, network=network)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with odd networks of one's own."""
    return write_odd(tmp_path_factory.mktemp("odd"))


def test_the_maps_are_those_behind_the_relu(scene_of: Scenes, seen: Seen) -> None:
    scene = scene_of("era-s6")
    exhibit = seen(scene, "maps", layer="conv1", digit=3.0)
    digit = scene.digit(3, "validation")
    seen_maps: list[torch.Tensor] = []
    network = scene.copy()
    relu = dict(network.named_modules())["conv1_relu"]
    relu.register_forward_hook(lambda m, i, o: seen_maps.append(o.clone()))
    with torch.no_grad():
        network(digit.network_input)
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    digit_shown, *items = block.items
    assert np.array(digit_shown.values) == pytest.approx(digit.pixels.flatten().numpy())
    assert digit_shown.frame is not None
    for picture in items:
        number = int(picture.caption.split()[0])
        assert picture.values == pytest.approx(seen_maps[0][0, number].flatten().tolist())


def test_all_layers_have_a_strip_and_the_scores_bars(scene_of: Scenes, seen: Seen) -> None:
    exhibit = seen(scene_of("era-s6"), "maps")
    strips = [block for block in exhibit.blocks if isinstance(block, Pictures)]
    names = ("conv1", "conv2", "shrink1", "pool1", "conv3", "conv4", "shrink2", "pool2", "scores")
    assert tuple(block.caption.split()[0] for block in strips[1:]) == names
    assert sum(p.height * p.width for block in strips for p in block.items) <= PIXELS
    bars = next(block for block in exhibit.blocks if isinstance(block, Bars))
    assert sum(bar.is_marked for bar in bars.bars) == 1
    assert exhibit.progress is None
    shares = exhibit.figures["probabilities"]
    assert isinstance(shares, list)
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_a_dead_map_is_marked(scene_of: Scenes, seen: Seen) -> None:
    scene = with_dead_unit(scene_of("era-s6"))
    exhibit = seen(scene, "maps", layer="conv1")
    layers = exhibit.figures["layers"]
    assert isinstance(layers, list)
    assert layers[0]["dead"] == [2]
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    assert [p.caption for p in block.items if "dead" in p.caption] == ["2 dead"]
    assert exhibit.result.endswith("2 dead.") or "1 dead" in exhibit.result


@pytest.mark.parametrize("name", ["Odd", "Closed"])
def test_odd_networks_are_shown(odd: Path, scene_of: Scenes, seen: Seen, name: str) -> None:
    scene = scene_of(f"{odd}:{name}")
    exhibit = seen(scene, "maps")
    assert exhibit.blocks
    assert exhibit.progress is None


def test_networks_without_maps_show_their_units(scene_of: Scenes, seen: Seen) -> None:
    exhibit = seen(scene_of("mlp"), "maps", layer="hidden")
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    assert block.items[1].caption == "24 units"


def test_lost_maps_are_told(scene_of: Scenes, seen: Seen) -> None:
    scene = scene_of("small")
    network = scene.copy().requires_grad_(False)
    next(network.parameters()).fill_(float("nan"))
    lost = replace(scene, network=network)
    for layer in ("all", seen(scene, "maps").controls[2].steps[1]):
        exhibit = seen(lost, "maps", layer=layer)
        assert any(isinstance(b, Words) and b.tone == "error" for b in exhibit.blocks)
        assert not any(isinstance(b, Bars) for b in exhibit.blocks)


def test_the_test_set_is_sealed(scene_of: Scenes, seen: Seen) -> None:
    for view in ("maps", "where", "likes"):
        exhibit = seen(scene_of("small"), view, images="test")
        assert exhibit.figures["sealed"] is True
        assert exhibit.trains
