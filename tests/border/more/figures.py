"""Models whose multiply-adds and receptive fields are known, for images of 16×16 pixels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Twice(nn.Module):
    """One layer that is called twice: its multiply-adds count twice, its parameters once."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.conv(self.stem(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Permuted(nn.Module):
    """Linear layers over the channels of a map, as ConvNeXt has them."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.widen = nn.Linear(8, 32)
        self.narrow = nn.Linear(32, 8)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        inner = self.norm(x.permute(0, 2, 3, 1))
        x = x + self.narrow(F.gelu(self.widen(inner))).permute(0, 3, 1, 2)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Products(nn.Module):
    """The same product three times: as a layer, as a matrix product and as an einsum."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16) / 4)
        self.layer = nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x.squeeze(1)) @ self.weight
        x = torch.einsum("nrc,cd->nrd", x, self.weight)
        logits: Tensor = self.head(x.flatten(1))
        return logits


class Opposed(nn.Module):
    """Positive and negative parts next to each other: with equal weights they cancel."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.maps = nn.Conv2d(8, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.maps(torch.cat([x.relu(), (-x).relu()], 1))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Difference(nn.Module):
    """The difference of two convolutions: with equal weights it is nothing."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 4, 3, padding=1)
        self.other = nn.Conv2d(1, 4, 5, padding=2)
        self.maps = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(self.one(x) - self.other(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class StartsAtZero(nn.Module):
    """A residual branch whose scale begins at 0."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.branch = nn.Conv2d(1, 1, 5, padding=2)
        self.scale = nn.Parameter(torch.zeros(()))
        self.maps = nn.Conv2d(1, 4, 1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(x + self.scale * self.branch(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class OtherTypes(nn.Module):
    """float64 in one layer, bfloat16 in another."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 4, 3, padding=1).double()
        self.narrow = nn.Conv2d(4, 4, 3, padding=1).bfloat16()
        self.maps = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(self.narrow(self.wide(x.double()).bfloat16()).float())
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Filtered(nn.Module):
    """A filter of the spectrum, after the first row was cleared."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(4, 16, 9, dtype=torch.complex64))
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.maps = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x[:, :, 0] = 0
        x = torch.fft.irfft2(torch.fft.rfft2(self.stem(x)) * self.filter, s=x.shape[-2:])
        logits: Tensor = self.head(self.maps(x).mean((2, 3)))
        return logits


class Recomputed(nn.Module):
    """Its maps are computed again in the backward pass, to save memory."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.maps, x, use_reentrant=False)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Mapped(nn.Module):
    """A convolution that is mapped over the images of the batch by ``torch.vmap``."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.vmap(self.maps)(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Tagged(Tensor):
    """A tensor with another class."""


class Subclassed(nn.Module):
    """Its maps are a subclass of ``Tensor``, as torchvision's and fastai's are."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(x.as_subclass(Tagged)).relu()
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits.as_subclass(Tensor)
