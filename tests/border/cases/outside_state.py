"""A random projection outside the state: PyTorch saves neither of its tensors."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Only the last layer is in the state; what it reads is drawn when the model is built."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.projection = torch.randn(image_size**2, 256) / image_size
        self.register_buffer("shift", torch.rand(256), persistent=False)
        self.head = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        shift = self.get_buffer("shift")
        features = torch.tanh(x.flatten(1) @ self.projection.to(x.device) + shift)
        logits: Tensor = self.head(features)
        return logits
