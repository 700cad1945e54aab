"""A swish written as a product, again and again: the gradient of one is small, of many nothing."""

from torch import Tensor, nn


class Net(nn.Module):
    """Twelve convolutions, each with ``x * sigmoid(x)``."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 5, stride=3, padding=2)
        self.body = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(12))
        self.head = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.body:
            x = layer(x)
            x = x * x.sigmoid()
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits
