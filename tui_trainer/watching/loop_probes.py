"""Probes of a watched loop: what it does with the model and the optimizers, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.data.recorded_inputs import InputCollector
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.protocol.probed import Probe
from tui_trainer.watching.evaluation import logits_of


class LoopProbes:
    """Watches a loop through hooks on the model and the optimizers.

    Attributes:
        inputs: The arguments of the first forward pass in training: positional, by name.
        output: The last output of the model with a gradient.
        labels: The labels of the current batch, if the loop gives its batches.
        collector: Keeps inputs and labels of the loop.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        progress: Progress,
        stopwatch: Stopwatch,
        scheduler: Any = None,
        wanted: bool = True,
    ) -> None:
        self.inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.output: Tensor | None = None
        self.labels: Tensor | None = None
        self.collector = InputCollector()
        self._last_inputs: Any = None
        self._handle = model.register_forward_hook(self._forward_ended, with_kwargs=True)

    def _forward_ended(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        logits = logits_of(output)
        if logits is not None and logits.requires_grad:
            self.output = logits.detach()
            if self.inputs is None:
                self.inputs = args, kwargs
            self._last_inputs = kwargs or args if self.collector.wants_training else None

    def begin_epoch(self) -> None:
        """Begin an epoch."""

    def begin_batch(self, batch: Any, waited: float, loader: Any) -> None:
        """Begin a batch, for which the loop has waited so many seconds."""

    def end_step(
        self, loss: Tensor | float, logits: Tensor | None, labels: Tensor | None, lr: float
    ) -> Iterator[Probe]:
        """Report what was measured in a step, after it is counted."""
        if self._last_inputs is not None and labels is not None:
            self.collector.training_batch(self._last_inputs, labels)
            self._last_inputs = None
        yield from ()

    def begin_validation(self) -> None:
        """Begin a validation by :meth:`WatchedRun.validate`, which is not the loop's own."""

    def end_validation(self) -> None:
        """End it."""

    def end_epoch(self) -> Iterator[Probe]:
        """Report what was measured in an epoch."""
        self.collector.end_training()
        yield from ()

    def close(self) -> None:
        """Remove the hooks."""
        self._handle.remove()
