"""The networks that the lessons train, as models of a run: each is healthy."""

from __future__ import annotations

from torch import nn

from tui_trainer.lab.lessons.kernels.experiment import plan
from tui_trainer.lab.lessons.layers.arithmetic import width_for
from tui_trainer.lab.lessons.layers.experiment import BUDGET, stack_model
from tui_trainer.lab.lessons.max_pooling_distance.experiment import pooled_model
from tui_trainer.lab.lessons.overfitting.few_digits import HIDDEN
from tui_trainer.lab.lessons.transition_position.arithmetic import KERNELS
from tui_trainer.lab.lessons.transition_position.experiment import with_transition
from tui_trainer.lab.model_variants import stack, zoo_model

CLASSES = 10


def kernels_4() -> nn.Module:
    """Build the lesson's network with four kernels in its first convolution."""
    return stack(plan(4), CLASSES)


def kernels_16() -> nn.Module:
    """Build the same with sixteen."""
    return stack(plan(16), CLASSES)


def layers_2() -> nn.Module:
    """Build two convolutions within the lesson's budget."""
    return stack_model(2, width_for(BUDGET, 2, CLASSES), CLASSES)


def layers_4() -> nn.Module:
    """Build four convolutions within the same budget."""
    return stack_model(4, width_for(BUDGET, 4, CLASSES), CLASSES)


def pool_late() -> nn.Module:
    """Build a network whose last pool has one layer after it."""
    return pooled_model(1, CLASSES)


def pool_early() -> nn.Module:
    """Build a network whose last pool has four layers after it."""
    return pooled_model(4, CLASSES)


def transition_1() -> nn.Module:
    """Build a transition after the first layer."""
    return with_transition(KERNELS, 1, CLASSES)


def transition_3() -> nn.Module:
    """Build a transition after the third layer."""
    return with_transition(KERNELS, 3, CLASSES)


def normalized_logits() -> nn.Module:
    """Build the model ``small`` with batch norm on its logits."""
    return nn.Sequential(zoo_model("small", 28, CLASSES), nn.BatchNorm1d(CLASSES))


def digits() -> nn.Module:
    """Build the network with one hidden layer that memorizes few digits."""
    layers = (nn.Flatten(), nn.Linear(28 * 28, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    return nn.Sequential(*layers)
