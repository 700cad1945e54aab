"""The multiply-adds of layers other than plain convolutions, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.anatomy.networks import SHAPE
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models.torchvision_compat import import_torchvision


class Does(nn.Module):
    """A model that applies a function of the test to an image, with named layers."""

    def __init__(self, do: Callable[[Does, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.do = do
        for name, layer in layers.items():
            self.add_module(name, layer)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)

    def forward(self, x: Tensor) -> Tensor:
        return self.do(self, x)


def work(do: Callable[..., Tensor], **layers: nn.Module) -> int:
    return sum(row.multiply_adds for row in layer_table(Does(do, **layers), SHAPE))


def numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- over tokens, positions and time steps


def test_a_fully_connected_layer_is_counted_for_every_token() -> None:
    layer = nn.Linear(28, 5)

    assert work(lambda net, x: net.layer(x), layer=layer) == 28 * (28 * 5 + 5)
    assert work(lambda net, x: net.layer(x.transpose(2, 3)), layer=layer) == 28 * (28 * 5 + 5)
    assert work(lambda net, x: net.layer(x[:, :, 0, :]), layer=layer) == 28 * 5 + 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(28, 8, batch_first=True),
        lambda: nn.GRU(28, 8, num_layers=2, bidirectional=True, batch_first=True),
        lambda: nn.RNN(28, 8, bias=False, batch_first=True),
        lambda: nn.LSTM(28, 8, proj_size=3, batch_first=True),
    ],
)
def test_a_recurrent_layer_uses_all_its_weights_in_each_step(
    make: Callable[[], nn.RNNBase],
) -> None:
    layer = make()

    assert work(lambda net, x: net.layer(x.squeeze(1))[0], layer=layer) == 28 * numel(layer)


def test_a_packed_sequence_has_as_many_steps_as_it_is_long() -> None:
    def do(net: Does, x: Tensor) -> Tensor:
        rows = nn.utils.rnn.pack_padded_sequence(x.squeeze(1), torch.tensor([20]), batch_first=True)
        out, _ = net.layer(rows)
        found: Tensor = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0]
        return found

    layer = nn.LSTM(28, 8, batch_first=True)

    assert work(do, layer=layer) == 20 * numel(layer)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_a_cell_in_a_loop_is_counted_in_each_step(kind: type[nn.RNNCellBase]) -> None:
    def do(net: Does, x: Tensor) -> Tensor:
        state: Any = None
        for row in x.squeeze(1).unbind(1):
            state = net.layer(row, state)
        found: Tensor = state[0] if isinstance(state, tuple) else state
        return found

    layer = kind(28, 6)  # type: ignore[call-arg]

    assert work(do, layer=layer) == 28 * numel(layer)


def test_a_first_step_on_a_state_of_zeros_is_counted_too() -> None:
    def do(net: Does, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 4)
        for row in x.squeeze(1).unbind(1):
            state = torch.tanh(net.enter(row) + net.keep(state))
        return state

    layers = {"enter": nn.Linear(28, 4), "keep": nn.Linear(4, 4)}

    assert work(do, **layers) == 28 * (numel(layers["enter"]) + numel(layers["keep"]))


# --- convolutions of all kinds


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (nn.Conv2d(1, 6, 3, stride=2, dilation=2), 12 * 12 * (9 * 6 + 6)),
        (nn.ConvTranspose2d(1, 4, 2, stride=2), 28 * 28 * 16 + 56 * 56 * 4),
        (nn.ConvTranspose2d(1, 4, 3, padding=1, bias=False), 28 * 28 * 36),
    ],
)
def test_a_convolution_uses_its_weights_at_each_position(layer: nn.Module, count: int) -> None:
    assert work(lambda net, x: net.layer(x), layer=layer) == count


def test_convolutions_over_one_and_three_dimensions_and_in_groups() -> None:
    one, grouped = nn.Conv1d(28, 8, 3), nn.Conv2d(4, 8, 3, groups=4, bias=False)
    three = nn.Conv3d(1, 2, (1, 3, 3))

    assert work(lambda net, x: net.layer(x.squeeze(1)), layer=one) == 26 * numel(one)
    assert work(lambda net, x: net.layer(x.repeat(1, 4, 1, 1)), layer=grouped) == 26**2 * 72
    assert work(lambda net, x: net.layer(x[:, None]), layer=three) == 26**2 * numel(three)


def test_patches_in_the_batch_dimension_are_each_convolved() -> None:
    layer = nn.Conv2d(1, 2, 3)

    def do(net: Does, x: Tensor) -> Tensor:
        out: Tensor = net.layer(x.reshape(-1, 1, 14, 28)).flatten(1)
        return out.view(1, -1)

    assert work(do, layer=layer) == 2 * 12 * 26 * numel(layer)


# --- products


@pytest.mark.parametrize(
    ("do", "count"),
    [
        (lambda net, x: x @ torch.ones(28, 3), 28 * 28 * 3),
        (lambda net, x: torch.ones(3, 28) @ x, 28 * 28 * 3),
        (lambda net, x: torch.bmm(x[0], x[0].transpose(1, 2)), 28**3),
        (lambda net, x: torch.einsum("nchw,wk->nchk", x, torch.ones(28, 5)), 28 * 28 * 5),
        (lambda net, x: torch.einsum("nchw,nchw->nchw", x, x), 0),
        (lambda net, x: torch.einsum("nchw->nc", x), 0),
        (lambda net, x: torch.einsum("nchw,nchw->n", x, x), 28 * 28),
        (lambda net, x: torch.addmm(torch.ones(3), x[0, 0], torch.ones(28, 3)), 28 * (84 + 3)),
        (lambda net, x: torch.baddbmm(torch.ones(1, 1, 1), x[0], x[0]), 28**3 + 28**2),
        (lambda net, x: torch.mv(x[0, 0], torch.ones(28)), 28 * 28),
        (lambda net, x: torch.tensordot(x, torch.ones(28, 4), dims=1), 28 * 28 * 4),
        (lambda net, x: F.bilinear(x, x, torch.ones(2, 28, 28), None), 28 * 2 * 28 * 28),
        (lambda net, x: F.unfold(x, 4, stride=4), 0),
        (lambda net, x: torch.fft.fft2(x).real, 0),
        (lambda net, x: x * torch.ones(28) + x / 2, 0),
    ],
)
def test_products_count_and_element_wise_operations_do_not(
    do: Callable[..., Tensor], count: int
) -> None:
    assert work(do) == count


def test_attention_counts_its_projections_biases_and_products() -> None:
    layer = nn.MultiheadAttention(28, 2, batch_first=True)

    def do(net: Does, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        out: Tensor = net.layer(rows, rows, rows)[0]
        return out

    assert work(do, layer=layer) == 28 * numel(layer) + 2 * 28 * 28 * 28


def test_attention_as_a_function_counts_its_two_products() -> None:
    def heads(net: Does, x: Tensor) -> Tensor:
        heads = x.view(1, 7, 28, 4)
        return F.scaled_dot_product_attention(heads, heads, heads)

    assert work(heads) == 2 * 7 * 28 * 28 * 4


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_transformer_layer_is_traced_without_the_fast_path(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(28, 2, 16, batch_first=True, norm_first=norm_first)
    norms = numel(layer.norm1) + numel(layer.norm2)

    found = work(lambda net, x: net.layer(x.squeeze(1)), layer=layer)

    assert found == 28 * (numel(layer) - norms) + norms + 2 * 28**3


def test_complex_weights_and_lookups() -> None:
    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 8, 28, 15, dtype=torch.cfloat))
            self.order = nn.Parameter(torch.randperm(8 * 28 * 28), requires_grad=False)
            self.nothing = nn.Parameter(torch.ones(1, 0, 28, 28))

        def forward(self, x: Tensor) -> Tensor:
            found = torch.einsum("nihw,iohw->nohw", torch.fft.rfft2(x), self.weight)
            maps = torch.cat([torch.fft.irfft2(found, s=(28, 28)), self.nothing], 1)
            return maps.flatten(1)[:, self.order]

    rows = layer_table(Spectral(), SHAPE)

    assert sum(row.multiply_adds for row in rows) == 8 * 28 * 15
    assert sum(row.parameters for row in rows) == 8 * 28 * 15 + 8 * 28 * 28
    assert not any(row.kind in ("unused", "training only") for row in rows)


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_a_scripted_module_counts_with_the_next_step() -> None:
    layer = torch.jit.script(nn.Conv2d(1, 4, 3, bias=False))

    assert work(lambda net, x: net.layer(x).relu(), layer=layer) == 26 * 26 * 36


# --- third-party models


def products(model: nn.Module, side: int) -> int:
    """Return the multiply-adds of all products according to torch's flop counter."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, side, side))
    return int(counter.get_total_flops()) // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["alexnet", "shufflenet_v2_x0_5", "densenet121", "efficientnet_b0", "mobilenet_v2"]
)
def test_torchs_flop_counter_agrees_except_for_biases_and_norms(name: str) -> None:
    model = getattr(import_torchvision().models, name)(weights=None)
    rows = layer_table(model, (224, 224, 3))

    biases = 0
    for row in rows:
        height, width, channels = row.output_shape
        biases += height * width * channels * row.bias
    norms = sum(row.multiply_adds for row in rows if row.kind.endswith("norm"))
    counted = sum(row.multiply_adds for row in rows)
    assert counted - biases - norms == products(model, 224)
    assert sum(row.parameters for row in rows) == numel(model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),  # GFLOPS, as torchvision's documentation of its weights gives them
    [("convnext_tiny", 4.456), ("vit_b_16", 17.564), ("swin_t", 4.491), ("googlenet", 1.498)],
)
def test_token_models_cost_what_is_published(name: str, published: float) -> None:
    arguments = {"init_weights": False} if name == "googlenet" else {}
    model = getattr(import_torchvision().models, name)(weights=None, **arguments)

    found = sum(row.multiply_adds for row in layer_table(model, (224, 224, 3)))

    assert found == pytest.approx(published * 1e9, rel=4e-3)
