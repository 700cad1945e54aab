"""The assistant of a run whose model is only probed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tui_trainer.anatomy import trace
from tui_trainer.engine.run import Assistant, Run
from tui_trainer.lab.updates_trial import CommandWaitingError, try_updates
from tui_trainer.protocol.probed import Probe


class ProbeAssistant(Assistant):
    """Traces the model of a run for its probes, and tries updates of copies of it.

    Attributes:
        run: The run, once it is prepared.
    """

    run: Run

    def begin(self, run: Run) -> None:
        """Attach the run that is about to be trained."""
        self.run = run

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

    def try_updates(self) -> Iterator[Probe]:
        """Try some updates of copies of the model; nothing if a custom model raises.

        If a command arrives, the trial is made again after a later step.
        """
        try:
            yield try_updates(self.run)
        except CommandWaitingError:
            self.run.probes.is_trial_due = True
        except Exception:
            return
