"""The learning rate: one step on the real loss, the schedule, and three rates side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.lab.compare import compare, loss_cap
from tui_trainer.lab.context import SEED, Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.lessons.learning_rate.arithmetic import (
    lowest,
    promised,
    step_sizes,
    uphill,
    with_momentum,
)
from tui_trainer.lab.samples import BACKWARD, affordable, drawn, seeded_rng
from tui_trainer.lab.trial import Arm
from tui_trainer.models.tensors import as_real
from tui_trainer.protocol import schedules
from tui_trainer.protocol.config import SCHEDULES
from tui_trainer.protocol.exhibit import Block, Control, Curve, Curves, Exhibit, Words, at
from tui_trainer.text.fmt import count, learning_rate, percent

STEPS = 200
"""Batches that each rate gets, if there is time."""

LARGEST_BATCH = 32
"""Images of a batch at most: with larger ones there would be no time for enough steps."""

LEAST, MOST = 16, 256
"""Images whose loss is followed along the line."""

POINTS = 60
"""Points of the schedule's curve."""

RATES = (*(float(f"{m}e{e}") for e in range(-4, 1) for m in (1, 2, 5)), 10.0)

VIEW = word_control("view", ("one step", "schedule"))
RATE = number_control("rate", "rate η", 0.1, RATES, 1e-6, 10.0)
FACTOR = number_control("factor", "apart by", 10, (3, 10))
START = word_control("start", ("fresh", "now"))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show what a step of each size does, or train with three rates from the same start."""
    view, eta = controls.word(VIEW), controls.number(_rate_control(context))
    factor, start = controls.number(FACTOR), controls.word(START)
    if confirmed:
        yield from _race(context, eta, factor, start)
        return
    shown = _schedule(context, eta) if view == "schedule" else _one_step(context, eta, factor)
    rates = ", ".join(map(learning_rate, (eta / factor, eta, eta * factor)))
    yield replace(
        shown, trains=f"train up to {STEPS} steps with each of the rates {rates}: about 15 s"
    )


@dataclass(frozen=True, slots=True)
class Line:
    """The loss of one batch along a straight line through the weights.

    Attributes:
        sizes: The steps, as learning rates; the first is 0.
        losses: The loss after each.
        slope: How fast the loss falls at first: direction times gradient.
        images: Of the batch.
    """

    sizes: list[float]
    losses: list[float]
    slope: float
    images: int


def follow(context: Context, sizes: list[float]) -> Line:
    """Go from the present weights along the direction of the optimizer's first step, on a copy.

    For SGD that is minus the gradient; for Adam, whose first step divides each derivative by its
    own size, minus its sign. The network is in training mode, and draws the same for each size.
    """
    network = context.copy(training=True)
    # Forward for each size, and once forward and back.
    passes = len(sizes) + BACKWARD
    inputs, labels = drawn(context, affordable(context.layers, passes, least=LEAST, most=MOST), 0)

    def loss() -> Tensor:
        with seeded_rng(context.device, SEED):
            return functional.cross_entropy(network(inputs), labels)

    weights = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    pairs = zip(weights, gradients, strict=True)
    moved = [(as_real(w), as_real(g)) for w, g in pairs if g is not None]
    directions = [g if context.config.optimizer == "sgd" else g.sign() for _, g in moved]
    slope = sum(float((d * g).sum()) for d, (_, g) in zip(directions, moved, strict=True))
    starts = [w.clone() for w, _ in moved]
    losses = []
    with torch.no_grad():
        for size in sizes:
            for (weight, _), start, direction in zip(moved, starts, directions, strict=True):
                weight.copy_(start - size * direction)
            losses.append(float(loss()))
    return Line(sizes, losses, slope, len(labels))


def _one_step(context: Context, eta: float, factor: float) -> Exhibit:
    """Return the loss along the step's own direction, and what was found there."""
    line = follow(context, step_sizes(eta, factor))
    before, place = line.losses[0], line.sizes.index(min(line.sizes, key=lambda s: abs(s - eta)))
    if not math.isfinite(before) or not math.isfinite(line.slope):
        words = Words(text="The loss is no number any more: the run diverged.", tone="error")
        return Exhibit(blocks=(words,), result="There is no slope to follow.")
    after = line.losses[place]
    best, turns = lowest(line.sizes, line.losses), uphill(line.sizes, line.losses)
    where = (
        f"the lowest of this line is {line.losses[best]:.4f} at η = "
        f"{learning_rate(line.sizes[best])}"
    )
    limit = (
        f"; from {learning_rate(turns)} on a step ends higher than it began"
        if turns is not None
        else f"; no step up to {learning_rate(line.sizes[-1])} ends higher than it began"
    )
    result = (
        f"A step with η = {learning_rate(eta)}: loss {before:.4f} → {after:.4f}; {where}{limit}."
    )
    certainty = (
        f"One batch of {line.images} images, in training mode, after step {context.step:,}; "
        "another batch has another curve."
    )
    blocks = (_drawn(context, line, eta, place), *_momentum(context, eta))
    return Exhibit(blocks=blocks, result=result, certainty=certainty)


