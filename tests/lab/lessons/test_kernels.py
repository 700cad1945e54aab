"""The kernels experiment: pictures, similarity and costs against torch."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.kernels import experiment
from tui_trainer.protocol.exhibit import Pictures, Table, Words

show = ask.experiment("kernels")


def test_the_pictures_are_the_kernels_of_the_first_convolution(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {"kernel": 3.0}, False)
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    first = next(m for m in context.copy().modules() if isinstance(m, nn.Conv2d))
    assert len(pictures.items) == len(first.weight)
    assert [item.caption for item in pictures.items].index("▸3") == 2
    for item, kernel in zip(pictures.items, first.weight, strict=True):
        shown = torch.tensor(item.values).view(item.height, item.width)
        assert torch.allclose(shown[1::3, 1::3], kernel[0])  # each weight is 3×3 pixels


def test_the_most_similar_pair_is_that_of_torch(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {}, False)
    words = next(block.text for block in exhibit.blocks if isinstance(block, Words))
    first = next(m for m in context.copy().modules() if isinstance(m, nn.Conv2d))
    flat = first.weight.flatten(1).double()
    alike = {
        (one + 1, other + 1): functional.cosine_similarity(flat[one], flat[other], dim=0).item()
        for one, other in itertools.combinations(range(len(flat)), 2)
    }
    pair = max(alike, key=alike.__getitem__)
    assert f"Of all pairs, {pair[0]} and {pair[1]} are most similar: {alike[pair]:+.2f}" in words
    mine = {pair: cosine for pair, cosine in alike.items() if 1 in pair}
    nearest = max(mine, key=mine.__getitem__)
    assert f"similar to kernel {sum(nearest) - 1}: cosine {mine[nearest]:+.2f}" in words


def test_costs_are_those_of_real_layers(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("tiny"), {"channels": 5.0, "side": 7.0}, False)
    table = next(block for block in exhibit.blocks if isinstance(block, Table))
    for row in table.rows:
        layer = nn.Conv2d(5, int(row[0]), 3, bias=False)
        assert row[1] == f"{layer.weight.numel():,}"
        next_layer = nn.Conv2d(int(row[0]), int(row[0]), 3, bias=False)
        assert row[3] == f"{next_layer.weight.numel():,}"
    assert table.rows[0][2] == f"{(5 * 4 * 9 * 49) / 1000:.2f} k"


@pytest.mark.parametrize("number", [1.0, 16.0])
def test_a_model_without_convolutions_is_replaced(context_of: Contexts, number: float) -> None:
    (exhibit,) = show(context_of("mlp"), {"kernel": number}, False)
    assert any(isinstance(block, Words) and "mlp has no" in block.text for block in exhibit.blocks)
    assert any(isinstance(block, Pictures) for block in exhibit.blocks)


def test_nonfinite_kernels_get_a_message(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    (exhibit,) = show(dataclasses.replace(context, model=model), {}, False)
    assert any(isinstance(b, Words) and "not finite" in b.text for b in exhibit.blocks)


def test_each_arm_has_the_first_kernels_of_its_name(context_of: Contexts) -> None:
    context = dataclasses.replace(context_of("tiny"), clock=Ticking(0.4))
    last = list(show(context, {}, True))[-1]
    table = next(block for block in last.blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == [
        f"{first} kernels" for first in experiment.FIRST_KERNELS
    ]
    for row, k in zip(table.rows, experiment.FIRST_KERNELS, strict=True):
        weights = 9 * k + 9 * k * 2 * k + 9 * 2 * k * 4 * k + 2 * (k + 2 * k + 4 * k)
        assert row[1] == f"{weights + 4 * k * 10 + 10:,}"
    assert re.search(r"Accuracy: .* \d+\.\d\d %", last.result)
