from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.anatomy.comparing import bounds
from tests.anatomy.networks import SHAPE, Calls, Residual, Student, branched, named
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models import zoo
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.layers import Box, LayerRow, stages


def table(name: str) -> tuple[LayerRow, ...]:
    return layer_table(zoo.build(name, image_size=28, classes=10), SHAPE)


# --- the zoo


def test_the_courses_model_agrees_with_the_courses_table() -> None:
    rows = [
        (row.kind, row.kernel, row.output_shape, row.parameters, row.receptive_field)
        for row in table("era-s6")
        if row.kind not in ("batch norm", "relu")
    ]

    assert rows == [
        ("input", "", (28, 28, 1), 0, (1, 1)),
        ("conv", "3×3", (28, 28, 16), 144, (3, 3)),
        ("conv", "3×3", (28, 28, 32), 4_608, (5, 5)),
        ("conv", "1×1", (28, 28, 16), 512, (5, 5)),
        ("max pool", "2×2", (14, 14, 16), 0, (6, 6)),
        ("conv", "3×3", (14, 14, 16), 2_304, (10, 10)),
        ("conv", "3×3", (14, 14, 64), 9_216, (14, 14)),
        ("conv", "1×1", (14, 14, 16), 1_024, (14, 14)),
        ("max pool", "2×2", (7, 7, 16), 0, (16, 16)),
        ("conv", "3×3 /2", (3, 3, 10), 1_440, (24, 24)),
        ("average pool", "3×3", (1, 1, 10), 0, (40, 40)),
        ("flatten", "", (1, 1, 10), 0, (40, 40)),
    ]


def test_batch_norm_and_relu_keep_the_shape_in_separate_rows() -> None:
    rows = table("era-s6")

    for before, norm, relu in zip(rows, rows[1:], rows[2:], strict=False):
        if before.kind == "conv" and before.name != "logits":
            assert (norm.kind, norm.parameters) == ("batch norm", 2 * norm.output_shape[2])
            assert (relu.kind, relu.parameters) == ("relu", 0)
            assert before.output_shape == norm.output_shape == relu.output_shape


@pytest.mark.parametrize("size", [8, 29, 128])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(4)
def test_the_rows_parameters_add_up_and_the_last_row_has_the_logits(name: str, size: int) -> None:
    model = zoo.build(name, image_size=size, classes=7)

    rows = layer_table(model, (size, size, 1))

    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[0].output_shape == (size, size, 1)
    assert rows[-1].output_shape == (1, 1, 7)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "residual"])
@pytest.mark.sampled(3)
def test_each_row_of_a_chain_reads_the_previous_one(name: str) -> None:
    model = zoo.build(name, image_size=28, classes=10)
    rows = layer_table(model, SHAPE)

    assert [(row.name, row.type) for row in rows[1:]] == [
        (name, type(module).__name__)
        for name, module in model.named_modules()
        if not any(module.children())
    ]
    assert [row.sources for row in rows] == [(), *((place,) for place in range(len(rows) - 1))]
    for before, row in pairwise(rows):
        assert row.input_shape == before.output_shape
        assert not row.undefined


def test_group_norm_is_folded_into_its_layer_as_batch_norm_is() -> None:
    batch, group = stages(table("norm-batch")), stages(table("norm-group"))

    assert [(stage.name, stage.parameters) for stage in group] == [
        (stage.name, stage.parameters) for stage in batch
    ]
    assert group[1].companions == ("group norm", "relu")


def test_a_residual_block_has_a_row_for_its_sum() -> None:
    rows = table("residual")
    sums = [(place, row) for place, row in enumerate(rows) if row.kind == "add"]

    assert [row.name for _, row in sums] == [f"block{number}.add" for number in range(1, 7)]
    for place, row in sums:
        shortcut, last = row.sources
        assert (last, rows[last].kind, rows[shortcut].kind) == (place - 1, "batch norm", "relu")
        assert rows[shortcut].output_shape == rows[last].output_shape == row.output_shape
        # The sum sees what its convolutions see, from the same features.
        assert row.receptive_field == rows[last].receptive_field
        assert (row.jump, row.start) == (rows[shortcut].jump, rows[shortcut].start)


def test_the_fully_connected_model_has_flat_rows() -> None:
    assert [(row.kind, row.output_shape, row.parameters, row.bias) for row in table("mlp")] == [
        ("input", (28, 28, 1), 0, False),
        ("flatten", (1, 1, 784), 0, False),
        ("fully connected", (1, 1, 24), 784 * 24 + 24, True),
        ("relu", (1, 1, 24), 0, False),
        ("fully connected", (1, 1, 10), 24 * 10 + 10, True),
    ]


