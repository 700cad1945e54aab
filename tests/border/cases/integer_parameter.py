"""A parameter of integers: the fixed permutation of permuted MNIST."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Pixels in a fixed order, drawn once; the order is in the state and is never trained."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        order = torch.randperm(image_size**2).to(torch.int32)
        self.order = nn.Parameter(order, requires_grad=False)
        self.layers = nn.Sequential(nn.Linear(image_size**2, 24), nn.ReLU(), nn.Linear(24, classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x.flatten(1).index_select(1, self.order))
        return logits
