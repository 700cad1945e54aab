"""Try updates of a model that has learned nothing: which learning rate lowers the loss at all?"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from tui_trainer.engine.batches import Batches
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.engine.run import Run
from tui_trainer.engine.steps import loss_fn
from tui_trainer.lab.trial import Trial
from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.models.unregistered_state import preserve_globals
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.probed import TriedRate, UpdatesTried

FACTORS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""The tried learning rates, relative to the run's."""

UPDATES = 10
"""Updates at each: enough for momentum to build up; all together cost as much as 90 steps."""

IMAGES = 128
"""The most images of the batch."""


class CommandWaitingError(Exception):
    """A command is waiting; the trial can be made later."""


def try_updates(run: Run) -> UpdatesTried:
    """Update copies of a run's model on one batch, at several learning rates.

    The batch is evenly spread over the training split and not augmented. The run is unchanged.

    Raises:
        CommandWaitingError: If a command arrives: its sender must not wait for all updates.
        Exception: Any error of the model; ValueError if its loss is not finite.
    """
    train = run.data.train
    count = min(run.batches.batch_size, IMAGES, len(train))
    places = torch.linspace(0, len(train) - 1, count).round().long().to(train.labels.device)
    batch = run.data.prepare(train.images[places]), train.labels[places]
    config = run.config
    with preserve_rng_state(train.labels.device), preserve_globals(run.model):
        lr = run.lr or run.base_lr
        losses = [_losses(run, config, batch, factor * lr) for factor in FACTORS]
        first = losses[0][0]
        if first is None:
            raise ValueError("the loss is not finite")
        plain = replace(config, weight_decay=0.0)
        without = _losses(run, plain, batch, lr)[1] if config.weight_decay else None
    return UpdatesTried(
        step=run.progress.step,
        epoch=run.progress.epoch,
        images=run.progress.images,
        lr=lr,
        updates=UPDATES,
        batch_size=count,
        loss=first,
        rates=tuple(TriedRate(factor=f, loss=x[1]) for f, x in zip(FACTORS, losses, strict=True)),
        without_decay=without,
    )


def _losses(
    run: Run, config: RunConfig, batch: tuple[Tensor, Tensor], lr: float
) -> tuple[float | None, float | None]:
    """Return the loss of the batch before the first and after the last update."""
    twin = copy_model(run.model)
    optimizer = make_optimizer(twin, config)
    trial = Trial(config, run.data, twin, optimizer, Batches(run.data, config))
    seed_all(0)
    with torch.enable_grad():
        first = _finite(trial.step(batch, lr))
        for _ in range(UPDATES - 1):
            if run.control.inbox.is_urgent:
                raise CommandWaitingError
            trial.step(batch, lr)
    seed_all(0)
    with torch.no_grad():
        return first, _finite(loss_fn(twin(batch[0]), batch[1]))


def _finite(loss: Tensor) -> float | None:
    return value if math.isfinite(value := float(loss)) else None
