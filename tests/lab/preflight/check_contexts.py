"""Small check contexts: a few hundred images of 12×12 pixels, and models that learn them fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.description import layers_of
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.data.neighbors import probe_data
from tui_trainer.lab.preflight import Group, items_of
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.custom_trial import try_model
from tui_trainer.lab.preflight.plan import Plan
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import rng_tensors
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import CheckItem
from tui_trainer.protocol.probed import ModelProbed

SIDE = 12
CPU = torch.device("cpu")
PLAN = Plan(steps=60, sample=256, val_sample=300)

SETTINGS: dict[str, Any] = {
    "model": "small",
    "batch_size": 32,
    "augment": "none",
    "schedule": "constant",
    "lr": 0.05,
    "device": "cpu",
    "threads": 1,
}


def loaded(config: RunConfig) -> Data:
    """Return a run's data."""
    loading = load(config, CPU)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            data: Data = end.value
            return data


def good(*, width: int = 8, ends_with: nn.Module | None = None) -> nn.Sequential:
    """Return a small healthy model."""
    torch.manual_seed(1)
    layers: list[nn.Module] = [
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * (SIDE // 2) ** 2, 10),
    ]
    return nn.Sequential(*layers, *([ends_with] if ends_with is not None else []))


def check_context_of(
    data: Data,
    model: nn.Module,
    *,
    plan: Plan = PLAN,
    clock: Callable[[], float] = time.perf_counter,
    **settings: Any,
) -> CheckContext:
    """Return a check context for a given model."""
    begin_training(model)
    config = RunConfig(**{**SETTINGS, **settings})
    return CheckContext(
        config=config,
        data=data,
        device=CPU,
        layers=layers_of(model, data.shape, data.classes),
        model=model,
        rng_states=rng_tensors(),
        plan=plan,
        sample=data.train.sample(plan.sample),
        val_sample=data.val.sample(plan.val_sample),
        clock=clock,
        probes=(probe_data(data), *_tried(model, data, config)),
    )


def _tried(model: nn.Module, data: Data, config: RunConfig) -> tuple[ModelProbed, ...]:
    """Return the probe of a custom model of another file, as before a run."""
    kind = type(model)
    if kind.__module__ in (__name__, "torch.nn.modules.container"):
        return ()
    return (try_model(model, data, replace(config, model=f"{kind.__module__}:{kind.__name__}")),)


def item(group: Group, context: CheckContext, name: str) -> CheckItem:
    """Return one item of a group, tried as in a check; once for all items of a context."""
    tried: dict[Group, list[CheckItem]] = vars(context).setdefault("_tried", {})
    if group not in tried:
        tried[group] = items_of(group, context)
    (found,) = [item for item in tried[group] if item.code == name]
    return found


def darker(data: Data, part: str, by: int) -> Data:
    """Return data whose ``part``, train or val, is darker."""
    split = getattr(data, part)
    return replace(data, **{part: replace(split, images=split.images // by)})


def shuffled(data: Data) -> Data:
    """Return data whose training labels belong to other images."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(3))
    return replace(data, train=replace(data.train, labels=data.train.labels[order]))


class Changed(nn.Module):
    """A model with a modified input or output."""

    def __init__(self, inside: nn.Module, change: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inside = inside
        self._change = change

    def forward(self, images: Tensor) -> Tensor:
        return self._change(self.inside, images)