def _drawn(context: Context, line: Line, eta: float, place: int) -> Curves:
    """Return the losses along a line, what the slope promises, and the step at a place."""
    before = line.losses[0]
    cap = max(2 * before, loss_cap(context))
    seen = [min(loss, cap) if math.isfinite(loss) else cap for loss in line.losses]
    # A straight line needs two points: it ends where it would promise no loss at all.
    reach = line.sizes[-1]
    ends = (0.0, min(reach, before / line.slope) if line.slope > 0 else reach)
    promise = promised(before, line.slope, ends)
    kind = "minus the gradient" if context.config.optimizer == "sgd" else "minus its sign"
    return Curves(
        caption=f"loss of one batch, the weights moved along {kind}",
        x_label="learning rate of the step",
        curves=(
            Curve(name="measured", x=tuple(line.sizes), y=tuple(seen)),
            Curve(name="promised by the slope", x=ends, y=tuple(promise)),
            Curve(
                name=f"one step, η = {learning_rate(eta)}", x=(0.0, eta), y=(before, seen[place])
            ),
        ),
    )


def _momentum(context: Context, eta: float) -> tuple[Block, ...]:
    """Return what momentum makes of a rate; nothing for an optimizer without it."""
    momentum = context.config.momentum
    if context.config.optimizer != "sgd" or not momentum:
        return ()
    far = learning_rate(with_momentum(eta, momentum))
    text = f"With momentum {momentum:g}, steps in one direction add up to η / (1 − μ) = {far}."
    return (Words(text=text, tone="muted"),)


def _schedule(context: Context, eta: float) -> Exhibit:
    """Return the rate over the run by each schedule, and where the run is now."""
    config, total = context.config, context.config.epochs
    epochs = [total * i / POINTS for i in range(POINTS + 1)]
    curves = [_rates(context, name, eta, epochs) for name in SCHEDULES]
    curves.sort(key=lambda curve: curve.name != config.schedule)
    seen = min(float(total), context.step * config.batch_size / len(context.data.train))
    share = schedules.factor(config, seen)
    result = (
        f"{config.schedule}: after {seen:.2f} of {total} epochs the rate is "
        f"{learning_rate(eta * share)}, {percent(share, 0)} of η = {learning_rate(eta)}."
    )
    block = Curves(
        caption=f"learning rate over the run; this one has {config.schedule}",
        x_label="epochs",
        curves=tuple(curves),
    )
    certainty = "Arithmetic, not measured; the epochs at the present batch size."
    return Exhibit(blocks=(block,), result=result, certainty=certainty)


def _rates(context: Context, schedule: str, eta: float, epochs: list[float]) -> Curve:
    config = replace(context.config, schedule=schedule)
    y = tuple(eta * schedules.factor(config, epoch) for epoch in epochs)
    return Curve(name=schedule, x=tuple(epochs), y=y)


def _race(context: Context, eta: float, factor: float, start: str) -> Iterator[Exhibit]:
    """Train with three rates on the same batches from the same weights."""
    network: nn.Module = context.fresh() if start == "fresh" else context.model
    size = min(context.config.batch_size, LARGEST_BATCH)
    arms = [
        Arm(
            f"η {learning_rate(rate)}",
            context.trial(network, lr=rate, batch_size=size),
            loss_cap(context),
        )
        for rate in (eta / factor, eta, eta * factor)
    ]
    begun = (
        "an untrained network" if start == "fresh" else f"the network after step {context.step:,}"
    )
    text = (
        f"Three times {begun}, the same batches of {count(size)}, {context.config.optimizer}; only "
        "the rate differs, and stays the same throughout."
    )
    setup = (Words(text=text, tone="muted"),)
    yield from compare(context, arms, setup=setup, images=STEPS * size)


def _rate_control(context: Context) -> Control:
    """Return the control of the rate, which begins at the run's own."""
    return at(RATE, min(10.0, context.config.base_lr))
