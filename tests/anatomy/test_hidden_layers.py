"""The first layer's input, and softmax over hidden units."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.anatomy.hidden_layers import first_input, hidden_softmax


class Net(nn.Module):
    """A convolution and a head; the subclass calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(1, 4, 3, padding=1), nn.Softmax(dim=1)
        self.gate = nn.Linear(4, 4)
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head, self.last = nn.Linear(256, 10), nn.Linear(64, 10)


def _attended(net: Net, x: Tensor) -> Tensor:
    rows = x.squeeze(1)
    weights = (net.query(rows) @ net.key(rows).transpose(1, 2)).softmax(dim=-1)
    return net.last((weights @ rows).flatten(1))  # type: ignore[no-any-return]


def _gated(net: Net, x: Tensor) -> Tensor:
    maps = net.conv(x)
    gates = net.gate(maps.mean((2, 3))).softmax(dim=1)
    return net.head((maps * gates[..., None, None]).flatten(1))  # type: ignore[no-any-return]


def _multi_head(net: Net, x: Tensor) -> Tensor:
    rows = x.squeeze(1)
    return net.last(net.attention(rows, rows, rows)[0].flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda net, x: net.head(net.act(net.conv(x)).flatten(1)), ("act",)),
        (
            lambda net, x: net.head(functional.dropout(net.conv(x).softmax(1)).flatten(1)),
            ("softmax",),
        ),
        (lambda net, x: net.head(net.conv(x).relu().flatten(1)).softmax(dim=1), ()),
        (lambda net, x: net.head(net.conv(x).flatten(2).softmax(dim=0).flatten(1)), ()),
        (_attended, ()),
        (_gated, ()),
        (_multi_head, ()),
    ],
)
def test_softmax_over_hidden_units_is_found(
    forward: Callable[[Net, Tensor], Tensor], expected: tuple[str, ...]
) -> None:
    class Model(Net):
        def forward(self, x: Tensor) -> Tensor:
            return forward(self, x)

    assert hidden_softmax(Model(), torch.randn(2, 1, 8, 8)) == expected


def test_the_first_input_is_what_the_first_weights_see() -> None:
    class Model(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x / 255 + 3).flatten(1))  # type: ignore[no-any-return]

    x = torch.randn(4, 1, 8, 8)
    found = first_input(Model(), x)
    assert found is not None
    assert torch.allclose(found, x / 255 + 3)


def test_the_input_of_attention_is_unknown() -> None:
    class Model(Net):
        def forward(self, x: Tensor) -> Tensor:
            return _multi_head(self, x)

    assert first_input(Model(), torch.randn(4, 1, 8, 8)) is None
