"""The image normalization experiment against the pixels themselves."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.image_normalization.experiment import EDGES, LAYER_IMAGES, PIXEL_IMAGES
from tui_trainer.protocol.exhibit import Bars, Choices, Exhibit, Table, Words

show = ask.experiment("image-normalization")


def table_of(exhibit: Exhibit) -> Table:
    return next(block for block in exhibit.blocks if isinstance(block, Table))


@pytest.mark.parametrize("chosen", ["0–255", "0–1", "normalized", "typed"])
def test_mean_and_std_are_those_of_the_scaled_pixels(context_of: Contexts, chosen: str) -> None:
    context = context_of("tiny")
    choices: Choices = {"pixels": chosen, "shift": 0.25, "divisor": 0.1}
    (exhibit,) = show(context, choices, False)
    table = table_of(exhibit)
    grays = context.data.train.images.double() / 255
    (mean,), (std,) = context.data.mean, context.data.std
    moved = {
        "0–255": grays * 255,
        "0–1": grays,
        "normalized": (grays - mean) / std,
        "typed": (grays - 0.25) / 0.1,
    }
    assert [row[0] for row in table.rows] == [
        name for name in moved if name in (*list(moved)[:3], chosen)
    ]
    for row in table.rows:
        pixels = moved[row[0]]
        assert float(row[2]) == pytest.approx(pixels.mean().item(), abs=0.006)
        assert float(row[3]) == pytest.approx(pixels.std().item(), rel=0.002, abs=0.006)
    assert table.rows[table.marked or 0][0] == chosen


def test_the_first_layer_s_output_is_that_of_the_layer_on_raw_pixels(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {}, False)
    first = next(m for m in context.copy().modules() if isinstance(m, nn.Conv2d))
    images = context.sample(PIXEL_IMAGES, training=True).images[:LAYER_IMAGES]
    with torch.no_grad():
        given = first(images.unsqueeze(1).float())
    row = table_of(exhibit).rows[0]
    assert row[0] == "0–255"
    assert float(row[4]) == pytest.approx(given.mean().item(), abs=0.01)
    assert float(row[5]) == pytest.approx(given.std().item(), rel=0.01)


def test_the_bars_are_the_shares_of_the_gray_levels(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {}, False)
    bars = next(block for block in exhibit.blocks if isinstance(block, Bars)).bars
    pixels = context.data.train.images.flatten().int()
    assert sum(bar.share for bar in bars) == pytest.approx(1.0)
    for bar, low, high in zip(bars, EDGES[:-1], EDGES[1:], strict=True):
        share = ((pixels >= low) & (pixels < high)).float().mean().item()
        assert bar.share == pytest.approx(share, abs=1e-6)


def test_without_normalization_a_model_without_batch_norm_learns_less(context_of: Contexts) -> None:
    context = dataclasses.replace(context_of("tiny"), clock=Ticking(0.05))
    last = list(show(context, {}, True))[-1]
    losses = {row[0]: row[3] for row in table_of(last).rows}
    assert float(losses["normalized"]) < float(losses["0–1"])
    assert losses["0–255"] == "diverged" or float(losses["0–255"]) > float(losses["0–1"])
    assert "one seed" in last.evidence.lower()


@pytest.mark.parametrize("name", ["mlp", "tiny"])
def test_a_diverged_model_has_no_statistics_of_its_first_layer(
    context_of: Contexts, name: str
) -> None:
    context = context_of(name)
    model = context.copy()
    (sound,) = show(context, {}, False)
    assert "none" not in table_of(sound).rows[0]
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    (exhibit,) = show(dataclasses.replace(context, model=model), {}, False)
    assert {row[4:] for row in table_of(exhibit).rows} == {("none", "none")}
    assert any(
        isinstance(b, Words) and f"{context.data.mean[0]:.4f}" in b.text for b in exhibit.blocks
    )
