"""The feature maps of an image, against forward hooks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.lab.conftest import Contexts
from tui_trainer.lab.layer_maps import batch_of_maps, is_convolution, maps_of, middle_frame, subject


@pytest.mark.parametrize("name", ["tiny", "era-s6"])
def test_feature_maps_match_forward_hooks(context_of: Contexts, name: str) -> None:
    context = context_of(name)
    digit = context.digit(2)
    seen: dict[str, Tensor] = {}
    model = context.copy()
    for layer, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(
                lambda module, args, output, layer=layer: seen.update({layer: output.clone()})
            )
    with torch.no_grad():
        model(digit.model_input)
    inspected = subject(context)
    maps = maps_of(inspected, digit.model_input, ("conv", "depthwise", "max pool"))
    assert [m.row.name for m in maps] == list(seen)
    for found in maps:
        assert torch.allclose(found.values, seen[found.row.name][0], atol=1e-6)
        assert context.layers[found.place].name == found.row.name
    several = batch_of_maps(
        inspected, context.data.prepare(context.digits.images[:3]), maps[1].place
    )
    assert torch.allclose(several[2], maps[1].values, atol=1e-5)


def test_a_model_without_the_layer_is_replaced_with_a_note(
    context_of: Contexts,
) -> None:
    inspected = subject(
        context_of("mlp"), lambda seen: any(map(is_convolution, seen.layers)), fallback="tiny"
    )
    assert inspected.layers == context_of("tiny").layers
    assert "mlp has no convolution" in inspected.note[0].text
    assert not subject(context_of("tiny")).note


def test_the_frame_is_the_receptive_field_clipped_to_the_image(context_of: Contexts) -> None:
    rows = {row.name: row for row in context_of("era-s6").layers}
    assert middle_frame(rows["conv1"], (28, 28)) == (13, 13, 3, 3)
    assert middle_frame(rows["average"], (28, 28)) == (0, 0, 28, 28)
