"""The learning rate finder: range tests over several seeds, and what they suggest.

A test trains a copy, as the run's own loop does, while the learning rate grows geometrically. Each
seed has its own order of the images, augmentation and dropout, and from new weights its own
initialization.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tui_trainer.engine.batches import Batches
from tui_trainer.engine.optimizers import Optimizer, make_optimizer
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.lr_finder_exhibit import Outcome, outcome, progress
from tui_trainer.lab.trial import SLICE, Trial
from tui_trainer.models.build import build_model
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import seed_all
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.protocol.lr_range import FRESH, SEEDS, START, STEPS, range_controls
from tui_trainer.protocol.schedules import highest_factor
from tui_trainer.stats.lr_doubts import Setup, doubts
from tui_trainer.stats.lr_range import MovingLoss, RangeTest, learning_rates, suggestion
from tui_trainer.text.fmt import count, learning_rate, plural

SEEDS_END = 2**32
"""Seeds are below this: NumPy takes no others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tested.

    Attributes:
        is_fresh: Whether each seed has new weights; otherwise all have the current ones.
        seeds: The seeds.
        lrs: The learning rate of each update.
    """

    is_fresh: bool
    seeds: tuple[int, ...]
    lrs: tuple[float, ...]


@dataclass
class _Running:
    """The tests so far: those that are done, and the losses of the one that runs."""

    plan: Plan
    tests: list[RangeTest] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of all updates that is done, 0 to 1."""
        updates = len(self.tests) * len(self.plan.lrs) + len(self.losses)
        return updates / (len(self.plan.seeds) * len(self.plan.lrs))

    def so_far(self) -> list[RangeTest]:
        """Return the finished tests and the unfinished one."""
        return [*self.tests, self._current()] if self.losses else [*self.tests]

    def finish(self) -> None:
        """Add the test that runs to those that are done."""
        self.tests.append(self._current())
        self.losses.clear()

    def _current(self) -> RangeTest:
        seed, lrs = self.plan.seeds[len(self.tests)], self.plan.lrs
        return RangeTest(seed, lrs[: len(self.losses)], tuple(self.losses), len(lrs))


def find_lr(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Describe the range tests, or run them and show what they suggest."""
    plan = _plan(context, controls)
    if isinstance(plan, str):
        yield Exhibit(blocks=(Words(text=plan, tone="error"),))
        return
    setup = Words(text=_setup_text(context, plan), tone="muted")
    if not confirmed:
        tests = plural(len(plan.seeds), "copy" if len(plan.seeds) == 1 else "copies", "")
        trains = f"train {tests} for {count(len(plan.lrs))} updates each at growing learning rates"
        yield Exhibit(blocks=(setup,), trains=trains)
        return
    running = _Running(plan)
    yield Exhibit(blocks=(setup,), progress=0.0)
    shown = context.clock()
    for _ in _updates(context, running):
        if context.clock() - shown >= SLICE:
            shown = context.clock()
            yield progress(running.so_far(), plan.lrs, setup, running.share)
    yield outcome(_outcome(context, plan, running.tests), setup)


def _plan(context: Context, controls: Controls) -> Plan | str:
    """Return what the controls ask for, or why that is not possible."""
    config = context.config
    start = controls.word(START if context.step else replace(START, value=FRESH))
    seeds, updates = controls.whole(SEEDS), controls.whole(STEPS)
    low, high = map(controls.number, range_controls(config.optimizer))
    if not low < high:
        ends = f"from {learning_rate(low)} to {learning_rate(high)}"
        return f"There are no learning rates {ends}: choose a lower end below the upper one."
    numbers = tuple((config.seed + 1 + i) % SEEDS_END for i in range(seeds))
    return Plan(start == FRESH, numbers, learning_rates(low, high, updates))


def _setup_text(context: Context, plan: Plan) -> str:
    """Return what the tests train, and on what."""
    config = context.config
    if plan.is_fresh:
        weights = f"{config.model}, untrained: each seed draws other initial weights"
    else:
        weights = f"the weights and the {config.optimizer} state after step {count(context.step)}"
    return (
        f"Copies of {weights}. Each seed has its own order of the images, "
        f"augmentation and dropout. {config.optimizer}, batches of {count(config.batch_size)}, "
        f"from {learning_rate(plan.lrs[0])} to {learning_rate(plan.lrs[-1])}. The run's own base "
        f"learning rate is {learning_rate(config.base_lr)}."
    )


def _updates(context: Context, running: _Running) -> Iterator[None]:
    """Make all updates of all tests, one per step of the iteration."""
    plan = running.plan
    for seed in plan.seeds:
        trial = _trial(context, plan, seed)
        done = 0.0 if plan.is_fresh else context.done
        moving = MovingLoss()
        for number, lr in enumerate(plan.lrs):
            # A slice begins with other rng states: the loss must not depend on the clock.
            seed_all((seed * len(plan.lrs) + number) % SEEDS_END)
            loss = float(trial.step(_next_batch(trial, done), lr))
            running.losses.append(loss)
            moving.add(loss)
            yield
            if moving.has_exploded:
                break
        running.finish()


def _trial(context: Context, plan: Plan, seed: int) -> Trial:
    """Return the training of one seed: of new weights, or of copies of the run's state."""
    config = replace(context.config, seed=seed)
    if plan.is_fresh:
        model = context.build(
            lambda: build_model(
                config.model,
                image_size=context.data.input_size,
                classes=context.data.classes,
                dropout=config.dropout,
            ),
            seed,
        )
        optimizer = make_optimizer(model, config)
    else:
        model = copy_model(context.model)
        begin_training(model)
        optimizer = make_optimizer(model, config)
        _copy_state(context.optimizer, optimizer)
    batches = Batches(context.data, config)
    batches.augmenting = context.is_augmenting
    return Trial(config, context.data, model, optimizer, batches, precision=config.precision)


def _copy_state(source: Optimizer | None, target: Optimizer) -> None:
    """Copy momentum, or Adam's moments and step counts."""
    state = {} if source is None else source.state_tensors()
    with torch.no_grad():
        for name, tensor in target.state_tensors().items():
            if name in state:
                tensor.copy_(state[name])


def _next_batch(trial: Trial, done: float) -> tuple[Tensor, Tensor]:
    """Return the next batch of a test, prepared as at that share of the run's training."""
    if not trial.batches.stream.remaining:
        trial.batches.stream.begin_epoch()
    return trial.batches.next(done)


def _outcome(context: Context, plan: Plan, tests: list[RangeTest]) -> Outcome:
    """Return the suggestion of all tests, what makes it unreliable, and the base rate for it."""
    config, found = context.config, suggestion(tests)
    setup = Setup(
        low=plan.lrs[0],
        high=plan.lrs[-1],
        updates=len(plan.lrs),
        batch_size=config.batch_size,
        train_images=len(context.data.train),
        is_fresh=plan.is_fresh,
    )
    done = 0.0 if plan.is_fresh else context.done
    return Outcome(
        tests=tuple(tests),
        lrs=plan.lrs,
        suggestion=found,
        doubts=doubts(tests, found, setup),
        is_fresh=plan.is_fresh,
        step=context.step,
        schedule=config.schedule,
        factor=highest_factor(config, done * config.epochs),
    )
