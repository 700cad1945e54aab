"""The models of the user loops. Each takes images (N, 1, 28, 28) and returns logits (N, 10)."""

# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5)
        self.conv2 = nn.Conv2d(8, 16, 5)
        self.fc1 = nn.Linear(256, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


class CnnBn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )
        self.classifier = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(256, 64),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(64, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 2, 1)
        self.layer1 = Block(8, 16, 2)
        self.layer2 = Block(16, 32, 2)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(F.relu(self.stem(x))))
        return self.fc(x.mean((2, 3)))


class RowLstm(nn.Module):
    """An LSTM that reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(28, 64, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(x.squeeze(1))
        return self.head(self.dropout(hidden[-1]))


class RowTransformer(nn.Module):
    """A transformer whose tokens are the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(28, 48)
        self.position = nn.Parameter(torch.randn(28, 48) * 0.1)
        layer = nn.TransformerEncoderLayer(48, 4, 96, 0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.encoder(self.embed(x.squeeze(1)) + self.position)
        return self.head(tokens.mean(1))


ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {
    "cnn": Cnn,
    "bn": CnnBn,
    "mlp": Mlp,
    "resnet": ResNet,
    "lstm": RowLstm,
    "transformer": RowTransformer,
}

LRS: Mapping[str, Mapping[str, float]] = {
    "sgd": {"cnn": 0.1, "bn": 0.1, "mlp": 0.1, "resnet": 0.1, "lstm": 0.5, "transformer": 0.1},
    "momentum": {
        **{"cnn": 0.02, "bn": 0.05, "mlp": 0.02, "resnet": 0.05},
        **{"lstm": 0.1, "transformer": 0.03},
    },
    "adam": {
        **{"cnn": 2e-3, "bn": 3e-3, "mlp": 1e-3, "resnet": 3e-3},
        **{"lstm": 4e-3, "transformer": 3e-3},
    },
    "rmsprop": {
        **{"cnn": 1e-3, "bn": 2e-3, "mlp": 5e-4, "resnet": 2e-3},
        **{"lstm": 2e-3, "transformer": 1e-3},
    },
}
"""A usual learning rate of each model with each optimizer, for batches of 32 to 64."""
