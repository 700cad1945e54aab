"""The maps of a digit against hooks on the network itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.lab.conftest import Benches
from tui_trainer.lab.layer_maps import batch_of_maps, is_convolution, maps_of, middle_frame, subject


@pytest.mark.parametrize("model", ["tiny", "era-s6"])
def test_maps_are_those_that_hooks_see(bench_of: Benches, model: str) -> None:
    bench = bench_of(model)
    digit = bench.digit(2)
    seen: dict[str, Tensor] = {}
    network = bench.copy()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(
                lambda module, args, output, name=name: seen.update({name: output.clone()})
            )
    with torch.no_grad():
        network(digit.network_input)
    looked = subject(bench)
    maps = maps_of(looked, digit.network_input, ("conv", "depthwise", "max pool"))
    assert [m.row.name for m in maps] == list(seen)
    for found in maps:
        assert torch.allclose(found.values, seen[found.row.name][0], atol=1e-6)
        assert bench.layers[found.place].name == found.row.name
    several = batch_of_maps(looked, bench.data.prepare(bench.digits.images[:3]), maps[1].place)
    assert torch.allclose(several[2], maps[1].values, atol=1e-5)


def test_a_network_without_what_is_wanted_is_replaced_and_that_is_said(bench_of: Benches) -> None:
    looked = subject(
        bench_of("mlp"), lambda seen: any(map(is_convolution, seen.layers)), fallback="tiny"
    )
    assert looked.layers == bench_of("tiny").layers
    assert "mlp has no convolution" in looked.note[0].text
    assert not subject(bench_of("tiny")).note


def test_the_frame_is_the_field_as_far_as_it_lies_on_the_image(bench_of: Benches) -> None:
    rows = {row.name: row for row in bench_of("era-s6").layers}
    assert middle_frame(rows["conv1"], (28, 28)) == (13, 13, 3, 3)
    assert middle_frame(rows["average"], (28, 28)) == (0, 0, 28, 28)
