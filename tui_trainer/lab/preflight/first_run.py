"""The first steps of the run, trained by the engine with its probes and read by the findings.

What a run of these steps would report, the check reports: the same batches, the same bits, the same
rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import nn

from tui_trainer.data.dataset import Data
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.loop import train_step
from tui_trainer.engine.prepare import assemble
from tui_trainer.engine.probes import STUCK
from tui_trainer.engine.progress import Progress
from tui_trainer.engine.run import DivergedError, Run
from tui_trainer.findings import with_findings
from tui_trainer.history.history import History
from tui_trainer.lab.probe_assistant import ProbeAssistant
from tui_trainer.lab.updates_trial import try_updates
from tui_trainer.models.copies import copy_model
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, FindingRaised, StepDone
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.protocol.probed import Probe, SampleProbed

BY_THE_CLOCK = frozenset({"slower", "input_bound", "memory_short"})
"""Findings that depend on the load of the machine; the check leaves them out."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstRun:
    """The first steps of the run.

    Attributes:
        history: What the run has reported, with the findings that are active at the end.
        steps: Its steps.
        model: The model after them.
    """

    history: History
    steps: tuple[StepDone, ...]
    model: nn.Module

    @property
    def losses(self) -> tuple[float, ...]:
        """The loss of each batch, before its update."""
        return tuple(step.loss for step in self.steps)

    @property
    def findings(self) -> tuple[FindingRaised, ...]:
        """The findings that do not depend on the clock, in the order of the rules."""
        return tuple(f for f in self.history.findings.values() if f.code not in BY_THE_CLOCK)


def train_first_steps(
    model: nn.Module,
    data: Data,
    config: RunConfig,
    *,
    layers: tuple[LayerRow, ...],
    probes: Sequence[Probe],
    steps: int,
    clock: Callable[[], float],
) -> FirstRun:
    """Train a model for some steps, as the engine does.

    Args:
        model: The initial model, in training mode; it is trained.
        data: The run's images.
        config: The run's settings.
        layers: The layer table of the model.
        probes: The checks of the data and the model before the first step.
        steps: The most steps; a shorter run is trained to its end.
        clock: A monotonic clock in seconds.
    """
    initial = copy_model(model)
    run = _run_of(model, data, config, layers, probes, clock)
    history, done = History(), []
    for event in with_findings(_events(run, steps, initial)):
        history.apply(event)
        if isinstance(event, StepDone):
            done.append(event)
    return FirstRun(history, tuple(done), run.model)


def _run_of(
    model: nn.Module,
    data: Data,
    config: RunConfig,
    layers: tuple[LayerRow, ...],
    probes: Sequence[Probe],
    clock: Callable[[], float],
) -> Run:
    config, store = replace(config, probes=True), CheckpointStore()
    threads = torch.get_num_threads()
    run = assemble(config, data, model, layers, _Tracer(), Inbox(), store, clock, threads)
    run.first_probes = tuple(probes)
    return run


class _Tracer(ProbeAssistant):
    """Leaves the trial of updates to the end, where the initial model is tried."""

    def try_updates(self) -> Iterator[Probe]:
        yield from ()


def _events(run: Run, steps: int, initial: nn.Module) -> Iterator[Event]:
    yield run.started()
    yield from run.first_probes
    run.stopwatch.start()
    learns = False
    try:
        for _ in range(steps):
            if not run.batches.stream.remaining:
                if run.progress.epoch == run.config.epochs:
                    break
                run.begin_epoch()
            yield from run.probes.before_training()
            train_step(run)
            yield from run.flush()
            yield from run.probes.after_step()
        run.check_weights()
        for probe in run.probes.at_end_of_epoch():
            if isinstance(probe, SampleProbed):
                learns = probe.loss < STUCK * math.log(run.data.classes)
            yield probe
    except DivergedError as error:
        yield error.event
    if not learns:
        # Of the initial model: one that has diverged or died shows nothing any more.
        fresh = replace(run, model=initial, progress=Progress())
        with suppress(Exception):
            yield try_updates(fresh)
