"""Complex parameters: a filter of the image's spectrum."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """A layer that multiplies the spectrum by complex weights."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        shape = (6, image_size, image_size // 2 + 1)
        self.filters = nn.Parameter(0.5 * torch.randn(shape, dtype=torch.complex64))
        self.head = nn.Linear(6 * (image_size // 4) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.fft.irfft2(torch.fft.rfft2(x) * self.filters, s=x.shape[-2:])
        logits: Tensor = self.head(nn.functional.avg_pool2d(maps.relu(), 4).flatten(1))
        return logits
