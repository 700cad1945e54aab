"""Custom models of every kind, each in a few lines; views and checks must not change them.

Each can be named as ``tests/models/any_models.py:Name``; it takes images of any size.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

GLOBAL_RNG = np.random.default_rng(5)
"""An rng that is a global of a model's file; a copy of the model shares it."""


class _Small(nn.Module):
    """Two layers; the subclass defines the operation between them."""

    def __init__(self, image_size: int = 28, classes: int = 10, width: int = 12) -> None:
        super().__init__()
        self.low = nn.Linear(image_size**2, width)
        self.high = nn.Linear(width, classes)

    def between(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.high(self.between(self.low(x.flatten(1))).tanh())  # type: ignore[no-any-return]


class _SmallConv(nn.Module):
    """A convolution with batch norm, and a head."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * (image_size // 2) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.max_pool2d(self.norm(self.conv(x)).relu(), 2)
        return self.head(maps.flatten(1))  # type: ignore[no-any-return]


# --- any tensor


class ComplexWeights(_Small):
    """A complex factor for each number of the spectrum."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.factor = nn.Parameter(torch.randn(7, dtype=torch.complex64))

    def between(self, x: Tensor) -> Tensor:
        mixed: Tensor = torch.fft.irfft(torch.fft.rfft(x) * self.factor, n=x.shape[1])
        return mixed


class IntegerParameter(_Small):
    """A fixed permutation of the features, as an integer parameter; and a boolean one."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.order = nn.Parameter(torch.randperm(12), requires_grad=False)
        self.mask = nn.Parameter(torch.rand(12) > 0.1, requires_grad=False)

    def between(self, x: Tensor) -> Tensor:
        return x[:, self.order] * self.mask


class EmptyParameter(_Small):
    """A parameter with zero tokens."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.tokens = nn.Parameter(torch.zeros(0, 12))

    def between(self, x: Tensor) -> Tensor:
        return x + torch.cat([self.tokens, x]).sum() * 0


class DoubleLogits(_Small):
    """In double precision."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class HalfWeights(_Small):
    """In bfloat16, the logits too."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16())


class SparseGradient(_Small):
    """An embedding of the rounded brightness, whose gradient is sparse."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.table = nn.Embedding(4, 12, sparse=True)

    def between(self, x: Tensor) -> Tensor:
        return x + self.table(x.mean(dim=1).abs().clamp(0, 3).long())  # type: ignore[no-any-return]


class Tied(_SmallConv):
    """Two layers with one weight."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.turned = nn.Conv2d(1, 4, 3, padding=1)
        self.turned.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        maps = self.norm(self.conv(x) + self.turned(x.transpose(2, 3))).relu()
        return self.head(functional.max_pool2d(maps, 2).flatten(1))  # type: ignore[no-any-return]


class OldWeightNorm(_SmallConv):
    """The older weight norm stores a non-leaf weight."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.conv = nn.utils.weight_norm(self.conv)


class Parametrized(_SmallConv):
    """The newer spectral norm, with vectors that change at each forward."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        parametrizations.spectral_norm(self.conv)


class Pruned(_SmallConv):
    """Pruning keeps a masked weight as an attribute."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        prune.random_unstructured(self.conv, "weight", amount=0.2)  # type: ignore[no-untyped-call]


class ExpandedBuffer(_SmallConv):
    """Coordinates as a buffer whose rows share memory."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.across: Tensor
        line = torch.linspace(-1, 1, image_size)
        self.register_buffer("across", line.expand(image_size, image_size))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.across)


# --- frozen, unused, detached


class Frozen(_SmallConv):
    """Its convolution is frozen."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.conv.requires_grad_(False)


class FrozenNorm(_SmallConv):
    """Its batch norm was put into evaluation mode in ``__init__``."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.norm.eval()


class OverridesTrain(_SmallConv):
    """Its ``train`` freezes a batch norm and returns None."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)
        self.norm.eval()


class UnusedLayer(_SmallConv):
    """A layer that forward never calls, but whose shape it reads."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.idle = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.idle.weight.device, self.idle.weight.dtype))


class Detached(_SmallConv):
    """Its convolution is disconnected by ``detach``."""

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.max_pool2d(self.norm(self.conv(x).detach()).relu(), 2)
        return self.head(maps.flatten(1))  # type: ignore[no-any-return]


class NoGrad(_SmallConv):
    """Its convolution is disconnected by ``no_grad``."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.conv(x)
        return self.head(functional.max_pool2d(self.norm(x).relu(), 2).flatten(1))  # type: ignore[no-any-return]


class Item(_Small):
    """A factor that is read with ``item``."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.scale = nn.Parameter(torch.ones(1))

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale.item()


