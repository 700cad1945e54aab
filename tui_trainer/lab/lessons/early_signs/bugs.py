"""Bugs to try on purpose, each in a small model next to a healthy one."""

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
"""The model of the zoo that is trained; it has batch norm after every convolution."""

BATCH = 32

LR_FACTOR = 30.0
"""The factor by which the learning rate is too high."""

SHIFT = -5.0
"""The initial β of a batch norm that makes its ReLU dead: its input has variance 1."""

LR, LABELS, NORM, DEAD, SOFTMAX = BUGS = (
    "learning rate ×30",
    "shuffled labels",
    "no batch norm",
    "dead start",
    "softmax twice",
)
"""The names of the bugs."""

ABOUT = {
    LR: "The learning rate is 30 times as high as it should be.",
    LABELS: "Images and labels are out of step: each image has the label of another.",
    NORM: "Batch norm is removed, and nothing else is adjusted.",
    DEAD: f"Every batch norm starts with a shift of {SHIFT:g}: its ReLU gets negative inputs.",
    SOFTMAX: "The network ends with a softmax, and the loss applies another one.",
}


def healthy(context: Context, name: str, *, seed: int = SEED) -> Arm:
    """Return a healthy training; another seed draws other initial weights."""
    model = context.fresh(MODEL)
    if seed != SEED:
        seed_all(seed)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    return arm(context, name, model, batch_size=BATCH)


def buggy(context: Context, bug: str) -> Arm:
    """Return the same training with one of :data:`BUGS`."""
    model, data = context.fresh(MODEL), context.data
    settings: dict[str, object] = {"batch_size": BATCH}
    match bug:
        case "learning rate ×30":
            settings["lr"] = LR_FACTOR * float(str(RECIPE["lr"]))
        case "shuffled labels":
            data = _mislabeled(data)
        case "no batch norm":
            _each_norm(model, lambda norm: nn.Identity())
        case "dead start":
            _each_norm(model, _shifted)
        case _:
            model = nn.Sequential(model, nn.Softmax(dim=1))
    return arm(context, bug, model, data, **settings)


def _mislabeled(data: Data) -> Data:
    labels = data.train.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    return replace(data, train=Split(data.train.images, labels[order.to(labels.device)]))


def _each_norm(model: nn.Module, change: Callable[[nn.Module], nn.Module]) -> None:
    """Replace every batch norm."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, change(child))


def _shifted(norm: nn.Module) -> nn.Module:
    if isinstance(norm, _BatchNorm) and norm.bias is not None:
        nn.init.constant_(norm.bias, SHIFT)
    return norm
