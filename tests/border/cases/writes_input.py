"""The forward pass normalizes the images where they are."""

from torch import Tensor, nn


class Net(nn.Module):
    """It writes into its input."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 5, stride=2)
        self.head = nn.Linear(12 * 144, classes)

    def forward(self, x: Tensor) -> Tensor:
        x.clamp_(max=2.0).mul_(0.5)
        x[:, :, :2] = 0
        logits: Tensor = self.head(self.conv(x).relu().flatten(1))
        return logits
