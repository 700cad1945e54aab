"""Faults to try on purpose, each in a small network beside a healthy one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.data.dataset import Data, Split
from tui_trainer.lab.compare import RECIPE, arm
from tui_trainer.lab.context import SEED, Context
from tui_trainer.lab.trial import Arm
from tui_trainer.models.rng import seed_all

MODEL = "small"
"""The network of the zoo that is trained: batch norm behind every convolution."""

BATCH = 32

TIMES = 30.0
"""By how much the learning rate is too high."""

SHIFT = -5.0
"""What a batch norm begins with if its ReLU is to be dead: its input has variance 1."""

RATE, LABELS, NORM, DEAD, SOFTMAX = FAULTS = (
    "rate ×30",
    "shuffled labels",
    "no batch norm",
    "dead start",
    "softmax twice",
)
"""The faults by name."""

ABOUT = {
    RATE: "The learning rate is 30 times as high as it should be.",
    LABELS: "Images and labels are out of step: each image has the label of another one.",
    NORM: "Batch norm is taken out, and nothing else is changed for it.",
    DEAD: f"Every batch norm begins with a shift of {SHIFT:g}: what its ReLU gets is negative.",
    SOFTMAX: "The network ends with a softmax, and the loss takes another one.",
}


def healthy(context: Context, name: str, *, seed: int = SEED) -> Arm:
    """Return a sound training; another seed draws other first weights."""
    network = context.fresh(MODEL)
    if seed != SEED:
        seed_all(seed)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    return arm(context, name, network, batch_size=BATCH)


def faulty(context: Context, fault: str) -> Arm:
    """Return the same training with one of :data:`FAULTS`."""
    network, data = context.fresh(MODEL), context.data
    settings: dict[str, object] = {"batch_size": BATCH}
    match fault:
        case "rate ×30":
            settings["lr"] = TIMES * float(str(RECIPE["lr"]))
        case "shuffled labels":
            data = _mislabelled(data)
        case "no batch norm":
            _each_norm(network, lambda norm: nn.Identity())
        case "dead start":
            _each_norm(network, _shifted)
        case _:
            network = nn.Sequential(network, nn.Softmax(dim=1))
    return arm(context, fault, network, data, **settings)


def _mislabelled(data: Data) -> Data:
    labels = data.train.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    return replace(data, train=Split(data.train.images, labels[order.to(labels.device)]))


def _each_norm(network: nn.Module, change: Callable[[nn.Module], nn.Module]) -> None:
    """Put something in the place of every batch norm."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, change(child))


def _shifted(norm: nn.Module) -> nn.Module:
    if isinstance(norm, _BatchNorm) and norm.bias is not None:
        nn.init.constant_(norm.bias, SHIFT)
    return norm
