"""Shared weights: one module under two names, and one parameter in two modules."""

from torch import Tensor, nn


class Net(nn.Module):
    """Two branches with the same convolution, and two heads with the same weight."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 8, 5, stride=2)
        self.right = self.left
        self.head = nn.Linear(8 * 36, classes)
        self.mirrored = nn.Linear(8 * 36, classes, bias=False)
        self.mirrored.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        one = nn.functional.max_pool2d(self.left(x).relu(), 2).flatten(1)
        other = nn.functional.max_pool2d(self.right(x.flip(3)).relu(), 2).flip(3).flatten(1)
        logits: Tensor = self.head(one) + self.mirrored(other)
        return logits
