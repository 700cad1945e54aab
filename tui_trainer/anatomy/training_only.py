"""Which parameters a network uses while it trains: a head that helps in training is no mistake."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state


def used_in_training(network: nn.Module, images: Tensor) -> set[int]:
    """Return the identities of the parameters that functions read in training mode.

    A copy is run. If it cannot be, it is not known: none are returned.

    Args:
        network: Maps (N, channels, height, width) to scores.
        images: Two at least, for batch norm.
    """
    try:
        with preserve_rng_state(), torch.no_grad():
            twin = copy_model(network)
            twin.train()
            reader = _Reader()
            with reader:
                twin(images)
    except Exception:  # what cannot be tried says nothing
        return set()
    pairs = zip(network.parameters(), twin.parameters(), strict=True)
    return {id(one) for one, other in pairs if id(other) in reader.read}


class _Reader(TorchFunctionMode):
    """Remembers which parameters functions are given."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self._remember((*args, *(kwargs or {}).values()))
        return func(*args, **(kwargs or {}))

    def _remember(self, values: Any) -> None:
        for value in values:
            if isinstance(value, nn.Parameter):
                self.read.add(id(value))
            elif isinstance(value, (tuple, list)):
                self._remember(value)
