"""One batch norm was put into evaluation mode in ``__init__``; nothing else says so."""

from torch import Tensor, nn


class Net(nn.Module):
    """A batch norm and a dropout layer that stay in evaluation mode, next to others that do not."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2)
        self.still = nn.BatchNorm2d(8).eval()
        self.silent = nn.Dropout(0.5).eval()
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2)
        self.norm = nn.BatchNorm2d(12)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(12 * 25, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.silent(self.still(self.conv1(x)).relu())
        logits: Tensor = self.head(self.drop(self.norm(self.conv2(x)).relu().flatten(1)))
        return logits
