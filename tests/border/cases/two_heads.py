"""In training mode it returns the logits of two heads, in evaluation mode those of one."""

from torch import Tensor, nn


class Net(nn.Module):
    """An auxiliary head, in training mode only."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 5, stride=3), nn.ReLU())
        self.early = nn.Linear(8, classes)
        self.head = nn.Linear(8 * 64, classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.body(x)
        logits: Tensor = self.head(x.flatten(1))
        if self.training:
            return logits, self.early(x.mean((2, 3)))
        return logits
