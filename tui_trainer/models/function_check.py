"""Check a model as a function: is it linear, bounded, blind to pixels, without a gradient?

All checks run copies in evaluation mode, on inputs made from images. They are about the structure:
weights of zeros, as in the last layer of some models, are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tui_trainer.models.behavior import COARSE_TOLERANCE, TOLERANCE, is_coarse
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import train_alone
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.tensors import can_require_grad, tensors_in
from tui_trainer.models.unregistered_state import preserve_globals

LARGE = 1_000.0
"""The scale of the input at which every bounded function is at its bound."""

SMALL = 0.01
"""The standard deviation of weights that replace zeros."""

SAME = 1e-6
"""The relative difference of logits up to which replaced pixels have made none."""

MIRRORED = 0.5
"""The distance to a mirrored image, relative to that to the image itself, that shows mirroring."""

DEEPEST = 3
"""Levels of containers that are searched for layers and tensors."""


def is_linear(model: nn.Module, images: Tensor) -> bool | None:
    """Return whether the logits are an affine function of the input, up to a common summand.

    f(a + b) − f(a) − f(b) + f(0) and f(−a) + f(a) − 2 f(0) are 0 for such a function, at the scale
    of the images and at ``LARGE`` times it: tanh is linear for small inputs only. Subtracting the
    mean logit of each image removes a log-softmax.

    Args:
        model: Maps (N, channels, H, W) to logits (N, classes).
        images: Its input, N at least 2.

    Returns:
        None if the logits are not finite or the same for all inputs.

    Raises:
        Exception: Any error of the model.
    """
    half = len(images) // 2
    one, other = images[:half], images[half : 2 * half]
    limit = COARSE_TOLERANCE if is_coarse(model) else TOLERANCE
    for scale in (1.0, LARGE):
        a, b = one * scale, other * scale
        logits = _logits(model, torch.cat([torch.zeros_like(a), a, b, a + b, -a])).double()
        zero, fa, fb, both, negative = (logits - logits.mean(dim=1, keepdim=True)).chunk(5)
        size = float((fa - zero).abs().max())
        if not logits.isfinite().all() or size == 0:
            return None
        gaps = both - fa - fb + zero, negative + fa - 2 * zero
        if max(float(gap.abs().max()) for gap in gaps) > limit * size:
            return False
    return True


def logits_at_bound(
    model: nn.Module, images: Tensor
) -> tuple[tuple[float, float] | None, float | None]:
    """Return the range of the logits for huge inputs, and the share exactly at an end of it.

    A ReLU on the logits leaves many exact zeros, a sigmoid zeros and ones, a tanh ±1. Log-softmax
    leaves one exact 0 an image.

    Returns:
        None for both if a logit is not finite.

    Raises:
        Exception: Any error of the model.
    """
    logits = _logits(model, torch.cat([images, -images]) * LARGE)
    if not logits.isfinite().all():
        return None, None
    low, high = logits.min(), logits.max()
    at_bound = ((logits == low) | (logits == high)).double().mean()
    return (float(low), float(high)), float(at_bound)


def pixels_used(model: nn.Module, images: Tensor) -> float | None:
    """Return the share of the varying pixels on which a logit depends.

    A pixel is used if the gradient of a random combination of logits is not 0 for some image. The
    others are then replaced by those of another image.

    Args:
        model: Maps (N, channels, H, W) to logits (N, classes).
        images: Its input, N at least 2.

    Returns:
        None if no pixel varies, or if replacing the others changes the logits: then the gradient
        does not show what the model uses, as behind a threshold.

    Raises:
        Exception: Any error of the model.
    """
    varies = (images != images[:1]).any(dim=0)
    if not varies.any():
        return None
    with preserve_rng_state(images.device), preserve_globals(model), torch.enable_grad():
        twin = _evaluating(model)
        inputs = images.clone().requires_grad_()
        logits = twin(inputs.clone())
        rng = torch.Generator().manual_seed(0)
        factors = torch.randn(logits.shape, generator=rng).to(logits.device, logits.dtype)
        used = torch.zeros_like(varies)
        if logits.requires_grad:
            total = (logits * factors).sum()
            (gradient,) = torch.autograd.grad(total, inputs, allow_unused=True)
            if gradient is not None:
                used = (gradient != 0).any(dim=0)
    replaced = torch.where(used, images, images.roll(1, dims=0))
    before, after = _logits(model, images), _logits(model, replaced)
    if float((after - before).abs().max()) > SAME * float(before.abs().max()):
        return None
    return float((used & varies).sum() / varies.sum())


def smoothness(images: Tensor) -> float | None:
    """Return the mean correlation of adjacent pixels of images (N, channels, H, W)."""
    pairs = (images[..., 1:], images[..., :-1]), (images[..., 1:, :], images[..., :-1, :])
    found = []
    for one, other in pairs:
        rows = torch.stack([one.reshape(-1), other.reshape(-1)]).double()
        if rows.shape[1] < 2 or float(rows.std(dim=1).min()) == 0:
            return None
        found.append(float(torch.corrcoef(rows)[0, 1]))
    return sum(found) / len(found)


def not_registered(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Return the tensors that ``forward`` reads and that require a gradient, but are no parameters.

    As the weights of layers in a list: no optimizer has them. One that is no attribute is named by
    its shape.

    Raises:
        Exception: Any error of the model.
    """
    with preserve_rng_state(images.device), preserve_globals(model), torch.enable_grad():
        twin = _evaluating(model)
        parameters = {id(p) for p in twin.parameters()}
        names = {id(tensor): name for name, tensor in _held(twin)}
        reads = _LeafReads()
        with reads:
            twin(images.clone())
    found = [t for t in reads.leaves.values() if id(t) not in parameters]
    return tuple(names.get(id(t)) or f"a tensor of shape {tuple(t.shape)}" for t in found)


