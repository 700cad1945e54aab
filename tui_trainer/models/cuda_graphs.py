"""The forward and the backward pass of a training step as CUDA graphs.

A GPU computes the operators of a small model faster than Python can launch them. A graph launches
all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.models.build import dropout_of
from tui_trainer.models.rng import preserve_rng_state

MOST_GRAPHS = 8
"""The most graphs of a run, which hold the memory of their feature maps."""


class GraphedForward:
    """Calls a model of the zoo in training mode, as the replay of a graph.

    A graph is captured for each shape of the batch and each dropout probability: at the first such
    batch, so that the same seed gives the same bits. Weights keep their places in memory, where
    optimizers and checkpoints change them. Custom models can synchronize or branch, and run without
    graphs.

    Args:
        model: On a CUDA device, in training mode; its own ``forward`` stays as it is.
        precision: As in the configuration: ``bf16`` captures autocast.
        capture: Returns the graphed version of a module, with the interface of
            ``torch.cuda.make_graphed_callables``.
    """

    def __init__(
        self, model: nn.Module, precision: str, capture: Callable[..., Any] | None = None
    ) -> None:
        self._model = model
        self._is_bf16 = precision == "bf16"
        self._capture: Callable[..., Any] = capture or torch.cuda.make_graphed_callables
        self._graphs: dict[tuple[torch.Size, float | None], Callable[[Tensor], Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, H, W).

        The next call overwrites them.
        """
        key = images.shape, dropout_of(self._model)
        if key not in self._graphs:
            if len(self._graphs) == MOST_GRAPHS:
                self._graphs.clear()
            self._graphs[key] = self._captured(images)
        return self._graphs[key](images)

    def _captured(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Capture a graph; the steps before the capture leave no trace."""
        before = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        # Without its cache: a cast that was cached before the capture would not be in the graph.
        autocast = torch.autocast(
            images.device.type, torch.bfloat16, enabled=self._is_bf16, cache_enabled=False
        )
        with preserve_rng_state(images.device), autocast:
            graphed: Callable[[Tensor], Tensor] = self._capture(
                _Alone(self._model), (images.clone(),), allow_unused_input=True
            )
        with torch.no_grad():
            for buffer, old in before:
                buffer.copy_(old)
        return graphed


class _Alone(nn.Module):
    """A module around a model: capturing replaces the ``forward`` of what it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images)
