"""Feature maps: the outputs of the model, with dead ones marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.custom_models import write_odd
from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import PIXELS
from tui_trainer.protocol.exhibit import Bars, Pictures, Words


def with_dead_unit(context: Context) -> Context:
    """Return the context with the third unit of the first norm always below 0."""
    model = context.copy().requires_grad_(False)
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    norm.weight[2], norm.bias[2] = 0.0, -1.0
    return replace(context, model=model)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with unusual custom models."""
    return write_odd(tmp_path_factory.mktemp("odd"))


def test_maps_are_taken_after_the_relu(context_of: Contexts, seen: Seen) -> None:
    context = context_of("era-s6")
    exhibit = seen(context, "maps", layer="conv1", digit=3.0)
    digit = context.digit(3, "validation")
    seen_maps: list[torch.Tensor] = []
    model = context.copy()
    relu = dict(model.named_modules())["conv1_relu"]
    relu.register_forward_hook(lambda m, i, o: seen_maps.append(o.clone()))
    with torch.no_grad():
        model(digit.model_input)
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    digit_shown, *items = block.items
    assert np.array(digit_shown.values) == pytest.approx(digit.pixels.flatten().numpy())
    assert digit_shown.frame is not None
    for picture in items:
        number = int(picture.caption.split()[0])
        assert picture.values == pytest.approx(seen_maps[0][0, number].flatten().tolist())


def test_all_layers_have_a_strip_and_the_logits_bars(context_of: Contexts, seen: Seen) -> None:
    exhibit = seen(context_of("era-s6"), "maps")
    strips = [block for block in exhibit.blocks if isinstance(block, Pictures)]
    names = ("conv1", "conv2", "shrink1", "pool1", "conv3", "conv4", "shrink2", "pool2", "logits")
    assert tuple(block.caption.split()[0] for block in strips[1:]) == names
    assert sum(p.height * p.width for block in strips for p in block.items) <= PIXELS
    bars = next(block for block in exhibit.blocks if isinstance(block, Bars))
    assert sum(bar.is_marked for bar in bars.bars) == 1
    assert exhibit.progress is None
    shares = exhibit.figures["probabilities"]
    assert isinstance(shares, list)
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)


def test_a_dead_map_is_marked(context_of: Contexts, seen: Seen) -> None:
    context = with_dead_unit(context_of("era-s6"))
    exhibit = seen(context, "maps", layer="conv1")
    layers = exhibit.figures["layers"]
    assert isinstance(layers, list)
    assert layers[0]["dead"] == [2]
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    assert [p.caption for p in block.items if "dead" in p.caption] == ["2 dead"]
    assert exhibit.result.endswith("2 dead.") or "1 dead" in exhibit.result


@pytest.mark.parametrize("name", ["Odd", "Closed"])
def test_odd_models_are_shown(odd: Path, context_of: Contexts, seen: Seen, name: str) -> None:
    context = context_of(f"{odd}:{name}")
    exhibit = seen(context, "maps")
    assert exhibit.blocks
    assert exhibit.progress is None


def test_models_without_maps_show_their_units(context_of: Contexts, seen: Seen) -> None:
    exhibit = seen(context_of("mlp"), "maps", layer="hidden")
    (block,) = exhibit.blocks
    assert isinstance(block, Pictures)
    assert block.items[1].caption == "24 units"


def test_non_finite_maps_are_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("small")
    model = context.copy().requires_grad_(False)
    next(model.parameters()).fill_(float("nan"))
    diverged = replace(context, model=model)
    for layer in ("all", seen(context, "maps").controls[2].steps[1]):
        exhibit = seen(diverged, "maps", layer=layer)
        assert any(isinstance(b, Words) and b.tone == "error" for b in exhibit.blocks)
        assert not any(isinstance(b, Bars) for b in exhibit.blocks)


def test_the_test_set_is_sealed(context_of: Contexts, seen: Seen) -> None:
    for view in ("maps", "attribution", "activation"):
        exhibit = seen(context_of("small"), view, images="test")
        assert exhibit.figures["sealed"] is True
        assert exhibit.trains
