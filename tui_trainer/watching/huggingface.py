"""A callback for the ``Trainer`` of transformers; needs the extra ``mnist-tui[huggingface]``.

::

    from tui_trainer.watching.huggingface import WatchCallback

    trainer = Trainer(model, arguments, callbacks=[WatchCallback()], ...)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tui_trainer.watching.watched_run import WatchedRun, watch


class WatchCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Records a training of a ``Trainer``, diagnoses it, and takes commands for it.

    The trainer does not tell callbacks the loss of a step. So loss and logits are those of the
    model's output, and the labels its argument ``labels``: a model that classifies, as those of
    transformers with a classification head. Validation is what ``compute_metrics`` returns as
    ``accuracy``, and the evaluation loss.

    Args:
        **options: Further arguments of :func:`tui_trainer.watch`.

    Attributes:
        run: The run, from the start of the training on.
    """

    def __init__(self, **options: Any) -> None:
        self.run: WatchedRun | None = None
        self._options = options
        self._handle: Any = None
        self._loss: Tensor | None = None
        self._logits: Tensor | None = None
        self._labels: Tensor | None = None
        self._metrics: Mapping[str, float] = {}
        self._is_open = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the run."""
        model, optimizer = kwargs["model"], kwargs["optimizer"]
        optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        self.run = watch(
            model,
            optimizer,
            epochs=max(1, math.ceil(state.num_train_epochs)),
            scheduler=kwargs.get("lr_scheduler"),
            **self._options,
        )
        self._handle = model.register_forward_hook(self._forward_ended, with_kwargs=True)

    def _forward_ended(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        loss = output.get("loss") if isinstance(output, Mapping) else None
        if model.training and isinstance(loss, Tensor) and torch.is_grad_enabled():
            self._loss, self._logits = loss.detach(), output.get("logits")
            self._labels = kwargs.get("labels")

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin an epoch; the one before ends now, after its evaluation."""
        self._end_epoch()
        if self.run is not None:
            self.run.begin_epoch()
            self._is_open = True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a step."""
        if self.run is not None:
            self.run.begin_batch(loader=kwargs.get("train_dataloader"))

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a batch whose gradients are accumulated."""
        self._report(control)
        if self.run is not None:
            self.run.begin_batch(loader=kwargs.get("train_dataloader"))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report a batch and its update."""
        self._report(control)

    def _report(self, control: TrainerControl) -> None:
        run, loss = self.run, self._loss
        if run is None:
            return
        if loss is not None:
            logits, labels = self._logits, self._labels
            self._loss = self._logits = self._labels = None
            run.step(loss, logits, labels)
        if run.should_stop:
            control.should_training_stop = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the metrics for the end of the epoch."""
        self._metrics = kwargs.get("metrics") or {}

    def _end_epoch(self) -> None:
        if self.run is not None and self._is_open:
            metrics, self._metrics = self._metrics, {}
            self._is_open = False
            self.run.end_epoch(
                val_loss=metrics.get("eval_loss"), val_accuracy=metrics.get("eval_accuracy")
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the run."""
        if self._handle is not None:
            self._handle.remove()
        self._end_epoch()
        if self.run is not None:
            self.run.finish()
