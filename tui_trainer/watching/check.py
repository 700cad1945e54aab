"""The preflight check of a script: its model, its optimizer and its first batches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.data.recorded_inputs import InputCollector, RecordedInputs, recorded_inputs
from tui_trainer.engine.progress import Progress, Stopwatch
from tui_trainer.findings import Findings
from tui_trainer.headless.event_text import diagnosis_lines
from tui_trainer.lab.preflight import GROUPS, items_of
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.custom_trial import FEW, GRADIENT_IMAGES, probe_model
from tui_trainer.lab.preflight.plan import whole_plan, work_of
from tui_trainer.lab.preflight.rule_items import as_item
from tui_trainer.models.copies import copy_model
from tui_trainer.models.modes import begin_training
from tui_trainer.models.rng import preserve_rng_state, rng_tensors
from tui_trainer.models.tensors import logits_of
from tui_trainer.models.unregistered_state import preserve_globals
from tui_trainer.protocol.config import MAX_EPOCHS, OPTIMIZERS, RunConfig
from tui_trainer.protocol.diagnosis import CheckItem
from tui_trainer.protocol.errors import InputError, SettingError, reason
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import Probe
from tui_trainer.text.fmt import one_line
from tui_trainer.watching.description import layers_of_model
from tui_trainer.watching.evaluation import (
    call,
    class_indices,
    device_of,
    inputs_and_labels,
    move,
)
from tui_trainer.watching.loaders import examples_in
from tui_trainer.watching.loop_probes import LoopProbes

LEFT_OUT = ("first-epoch", "shuffled-labels")
"""Items that need more than the first examples."""

MOST_BATCHES = 32
"""Batches that are read for the check."""


def check_items(
    model: nn.Module, optimizers: Sequence[Optimizer], loader: Iterable[Any], *, epochs: int
) -> Iterator[CheckItem]:
    """Check a model, its optimizer and the first batches of a loader; yield each item when done.

    Everything is tried on copies: the model, the random generators and the loader's generator are
    left as they are.

    Args:
        model: The model, without wrappers.
        optimizers: Its optimizers; the first gives the settings of the trial.
        loader: Yields batches of inputs and labels.
        epochs: The epochs of the run.

    Raises:
        InputError: If the batches have no inputs and labels that can be tried.
    """
    device = device_of(model)
    with preserve_rng_state(device), preserve_globals(model), _Kept(loader):
        data, size = _examples(model, loader, device)
        yield from _loop_items(model, optimizers)
        rounds = (examples_in(loader) or len(data.train)) / len(data.train)
        context = _context(model, optimizers[0], data, size, round(epochs * max(1.0, rounds)))
        for group, _ in GROUPS:
            for item in items_of(group, context):
                if item.code not in LEFT_OUT:
                    yield replace(item, advice=item.advice.replace("--lr ", "lr="))


def print_check(items: Iterator[CheckItem]) -> tuple[CheckItem, ...]:
    """Print each item on stderr when it is done, and a line if one fails; return the items."""
    done: list[CheckItem] = []
    try:
        for item in items:
            done.append(item)
            print("\n".join(diagnosis_lines(item)), file=sys.stderr, flush=True)
    except Exception as error:
        print(f"mnist-tui: {one_line(reason(error))}", file=sys.stderr, flush=True)
    return tuple(done)


class _Kept:
    """Restores the state of a loader's generator."""

    def __init__(self, loader: Any) -> None:
        self._rng = getattr(loader, "generator", None)
        self._state: Tensor | None = None

    def __enter__(self) -> None:
        if isinstance(self._rng, torch.Generator):
            self._state = self._rng.get_state()

    def __exit__(self, *error: object) -> None:
        if self._state is not None and self._rng is not None:
            self._rng.set_state(self._state)


def _examples(
    model: nn.Module, loader: Iterable[Any], device: torch.device
) -> tuple[RecordedInputs, int]:
    """Return the first examples of a loader, on the device, and its batch size."""
    collector, size = InputCollector(), 0
    for batch in islice(iter(loader), MOST_BATCHES):
        inputs, labels = inputs_and_labels(batch)
        if labels is None:
            raise InputError("run.check: the batches have no labels; give pairs of inputs, labels")
        if not size:
            with torch.no_grad():
                logits = logits_of(call(copy_model(model), move(inputs, device)))
            if logits is None or logits.ndim != 2:
                raise InputError("run.check: the model returns no outputs (examples, classes)")
            collector.classes = logits.shape[1]
            labels = class_indices(labels.to(device), logits)
        collector.training_batch(inputs, labels)
        size = size or collector.size
        if not collector.wants_training:
            break
    found = collector.recorded()
    if found is None or len(found.train) < 2:
        problem = collector.unavailable or "there are fewer than two examples"
        raise InputError(f"run.check: {problem}")
    train, val = found.train.to(device), found.val.to(device)
    return recorded_inputs(found.name, found.classes, train, val), size


def _context(
    model: nn.Module, optimizer: Optimizer, data: RecordedInputs, size: int, epochs: int
) -> CheckContext:
    config = _settings(optimizer, size, epochs)
    layers = layers_of_model(model, data.train.images, data.classes)
    plan = whole_plan(size, work_of(layers))
    fresh = copy_model(model)
    begin_training(fresh)
    return CheckContext(
        config=config,
        data=data,
        device=data.train.images.device,
        layers=layers,
        model=fresh,
        rng_states=rng_tensors(),
        plan=plan,
        sample=data.train.sample(plan.sample),
        val_sample=data.val.sample(plan.val_sample),
        clock=time.monotonic,
        probes=_probes(model, data),
    )


def _settings(optimizer: Optimizer, size: int, epochs: int) -> RunConfig:
    """Return the settings of the trial: those of the optimizer, if the engine has them."""
    group, kind = optimizer.param_groups[0], type(optimizer).__name__.lower()
    config = RunConfig(
        model="small",  # the name of none: the model is given
        epochs=max(1, min(epochs, MAX_EPOCHS)),
        batch_size=max(1, size),
        optimizer=kind if kind in OPTIMIZERS else "adam",
        schedule="constant",
        augment="none",
    )
    for name, key in (("lr", "lr"), ("momentum", "momentum"), ("weight_decay", "weight_decay")):
        value = group.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                config = replace(config, **{name: float(value)})  # type: ignore[arg-type]
            except SettingError:
                continue
    return replace(config, nesterov=bool(group.get("nesterov", False)))


def _probes(model: nn.Module, data: RecordedInputs) -> tuple[Probe, ...]:
    few, inputs = (data.prepare(data.train.images[:count]) for count in (FEW, GRADIENT_IMAGES))
    try:
        return (probe_model(copy_model(model), few, inputs, data),)
    except Exception:  # of a model that cannot be tried like that
        return ()


def _loop_items(model: nn.Module, optimizers: Sequence[Optimizer]) -> Iterator[CheckItem]:
    """Yield what the rules find in the optimizer and the model before the first step."""
    probes = LoopProbes(
        model, optimizers, progress=Progress(), stopwatch=Stopwatch(time.perf_counter)
    )
    try:
        probe = probes.probe()
    finally:
        probes.close()
    found = [event for event in Findings().after(probe) if isinstance(event, FindingRaised)]
    yield from map(as_item, found)
    if not found:
        yield CheckItem(
            code="loop",
            severity="ok",
            title="the optimizer has the model's parameters",
            evidence=f"{probe.optimized} of {probe.parameters} parameter tensors, {probe.dtype}",
            lesson=19,
        )
