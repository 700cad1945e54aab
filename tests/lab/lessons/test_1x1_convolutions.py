"""The 1×1 experiment against the layer of the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.lab.conftest import Contexts
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.layer_maps import maps_of, subject
from tui_trainer.protocol.exhibit import Bars, Pictures, Table, Words

show = ask.experiment("1x1-convolutions")


def test_the_kernel_and_the_mix_are_those_of_torch(context_of: Contexts) -> None:
    context = context_of("era-s6")
    weights = {"weight1": 1.0, "weight2": -2.0, "weight3": 0.25}
    (exhibit,) = show(context, {"kernel": 3.0, **weights}, False)
    maps = {m.row.name: m.values for m in maps_of(subject(context), context.digit(0).model_input)}
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    *_, output = pictures.items
    assert output.values == pytest.approx(maps["shrink2"][3].flatten().tolist(), abs=1e-4)
    parts = [torch.tensor(p.values) for p in pictures.items[:3]]
    total = sum(w * part for w, part in zip(weights.values(), parts, strict=True))
    assert isinstance(total, torch.Tensor)
    assert torch.allclose(torch.tensor(pictures.items[3].values), total, atol=1e-5)
    assert torch.allclose(torch.tensor(pictures.items[4].values), total.relu(), atol=1e-5)
    expected = torch.corrcoef(torch.stack((total, maps["shrink2"][3].flatten())))[0, 1]
    assert float(exhibit.result.rstrip(".").split()[-1]) == pytest.approx(float(expected), abs=1e-3)


def test_the_bars_are_the_largest_weights_and_the_cost_is_shown(context_of: Contexts) -> None:
    context = context_of("era-s6")
    (exhibit,) = show(context, {"kernel": 3.0}, False)
    layer = context.copy().get_submodule("shrink2")
    assert isinstance(layer, nn.Conv2d)
    row = layer.weight.detach()[3].flatten()
    bars = next(block for block in exhibit.blocks if isinstance(block, Bars))
    for bar, channel in zip(bars.bars, row.abs().argsort(descending=True)[:6], strict=True):
        assert bar.label == f"channel {channel}"
        assert float(bar.number) == pytest.approx(float(row[channel]), abs=1e-3)
    table = next(block for block in exhibit.blocks if isinstance(block, Table))
    assert [cells[1] for cells in table.rows] == ["1,024", "9,216"]
    # The controls start at the weights of the model.
    for control in exhibit.controls[1:]:
        weight = float(row[int(control.label.split()[-1])])
        assert control.value == pytest.approx(weight, abs=1e-3)


@pytest.mark.parametrize("model", ["mlp", "small"])
def test_a_model_without_a_1x1_is_replaced(context_of: Contexts, model: str) -> None:
    (exhibit,) = show(context_of(model), {}, False)
    assert isinstance(exhibit.blocks[0], Words)
    assert f"{model} has no 1×1 convolution" in exhibit.blocks[0].text


def test_a_diverged_model_gets_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(diverged(context_of("tiny")), {"kernel": 4.0, "weight1": 1.0}, False)
    assert isinstance(exhibit.blocks[-1], Words)
    assert "not finite" in exhibit.blocks[-1].text