def test_depthwise_and_full_convolutions_have_different_kinds() -> None:
    rows = {row.name: row for row in table("tiny")}

    assert (rows["depth2"].kind, rows["depth2"].kernel) == ("depthwise", "3×3")
    assert (rows["depth2"].parameters, rows["depth2"].groups) == (9 * 8, 8)
    assert (rows["point2"].kind, rows["point2"].kernel) == ("conv", "1×1")
    assert rows["conv1"].kind == "conv"  # one input channel: there is nothing to keep apart


# --- names


def test_a_functional_model_has_a_row_per_call() -> None:
    rows = layer_table(Student(), SHAPE)

    assert [(row.name, row.kind, row.type) for row in rows] == [
        ("input", "input", ""),
        ("conv1", "conv", "Conv2d"),
        ("bn1", "batch norm", "BatchNorm2d"),
        ("max_pool2d", "max pool", "max_pool2d"),
        ("relu", "relu", "relu"),
        ("conv2", "conv", "Conv2d"),
        ("dropout", "dropout", "dropout"),
        ("max_pool2d_2", "max pool", "max_pool2d"),
        ("relu_2", "relu", "relu"),
        ("view", "flatten", "view"),
        ("fc1", "fully connected", "Linear"),
        ("relu_3", "relu", "relu"),
        ("dropout_2", "dropout", "dropout"),
        ("fc2", "fully connected", "Linear"),
        ("log_softmax", "softmax", "log_softmax"),
    ]


def test_a_block_that_is_added_to_its_input_has_two_sources() -> None:
    rows = layer_table(branched()["residual with stride"], SHAPE)
    by_name = {row.name: row for row in rows}

    def sources(name: str) -> list[str]:
        return [rows[place].name for place in by_name[name].sources]

    assert sources("body.1.add") == ["body.1.bn2", "body.1.short"]
    assert sources("body.1.short") == sources("body.1.conv1") == ["body.0"]
    assert sources("body.2.add") == ["body.2.bn2", "body.2.short"]
    assert sources("body.2.short") == sources("body.2.conv1") == ["body.1.relu_2"]
    assert by_name["body.2.short"].kind == "identity"
    assert by_name["body.2.relu_2"].type == "ReLU"
    assert sources("logits") == ["mean"]
    assert by_name["mean"].kernel == "14×14"


def test_no_two_rows_have_the_same_name_even_if_modules_are_called_like_numbers() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu_2 = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu_2(F.relu(F.relu(x))).flatten(1)  # type: ignore[no-any-return]

    names = [row.name for row in layer_table(Named(), SHAPE)]

    assert names == ["input", "relu", "relu_3", "relu_2", "flatten"]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Dropout(0.5), "dropout"),
        (nn.Dropout2d(0.5), "dropout"),
        (nn.Identity(), "identity"),
        (nn.LeakyReLU(), "activation"),
        (nn.GELU(), "activation"),
        (nn.Sigmoid(), "activation"),
        (nn.PReLU(), "activation"),
        (nn.Softmax(1), "softmax"),
        (nn.GroupNorm(1, 1), "group norm"),
        (nn.InstanceNorm2d(1), "instance norm"),
        (nn.LayerNorm((28, 28)), "layer norm"),
        (nn.ZeroPad2d(1), "pad"),
        (nn.AdaptiveMaxPool2d(4), "max pool"),
    ],
)
def test_a_layer_has_its_path_its_class_and_its_family(layer: nn.Module, kind: str) -> None:
    rows = layer_table(nn.Sequential(nn.Sequential(layer), nn.Flatten()), SHAPE)

    assert [(row.name, row.kind, row.type) for row in rows[1:2]] == [
        ("0.0", kind, type(layer).__name__)
    ]
    assert rows[2].sources == (1,)


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        (lambda x: x + x, "add"),
        (lambda x: x * x, "multiply"),
        (lambda x: torch.cat([x, x], 1), "concatenate"),
        (lambda x: F.pad(x, (1, 1)), "pad"),
        (lambda x: x.mean((2, 3)), "average pool"),
        (lambda x: x.mean(1), "mean"),
        (lambda x: x.flatten(1), "flatten"),
        (lambda x: x.reshape(1, -1), "flatten"),
        (lambda x: x.view(1, 2, 2, 28, 28), "view"),
        (lambda x: x - 1, "sub"),
        (lambda x: 1 - x, "sub"),
        (lambda x: x[:, :2], "slice"),
        (lambda x: torch.linalg.matrix_norm(x), "matrix_norm"),
        (lambda x: x.clone().add_(1), "add"),
    ],
)
def test_a_function_has_the_name_of_its_family_or_itself(do: object, kind: str) -> None:
    rows = layer_table(Calls(do), SHAPE)

    assert [row.kind for row in rows] == ["input", "conv", kind]
    assert rows[2].sources == (1,)


