"""A callback for Lightning's ``Trainer``; needs the extra ``mnist-tui[lightning]``.

::

    from tui_trainer.watching.lightning import WatchCallback

    trainer = lightning.Trainer(callbacks=[WatchCallback()])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from tui_trainer.watching.watched_run import WatchedRun, watch

ACCURACIES = ("val_accuracy", "val_acc")
"""Names under which a module may log its validation accuracy."""


class WatchCallback(pl.Callback):  # type: ignore[misc,unused-ignore]
    """Records a training of Lightning, diagnoses it, and takes commands for it.

    The loss is the one that ``training_step`` returns. The logits are the output of the model, the
    labels are the last element of the batch; ``training_step`` can return others as ``logits`` and
    ``labels`` of a dict.

    Args:
        model: The name of the submodule that returns the logits, such as ``"layers"``. By default
            the only submodule with parameters, otherwise the ``LightningModule`` itself.
        val_loss: The name of the validation loss in ``trainer.callback_metrics``.
        val_accuracy: The names that the validation accuracy may have there.
        **options: Further arguments of :func:`tui_trainer.watch`.

    Attributes:
        run: The run, from the start of the training on.
    """

    def __init__(
        self,
        *,
        model: str = "",
        val_loss: str = "val_loss",
        val_accuracy: str | Sequence[str] = ACCURACIES,
        **options: Any,
    ) -> None:
        self.run: WatchedRun | None = None
        self._model = model
        self._val_loss = val_loss
        names = (val_accuracy,) if isinstance(val_accuracy, str) else tuple(val_accuracy)
        self._val_accuracy = names
        self._options = options

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the run: the optimizers exist now, and the sanity check is over."""
        self.run = watch(
            pl_module.get_submodule(self._model) if self._model else classifier_of(pl_module),
            trainer.optimizers,
            epochs=_epochs(trainer),
            scheduler=next((each.scheduler for each in trainer.lr_scheduler_configs), None),
            **{"name": type(pl_module).__name__, **self._options},
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin an epoch."""
        if self.run is not None:
            self.run.begin_epoch()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin a batch."""
        if self.run is not None:
            self.run.begin_batch(batch, loader=trainer.train_dataloader)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Report a step; a stop ends the training as Lightning's early stopping does."""
        run = self.run
        if run is None:
            return
        found = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
        loss = found.get("loss")
        if isinstance(loss, Tensor):
            # Automatic optimization has divided it.
            scale = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            run.step(loss.detach() * scale, found.get("logits"), found.get("labels"))
        if run.should_stop:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End an epoch, with the metrics of its validation."""
        if self.run is not None:
            metrics = trainer.callback_metrics
            accuracies = (metrics[name] for name in self._val_accuracy if name in metrics)
            self.run.end_epoch(
                val_loss=metrics.get(self._val_loss), val_accuracy=next(accuracies, None)
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run."""
        if self.run is not None:
            self.run.finish()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Mark the run as failed or interrupted."""
        if self.run is not None:
            self.run.end_with(exception)


def classifier_of(module: nn.Module) -> nn.Module:
    """Return the only child with parameters, otherwise the module itself."""
    children = [child for child in module.children() if next(child.parameters(), None) is not None]
    direct = next(module.parameters(recurse=False), None)
    return children[0] if len(children) == 1 and direct is None else module


def _epochs(trainer: pl.Trainer) -> int:
    """Return how many epochs a trainer trains at most."""
    limits = []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs)
    batches = trainer.num_training_batches / trainer.accumulate_grad_batches
    if trainer.max_steps > 0 and 0 < batches < math.inf:
        limits.append(math.ceil(trainer.max_steps / math.ceil(batches)))
    return min(limits, default=1)
