"""Where the first steps are tried: a fresh network, some images, and chance of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from tui_trainer.anatomy.trace import Step
from tui_trainer.data.dataset import Data, Split
from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.plan import Plan, whole_plan
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.copies import copy_model
from tui_trainer.models.rng import preserve_rng_state, rng_tensors, seed_all, set_rng_tensors
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.layers import LayerRow

SPEED_STEPS = 4
"""Steps by which the plan is made, after a first one; the fastest counts."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the items of a check work with. None of them changes anything in it.

    Attributes:
        config: The run that is checked.
        data: Its images; the test set is left sealed.
        device: Where they lie.
        layers: The layer table of the network.
        model: A fresh network, built with the run's seed as the run builds it.
        rng_states: The states of the global generators after that, from which dropout is drawn.
        plan: How much is tried.
        sample: Some training images, each class with its share.
        val_sample: As many of the validation split, or all; empty where there is none.
        clock: Seconds that only go up.
    """

    config: RunConfig
    data: Data
    device: torch.device
    layers: tuple[LayerRow, ...]
    model: nn.Module
    rng_states: Mapping[str, torch.Tensor]
    plan: Plan
    sample: Split
    val_sample: Split
    clock: Callable[[], float]

    @contextmanager
    def seeded_rng(self) -> Generator[None]:
        """Draw from the generators as a run of this seed would, and put them back."""
        with preserve_rng_state(self.device):
            seed_all(self.config.seed)
            set_rng_tensors(self.rng_states)
            yield

    def copy(self) -> nn.Module:
        """Return a copy of the network, in training mode."""
        return copy_model(self.model)

    def trial(self, **settings: object) -> Trial:
        """Return a training of a copy of the network; ``settings`` take the place of the run's."""
        return make_trial(self.model, self.data, replace(self.config, **settings))  # type: ignore[arg-type]

    def name_of(self, place: int, step: Step) -> str:
        """Return what the layer table calls a step of the network's trace."""
        return self.layers[place].name if place < len(self.layers) else step.call.name


def open_check(context: Context) -> CheckContext:
    """Build a fresh network and choose the images; nothing of a run under way is touched.

    Raises:
        InputError: If the network cannot be built.
    """
    config, data, clock = context.initial, context.data, context.clock
    with preserve_rng_state(context.device):
        model = context.build(context.built, config.seed)
        rng_states = rng_tensors()
    with preserve_rng_state(context.device):
        plan = whole_plan(config.batch_size, _speed(model, data, config, clock))
    return CheckContext(
        config=config,
        data=data,
        device=context.device,
        layers=context.layers,
        model=model,
        rng_states=rng_states,
        plan=plan,
        sample=data.train.sample(plan.sample),
        val_sample=data.val.sample(plan.val_sample),
        clock=clock,
    )


def _speed(model: nn.Module, data: Data, config: RunConfig, clock: Callable[[], float]) -> float:
    """Return how many images a second are trained on, by the fastest of a few steps."""
    trial = make_trial(model, data, config)
    float(trial.step())
    fastest = 0.0
    for _ in range(SPEED_STEPS):
        images, began = trial.images, clock()
        float(trial.step())
        fastest = max(fastest, (trial.images - images) / max(1e-9, clock() - began))
    return fastest
