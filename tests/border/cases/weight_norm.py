"""Old weight norm, whose computed weight is a plain attribute that carries a graph."""

import warnings

from torch import Tensor, nn


class Net(nn.Module):
    """Three layers with ``torch.nn.utils.weight_norm``."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.stem = nn.utils.weight_norm(nn.Conv2d(1, 6, 5, stride=2, padding=2))
            self.body = nn.utils.weight_norm(nn.Conv2d(6, 12, 3, stride=2, padding=1), dim=1)
            self.head = nn.utils.weight_norm(nn.Linear(12 * 49, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.stem(x).relu()).relu()
        logits: Tensor = self.head(x.flatten(1))
        return logits
