"""Models with branches, gates and functional calls, as students write them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tui_trainer.anatomy.table import layer_table
from tui_trainer.protocol.layers import LayerRow

SHAPE = (28, 28, 1)


def named(model: nn.Module, shape: tuple[int, int, int] = SHAPE) -> dict[str, LayerRow]:
    return {row.name: row for row in layer_table(model, shape)}


class Around(nn.Module):
    """A body, global average pooling and logits."""

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        self.body = body
        self.logits = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.body(x).mean((2, 3)))
        return logits


class Student(nn.Module):
    """The course's first model; all layers without weights are functional calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.bn1 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.bn1(self.conv1(x)), 2))
        x = F.relu(F.max_pool2d(F.dropout2d(self.conv2(x), training=self.training), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x)  # its author forgot that it hides features in evaluation, too
        return F.log_softmax(self.fc2(x), dim=1)


class Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Conv2d(channels, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.short(x)
        relu: Tensor = self.relu(out)
        return relu


class Inception(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.three = nn.Conv2d(channels, 4, 3, padding=1)
        self.five = nn.Conv2d(channels, 4, 5, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.three(x), self.five(x)], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, 2)
        self.up = nn.Linear(2, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.adaptive_avg_pool2d(x, 1).flatten(1)
        gate = torch.sigmoid(self.up(F.relu(self.down(gate))))
        return x * gate.view(x.size(0), -1, 1, 1).expand_as(x)


class Calls(nn.Module):
    """A model that applies a function of the test to a map of four channels."""

    def __init__(self, do: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.do = do

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.do(self.conv(x))
        return out


def branched() -> dict[str, nn.Module]:
    """Return models whose graph is not a chain, by name."""
    stem = nn.Conv2d(1, 4, 3, padding=1)
    return {
        "residual": Around(nn.Sequential(stem, Residual(4, 4), Residual(4, 4)), 4),
        "residual with stride": Around(nn.Sequential(stem, Residual(4, 6, 2), Residual(6, 6)), 6),
        "concatenation": Around(nn.Sequential(stem, Inception(4), nn.MaxPool2d(2)), 8),
        "squeeze and excite": Around(
            nn.Sequential(stem, nn.MaxPool2d(2), SqueezeExcite(4), nn.Conv2d(4, 4, 3)), 4
        ),
        "student": Student(),
    }


def sequential(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"layer{i}", layer) for i, layer in enumerate(layers, 1)))
