"""Student networks: healthy models as a course's students write them, with their usual flaws.

Each is trained as ``--model students.py:NAME``. They follow common patterns (conv blocks with batch
norm and dropout, 1×1 transitions, global average pooling, log_softmax for ``nll_loss``) and have
what such files often have: declared layers that ``forward`` never calls, a bias before batch norm,
functional and module layers mixed. None of that keeps them from 97 % and more.
"""

# mypy: ignore-errors
# These models are written as people write theirs.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILE = Path(__file__)

COMMON: Mapping[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 0.0,
    "batch_size": 128,
    "schedule": "constant",
    "augment": "none",
    "train_size": 10_000,
    "val_size": 2_000,
    "epochs": 5,
}


@dataclass(frozen=True, slots=True)
class Student:
    """A student's training: the model's name, and the settings that differ from the common ones."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_settings(self) -> dict[str, Any]:
        """The fields of its RunConfig, without the seed."""
        return {**COMMON, **self.settings, "model": f"{FILE}:{self.model}"}


def _block(into: int, out: int, *, bias: bool = False, drop: float = 0.0, pad: int = 0):
    layers = [nn.Conv2d(into, out, 3, padding=pad, bias=bias), nn.ReLU(), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([nn.Dropout(drop)] if drop else []))


class Blocks(nn.Module):
    """Two blocks, a 1×1 transition, two more blocks, GAP and a 1×1 convolution to the classes."""

    def __init__(self, drop: float = 0.05) -> None:
        super().__init__()
        self.block1 = nn.Sequential(_block(1, 8, drop=drop), _block(8, 12, drop=drop))
        self.transition = nn.Sequential(nn.Conv2d(12, 8, 1, bias=False), nn.MaxPool2d(2, 2))
        self.block2 = nn.Sequential(_block(8, 12, drop=drop), _block(12, 16, drop=drop))
        self.block3 = _block(16, 16, drop=drop)
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.out = nn.Conv2d(16, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.transition(self.block1(x))
        x = self.gap(self.block3(self.block2(x)))
        return F.log_softmax(self.out(x).view(-1, 10), dim=1)


class BlocksHeavyDropout(Blocks):
    """The same with a dropout of 0.25 after every convolution."""

    def __init__(self) -> None:
        super().__init__(0.25)


class UnusedNorm(nn.Module):
    """Declares a batch norm and a dropout for its last convolution, and calls neither."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16)
        self.conv3, self.bn3 = nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32)
        self.conv4, self.bn4 = nn.Conv2d(32, 10, 3), nn.BatchNorm2d(10)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        x = self.conv4(F.relu(self.bn3(self.conv3(x))))
        return F.log_softmax(x.flatten(1), dim=1)


class UnusedLinear(nn.Module):
    """Keeps the fully connected layers of an earlier attempt, and ends in GAP."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 3, padding=1)
        self.conv2 = nn.Conv2d(10, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 20, 3, padding=1)
        self.conv4 = nn.Conv2d(20, 10, 3, padding=1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(10), nn.BatchNorm2d(16), nn.BatchNorm2d(20)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = self.conv4(F.relu(self.bn3(self.conv3(x))))
        return x.mean(dim=(2, 3))


class BigPlain(nn.Module):
    """Seven convolutions without any norm, down to 1×1, as the first lesson's file has them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv3 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv4 = nn.Conv2d(32, 32, 3, padding=1)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.conv5 = nn.Conv2d(32, 64, 3)
        self.conv6 = nn.Conv2d(64, 64, 3)
        self.conv7 = nn.Conv2d(64, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(F.relu(self.conv2(F.relu(self.conv1(x)))))
        x = self.pool2(F.relu(self.conv4(F.relu(self.conv3(x)))))
        x = F.relu(self.conv6(F.relu(self.conv5(x))))
        return F.log_softmax(self.conv7(x).view(-1, 10), dim=1)


class NormBeforeRelu(nn.Module):
    """A bias in every convolution, although a batch norm follows; two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 5), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 16, 5), nn.BatchNorm2d(16)
        self.fc1, self.norm3 = nn.Linear(256, 64), nn.BatchNorm1d(64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        x = F.relu(self.norm3(self.fc1(x.reshape(-1, 256))))
        return self.fc2(x)


class NormLast(nn.Module):
    """A batch norm as the last layer, on the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(_block(1, 10, bias=True), _block(10, 10, bias=True), nn.MaxPool2d(2)),
            *(_block(10, 16, bias=True), nn.MaxPool2d(2)),
        )
        self.last = nn.Sequential(nn.Conv2d(16, 10, 5), nn.BatchNorm2d(10))

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.last(self.features(x)).view(-1, 10), dim=-1)


class TwoLayers(nn.Module):
    """One hidden layer, the first network of most courses."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(784, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x.view(x.shape[0], -1))))


class TanhNet(nn.Module):
    """LeNet as in 1998: tanh and average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class SigmoidNet(nn.Module):
    """One hidden layer of sigmoids: slow, and fine."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 100), nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.sigmoid(self.fc1(torch.flatten(x, 1))))


class ReluLogistic(nn.Module):
    """A narrow bottleneck of ReLUs before the classes: slow at first."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 64), nn.Linear(64, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(x.view(-1, 784)))
        return F.log_softmax(self.fc3(F.relu(self.fc2(x))), dim=1)


