"""The batch-size experiment: gradients of batches against torch, and a short race."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.batch_size import experiment
from tui_trainer.lab.lessons.batch_size.arithmetic import cosines, joined
from tui_trainer.lab.lessons.batch_size.experiment import PART, gradient_products
from tui_trainer.lab.samples import drawn, flat_gradient
from tui_trainer.protocol.exhibit import Bars, Exhibit, Table, Words

show = ask.experiment("batch-size")


def tables_of(exhibit: Exhibit) -> list[Table]:
    return [block for block in exhibit.blocks if isinstance(block, Table)]


def test_joined_gradients_are_those_of_the_larger_batch(context_of: Contexts) -> None:
    context = context_of("mlp")
    *_, (products, far) = gradient_products(context, 0)
    assert far == 1.0
    inputs, labels = drawn(context, 600, 0)
    network = context.copy()
    one, other = (
        flat_gradient(network, inputs[start : start + 64], labels[start : start + 64])
        for start in (0, 64)
    )
    expected = float(functional.cosine_similarity(one, other, dim=0))
    assert cosines(joined(products[: 128 // PART], 64 // PART))[0] == pytest.approx(
        expected, abs=1e-4
    )


def test_batch_norm_goes_by_the_images_that_are_looked_at(context_of: Contexts) -> None:
    context = context_of("tiny")
    first, *_, _last = gradient_products(context, 0)
    products, _ = first
    total = len(products) * PART
    inputs, labels = drawn(context, total, 0)
    # The gradient of all of them: with the batch's statistics held fixed it is the mean of parts.
    network = context.copy()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum, module.training = 1.0, True
    with torch.no_grad():
        network(inputs)
    whole = flat_gradient(network.eval(), inputs, labels).double()
    assert joined(products, len(products))[0][0] == pytest.approx(float(whole @ whole), rel=1e-3)
    own = context.model.state_dict()
    assert not own["norm1.running_mean"].any()


@pytest.mark.parametrize("model", ["mlp", "era-s6"])
def test_larger_batches_agree_more(context_of: Contexts, model: str) -> None:
    *under_way, end = show(context_of(model), {}, False)
    assert all(exhibit.progress is not None for exhibit in under_way)
    assert end.progress is None
    (bars,) = [block for block in end.blocks if isinstance(block, Bars)]
    measured = [bar.share for bar in bars.bars if "pair" in bar.number]
    assert len(measured) >= 2
    assert measured[0] < measured[1]
    assert end.trains


def test_a_diverged_network_is_said_to_be_lost(context_of: Contexts) -> None:
    *_, exhibit = show(diverged(context_of("mlp")), {}, False)
    (words,) = exhibit.blocks
    assert isinstance(words, Words)
    assert "no number" in words.text


@pytest.mark.parametrize("equal", ["samples", "time"])
def test_enter_trains_three_sizes_on_equal_terms(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch, equal: str
) -> None:
    monkeypatch.setattr(experiment, "RACED", (8, 16, 32))
    monkeypatch.setattr(experiment, "IMAGES", 64)
    monkeypatch.setattr(experiment, "USUAL", 16)
    monkeypatch.setattr(experiment, "MODEL", "mlp")
    context = dataclasses.replace(context_of("mlp"), clock=Ticking())
    *_, end = show(context, {"equal": equal, "rate": "scaled"}, True)
    after, took = tables_of(end)
    assert [row[0] for row in after.rows] == ["batch 8", "batch 16", "batch 32"]
    rates = [float(row[1]) for row in took.rows]
    assert rates[2] == pytest.approx(4 * rates[0], rel=1e-2)
    steps, images = ([int(row[place]) for row in took.rows] for place in (2, 3))
    assert [i / s for i, s in zip(images, steps, strict=True)] == [8, 16, 32]
    if equal == "samples":
        assert images == [64, 64, 64]
    else:
        # The clock ticks equally for each step: equal time is equal steps, but for the last turn.
        assert max(steps) - min(steps) <= 1
    assert "validation images" in end.certainty
