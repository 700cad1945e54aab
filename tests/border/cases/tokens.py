"""Layers that are applied to many tokens, and to many time steps."""

from torch import Tensor, nn


class Mixed(nn.Module):
    """Sixteen patches of 7×7 pixels, mixed over patches and over channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(49, 24)
        self.patches = nn.Linear(16, 16)
        self.channels = nn.Linear(24, 24)
        self.head = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unfold(2, 7, 7).unfold(3, 7, 7).flatten(1, 3).flatten(2)
        x = self.embed(x)
        x = x + self.patches(x.mT).relu().mT
        x = x + self.channels(x).relu()
        logits: Tensor = self.head(x.mean(1))
        return logits


class Steps(nn.Module):
    """A GRU over the rows of the image."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.gru = nn.GRU(image_size, 48, batch_first=True)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.gru(x.squeeze(1))[0][:, -1])
        return logits
