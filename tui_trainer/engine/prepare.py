"""Prepare a run: data, model, optimizer, probes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import torch
from torch import nn

from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.engine.batches import Batches
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.engine.probes import Probes
from tui_trainer.engine.probes.sample import Sample
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.engine.run import Assistant, Control, Run
from tui_trainer.engine.steps import autocast
from tui_trainer.models.allocator import keep_freed_memory
from tui_trainer.models.build import (
    build_model,
    check_dropout,
    check_resizing,
    is_custom,
    to_channels_last,
)
from tui_trainer.models.device import Ranks, choose_precision, set_up
from tui_trainer.models.rng import seed_all
from tui_trainer.models.threads import MOST_IMAGES, choose_threads
from tui_trainer.models.unregistered_state import UnregisteredState
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.reference import absolute

ACCELERATOR_FLUSH = 32
"""Steps after which losses are read from an accelerator: each reading synchronizes with it."""


def prepare(
    config: RunConfig,
    inbox: Inbox,
    store: CheckpointStore,
    clock: Callable[[], float],
    assistant: Assistant | None = None,
    ranks: Ranks | None = None,
) -> Generator[Event, None, Run]:
    """Load the data, build the model, and return the run.

    Raises:
        InputError: If the device, the data, the model or the combination of settings is unusable.
    """
    config = replace(config, model=absolute(config.model))
    assistant, ranks = assistant or Assistant(), ranks or Ranks()
    check_dropout(config.model, config.dropout)
    ranks.check_batch_size(config.batch_size)
    device = ranks.choose_device(config.device)
    config = replace(config, precision=choose_precision(device, config.precision))
    threads = set_up(device, config.threads, config.precision)
    keep_freed_memory()
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    with ranks.first_before_others():  # one downloads
        data = yield from load(config, device)
    yield StateChanged(state="preparing", step=0, detail="building the model")
    seed_all(config.seed)
    model = build_model(
        config.model, image_size=data.input_size, classes=data.classes, dropout=config.dropout
    )
    layers, review = assistant.describe(model, data.example, data.classes, config.budget)
    if device.type != "mps":
        # Batch norm's gradients are wrong there (github.com/pytorch/pytorch/issues/175189).
        model = to_channels_last(model, data.input_size)
    model = model.to(device)
    if device.type == "cpu" and config.threads is None and threads > 1:
        yield StateChanged(state="preparing", step=0, detail="timing numbers of threads")
        count = min(config.batch_size, MOST_IMAGES)
        images = data.prepare(data.train.images[:count])
        labels = data.train.labels[:count]
        with autocast(device, config.precision):
            threads = ranks.first(lambda: choose_threads(model, images, labels))
        torch.set_num_threads(threads)
    if config.resize_until:
        smaller = data.prepare(data.train.images[:2], size=config.resize_to)
        check_resizing(model, config.model, smaller, data.image_size, data.classes)
    if is_custom(config.model):
        yield StateChanged(state="preparing", step=0, detail="trying the first training steps")
    first_probes = assistant.first_probes(model, data, config)
    run = assemble(config, data, model, layers, assistant, inbox, store, clock, threads, ranks)
    run.review, run.first_probes = review, first_probes
    if device.type == "cuda" and ranks.world_size == 1 and not is_custom(config.model):
        from tui_trainer.models.cuda_graphs import GraphedForward

        run.forward = GraphedForward(model, config.precision)
    return run


def assemble(
    config: RunConfig,
    data: Data,
    model: nn.Module,
    layers: tuple[LayerRow, ...],
    assistant: Assistant,
    inbox: Inbox,
    store: CheckpointStore,
    clock: Callable[[], float],
    threads: int,
    ranks: Ranks | None = None,
) -> Run:
    """Return the run of a model before its first batch; the model is on the data's device."""
    batches, progress, stopwatch = Batches(data, config, ranks), Progress(), Stopwatch(clock)
    sample = Sample(data, layers, assistant.trace, is_custom=is_custom(config.model))
    return Run(
        config=config,
        device=data.train.images.device,
        threads=threads,
        data=data,
        model=model,
        layers=layers,
        review=(),
        optimizer=make_optimizer(model, config),
        batches=batches,
        progress=progress,
        control=Control(inbox),
        stopwatch=stopwatch,
        store=store,
        probes=Probes(
            *(model, data, batches, progress, stopwatch, sample),
            try_updates=assistant.try_updates,
            wanted=config.probes,
        ),
        assistant=assistant,
        base_lr=config.base_lr,
        flush_every=1 if data.train.images.device.type == "cpu" else ACCELERATOR_FLUSH,
        unregistered=UnregisteredState(model) if is_custom(config.model) else None,
        ranks=ranks or Ranks(),
    )
