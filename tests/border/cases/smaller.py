"""The image is made smaller by other means than a pool, or kept by a transposed convolution."""

import torch.nn.functional as F
from torch import Tensor, nn


class Interpolated(nn.Module):
    """Halved by bilinear interpolation."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3, padding=1)
        self.head = nn.Linear(12 * 49, classes)

    def resized(self, x: Tensor) -> Tensor:
        return F.interpolate(x, size=14, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(self.resized(x)).relu(), 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits


class Unshuffled(nn.Module):
    """Four pixels become four channels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 12, 3, padding=1)
        self.head = nn.Linear(12 * 49, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(F.pixel_unshuffle(x, 2)).relu(), 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits


class Transposed(nn.Module):
    """A transposed convolution with stride 1: the map keeps its size."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(1, 8, 5, padding=2)
        self.head = nn.Linear(8 * 49, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(x).relu(), 4)
        logits: Tensor = self.head(x.flatten(1))
        return logits
