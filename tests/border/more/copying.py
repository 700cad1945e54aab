"""Models that are hard to copy, and models whose modules have their own modes."""

import itertools
import threading
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Base(nn.Module):
    """A small convolutional network for images of 16×16 pixels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 64, classes)

    def features(self, x: Tensor) -> Tensor:
        maps: Tensor = self.norm(self.conv(x)).relu()
        return maps

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits


# --- copies


class OwnWeightNorm(Base):
    """The weight is computed in the forward pass and put onto the layer, with its graph."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        weight = self.conv.weight.detach()
        del self.conv._parameters["weight"]
        self.direction = nn.Parameter(weight)
        self.length = nn.Parameter(weight.flatten(1).norm(dim=1))
        self.conv.weight = weight

    def features(self, x: Tensor) -> Tensor:
        unit = F.normalize(self.direction.flatten(1), dim=1).view_as(self.direction)
        self.conv.weight = unit * self.length[:, None, None, None]
        return super().features(x)


class PointsToParent(Base):
    """A child that knows its parent, a bound method and a function that closes over a layer."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.conv.parents = [self]  # type: ignore[assignment]
        self.bend = self.doubled
        self.normalize: Callable[[Tensor], Tensor] = lambda x: self.norm(self.bend(x))

    def doubled(self, x: Tensor) -> Tensor:
        return 2 * x

    def features(self, x: Tensor) -> Tensor:
        return self.normalize(self.conv(x)).relu()


class Orthogonal(Base):
    """An orthogonal parametrization; the parametrized layer is used under two names."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.mix = parametrizations.orthogonal(nn.Linear(6, 6, bias=False))
        self.again = self.mix

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x).movedim(1, -1)
        mixed: Tensor = self.again(self.mix(maps).relu())
        return mixed.movedim(-1, 1)


class Handles(Base):
    """Attributes that cannot be copied: a lock, an open file, a Python module."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.lock = threading.RLock()
        self.file = open(__file__, encoding="utf-8")  # noqa: SIM115
        self.torch = torch

    def features(self, x: Tensor) -> Tensor:
        with self.lock:
            return super().features(self.torch.tanh(x))


def parallel() -> nn.Module:
    """Return a model in ``DataParallel``, which passes everything on where there is no GPU."""
    return nn.DataParallel(Base())


def compiled() -> nn.Module:
    """Return a compiled model whose backend changes nothing."""
    model: nn.Module = torch.compile(Base(), backend="eager")  # type: ignore[assignment]
    return model


class CompiledPart(Base):
    """Only one of its layers is compiled."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.conv = torch.compile(self.conv, backend="eager")  # type: ignore[assignment]


class Stream(Base):
    """A Python generator that cannot be copied, and whose place no checkpoint can keep."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.scales: Iterator[float] = (1 + i / 4 for i in itertools.count())

    def features(self, x: Tensor) -> Tensor:
        return super().features(x * next(self.scales) if self.training else x)


# --- modes


class EvalReturnsNothing(Base):
    """It overrides ``eval`` alone, and returns nothing."""

    def eval(self) -> None:  # type: ignore[override]
        super().eval()
        self.norm.train(False)


class Merged(Base):
    """As low-rank adapters do: in evaluation mode their product is added to the weight."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.down = nn.Parameter(torch.randn(2, 6 * 64) * 0.1)
        self.up = nn.Parameter(torch.zeros(classes, 2))
        self.is_merged = False

    def train(self, mode: bool = True) -> "Merged":
        super().train(mode)
        if mode == self.is_merged:
            change = self.up.data @ self.down.data
            self.head.weight.data += -change if mode else change
            self.is_merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).flatten(1)
        logits: Tensor = self.head(x)
        if not self.is_merged:
            return logits + F.linear(F.linear(x, self.down), self.up)
        return logits


class FreezesLater(Base):
    """After two steps it puts its batch norm into evaluation mode and freezes its convolution."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.steps = 0

    def features(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if self.steps > 2:
                self.norm.eval()
                self.conv.requires_grad_(False)
        return super().features(x)


class DropsLayers(Base):
    """Stochastic depth that switches ``requires_grad`` in each forward pass."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.more = nn.Conv2d(6, 6, 3, padding=1)

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x)
        if self.training:
            self.more.weight.requires_grad = bool(torch.rand(()) < 0.5)
            if not self.more.weight.requires_grad:
                return maps
        more: Tensor = self.more(maps)
        return maps + more


def handed_over() -> nn.Module:
    """Return a model that is in evaluation mode as a whole: all of it trains."""
    return Base().eval()


class AlwaysDrops(Base):
    """Dropout that stays in training mode, for uncertainty: random in evaluation mode."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.drop = nn.Dropout(0.5)

    def train(self, mode: bool = True) -> "AlwaysDrops":
        super().train(mode)
        self.drop.train()
        return self

    def features(self, x: Tensor) -> Tensor:
        maps: Tensor = self.drop(super().features(x))
        return maps