class DropoutBeforeEnd(nn.Module):
    """Conv, conv with Dropout2d, and functional dropout that knows about training."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.drop2d = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.drop2d(self.conv2(x)), 2))
        x = F.dropout(F.relu(self.fc1(x.view(-1, 320))), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Separable(nn.Module):
    """Depthwise and pointwise convolutions with batch norm and ReLU6."""

    def __init__(self) -> None:
        super().__init__()

        def pair(into: int, out: int, stride: int) -> list[nn.Module]:
            depth = nn.Conv2d(into, into, 3, stride, 1, groups=into, bias=False)
            point = nn.Conv2d(into, out, 1, bias=False)
            return [depth, nn.BatchNorm2d(into), nn.ReLU6(), point, nn.BatchNorm2d(out), nn.ReLU6()]

        stem = [nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
        self.body = nn.Sequential(*stem, *pair(16, 32, 2), *pair(32, 32, 2), *pair(32, 64, 2))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Residual(nn.Module):
    """Two residual blocks with batch norm; the shortcut is the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.a = nn.Sequential(_block(16, 16, pad=1), nn.Conv2d(16, 16, 3, padding=1))
        self.b = nn.Sequential(_block(16, 16, pad=1), nn.Conv2d(16, 16, 3, padding=1))
        self.norm_a, self.norm_b = nn.BatchNorm2d(16), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.norm_a(self.a(x)))
        x = F.max_pool2d(F.relu(x + self.norm_b(self.b(x))), 2)
        return self.head(x.mean((2, 3)))


class GroupNormed(nn.Module):
    """Group norm and GELU, with layer norm before the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 16, 3, 2, 1), nn.GroupNorm(4, 16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32)
        self.norm3, self.head = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.conv1(x)))
        x = F.gelu(self.norm2(self.conv2(x)))
        return self.head(self.norm3(x.amax((2, 3))))


class Recurrent(nn.Module):
    """An LSTM that reads the image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.squeeze(1))[0][:, -1])


class ZeroLast(nn.Module):
    """Initialized by hand: He for the hidden layers, zeros for the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, 2), nn.Conv2d(8, 16, 3, 2)
        self.fc1, self.fc2 = nn.Linear(576, 64), nn.Linear(64, 10)
        for layer in (self.conv1, self.conv2, self.fc1):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


_ADAM: Mapping[str, Any] = {"optimizer": "adam", "lr": 0.001}

STUDENTS: Mapping[str, Student] = {
    "blocks": Student("Blocks", {"schedule": "step", "step_size": 3, "augment": "light"}),
    "blocks-one-cycle": Student("Blocks", {"schedule": "one-cycle", "lr": 0.05}),
    "blocks-heavy-dropout": Student("BlocksHeavyDropout", {"lr": 0.02}),
    "unused-norm": Student("UnusedNorm", {"batch_size": 64}),
    "unused-norm-adam": Student("UnusedNorm", _ADAM),
    "unused-linear": Student("UnusedLinear", {"lr": 0.05}),
    "big-plain": Student("BigPlain", {"batch_size": 32}),
    "big-plain-adam": Student("BigPlain", _ADAM),
    "norm-before-relu": Student("NormBeforeRelu"),
    "norm-before-relu-decay": Student("NormBeforeRelu", {"weight_decay": 5e-4, "lr": 0.02}),
    "norm-last": Student("NormLast", {"batch_size": 64}),
    "norm-last-adam": Student("NormLast", _ADAM),
    "two-layers": Student("TwoLayers", {"batch_size": 64}),
    "two-layers-plain-sgd": Student("TwoLayers", {"lr": 0.1, "momentum": 0.0, "batch_size": 64}),
    "two-layers-adamw": Student("TwoLayers", {"optimizer": "adamw", "lr": 0.001}),
    "tanh": Student("TanhNet", {"lr": 0.02, "batch_size": 64}),
    "tanh-adam": Student("TanhNet", _ADAM),
    "sigmoid": Student("SigmoidNet", {"lr": 0.1, "batch_size": 64}),
    "sigmoid-adam": Student("SigmoidNet", _ADAM),
    "relu-logistic": Student("ReluLogistic", {"lr": 0.02, "batch_size": 64}),
    "dropout-before-end": Student("DropoutBeforeEnd", {"batch_size": 64, "lr": 0.02}),
    "separable": Student("Separable", {"lr": 0.05}),
    "separable-adam": Student("Separable", _ADAM),
    "residual": Student("Residual", {"lr": 0.05}),
    "residual-adamw": Student("Residual", {"optimizer": "adamw", "lr": 0.003}),
    "group-normed": Student("GroupNormed", _ADAM),
    "recurrent": Student("Recurrent", {"optimizer": "adam", "lr": 0.003}),
    "zero-last": Student("ZeroLast"),
    "zero-last-adam": Student("ZeroLast", _ADAM),
}
"""The trainings by name; each is healthy: it reaches 90 % validation accuracy and more."""
