"""Models that fail in one of their first steps, and models whose answers are worthless."""

import os
import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical

from tests.border.more.copying import Base

# --- refused before the first step


class FixedBatch(Base):
    """It takes its maps apart for eight images and no other number."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).reshape(8, -1))
        return logits


class Squeezed(Base):
    """``squeeze()`` takes away the batch of a single image too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unsqueeze(2).squeeze()


class Distribution(Base):
    """It returns a distribution in place of logits."""

    def forward(self, x: Tensor) -> Categorical:  # type: ignore[override]
        return Categorical(logits=super().forward(x))


class DictInTraining(Base):
    """A dictionary in training mode, logits in evaluation mode."""

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        logits = super().forward(x)
        return {"logits": logits} if self.training else logits


class KeepsGraph(Base):
    """A hidden state that keeps the graph of the step before."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(classes)
        self.hidden = torch.zeros(())

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x)
        if self.training:
            maps = maps + 0.1 * self.hidden
            self.hidden = maps.mean()
        return maps


class WritesOverGraph(Base):
    """It writes over a result that the backward pass needs."""

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x).sigmoid()
        maps += 1
        return maps.mul_(maps)


class NoGradient(Base):
    """Its forward pass is decorated with ``no_grad``."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Leaves(Base):
    """It leaves the program where it finds more than four images."""

    def features(self, x: Tensor) -> Tensor:
        if self.training and len(x) > 4:
            sys.exit(3)
        return super().features(x)


class OneClassLess(Base):
    """In training mode it gives a logit less than there are classes."""

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits[:, 1:] if self.training else logits


# --- effects outside


class ChangesFolder(Base):
    """It changes the present folder, so that relative paths lead elsewhere."""

    def features(self, x: Tensor) -> Tensor:
        os.chdir("/")
        return super().features(x)


class TurnsGradientsOff(Base):
    """In evaluation mode it turns gradients off for the whole process, and not on again."""

    def features(self, x: Tensor) -> Tensor:
        if not self.training:
            torch.set_grad_enabled(False)
        return super().features(x)


class ChangesDefaults(Base):
    """It changes torch's default dtype and where ``print`` writes to."""

    def features(self, x: Tensor) -> Tensor:
        torch.set_default_dtype(torch.float64)
        sys.stdout = sys.stderr
        return super().features(x)


class Resizes(Base):
    """It resizes its input in place, and asks for its gradient."""

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x.clone())
        x.requires_grad_()
        x.data.zero_()
        x.data.resize_(0)
        return maps


# --- worthless answers


class Centerd(Base):
    """It subtracts the mean of the batch, in evaluation mode too."""

    def features(self, x: Tensor) -> Tensor:
        maps = super().features(x)
        return 3 * (maps - maps.mean(0, keepdim=True))


class AttendsOverBatch(nn.Module):
    """Attention without ``batch_first``: the images of a batch attend to one another."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(16, 8)
        self.attend = nn.MultiheadAttention(8, 1)
        self.head = nn.Linear(8 * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.embed(x.squeeze(1))
        rows = rows + 4 * self.attend(4 * rows, 4 * rows, rows)[0]
        logits: Tensor = self.head(rows.flatten(1))
        return logits


class DropsInEvaluation(Base):
    """``F.dropout`` without ``training=self.training`` drops in evaluation mode too."""

    def features(self, x: Tensor) -> Tensor:
        return F.dropout(super().features(x), 0.5)


class Constant(Base):
    """A product with 0 takes the image away."""

    def features(self, x: Tensor) -> Tensor:
        return super().features(x * 0)


# --- exports


class FixesBatch(Base):
    """``len(x)`` is a constant for an exporter, for any batch."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x).view(len(x), -1))
        return logits


class DependsOnData(Base):
    """Which way it goes depends on the pixels."""

    def features(self, x: Tensor) -> Tensor:
        if bool(x.mean() > 0.5):
            x = -x
        return super().features(x)


class LeavesTorch(Base):
    """It computes a part with NumPy, which no exporter can follow."""

    def features(self, x: Tensor) -> Tensor:
        bright = torch.from_numpy(x.detach().cpu().numpy().max(axis=(2, 3), keepdims=True))
        return super().features(x / (1 + bright.abs()))
