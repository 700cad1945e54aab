"""Training and evaluation mode, with each module's ``training`` flag as the author set it.

``train()`` and ``eval()`` are called, for models override them (to freeze a batch norm, to merge
weights), but never chained: an override may return None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from tui_trainer.models.rng import preserve_rng_state


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; restore the mode of each module afterwards."""
    before = modes_of(model)
    model.eval()
    try:
        yield
    finally:
        set_modes(model, before)


def evaluate(model: nn.Module, images: Tensor) -> Any:
    """Return a model's output in evaluation mode, with gradient; restore modes and rng states."""
    with preserve_rng_state(), evaluating(model):
        return model(images.clone())


def modes_of(model: nn.Module) -> dict[nn.Module, bool]:
    """Return whether each module is in training mode."""
    return {module: module.training for module in model.modules()}


def set_modes(model: nn.Module, modes: dict[nn.Module, bool]) -> None:
    """Restore the mode of each module, after ``train()`` has undone the effects of ``eval()``."""
    model.train(modes[model])
    for module, training in modes.items():
        if module.training != training:
            module.training = training


def begin_training(model: nn.Module) -> None:
    """Put a fresh model into training mode, except the modules that its author set to eval mode.

    If the whole model is in evaluation mode, all of its modules are put into training mode.
    """
    kept = [m for m in model.modules() if not m.training] if model.training else []
    model.train()
    for module in kept:
        module.training = False


def eval_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the batch norms and dropouts that are in evaluation mode."""
    return tuple(
        name
        for name, module in model.named_modules()
        if not module.training
        and (
            (isinstance(module, _BatchNorm) and module.track_running_stats)
            or (isinstance(module, _DropoutNd) and module.p > 0)
        )
    )


def train_alone(model: nn.Module) -> None:
    """Put a model into training mode, with its norms and dropouts in evaluation mode.

    What still differs from evaluation mode is in the model's own ``forward``.
    """
    model.train()
    for module in model.modules():
        is_leaf = not any(True for _ in module.children())
        if (is_leaf and _is_norm_or_dropout(module)) or _has_spectral_norm(module):
            module.training = False


def _is_norm_or_dropout(module: nn.Module) -> bool:
    name = type(module).__name__
    return isinstance(module, _BatchNorm) or "Dropout" in name or "Norm" in name


def _has_spectral_norm(module: nn.Module) -> bool:
    """Return whether a hook normalizes a weight: it improves its estimate in training mode."""
    hooks = module._forward_pre_hooks.values()
    return any(type(hook).__name__ == "SpectralNorm" for hook in hooks)


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor], *, is_every: bool = False) -> None:
    """Recalibrate batch norm statistics: replace them by their plain mean over some batches.

    Args:
        model: The model; nothing else of it changes.
        batches: Inputs; not consumed without such a batch norm.
        is_every: Whether batch norms in evaluation mode are recalibrated too; all of them are in
            training mode afterwards.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    norms = [norm for norm in norms if norm.training or is_every]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.training = True
    if norms:
        for images in batches:
            model(images)
