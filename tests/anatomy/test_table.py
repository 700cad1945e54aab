from __future__ import annotations

import pytest
import torch
from torch import nn

from tui_trainer import zoo
from tui_trainer.anatomy.table import layer_table
from tui_trainer.run.config import MODELS
from tui_trainer.run.events import LayerRow


def table(name: str, image_size: int = 28, classes: int = 10) -> tuple[LayerRow, ...]:
    return layer_table(zoo.build(name, image_size=image_size, classes=classes), image_size)


def test_the_courses_network_agrees_with_the_courses_table() -> None:
    rows = [
        (row.kind, row.kernel, row.output_shape, row.parameters)
        for row in table("era-s6")
        if row.kind not in ("batch norm", "relu")
    ]

    assert rows == [
        ("input", "", (28, 28, 1), 0),
        ("conv", "3×3", (28, 28, 16), 144),
        ("conv", "3×3", (28, 28, 32), 4_608),
        ("conv", "1×1", (28, 28, 16), 512),
        ("max pool", "2×2", (14, 14, 16), 0),
        ("conv", "3×3", (14, 14, 16), 2_304),
        ("conv", "3×3", (14, 14, 64), 9_216),
        ("conv", "1×1", (14, 14, 16), 1_024),
        ("max pool", "2×2", (7, 7, 16), 0),
        ("conv", "3×3 /2", (3, 3, 10), 1_440),
        ("average pool", "3×3", (1, 1, 10), 0),
        ("flatten", "", (1, 1, 10), 0),
    ]


def test_batch_norm_and_relu_keep_the_shape_and_have_their_own_rows() -> None:
    rows = table("era-s6")

    for before, norm, relu in zip(rows, rows[1:], rows[2:], strict=False):
        if before.kind == "conv" and before.name != "scores":
            assert (norm.kind, norm.parameters) == ("batch norm", 2 * norm.output_shape[2])
            assert (relu.kind, relu.parameters) == ("relu", 0)
            assert before.output_shape == norm.output_shape == relu.output_shape


@pytest.mark.parametrize("size", [8, 29, 128])
@pytest.mark.parametrize("name", MODELS)
def test_the_rows_parameters_add_up_and_the_last_row_is_the_scores(name: str, size: int) -> None:
    network = zoo.build(name, image_size=size, classes=7)

    rows = layer_table(network, size)

    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    assert rows[0].output_shape == (size, size, 1)
    assert rows[-1].output_shape == (1, 1, 7)
    assert [row.name for row in rows[1:]] == [name for name, _ in network.named_children()]


def test_the_fully_connected_network_has_flat_rows() -> None:
    assert [(row.kind, row.output_shape, row.parameters) for row in table("mlp")] == [
        ("input", (28, 28, 1), 0),
        ("flatten", (1, 1, 784), 0),
        ("fully connected", (1, 1, 24), 784 * 24 + 24),
        ("relu", (1, 1, 24), 0),
        ("fully connected", (1, 1, 10), 24 * 10 + 10),
    ]


def test_a_layer_within_a_block_has_its_dotted_name_and_an_unknown_one_its_class() -> None:
    block = nn.Sequential(nn.Conv2d(1, 2, (3, 5), padding=(1, 2)), nn.Sigmoid())
    network = nn.Sequential(block, nn.MaxPool2d(3, stride=2), nn.Flatten())

    rows = layer_table(network, 9)

    assert [(row.name, row.kind, row.kernel) for row in rows[1:4]] == [
        ("0.0", "conv", "3×5"),
        ("0.1", "Sigmoid", ""),
        ("1", "max pool", "3×3 /2"),
    ]


@pytest.mark.parametrize("training", [True, False])
def test_making_the_table_leaves_no_trace(training: bool) -> None:
    network = zoo.build("era-s6-dropout", image_size=28, classes=10, dropout=0.5)
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    chance = torch.get_rng_state()

    layer_table(network, 28)

    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert network.training is training
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_that_does_not_fit_is_left_without_hooks() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))

    with pytest.raises(RuntimeError):
        layer_table(network, 28)

    assert not any(module._forward_hooks for module in network.modules())
    assert network.training


def test_a_depthwise_convolution_is_told_from_a_full_one() -> None:
    rows = {row.name: row for row in table("tiny")}

    assert (rows["depth2"].kind, rows["depth2"].kernel) == ("depthwise", "3×3")
    assert rows["depth2"].parameters == 9 * 8
    assert (rows["point2"].kind, rows["point2"].kernel) == ("conv", "1×1")
    assert rows["conv1"].kind == "conv"  # one input channel: there is nothing to keep apart
