"""Describe what a script trains, from the hooks and the loader."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.anatomy.description import layers_of
from tui_trainer.models.build import dropout_of
from tui_trainer.models.copies import copy_model
from tui_trainer.models.input_spec import InputSpec
from tui_trainer.models.rng import preserve_rng_state
from tui_trainer.models.unregistered_state import preserve_globals
from tui_trainer.protocol.config import MAX_BATCH_SIZE, MAX_EPOCHS, OPTIMIZERS, RunConfig
from tui_trainer.protocol.events import RunStarted
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.watching.evaluation import device_of
from tui_trainer.watching.knobs import Knobs
from tui_trainer.watching.loaders import class_names_of, dataset_name, fixed_batch_size
from tui_trainer.watching.script import processes, script_path
from tui_trainer.watching.snapshots import Stateful

UNKNOWN_SIZE = 60_000
"""Examples of an epoch whose length nobody knows, until the first has ended."""

MOST_PARAMETERS = 50_000_000
"""Parameters of a model above which no copy of it is traced."""

EVERYTHING = (
    *("base_lr", "batch_size", "epochs", "dropout"),
    *("Pause", "Resume", "RunStep", "RunEpoch", "Stop"),
)
"""What a command can change in a script that trains alone."""


def settings_of(
    optimizers: Sequence[Optimizer], knobs: Knobs, *, model: str, data_dir: str | None = None
) -> RunConfig:
    """Return the settings of the run: those that a script has too.

    Args:
        optimizers: The optimizers of the script.
        knobs: Its knobs.
        model: A reference to the model.
        data_dir: The folder of its recorded inputs.
    """
    kind = type(optimizers[0]).__name__.lower()
    lr = knobs.lr.initial
    return RunConfig(
        model=model,
        data_dir=data_dir,
        epochs=min(knobs.epochs, MAX_EPOCHS),
        batch_size=min(max(1, knobs.batch_size), MAX_BATCH_SIZE),
        lr=lr if 0 < lr <= 1_000 else None,
        optimizer=kind if kind in OPTIMIZERS else "sgd",
        schedule="constant",
        augment="none",
        seed=torch.initial_seed() % 2**32,
        threads=min(torch.get_num_threads(), 1_024),
    )


def started(
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: Stateful | None,
    knobs: Knobs,
    *,
    name: str,
    inputs: Tensor | None,
    logits: Tensor | None,
    epoch_size: int | None,
    unavailable: dict[str, str],
) -> RunStarted:
    """Describe the run at the end of its first step, when everything is known.

    Args:
        model: The model, without wrappers.
        optimizer: The first optimizer.
        scheduler: Its scheduler, if the script has named it.
        knobs: The knobs, which know the loader.
        name: The name of the model.
        inputs: The first tensor that the model got.
        logits: The output of the model.
        epoch_size: Training examples in an epoch; None if nobody knows.
        unavailable: What commands cannot change, with the reasons.
    """
    group = optimizer.param_groups[0]
    parameters = sum(p.numel() for p in model.parameters())
    is_image = inputs is not None and inputs.ndim == 4
    classes = 2 if logits is None or logits.ndim < 2 else max(2, int(logits.shape[1]))
    return RunStarted(
        model=name,
        dataset="script" if knobs.loader is None else dataset_name(knobs.loader),
        classes=classes,
        class_names=() if knobs.loader is None else class_names_of(knobs.loader, classes),
        image_size=int(inputs.shape[-1]) if inputs is not None and is_image else 0,
        parameters=parameters,
        budget=max(1, parameters),  # nobody has set one: shares are those of the model
        layers=layers_of_model(model, inputs, classes),
        train_size=epoch_size or UNKNOWN_SIZE,
        val_size=0,
        test_size=0,
        channels=int(inputs.shape[1]) if inputs is not None and is_image else 1,
        mean=(0.0,),
        std=(1.0,),
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        base_lr=knobs.lr.initial,
        optimizer=type(optimizer).__name__.lower(),
        schedule="script" if scheduler is None else type(scheduler).__name__.lower(),
        augmentation=False,
        dropout=dropout_of(model),
        seed=torch.initial_seed() % 2**32,
        device=device_of(model).type,
        threads=torch.get_num_threads(),
        momentum=_number(group.get("momentum")),
        weight_decay=_number(group.get("weight_decay")),
        script=os.path.basename(script_path()),
        unavailable=tuple(unavailable.items()),
    )


def layers_of_model(model: nn.Module, inputs: Tensor | None, classes: int) -> tuple[LayerRow, ...]:
    """Return the layer table of a model, traced on a copy; empty where it cannot be.

    Args:
        model: The model, without wrappers.
        inputs: A batch of its input; None if it takes none or several tensors.
        classes: The number of classes.
    """
    if inputs is None or sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS:
        return ()
    try:
        with (
            preserve_rng_state(device_of(model)),
            preserve_globals(model),
            warnings.catch_warnings(action="ignore"),  # the script has had them itself
        ):
            return layers_of(copy_model(model).cpu(), InputSpec.of(inputs), classes)
    except Exception:  # of a model that somebody else wrote; its run needs no table
        return ()


def unavailable_commands(loader: Any, *, has_epochs: bool, is_asked: bool) -> dict[str, str]:
    """Return the knobs and commands that this loop cannot take, with the reasons.

    Args:
        loader: The loader of ``run.batches()``; None if the loop does not use it.
        has_epochs: Whether the loop uses ``run.epochs()``.
        is_asked: Whether the loop asks for ``run.should_stop``.
    """
    reasons = {
        "augmentation": "the script prepares its own images",
        "EvaluateTest": "the script has its own test set",
        "Rewind": "a script cannot go back; start it again, with run.resume()",
    }
    if reason := fixed_batch_size(loader):
        reasons["batch_size"] = reason
    if not has_epochs:
        reasons["epochs"] = "the script does not use run.epochs()"
    if loader is None and not has_epochs:
        reasons["RunEpoch"] = "the script does not say where an epoch ends"
        if not is_asked:
            reasons["Stop"] = "the script uses neither run.batches() nor run.should_stop"
    if (count := processes()) > 1:
        reason = f"the script trains in {count} processes; only this one would change"
        reasons |= dict.fromkeys(EVERYTHING, reason)
    return reasons


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
