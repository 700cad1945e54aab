"""Buffers made with ``expand``: their elements share memory, so they cannot be written to."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """A convolution over the image and two maps of coordinates."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        line = torch.arange(image_size) / image_size
        self.register_buffer("rows", line[:, None].expand(-1, image_size))
        self.register_buffer("columns", line.expand(1, image_size, image_size)[0])
        self.conv = nn.Conv2d(3, 12, 5, stride=2)
        self.head = nn.Linear(12 * 36, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.get_buffer("rows"), self.get_buffer("columns")
        maps = torch.stack([rows, columns]).expand(x.shape[0], -1, -1, -1)
        x = self.conv(torch.cat([x, maps], dim=1)).relu()
        logits: Tensor = self.head(nn.functional.avg_pool2d(x, 2).flatten(1))
        return logits