def test_bookkeeping_has_no_row() -> None:
    def do(x: Tensor) -> Tensor:
        x = x.contiguous().view(x.size(0), x.shape[1], 28, -1).to(torch.float32)[:]
        zeros = torch.zeros_like(x)
        return x.expand_as(zeros)

    assert len(layer_table(Calls(do), SHAPE)) == 2


def test_in_place_results_are_read_afterwards() -> None:
    def do(x: Tensor) -> Tensor:
        y = F.relu(x)
        y += x
        y.mul_(x)
        y[:, 0] = 0
        return y

    *_, relu, add, multiply, write = layer_table(Calls(do), SHAPE)

    assert [row.sources for row in (relu, add, multiply, write)] == [(1,), (1, 2), (1, 3), (4,)]
    assert write.undefined.startswith("after setitem: ")


# --- sequences


class Rows(nn.Module):
    """Reads the image's rows as a sequence."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        x = x.squeeze(1)
        out = self.layer(x, x, x) if isinstance(self.layer, nn.MultiheadAttention) else None
        out = self.layer(x) if out is None else out
        features: Tensor = out[0] if isinstance(out, tuple) else out
        return features.flatten(1)


@pytest.mark.parametrize(
    ("make", "within"),
    [
        (lambda: nn.MultiheadAttention(28, 2, batch_first=True), (0, 0, 28, 28)),
        (lambda: nn.TransformerEncoderLayer(28, 2, 16, batch_first=True), (0, 0, 28, 28)),
        (lambda: nn.GRU(28, 8, batch_first=True, bidirectional=True), (0, 0, 28, 28)),
        (lambda: nn.Conv1d(28, 4, 3), (0, 0, 28, 3)),
        (lambda: nn.ConvTranspose1d(28, 4, 3, padding=1), (0, 0, 28, 2)),
        (lambda: nn.Conv1d(28, 4, 3, dilation=2), (0, 0, 28, 5)),
    ],
)
def test_layers_over_sequences_see_what_they_mix(
    make: Callable[[], nn.Module], within: tuple[float, ...]
) -> None:
    """Uses rows as channels: a convolution reads them all, and slides along the columns."""
    model = Rows(make())
    rows = layer_table(model, SHAPE)

    box = rows[-1].box(0, 0)
    assert not any(row.undefined for row in rows)
    assert box is not None
    assert box.within(28, 28) == Box(*within)
    assert bounds(measured_field(model, SHAPE, len(rows) - 1, 0, 0)) is not None
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())


# --- what cannot be traced


def test_an_untraceable_layer_has_a_row_with_an_undefined_field() -> None:
    class Numpy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.from_numpy(np.sqrt(x.detach().numpy() ** 2))

    model = nn.Sequential(nn.Conv2d(1, 2, 3), Numpy(), nn.ReLU(), nn.Flatten())

    _, conv, numpy, relu, flatten = layer_table(model, SHAPE)

    assert (numpy.name, numpy.type, numpy.sources) == ("1", "Numpy", (1,))
    assert "cannot be traced" in numpy.undefined
    assert relu.undefined == flatten.undefined == numpy.undefined
    assert not conv.undefined


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [lambda: nn.LSTM(28, 8, batch_first=True), lambda: torch.jit.script(nn.Conv1d(28, 4, 3))],
)
def test_layers_that_cannot_be_traced_still_have_a_row(make: type[nn.Module]) -> None:
    model = Rows(make())
    rows = layer_table(model, SHAPE)

    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[-1].kind == "flatten"
    assert rows[-1].undefined
    assert not any(row.kind == "unused" for row in rows)


def test_a_custom_function_is_traced_by_its_calls() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 2

    rows = layer_table(Calls(Double.apply), SHAPE)

    assert [row.kind for row in rows] == ["input", "conv", "multiply"]


def test_images_of_any_shape_and_number_of_channels_are_described() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Residual(4, 4))

    rows = layer_table(model, (20, 32, 3))

    assert rows[0].output_shape == (20, 32, 3)
    assert named(model, (20, 32, 3))["1.add"].output_shape == (18, 30, 4)
