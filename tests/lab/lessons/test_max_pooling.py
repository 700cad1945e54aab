"""The max pooling experiment against torch's pools on the maps of the model."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.lab.conftest import Contexts
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.layer_maps import maps_of, subject
from tui_trainer.protocol.exhibit import Pictures, Table, Words

show = ask.experiment("max-pooling")


@pytest.mark.parametrize("model", ["tiny", "era-s6"])
def test_the_three_pools_equal_those_of_torch(context_of: Contexts, model: str) -> None:
    context = context_of(model)
    (exhibit,) = show(context, {"digit": 4.0, "channel": 5.0, "window": 17.0}, False)
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    name = str(exhibit.controls[0].value)
    (pool, *_) = [row for row in context.layers if row.kind == "max pool"]
    # The experiment starts at the map that the model pools first.
    (source,) = pool.sources
    maps = {m.place: m for m in maps_of(subject(context), context.digit(4).model_input, None)}
    values = maps[source].values[5]
    assert context.layers[source].name.startswith(name)
    whole, maximum, mean, stride = (torch.tensor(p.values) for p in pictures.items)
    assert torch.allclose(whole, values.flatten(), atol=1e-5)
    assert torch.allclose(maximum, functional.max_pool2d(values[None], 2).flatten(), atol=1e-5)
    assert torch.allclose(mean, functional.avg_pool2d(values[None], 2).flatten(), atol=1e-5)
    assert torch.allclose(stride, values[::2, ::2].flatten(), atol=1e-5)
    table = next(block for block in exhibit.blocks if isinstance(block, Table))
    across = values.shape[1] // 2
    down, right = divmod(17, across)
    assert pictures.items[0].frame == (2 * down, 2 * right, 2, 2)
    assert float(table.rows[0][2]) == pytest.approx(float(maximum[17]), abs=1e-3)


def test_the_effect_of_a_shift_is_measured(context_of: Contexts) -> None:
    context = context_of("era-s6")
    (exhibit,) = show(context, {"layer": "conv1"}, False)
    images = context.digits.images[:16]
    shifted = torch.zeros_like(images)
    shifted[..., 1:] = images[..., :-1]
    model = context.copy()[:3]  # type: ignore[index]
    changes = []
    with torch.no_grad():
        before, after = (model(context.data.prepare(part)) for part in (images, shifted))
    before, after = functional.max_pool2d(before, 2), functional.max_pool2d(after, 2)
    for one, other in zip(before, after, strict=True):
        changes.append(float((other - one).abs().sum() / one.abs().sum()))
    expected = 100 * sum(changes) / len(changes)
    assert f"changes the maximum by {expected:.0f} %" in exhibit.result


def test_a_model_without_maps_and_a_diverged_one_get_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    assert isinstance(exhibit.blocks[0], Words)
    assert "mlp has no convolution" in exhibit.blocks[0].text
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    assert isinstance(exhibit.blocks[-1], Words)
    assert "not finite" in exhibit.blocks[-1].text
