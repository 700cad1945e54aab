"""Check a model's logits: independent of the batch, deterministic, stateless, not constant?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_trainer.models.copies import copy_model
from tui_trainer.models.input_spec import InputSize, spec_of
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.unregistered_state import preserve_globals

FIXED_IMAGES = 4
"""Images of noise by which a model is identified."""

TOLERANCE = 1e-3
"""The relative tolerance of logits, for the order of summation varies …"""

COARSE_TOLERANCE = 5e-2
"""… and for a model that computes in 16 bits."""


@dataclass(frozen=True, slots=True)
class Behavior:
    """How a model behaves in evaluation mode on a few images.

    A gap is the greatest difference between two logits that should be equal, as a share of the
    greatest difference between any two logits of one image.

    Attributes:
        batch_gap: Between an image in a batch of one and the same image in a larger batch.
        random_gap: Between two passes of the same image with different random seeds.
        state_gap: Between two passes of the same image, with other images in between.
        image_gap: Between two different images.
    """

    batch_gap: float
    random_gap: float
    state_gap: float
    image_gap: float

    @property
    def depends_on_batch(self) -> bool:
        """Whether an image's logits depend on the other images of its batch."""
        return not self.is_random and self.batch_gap > 10 * TOLERANCE

    @property
    def is_random(self) -> bool:
        """Whether its logits are random in evaluation mode."""
        return self.random_gap > 10 * TOLERANCE

    @property
    def keeps_state(self) -> bool:
        """Whether its logits depend on earlier inputs in evaluation mode."""
        return not self.is_random and self.state_gap > 10 * TOLERANCE

    @property
    def is_constant(self) -> bool:
        """Whether it returns the same logits for every image."""
        return self.image_gap == 0


@torch.no_grad()
def behavior_of(model: nn.Module, images: Tensor) -> Behavior:
    """Run a copy of a model in evaluation mode on images (N, channels, H, W), N at least 2.

    Raises:
        Exception: Any error of the model.
    """
    with preserve_rng_state(images.device), preserve_globals(model):
        first = _logits(model, images, 0)
        again = _logits(model, images, 1)
        alone = torch.cat(
            [_logits(model, images[i : i + 1], 0) for i in range(min(2, len(images)))]
        )
        after = _logits(model, images, 0, before=_halved(images.flip(0)))
    size = float((first.amax(dim=1) - first.amin(dim=1)).nan_to_num(0.0, 0.0, 0.0).amax()) or 1.0
    return Behavior(
        batch_gap=_gap(alone, first[: len(alone)]) / size,
        random_gap=_gap(again, first) / size,
        state_gap=_gap(after, first) / size,
        image_gap=_gap(first, first.roll(1, dims=0)) / size,
    )


def fixed_images(image_size: InputSize, channels: int = 1) -> Tensor:
    """Return noise as input of a model (4, ...), the same in every call."""
    return spec_of(image_size, channels).noise(FIXED_IMAGES, 2026, normal=True)


@torch.no_grad()
def fingerprint(model: nn.Module, image_size: InputSize, channels: int = 1) -> Tensor:
    """Return a model's logits (4, classes) on fixed images, on the CPU: they identify the model.

    Computed on a copy in evaluation mode; the model and all rng states are preserved.

    Raises:
        Exception: Any error of the model.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    images = fixed_images(image_size, channels).to(device)
    with preserve_rng_state(device), preserve_globals(model):
        return _logits(model, images, 0).cpu()


def same_logits(one: Tensor, other: Tensor, *, coarse: bool = False) -> bool:
    """Return whether two fingerprints are of the same model, up to the order of summation."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    finite = torch.isfinite(one)
    if not torch.equal(finite, torch.isfinite(other)):
        return False
    one, other = one[finite], other[finite]
    if not one.numel():
        return True
    limit = (COARSE_TOLERANCE if coarse else TOLERANCE) * float(one.abs().max()) + 1e-6
    return float((one - other).abs().max()) <= limit


def is_coarse(model: nn.Module) -> bool:
    """Return whether a model has parameters or buffers of 16 bits or fewer."""
    tensors = (*model.parameters(), *model.buffers())
    return any(t.is_floating_point() and t.element_size() < 4 for t in tensors)


def _logits(model: nn.Module, images: Tensor, seed: int, before: Tensor | None = None) -> Tensor:
    twin = copy_model(model)
    twin.eval()
    seed_all(seed)
    if before is not None:
        twin(before.clone())
        seed_all(seed)
    logits: Tensor = twin(images.clone())
    return logits.detach().to(torch.float32)


def _halved(images: Tensor) -> Tensor:
    return images * 0.5 if images.is_floating_point() else images // 2


def _gap(one: Tensor, other: Tensor) -> float:
    """Return the greatest difference; infinite where only one of the two is finite."""
    if not torch.equal(torch.isfinite(one), torch.isfinite(other)):
        return float("inf")
    return float((one - other).nan_to_num(0.0).abs().max())
