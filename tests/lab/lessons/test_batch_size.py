"""The batch size experiment: batch gradients against torch, and a short training."""

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


def test_joined_gradients_equal_those_of_the_larger_batch(context_of: Contexts) -> None:
    context = context_of("mlp")
    *_, (products, share_done) = gradient_products(context, 0)
    assert share_done == 1.0
    inputs, labels = drawn(context, 600, 0)
    model = context.copy()
    one, other = (
        flat_gradient(model, inputs[start : start + 64], labels[start : start + 64])
        for start in (0, 64)
    )
    expected = float(functional.cosine_similarity(one, other, dim=0))
    assert cosines(joined(products[: 128 // PART], 64 // PART))[0] == pytest.approx(
        expected, abs=1e-4
    )


def test_batch_norm_uses_the_statistics_of_the_first_round(context_of: Contexts) -> None:
    context = context_of("tiny")
    first, *_, _last = gradient_products(context, 0)
    products, _ = first
    total = len(products) * PART
    inputs, labels = drawn(context, total, 0)
    # The gradient of all images: with fixed batch statistics it is the mean of the parts.
    model = context.copy()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum, module.training = 1.0, True
    with torch.no_grad():
        model(inputs)
    whole = flat_gradient(model.eval(), inputs, labels).double()
    assert joined(products, len(products))[0][0] == pytest.approx(float(whole @ whole), rel=1e-3)
    degree = context.model.state_dict()
    assert not degree["norm1.running_mean"].any()


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


def test_a_diverged_model_gets_a_message(context_of: Contexts) -> None:
    *_, exhibit = show(diverged(context_of("mlp")), {}, False)
    (words,) = exhibit.blocks
    assert isinstance(words, Words)
    assert "not finite" in words.text


@pytest.mark.parametrize("equal", ["samples", "time"])
def test_confirmed_three_sizes_are_trained_on_equal_terms(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch, equal: str
) -> None:
    monkeypatch.setattr(experiment, "TRAINED_SIZES", (8, 16, 32))
    monkeypatch.setattr(experiment, "IMAGES", 64)
    monkeypatch.setattr(experiment, "BASE_BATCH", 16)
    monkeypatch.setattr(experiment, "MODEL", "mlp")
    context = dataclasses.replace(context_of("mlp"), clock=Ticking())
    *_, end = show(context, {"equal": equal, "lr": "scaled"}, True)
    after, took = tables_of(end)
    assert [row[0] for row in after.rows] == ["batch 8", "batch 16", "batch 32"]
    rates = [float(row[1]) for row in took.rows]
    assert rates[2] == pytest.approx(4 * rates[0], rel=1e-2)
    steps, images = ([int(row[place]) for row in took.rows] for place in (2, 3))
    assert [i / s for i, s in zip(images, steps, strict=True)] == [8, 16, 32]
    if equal == "samples":
        assert images == [64, 64, 64]
    else:
        # The clock advances equally per step: equal time is equal steps, except in the last round.
        assert max(steps) - min(steps) <= 1
    assert "validation images" in end.evidence
