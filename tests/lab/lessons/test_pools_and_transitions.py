"""The positions of pools and transitions: exhibits against real models."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.anatomy.table import layer_table
from tui_trainer.lab import ask
from tui_trainer.lab.ask import Experiment
from tui_trainer.lab.context import Context
from tui_trainer.lab.lessons.max_pooling_distance import experiment as max_pooling_distance
from tui_trainer.lab.lessons.transition_layers import experiment as transition_layers
from tui_trainer.lab.lessons.transition_position import experiment as transition_position
from tui_trainer.models import zoo
from tui_trainer.protocol.exhibit import Choices, Exhibit, Pictures, Table, Words
from tui_trainer.protocol.layers import totals


def tables(exhibit: Exhibit) -> list[Table]:
    return [block for block in exhibit.blocks if isinstance(block, Table)]


def trained(show: Experiment, context: Context, choices: Choices) -> Exhibit:
    quick = dataclasses.replace(context, clock=Ticking(0.5))
    return list(show(quick, choices, True))[-1]


@pytest.mark.parametrize("model", ["mlp", "tiny", "era-s6"])
@pytest.mark.parametrize(
    "show",
    [
        ask.experiment("max-pooling-position"),
        ask.experiment("max-pooling-distance"),
        ask.experiment("transition-layers"),
        ask.experiment("transition-position"),
    ],
)
def test_every_model_gets_an_exhibit_even_a_diverged_one(
    context_of: Contexts, show: Experiment, model: str
) -> None:
    for context in (context_of(model), diverged(context_of(model))):
        (exhibit,) = show(context, {}, False)
        assert tables(exhibit)
        for table in tables(exhibit):
            widths = [
                max(map(len, column)) for column in zip(table.heads, *table.rows, strict=True)
            ]
            assert sum(widths) + 2 * (len(widths) - 1) <= 74, table.caption
            assert len(table.caption) <= 78


def test_early_and_late_pools_have_the_zoo_s_figures(context_of: Contexts) -> None:
    (exhibit,) = ask.experiment("max-pooling-position")(context_of("tiny"), {}, False)
    (table,) = tables(exhibit)
    words = next(block.text for block in exhibit.blocks if isinstance(block, Words))
    works = []
    for name, first in (("pool-early", 1), ("pool-late", 4)):
        rows = layer_table(zoo.build(name, image_size=28, classes=10), (28, 28, 1))
        convolutions = [row for row in rows if row.kind == "conv"]
        for row, cells in zip(convolutions, table.rows, strict=True):
            assert row.receptive_field is not None
            assert cells[first].split(" ")[0] == str(row.output_shape[0])
            assert cells[first + 1].split("×")[0] == str(row.receptive_field[0])
        works.append(totals(rows).multiply_adds)
        assert f"{totals(rows).parameters:,}" in words
    assert f"{works[1] / works[0]:.1f} times" in words
    assert [row[1] for row in table.rows[:2]] == ["28 → 14", "14 → 7"]
    assert [row[4] for row in table.rows[3:5]] == ["28 → 14", "14 → 7"]


@pytest.mark.parametrize("equal", ["images", "time"])
def test_pools_are_compared_on_the_chosen_terms(context_of: Contexts, equal: str) -> None:
    last = trained(ask.experiment("max-pooling-position"), context_of("tiny"), {"equal": equal})
    assert (" s each" in last.evidence) == (equal == "time")
    assert {row[0] for row in tables(last)[0].rows} == {"pool-early", "pool-late"}


def test_the_course_s_transitions_are_found(context_of: Contexts) -> None:
    context = context_of("era-s6")
    found = transition_layers.transitions(context.layers)
    names = [(context.layers[mix].name, context.layers[pool].name) for mix, pool in found]
    assert names == [("shrink1", "pool1"), ("shrink2", "pool2")]
    assert transition_layers.transitions(context_of("tiny").layers) == []
    (exhibit,) = ask.experiment("transition-layers")(context, {"transition": 2.0}, False)
    left = tables(exhibit)[0].rows[-1]
    assert left[1:4] == ("7×7×16", "784", f"{100 * 784 / (14 * 14 * 64):.1f} %")


def test_the_maps_are_those_of_the_model(context_of: Contexts) -> None:
    context = context_of("era-s6")
    (exhibit,) = ask.experiment("transition-layers")(context, {"digit": 4.0}, False)
    before, after = (block for block in exhibit.blocks if isinstance(block, Pictures))
    model = context.copy()
    assert isinstance(model, nn.Sequential)
    value = context.digit(4).model_input
    maps = {}
    with torch.no_grad():
        for name, module in model.named_children():
            value = module(value)
            maps[name] = value[0].clone()
    for block, name in ((before, "conv2_relu"), (after, "pool1")):
        for picture in block.items:
            channel = int(picture.caption.split()[-1]) - 1
            shown = torch.tensor(picture.values).view(picture.height, picture.width)
            assert torch.allclose(shown, maps[name][channel], atol=1e-5)


def test_the_calculators_share_changes_with_the_controls(context_of: Contexts) -> None:
    context = context_of("era-s6")
    (exhibit,) = ask.experiment("transition-layers")(context, {"left": 8.0, "pools": "no"}, False)
    spent = 28 * 28 * (9 * 8 * 16 + 32 * 8)
    assert f"{100 * spent / (28 * 28 * 9 * 32 * 16):.1f} %" in exhibit.result


def test_three_positions_are_trained_including_the_chosen_one(context_of: Contexts) -> None:
    for after in transition_position.PLACES:
        places = transition_position.trained(after)
        assert len(set(places)) == 3
        assert {1, 5, after} <= set(places)
    last = trained(ask.experiment("transition-position"), context_of("tiny"), {"after": 4.0})
    names = [row[0] for row in tables(last)[0].rows]
    assert names == ["after layer 1", "after layer 4", "after layer 5"]


def test_the_pools_distances_are_counted_layer_by_layer(context_of: Contexts) -> None:
    (exhibit,) = ask.experiment("max-pooling-distance")(context_of("era-s6"), {}, False)
    pools = tables(exhibit)[0]
    # After pool1: conv3, conv4, shrink2, and then the output convolution, named logits.
    assert [(row[0], row[3], row[4]) for row in pools.rows] == [
        ("pool1", "4", "logits"),
        ("pool2", "1", "logits"),
    ]


@pytest.mark.parametrize("after", [2, 3, 4])
def test_the_number_of_layers_after_the_pool_keeps_the_parameters(after: int) -> None:
    near, far = (max_pooling_distance.pooled_model(apart, 10) for apart in (1, after))
    assert sum(p.numel() for p in near.parameters()) == sum(p.numel() for p in far.parameters())
    for model, apart in ((near, 1), (far, after)):
        kinds = [type(module) for module in model]
        last = max(place for place, kind in enumerate(kinds) if kind is nn.MaxPool2d)
        assert sum(kind in (nn.Conv2d, nn.Linear) for kind in kinds[last:]) == apart
        assert kinds.count(nn.MaxPool2d) == 2


def test_images_shift_by_one_pixel_in_turn() -> None:
    image = torch.zeros(5, 5, dtype=torch.uint8)
    image[2, 2] = 7
    image[0, 0] = 9
    places = [
        sorted(map(tuple, (moved == 7).nonzero().tolist()))
        for moved in max_pooling_distance.shifted(image.repeat(4, 1, 1))
    ]
    assert places == [[(2, 3)], [(2, 1)], [(3, 2)], [(1, 2)]]
    corner = [int((m == 9).sum()) for m in max_pooling_distance.shifted(image.repeat(4, 1, 1))]
    assert corner == [1, 0, 1, 0]  # left and up move it off the image


def test_the_effect_of_a_shift_is_measured_after_the_training(context_of: Contexts) -> None:
    last = trained(ask.experiment("max-pooling-distance"), context_of("tiny"), {"after": 3.0})
    shift = tables(last)[1]
    assert [row[0] for row in shift.rows] == ["1 layer after", "3 layers after"]
    for row in shift.rows:
        assert math.isfinite(float(row[1]))
        assert float(row[1]) > 0
        assert 0 <= float(row[2].split()[0]) <= 100