@torch.no_grad()
def mirrored(model: nn.Module, images: Tensor) -> float | None:
    """Return the share of the images that ``forward`` mirrors or turns in training mode only.

    The input of the first convolution or fully connected layer is compared with that of evaluation
    mode, turned by multiples of 90° and mirrored.

    Returns:
        None if that input has not the shape of the images.

    Raises:
        Exception: Any error of the model.
    """
    seen = []
    with preserve_rng_state(images.device), preserve_globals(model):
        for prepare in (nn.Module.eval, train_alone):
            twin = copy_model(model)
            prepare(twin)
            seed_all(0)
            with _FirstInput() as first:
                twin(images.clone())
            seen.append(first.found)
    plain, trained = seen
    if plain is None or trained is None or plain.numel() != images.numel():
        return None
    plain, trained = plain.reshape(images.shape), trained.reshape(images.shape)
    turned = [plain.rot90(turns, (2, 3)) for turns in range(4)]
    turned += [one.flip(3) for one in turned]
    gaps = torch.stack([(one - trained).flatten(1).norm(dim=1) for one in turned])
    return float((gaps[1:].amin(dim=0) < MIRRORED * gaps[0]).double().mean())


class _FirstInput(TorchFunctionMode):
    """Keeps the input of the first convolution or fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if self.found is None and getattr(func, "__name__", "") in ("conv2d", "linear"):
            self.found = next(tensors_in((args, kwargs or {})), None)
        return func(*args, **(kwargs or {}))


class _LeafReads(TorchFunctionMode):
    """Keeps the leaf tensors that require a gradient and are arguments of any torch function."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for tensor in tensors_in((args, kwargs or {})):
            if tensor.requires_grad and tensor.is_leaf and can_require_grad(tensor):
                self.leaves[id(tensor)] = tensor
        return func(*args, **(kwargs or {}))


def _held(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in the attributes of a model and in their containers, with their names."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_modules"):
                yield from _within(f"{path}.{name}" if path else name, value, DEEPEST)


def _within(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, nn.Module):
        yield from ((f"{name}.{inner}", p) for inner, p in value.named_parameters())
    elif depth and isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from _within(f"{name}.{place}", part, depth - 1)
    elif depth and isinstance(value, Mapping):
        for key, part in value.items():
            yield from _within(f"{name}.{key}", part, depth - 1)


def _evaluating(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, and its weights of zeros, as of a last layer, drawn."""
    twin = copy_model(model)
    twin.eval()
    seed_all(0)
    for weight in twin.parameters():
        if weight.ndim >= 2 and can_require_grad(weight) and not weight.detach().any():
            nn.init.normal_(weight.detach(), std=SMALL)
    return twin


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> Tensor:
    with preserve_rng_state(images.device), preserve_globals(model):
        logits: Tensor = _evaluating(model)(images.clone())
        return logits.detach().float()
