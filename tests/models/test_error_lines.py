"""Which code caused an exception, and the line that the message names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tui_trainer.anatomy.trace import trace
from tui_trainer.models.build import build_model, custom_model_error
from tui_trainer.models.custom.error_lines import line_of_forward
from tui_trainer.protocol.reference import parse_reference

NET = """import torch
from torch import nn
from lib.parts import relu, Doubled


class Net(nn.Module):
    fails = None

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        if self.fails == "own":
            raise KeyError("width")
        if self.fails == "torch":
            x = x.view(7, 11)
        if self.fails == "helper":
            x = relu(x, inplace="yes", wrong=True)
        if self.fails == "autograd":
            x = Doubled.apply(x)
        if self.fails == "overwritten":
            weight = self.fc.weight * 1
            y = torch.exp(weight)
            y += 1
            return x.flatten(1) @ y.T
        return self.fc(x.flatten(1))
"""

PARTS = """import torch


def relu(x, **options):
    return torch.relu(x, **options)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no gradient")
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / ".git").mkdir()
    for name, text in (("src/net.py", NET), ("lib/parts.py", PARTS), ("lib/__init__.py", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "src/net.py:Net"


def build(model: str, fails: str = "") -> nn.Module:
    net = build_model(model, image_size=28, classes=10)
    net.fails = fails  # type: ignore[assignment]
    return net


def step(net: nn.Module) -> None:
    net(torch.rand(2, 1, 28, 28, requires_grad=True)).sum().backward()


def located(model: str, action: Callable[[], Any]) -> str:
    """Return the message of an exception; empty if the model did not cause it."""
    try:
        action()
    except Exception as error:
        return str(custom_model_error(error, model) or "")
    raise AssertionError("nothing failed")


@pytest.mark.parametrize(
    ("fails", "line"),
    [
        ("own", "src/net.py:15: KeyError: 'width'"),
        ("torch", "src/net.py:17: shape '[7, 11]' is invalid for input of size 1568"),
        ("helper", "lib/parts.py:5: TypeError: relu() got an unexpected keyword argument"),
        ("autograd", "lib/parts.py:15: ValueError: no gradient"),
    ],
)
def test_the_deepest_line_of_custom_code_is_named(model: str, fails: str, line: str) -> None:
    net = build(model, fails)
    assert located(model, lambda: step(net)).startswith(line)


def test_a_custom_hook_is_custom_code(model: str) -> None:
    net = build(model)
    exec(compile("\n\ndef hook(*_): 1 / 0\n", Path("lib/parts.py").absolute(), "exec"), globals())
    net.register_forward_hook(globals()["hook"])
    assert located(model, lambda: step(net)).startswith("lib/parts.py:3: ZeroDivisionError")


def test_our_hook_in_its_forward_is_not_custom_code(model: str) -> None:
    """It is called between custom lines, so the outer frames do not decide."""

    def reached(*_: object) -> None:
        raise ValueError("ours")

    # The traceback goes through the tracer, which a line of the model called.
    net = build(model)
    assert located(model, lambda: trace(net, torch.rand(1, 1, 28, 28), reached=reached)) == ""


def test_our_function_mode_passes_its_errors_on(model: str) -> None:
    net = build(model, "torch")
    line = located(model, lambda: trace(net, torch.rand(1, 1, 28, 28)))
    assert line.startswith("src/net.py:17: shape '[7, 11]'")


def test_an_error_outside_custom_code_is_not_its(model: str) -> None:
    build(model)
    assert located(model, lambda: nn.Linear(3, 4)(torch.rand(2, 5))) == ""


def test_an_autograd_error_names_the_line_of_forward(model: str) -> None:
    net = build(model, "overwritten")
    reference = parse_reference(model)
    assert reference is not None

    assert located(model, lambda: step(net)) == ""
    assert line_of_forward(lambda: step(net), reference) == "src/net.py:24"
    assert line_of_forward(lambda: step(build("mlp")), reference) == ""
