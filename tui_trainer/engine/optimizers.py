"""The optimizers a run can choose."""

from __future__ import annotations

import torch
from torch import nn

from tui_trainer.run.config import RunConfig


def make_optimizer(network: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    """Build the optimizer of a run; its learning rate is set anew before each step.

    Weight decay is PyTorch's: added to the gradient for SGD and Adam, decoupled for AdamW.
    """
    parameters = list(network.parameters())
    rate, decay = config.learning_rate, config.weight_decay
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
        case _:
            return torch.optim.SGD(
                parameters,
                lr=rate,
                momentum=config.momentum,
                nesterov=config.nesterov,
                weight_decay=decay,
            )
