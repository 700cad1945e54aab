"""Everything a run needs before its first batch."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import replace

import torch

from tui_trainer.data.dataset import BatchStream, load
from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.device import choose_device, set_up
from tui_trainer.engine.memory import keep_freed_memory
from tui_trainer.engine.optimizers import make_optimizer
from tui_trainer.engine.preflight import is_custom, try_model
from tui_trainer.engine.probes import Probes
from tui_trainer.engine.probes.sample import Sample
from tui_trainer.engine.session import Assistant, Session
from tui_trainer.engine.threads import MOST_IMAGES, choose_threads
from tui_trainer.engine.timing import Stopwatch
from tui_trainer.models.build import build_network, check_dropout, use_innermost_channels
from tui_trainer.models.outside import OutsideState
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, StateChanged
from tui_trainer.protocol.reference import absolute

ACCELERATOR_FLUSH = 32
"""Steps between two readings of an accelerator's losses: each reading waits for the device."""


def prepare(
    config: RunConfig,
    inbox: Inbox,
    keeper: Keeper,
    clock: Callable[[], float],
    assistant: Assistant | None = None,
) -> Generator[Event, None, Session]:
    """Load the data and build the network.

    Raises:
        InputError: If the device, the data, the network or the combination of settings cannot be
            used.
    """
    config = replace(config, model=absolute(config.model))
    assistant = assistant or Assistant()
    check_dropout(config.model, config.dropout)
    device = choose_device(config.device)
    threads = set_up(device, config.threads)
    keep_freed_memory()
    yield StateChanged(state="preparing", step=0, detail="reading the images")
    data = yield from load(config, device)
    yield StateChanged(state="preparing", step=0, detail="building the network")
    seed_all(config.seed)
    network = build_network(
        config.model, image_size=data.image_size, classes=data.classes, dropout=config.dropout
    )
    layers = assistant.describe(network, data.shape, data.classes)
    network = network.to(device)
    if device.type == "cpu":
        # Not on mps: batch norm's gradients are wrong there
        # (github.com/pytorch/pytorch/issues/175189).
        network = use_innermost_channels(network, data.image_size)
        if config.threads is None and threads > 1:
            yield StateChanged(state="preparing", step=0, detail="trying numbers of threads")
            count = min(config.batch_size, MOST_IMAGES)
            images = data.prepare(data.train.images[:count])
            threads = choose_threads(network, images, data.train.labels[:count])
    tried = None
    if is_custom(config.model):
        yield StateChanged(state="preparing", step=0, detail="trying the first steps")
        tried = try_model(network, data, config)
    return Session(
        config=config,
        inbox=inbox,
        device=device,
        threads=threads,
        data=data,
        network=network,
        layers=layers,
        optimizer=make_optimizer(network, config),
        stream=BatchStream(len(data.train), generator_for(config.seed, "order"), device),
        chance=generator_for(config.seed, "augmentation"),
        watch=Stopwatch(clock),
        keeper=keeper,
        assistant=assistant,
        probes=Probes(
            network,
            Sample(data, layers, assistant.trace),
            wanted=config.probes,
            steps_an_epoch=len(data.train) // config.batch_size,
        ),
        flush_every=1 if device.type == "cpu" else ACCELERATOR_FLUSH,
        base_rate=config.learning_rate,
        batch_size=config.batch_size,
        augmenting=not config.augmentation.is_none,
        tried=tried,
        outside=OutsideState(network) if is_custom(config.model) else None,
    )


def generator_for(seed: int, use: str) -> torch.Generator:
    """Return a generator of its own for each use, so that none disturbs another's sequence."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {use}").getrandbits(63))