class DataOfWeight(_Small):
    """A layer whose weight is read with ``data``."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.mix = nn.Linear(12, 12, bias=False)

    def between(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.mix.weight.data)


class ZeroHead(_SmallConv):
    """Its last layer is initialized with zeros."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


# --- a forward with side effects


class InPlaceInput(_SmallConv):
    """Scales its input in place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5).div_(0.5))


class InPlaceNorm(_Small):
    """Normalizes each image in place: a second call with the same tensor gets another image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.5).clamp_(min=-0.1))


class KeptActivation(_Small):
    """Stores its features, with their graph, in an attribute and a list."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.kept: list[Tensor] = []

    def between(self, x: Tensor) -> Tensor:
        self.kept = [*self.kept[-1:], x]
        self.last = x
        return x


class Counts(_Small):
    """Its temperature depends on the number of calls."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.calls = 0

    def between(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * (1 + 0.01 * self.calls)


class RunningMean(_Small):
    """Its own running mean, also in evaluation mode, as a buffer and as a plain tensor."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(12))
        self.plain = torch.zeros(12)

    def between(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(dim=0)
        self.plain.mul_(0.9).add_(x.detach().mean(dim=0), alpha=0.1)
        return x - self.mean - self.plain


class CachedWindow(_Small):
    """A window that is recomputed only for another batch size."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.window: Tensor | None = None

    def between(self, x: Tensor) -> Tensor:
        if self.window is None or self.window.shape != x.shape:
            self.window = torch.hann_window(x.shape[1]).expand_as(x).contiguous() + 0.1
        return x * self.window


# --- rngs


class DrawsEverywhere(_Small):
    """Draws from the global rngs of torch, NumPy and Python, in evaluation mode too."""

    def between(self, x: Tensor) -> Tensor:
        shift = float(np.random.rand()) + random.random()
        return x + 0.1 * torch.rand_like(x) + 0.1 * shift


class PrivateRngs(_Small):
    """Draws from rngs in its attributes."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.rng = torch.Generator().manual_seed(3)
        self.np_rng = np.random.default_rng(3)
        self.py_rng = random.Random(3)

    def between(self, x: Tensor) -> Tensor:
        noise = torch.rand(x.shape[1], generator=self.rng)
        return x + 0.1 * noise + 0.1 * (float(self.np_rng.random()) + self.py_rng.random())


class GlobalRng(_Small):
    """Draws from an rng of its file."""

    def between(self, x: Tensor) -> Tensor:
        return x + 0.1 * float(GLOBAL_RNG.random())


class AlwaysDropped(_Small):
    """Functional dropout that evaluation mode does not switch off."""

    def between(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)


# --- the logits of an image depend on the batch


class SoftmaxOverBatch(_Small):
    """Softmax over dimension 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(dim=0)


class BatchMean(_Small):
    """Subtracts the mean over the batch by hand, in evaluation mode too."""

    def between(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class NoRunningStatistics(_SmallConv):
    """Batch norm that always uses batch statistics."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)


# --- hooks and compilers


class Hooked(_SmallConv):
    """A hook, bound to the model, that changes the output of its layer."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.scale = nn.Parameter(torch.ones(1))
        self.conv.register_forward_hook(self._scaled)

    def _scaled(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output * self.scale


class Lambda(_SmallConv):
    """A function that uses a layer of the model."""

    def __init__(self, image_size: int = 28, classes: int = 10) -> None:
        super().__init__(image_size, classes)
        self.normed: Callable[[Tensor], Tensor] = lambda x: self.norm(self.conv(x))

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.max_pool2d(self.normed(x).relu(), 2)
        return self.head(maps.flatten(1))  # type: ignore[no-any-return]


HEALTHY = (
    *(ComplexWeights, IntegerParameter, EmptyParameter, DoubleLogits, SparseGradient, Tied),
    *(OldWeightNorm, Parametrized, Pruned, ExpandedBuffer, Frozen, FrozenNorm, OverridesTrain),
    *(UnusedLayer, ZeroHead, InPlaceInput, InPlaceNorm, KeptActivation, CachedWindow),
    *(Hooked, Lambda),
)
"""Models that train correctly."""

UNSTEADY = (DrawsEverywhere, PrivateRngs, GlobalRng, AlwaysDropped, Counts, RunningMean)
"""Models whose logits for the same image differ in each call."""
CUT_OFF = (Detached, NoGrad, Item, DataOfWeight)
BATCH_BOUND = (SoftmaxOverBatch, BatchMean, NoRunningStatistics)
EVERY = (*HEALTHY, HalfWeights, *UNSTEADY, *CUT_OFF, *BATCH_BOUND)
