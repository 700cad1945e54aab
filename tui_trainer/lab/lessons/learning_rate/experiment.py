"""The learning rate: one step on the real loss, the schedule, and three rates compared."""

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
    first_increase,
    lowest,
    predicted_losses,
    step_sizes,
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
"""Batches for each learning rate, if there is time."""

LARGEST_BATCH = 32
"""Maximum batch size: larger batches leave no time for enough steps."""

MIN_IMAGES, MAX_IMAGES = 16, 256
"""Images for the loss along the line."""

POINTS = 60
"""Points of the schedule's curve."""

LRS = (*(float(f"{m}e{e}") for e in range(-4, 1) for m in (1, 2, 5)), 10.0)

VIEW = word_control("view", ("one step", "schedule"))
LR = number_control("lr", "lr η", 0.1, LRS, 1e-6, 10.0)
FACTOR = number_control("factor", "apart by", 10, (3, 10))
START = word_control("start", ("fresh", "now"))


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the loss after steps of several sizes, or train at three learning rates."""
    view, eta = controls.word(VIEW), controls.number(_lr_control(context))
    factor, start = controls.number(FACTOR), controls.word(START)
    if confirmed:
        yield from _trained(context, eta, factor, start)
        return
    shown = _schedule(context, eta) if view == "schedule" else _one_step(context, eta, factor)
    lrs = ", ".join(map(learning_rate, (eta / factor, eta, eta * factor)))
    yield replace(shown, trains=f"train up to {STEPS} steps at learning rates {lrs}: about 15 s")


@dataclass(frozen=True, slots=True)
class Line:
    """The loss of one batch along a straight line through the weights.

    Attributes:
        sizes: The step sizes, as learning rates; the first is 0.
        losses: The loss after each step.
        slope: The initial decrease of the loss: direction times gradient.
        images: The images of the batch.
    """

    sizes: list[float]
    losses: list[float]
    slope: float
    images: int


def losses_along(context: Context, sizes: list[float]) -> Line:
    """Measure the loss along the direction of the optimizer's first step, on a copy.

    The direction is minus the gradient for SGD. For Adam it is minus its sign, because Adam's first
    step divides each gradient by its magnitude. The model is in training mode, with the same random
    state for each step size.
    """
    model = context.copy(training=True)
    # A forward pass for each size, and one forward and backward pass.
    passes = len(sizes) + BACKWARD
    inputs, labels = drawn(
        context, affordable(context.layers, passes, least=MIN_IMAGES, most=MAX_IMAGES), 0
    )

    def loss() -> Tensor:
        with seeded_rng(context.device, SEED):
            return functional.cross_entropy(model(inputs), labels)

    weights = [p for p in model.parameters() if p.requires_grad]
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
    """Return the loss along the direction of the step, and the conclusions."""
    line = losses_along(context, step_sizes(eta, factor))
    before, place = line.losses[0], line.sizes.index(min(line.sizes, key=lambda s: abs(s - eta)))
    if not math.isfinite(before) or not math.isfinite(line.slope):
        words = Words(text="The loss is not finite: the run diverged.", tone="error")
        return Exhibit(blocks=(words,), result="There is no gradient to follow.")
    after = line.losses[place]
    best, increases_at = lowest(line.sizes, line.losses), first_increase(line.sizes, line.losses)
    where = f"the lowest loss is {line.losses[best]:.4f} at η = {learning_rate(line.sizes[best])}"
    limit = (
        f"; from η = {learning_rate(increases_at)} on a step increases the loss"
        if increases_at is not None
        else f"; no step up to η = {learning_rate(line.sizes[-1])} increases the loss"
    )
    result = (
        f"A step with η = {learning_rate(eta)}: loss {before:.4f} → {after:.4f}; {where}{limit}."
    )
    uncertainty = (
        f"One batch of {line.images} images, in training mode, after step {context.step:,}; "
        "each batch has its own curve."
    )
    blocks = (_drawn(context, line, eta, place), *_momentum(context, eta))
    return Exhibit(blocks=blocks, result=result, evidence=uncertainty)


def _drawn(context: Context, line: Line, eta: float, place: int) -> Curves:
    """Return the measured losses, the losses that the gradient predicts, and the chosen step."""
    before = line.losses[0]
    cap = max(2 * before, loss_cap(context))
    capped = [min(loss, cap) if math.isfinite(loss) else cap for loss in line.losses]
    # A straight line needs two points: it ends where the predicted loss is 0.
    reach = line.sizes[-1]
    ends = (0.0, min(reach, before / line.slope) if line.slope > 0 else reach)
    predicted = predicted_losses(before, line.slope, ends)
    kind = (
        "minus the gradient" if context.config.optimizer == "sgd" else "minus the gradient's sign"
    )
    return Curves(
        caption=f"loss of one batch, weights moved along {kind}",
        x_label="learning rate of the step",
        curves=(
            Curve(name="measured", x=tuple(line.sizes), y=tuple(capped)),
            Curve(name="predicted by the gradient", x=ends, y=tuple(predicted)),
            Curve(
                name=f"one step, η = {learning_rate(eta)}", x=(0.0, eta), y=(before, capped[place])
            ),
        ),
    )


def _momentum(context: Context, eta: float) -> tuple[Block, ...]:
    """Return the effective step size with momentum; nothing for an optimizer without it."""
    momentum = context.config.momentum
    if context.config.optimizer != "sgd" or not momentum:
        return ()
    effective = learning_rate(with_momentum(eta, momentum))
    text = f"With momentum {momentum:g}, steps in one direction grow to η / (1 − μ) = {effective}."
    return (Words(text=text, tone="muted"),)


def _schedule(context: Context, eta: float) -> Exhibit:
    """Return the learning rate over the run for each schedule, and its current value."""
    config, total = context.config, context.config.epochs
    epochs = [total * i / POINTS for i in range(POINTS + 1)]
    curves = [_schedule_curve(context, name, eta, epochs) for name in SCHEDULES]
    curves.sort(key=lambda curve: curve.name != config.schedule)
    epoch = min(float(total), context.step * config.batch_size / len(context.data.train))
    share = schedules.factor(config, epoch)
    result = (
        f"{config.schedule}: after {epoch:.2f} of {total} epochs the learning rate is "
        f"{learning_rate(eta * share)}, {percent(share, 0)} of η = {learning_rate(eta)}."
    )
    block = Curves(
        caption=f"learning rate schedules; this run has {config.schedule}",
        x_label="epochs",
        curves=tuple(curves),
    )
    uncertainty = "Computed, not measured; epochs at the current batch size."
    return Exhibit(blocks=(block,), result=result, evidence=uncertainty)


def _schedule_curve(context: Context, schedule: str, eta: float, epochs: list[float]) -> Curve:
    config = replace(context.config, schedule=schedule)
    y = tuple(eta * schedules.factor(config, epoch) for epoch in epochs)
    return Curve(name=schedule, x=tuple(epochs), y=y)


def _trained(context: Context, eta: float, factor: float, start: str) -> Iterator[Exhibit]:
    """Train at three learning rates on the same batches from the same weights."""
    model: nn.Module = context.fresh() if start == "fresh" else context.model
    size = min(context.config.batch_size, LARGEST_BATCH)
    arms = [
        Arm(
            f"η {learning_rate(lr)}",
            context.trial(model, lr=lr, batch_size=size),
            loss_cap(context),
        )
        for lr in (eta / factor, eta, eta * factor)
    ]
    begun = (
        "an untrained network" if start == "fresh" else f"the network after step {context.step:,}"
    )
    text = (
        f"Three copies of {begun}, on the same batches of {count(size)}, with "
        f"{context.config.optimizer}; only the learning rate differs, and it is constant."
    )
    setup = (Words(text=text, tone="muted"),)
    yield from compare(context, arms, setup=setup, images=STEPS * size)


def _lr_control(context: Context) -> Control:
    """Return the control of the learning rate, which starts at that of the run."""
    return at(LR, min(10.0, context.config.base_lr))
