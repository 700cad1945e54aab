"""The context of a check: a new model, a sample of images, and its own rng states."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from tui_trainer.anatomy.trace import Step
from tui_trainer.data.dataset import Data, Split
from tui_trainer.lab.context import Context
from tui_trainer.lab.preflight.first_run import FirstRun, train_first_steps
from tui_trainer.lab.preflight.plan import Plan, whole_plan, work_of
from tui_trainer.lab.trial import Trial, make_trial
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import preserve_rng_state, rng_tensors, seed_all, set_rng_tensors
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe


@dataclass(frozen=True)
class CheckContext:
    """The read-only input of the check items.

    Attributes:
        config: The settings of the checked run.
        data: Its images; the test set stays sealed.
        device: The device of the images.
        layers: The layer table of the model.
        model: A new model, built with the run's seed as the run builds it.
        rng_states: The states of the global rngs after that, as dropout will use them.
        plan: How much is tried.
        sample: A stratified sample of training images.
        val_sample: A stratified sample of the validation split; empty if there is none.
        clock: A monotonic clock in seconds, for the time of an epoch alone.
        probes: The checks of the data and the model before the first step.
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
    probes: tuple[Probe, ...] = ()

    @cached_property
    def first(self) -> FirstRun:
        """The first steps of the run, trained once."""
        model = self.copy()
        begin_training(model)
        with self.seeded_rng():
            return train_first_steps(
                model,
                self.data,
                self.config,
                layers=self.layers,
                probes=self.probes,
                steps=self.plan.steps,
                clock=self.clock,
            )

    @contextmanager
    def seeded_rng(self) -> Generator[None]:
        """Set the global rngs as at the start of the run, and restore them afterwards."""
        with preserve_rng_state(self.device):
            seed_all(self.config.seed)
            set_rng_tensors(self.rng_states)
            yield

    def copy(self) -> nn.Module:
        """Return a copy of the model, in training mode."""
        return copy_model(self.model)

    def trial(self, **settings: object) -> Trial:
        """Return the training of a copy of the model; ``settings`` override those of the run."""
        return make_trial(self.model, self.data, replace(self.config, **settings))  # type: ignore[arg-type]

    def name_of(self, place: int, step: Step) -> str:
        """Return the name of a traced operation in the layer table."""
        return self.layers[place].name if place < len(self.layers) else step.call.name


def open_check(context: Context) -> CheckContext:
    """Build a new model and sample the images; a run in progress is not affected.

    Raises:
        InputError: If the model cannot be built.
    """
    config, data = context.initial, context.data
    with preserve_rng_state(context.device):
        model = context.build(context.built, config.seed)
        rng_states = rng_tensors()
    plan = whole_plan(config.batch_size, work_of(context.layers))
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
        clock=context.clock,
        probes=context.first_probes,
    )
