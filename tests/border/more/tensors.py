"""Models with unusual tensors, and models that keep something outside their state."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.border.more.copying import Base

# --- any tensor


class Narrow(Base):
    """All of it computes in bfloat16, its logits too."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16())


class HalfLogits(Base):
    """Logits of 16 bits from weights of 32."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).half()


class Wide(Base):
    """All of it computes in float64."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class SparseBag(nn.Module):
    """Bright pixels as words of a sparse embedding bag: its gradients are sparse."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(256, 12, mode="sum", sparse=True)
        self.head = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(256, device=x.device).expand(x.shape[0], -1)
        lit = (x.flatten(1) > 0).float()
        logits: Tensor = self.head(self.bag(places, per_sample_weights=lit).relu())
        return logits


class SparseBuffer(nn.Module):
    """A graph network over the pixels: its adjacency is a sparse buffer."""

    def __init__(self, image_size: int = 16, classes: int = 10) -> None:
        super().__init__()
        count = image_size**2
        ring = torch.eye(count).roll(1, 0) + torch.eye(count)
        self.register_buffer("adjacency", (ring / 2).to_sparse())
        self.mix = nn.Linear(1, 4)
        self.head = nn.Linear(4 * count, classes)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(1).t()
        mixed = torch.sparse.mm(self.get_buffer("adjacency"), pixels).t()
        logits: Tensor = self.head(self.mix(mixed.unsqueeze(2)).relu().flatten(1))
        return logits


class SharedMemory(Base):
    """A buffer that is a part of a parameter, and a parameter that is a turned matrix."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.register_buffer("first", self.head.weight.detach()[0])
        self.turned = nn.Parameter(torch.randn(classes, 6 * 64).t() * 0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).flatten(1)
        logits: Tensor = self.head(x) + x @ self.turned + 0 * self.get_buffer("first").sum()
        return logits


class Expanded(Base):
    """A parameter made with ``expand``: no optimizer of PyTorch can write to it."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.scale = nn.Parameter(torch.ones(1).expand(6))

    def features(self, x: Tensor) -> Tensor:
        return super().features(x) * self.scale[:, None, None]


class Quantized(Base):
    """Buffers of 8-bit floats, of complex numbers and of bits."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.register_buffer("codes", torch.ones(6).to(torch.float8_e4m3fn))
        self.register_buffer("turn", torch.tensor([1 + 0j]))
        self.register_buffer("bits", torch.tensor([True, False]))

    def features(self, x: Tensor) -> Tensor:
        scale = self.get_buffer("codes").float()[:, None, None]
        return super().features(x).mul(scale).mul(self.get_buffer("turn").real)


class Scalars(Base):
    """Parameters of no dimension, in a dictionary and in a list that share one."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.named = nn.ParameterDict({"scale": nn.Parameter(torch.tensor(1.0))})
        self.listed = nn.ParameterList([self.named["scale"], nn.Parameter(torch.tensor(0.1))])

    def features(self, x: Tensor) -> Tensor:
        scale, shift = self.listed
        return super().features(x).mul(scale).add(shift)


# --- outside the state


class ClassGenerator(Base):
    """A generator and a cache that all models of the class share."""

    rng = torch.Generator().manual_seed(1)
    cache: dict[int, Tensor] = {}  # noqa: RUF012

    def features(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        if side not in self.cache:
            self.cache[side] = torch.rand(side, generator=self.rng) + 0.5
        noise = torch.randn(x.shape, generator=self.rng) if self.training else 0.0
        return super().features(x * self.cache[side] + 0.1 * noise)


STEPS = 0
NOISE = torch.rand(1, 1, 16, 16)


class FileGlobals(Base):
    """A counter and a tensor that are globals of its file."""

    def features(self, x: Tensor) -> Tensor:
        global STEPS
        if self.training:
            STEPS += 1
        return super().features(x + 0.2 * NOISE) * min(1.0, 0.5 + STEPS / 10)


@dataclass
class Memory:
    """What a model remembers, in a plain object."""

    means: deque[Tensor] = field(default_factory=lambda: deque(maxlen=3))
    best: float = 1.0


class Remembers(Base):
    """It subtracts the mean of the last three batches, kept in a deque of a dataclass."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.memory = Memory()

    def features(self, x: Tensor) -> Tensor:
        if self.training:
            self.memory.means.append(x.mean().detach())
            self.memory.best *= 0.9
        past = torch.stack([*self.memory.means]).mean() if self.memory.means else 0.0
        return super().features(x - past) * (1 + self.memory.best)


class DrawnByTheClock(Base):
    """A fixed random mask, drawn from the clock and closed over by a function."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        rng = torch.Generator().manual_seed(time.time_ns() % 2**40)
        mask = torch.rand(1, 16, 16, generator=rng)
        self.masked: Callable[[Tensor], Tensor] = lambda x: x * mask

    def features(self, x: Tensor) -> Tensor:
        return super().features(self.masked(x))


class ReseedsTorch(Base):
    """Each forward pass seeds torch's global generator, so that its noise is always the same."""

    def features(self, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return super().features(x + 0.1 * torch.randn_like(x))


class Reconstructs(Base):
    """It needs a gradient in evaluation mode too: a step of inference by gradient."""

    def features(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = F.softplus(super().features(x)).sum()
            (gradient,) = torch.autograd.grad(energy, x, create_graph=self.training)
        return super().features(x - 0.1 * gradient)
