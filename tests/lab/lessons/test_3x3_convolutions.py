"""The 3×3 experiment: its map equals that of torch and the model, its sum that of the products."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.lab.conftest import Contexts
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.layer_maps import maps_of, subject
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Table, Words

show = ask.experiment("3x3-convolutions")


def map_of(exhibit: Exhibit) -> tuple[float, ...]:
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    return pictures.items[1].values


@pytest.mark.parametrize("model", ["tiny", "conv-fc"])
def test_a_learned_kernel_gives_the_feature_map_of_the_model(
    context_of: Contexts, model: str
) -> None:
    context = context_of(model)
    (exhibit,) = show(context, {"kernel": "learned 2", "digit": 1.0}, False)
    first = maps_of(subject(context), context.digit(1).model_input)[0]
    assert map_of(exhibit) == pytest.approx(first.values[2].flatten().tolist(), abs=1e-4)


def test_a_hand_designed_kernel_is_sobels_and_the_products_add_up(context_of: Contexts) -> None:
    context = context_of("mlp")  # which has no 3×3 kernels
    (exhibit,) = show(context, {"kernel": "vertical edge", "row": 9.0, "column": 0.0}, False)
    pixels = context.digit(0).pixels.double() / 255
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)
    expected = functional.conv2d(pixels[None, None], sobel[None, None], padding=1)[0, 0]
    assert map_of(exhibit) == pytest.approx(expected.flatten().tolist(), abs=1e-6)
    products, _ = (block for block in exhibit.blocks if isinstance(block, Table))
    total = sum(float(cell) for cells in products.rows for cell in cells[6:])
    assert total == pytest.approx(float(expected[9, 0]), abs=5e-3)
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    assert pictures.items[0].frame == (8, 0, 3, 2)  # a third of the kernel is off the image
    assert "learned 0" not in exhibit.controls[0].steps
    assert isinstance(exhibit.blocks[-1], Words)
    assert "mlp has no plain 3×3 kernels" in exhibit.blocks[-1].text


def test_two_small_kernels_cost_less_than_a_large_one(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("tiny"), {}, False)
    *_, costs = (block for block in exhibit.blocks if isinstance(block, Table))
    weights_of = {cells[0]: cells[1:3] for cells in costs.rows}
    assert weights_of["one 5×5"] == ("5×5", f"{25 * 8 * 8:,}")
    assert weights_of["two 3×3"] == ("5×5", f"{18 * 8 * 8:,}")
    assert weights_of["one 7×7"] == ("7×7", f"{49 * 8 * 8:,}")


def test_kernels_of_a_diverged_model_get_a_message(context_of: Contexts) -> None:
    context = diverged(context_of("tiny"))
    (exhibit,) = show(context, {"kernel": "learned 0"}, False)
    assert any("not finite" in b.text for b in exhibit.blocks if isinstance(b, Words))
    (exhibit,) = show(context, {"kernel": "blur"}, False)
    assert all(0 <= value <= 1 for value in map_of(exhibit))
