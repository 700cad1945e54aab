"""The assistant of a training that only has to trace its model, for the probes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tui_trainer.anatomy import trace
from tui_trainer.engine.run import Assistant


class Tracer(Assistant):
    """Runs a model layer by layer for the probes of a run."""

    def trace(
        self,
        model: nn.Module,
        images: Tensor,
        reached: Callable[[int, Tensor], None],
        finished: Callable[[Tensor], None],
    ) -> None:
        """Run a model on images; report the output of each layer and the logits."""
        trace.trace(
            model,
            images,
            reached=lambda place, step, result: reached(place, result),
            finished=finished,
        )
