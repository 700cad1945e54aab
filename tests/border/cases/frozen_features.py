"""Features that are frozen on purpose, and a layer that is detached by mistake."""

from torch import Tensor, nn


class Net(nn.Module):
    """Frozen on purpose: ``requires_grad`` is off."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 24, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        for parameter in self.features.parameters():
            parameter.requires_grad = False
        self.head = nn.Linear(24 * 36, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits


class Detached(Net):
    """Detached by mistake: its parameters want a gradient and get none."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.features.requires_grad_(True)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).detach().flatten(1))
        return logits
