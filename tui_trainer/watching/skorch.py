"""A callback for skorch's ``NeuralNetClassifier``; needs the extra ``mnist-tui[skorch]``.

::

    from tui_trainer.watching.skorch import WatchCallback

    net = NeuralNetClassifier(Module, callbacks=[WatchCallback()])
"""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from tui_trainer.watching.watched_run import WatchedRun, watch


class WatchCallback(Callback):  # type: ignore[misc,unused-ignore]
    """Records a training of skorch, diagnoses it, and takes commands for it.

    Validation is skorch's own: ``valid_loss`` and ``valid_acc`` of its history.

    Args:
        options: Further arguments of :func:`tui_trainer.watch`.

    Attributes:
        run: The run, from the start of the training on.
    """

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        # skorch copies a callback from its arguments, as scikit-learn an estimator.
        self.options = options
        self.run: WatchedRun | None = None

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Begin the run."""
        self.run = watch(
            net.module_, net.optimizer_, epochs=max(1, net.max_epochs), **(self.options or {})
        )

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin an epoch."""
        if self.run is not None:
            self.run.begin_epoch()

    def on_batch_begin(
        self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Begin a batch."""
        if self.run is not None and training:
            self.run.begin_batch(batch)

    def on_batch_end(
        self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Report a step; a stop ends the training as skorch's early stopping does.

        Raises:
            KeyboardInterrupt: If the run is stopped; ``fit`` catches it.
        """
        run = self.run
        if run is None or not training:
            return
        run.step(kwargs["loss"], logits_of(net, kwargs["y_pred"]), batch[1])
        if run.should_stop:
            raise KeyboardInterrupt

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End an epoch, with the results of its validation."""
        if self.run is not None:
            last = net.history[-1]
            self.run.end_epoch(val_loss=last.get("valid_loss"), val_accuracy=last.get("valid_acc"))

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the run; skorch calls this after an interrupt, too."""
        if self.run is not None:
            self.run.finish()


def logits_of(net: NeuralNet, output: Any) -> Tensor:
    """Return logits; skorch takes the logarithm of probabilities itself before its ``NLLLoss``."""
    first: Tensor = output[0] if isinstance(output, tuple) else output
    if isinstance(net.criterion_, nn.NLLLoss):
        return torch.log(first.clamp_min(torch.finfo(first.dtype).eps))
    return first
