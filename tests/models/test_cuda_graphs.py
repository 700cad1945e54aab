"""CUDA graphs on the CPU: a capture that runs the module, as the warm-up of the real one does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.models import zoo
from tui_trainer.models.build import set_dropout
from tui_trainer.models.cuda_graphs import MOST_GRAPHS, GraphedForward


class Capture:
    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.dtypes: list[torch.dtype] = []

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor], *, allow_unused_input: bool
    ) -> nn.Module:
        assert module.training
        assert allow_unused_input
        self.shapes.append(tuple(inputs[0].shape))
        for _ in range(3):
            self.dtypes.append(module(*inputs).dtype)
        return module


def built(name: str = "era-s6-dropout") -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(name, image_size=8, classes=10)


def images(count: int = 4, size: int = 8) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def trained(forward: Any, model: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(2)
    for _ in range(2):
        model.zero_grad()
        forward(images()).square().sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert gradients
    return {**gradients, **model.state_dict(), "drawn": torch.rand(2)}


def test_a_capture_leaves_statistics_and_rng_as_they_were() -> None:
    one = built()
    two = copy.deepcopy(one)

    plain, graphed = trained(one, one), trained(GraphedForward(two, "float32", Capture()), two)

    assert plain.keys() == graphed.keys()
    assert all(torch.equal(plain[name], graphed[name]) for name in plain)


def test_each_shape_and_dropout_probability_is_captured_once() -> None:
    capture, model = Capture(), built()
    forward = GraphedForward(model, "float32", capture)

    for batch in (images(), images(), images(3), images(), images(3)):
        forward(batch)
    assert capture.shapes == [(4, 1, 8, 8), (3, 1, 8, 8)]

    set_dropout(model, 0.5)
    forward(images())
    assert capture.shapes[2:] == [(4, 1, 8, 8)]


def test_the_number_of_graphs_is_limited() -> None:
    capture = Capture()
    forward = GraphedForward(built(), "float32", capture)

    for count in [*range(2, 3 + MOST_GRAPHS), 2]:
        forward(images(count))

    assert capture.shapes[-1] == capture.shapes[0]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_autocast_is_captured(precision: str, dtype: torch.dtype) -> None:
    capture = Capture()

    GraphedForward(built("small"), precision, capture)(images(size=8))

    assert set(capture.dtypes) == {dtype}
