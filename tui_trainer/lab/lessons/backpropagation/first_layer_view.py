"""The view of one step of one kernel of the first layer of the run's network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.drawing import kernel_picture, shrunk
from tui_trainer.lab.lessons.backpropagation.first_layer_step import (
    FirstLayer,
    KernelStep,
    first_layer,
    kernel_step,
)
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, Words, counting

MOST_WEIGHTS = 9
"""Rows of the table: a 3×3 kernel whole, of a larger one the weights with the steepest slopes."""

WIDE = 12
"""Pixels across for a small kernel, each weight a square of several, and for a large one shrunk."""

FALLBACK = "tiny"
"""The network that is looked at where the run's own has no layer of weights to be seen."""


def show_first_layer(context: Context, controls: Controls) -> Exhibit:
    """Show a kernel of the first layer before its step, its gradient, and the kernel after it."""
    first, told = first_layer(context, context.copy()), ""
    if first is None:
        told = f"No convolution or linear layer of this network can be tried; here is {FALLBACK}."
        first = first_layer(context, context.fresh(FALLBACK))
    if first is None:
        raise ValueError(f"{FALLBACK} has no layer of weights")
    is_kernel = isinstance(first.layer, nn.Conv2d)
    label = "kernel" if is_kernel else "unit"
    kernels = counting("kernel", label, len(first.layer.weight))
    rates = number_control(
        "rate", "η", context.config.base_lr, (0.001, 0.01, 0.1, 1, 10, 100), 0.0, 1_000.0
    )
    kernel = controls.whole(kernels)
    step = kernel_step(first, kernel, controls.number(rates))
    if not (math.isfinite(step.loss_before) and bool(step.gradient.isfinite().all())):
        text = "The loss of this network is no number any more, and no slope leads back from it."
        return Exhibit(blocks=(Words(text=text, tone="error"),), result=text)
    intro = (Words(text=told, tone="warning"),) if told else ()
    return Exhibit(
        blocks=(*intro, *_blocks(first, step, kernel)),
        result=_result(step),
        certainty=_certainty(first, step, 0 if told else context.step),
    )


def _blocks(first: FirstLayer, step: KernelStep, kernel: int) -> tuple[Block, ...]:
    digits, count = len(first.labels), len(first.layer.weight)
    kind, terms = "unit", f"over {digits} digits"
    if isinstance(first.layer, nn.Conv2d):
        products = digits * first.places
        kind, terms = "kernel", f"of {digits} digits × {first.places:,} places = {products:,} terms"
    about = f"{first.name or 'the layer'}, {kind} {kernel} (the first is 0) of {count}."
    about += f" Each of its slopes is a sum {terms}."
    blocks: list[Block] = []
    pictures = _pictures(step)
    if pictures is not None:
        blocks.append(pictures)
    blocks.append(_numbers(step))
    blocks.append(Words(text=f"{about} All other weights stand still.", tone="muted"))
    if not bool(step.gradient.any()):
        text = "All of its slopes are 0: on these digits nothing of it reaches the loss."
        blocks.append(Words(text=text, tone="warning"))
    return tuple(blocks)


def _pictures(step: KernelStep) -> Pictures | None:
    """Return the kernel, its gradient, the update and the new kernel; None if it is a long row."""
    height, width = step.before.shape[1:]
    if height == 1 and width > WIDE:
        return None
    bound = float(torch.stack([step.before[0], step.after[0]]).abs().max()) or 1.0
    if not math.isfinite(bound):
        return None

    def drawn(maps: Tensor, caption: str, most: float | None = None) -> Picture:
        most = most or float(maps[0].abs().max()) or 1.0
        return kernel_picture(shrunk(maps[0].float(), WIDE + 2), caption, bound=most, across=WIDE)

    channels = len(step.before)
    caption = "the first of its channels" if channels > 1 else "one step"
    if max(height, width) > WIDE:
        caption += ", shrunk: a pixel is the mean of several weights"
    return Pictures(
        caption=caption,
        items=(
            drawn(step.before, "before", bound),
            drawn(step.gradient, "gradient"),
            drawn(step.update, "−η·gradient"),
            drawn(step.after, "after", bound),
        ),
    )


def _numbers(step: KernelStep) -> Table:
    """Return the numbers of up to nine weights, the steepest marked."""
    channels, _, width = step.before.shape
    slopes = step.gradient.flatten()
    places = sorted(slopes.abs().argsort(descending=True, stable=True)[:MOST_WEIGHTS].tolist())
    columns = (step.before, step.gradient, step.update, step.after)
    flat = [column.flatten().tolist() for column in columns]

    def name(place: int) -> str:
        row, column = divmod(place, width)
        channel, row = divmod(row, step.before.shape[1])
        return f"{f'{channel + 1}: ' if channels > 1 else ''}{row + 1}, {column + 1}"

    everything = len(slopes) <= MOST_WEIGHTS
    return Table(
        caption="its weights" if everything else f"the {len(places)} steepest of {len(slopes)}",
        heads=("row, column", "before", "∂loss/∂w", "−η·∂loss/∂w", "after"),
        rows=tuple(
            (name(place), *(f"{numbers[place]:+z.7f}" for numbers in flat)) for place in places
        ),
        marked=places.index(step.steepest),
    )


def _result(step: KernelStep) -> str:
    """Return what the step did to the loss, and what its slope promised."""
    promised = -step.rate * float((step.gradient**2).sum())
    changed = step.loss_after - step.loss_before
    return (
        f"With η = {step.rate:g} the loss goes from {step.loss_before:.6f} to "
        f"{step.loss_after:.6f}: {changed:+.2e}, where the slope promised {promised:+.2e}."
    )


def _certainty(first: FirstLayer, step: KernelStep, steps: int) -> str:
    """Return on what it rests, and how far the finite difference is from the gradient."""
    slope = float(step.gradient.flatten()[step.steepest])
    precision = "double" if step.before.dtype is torch.float64 else "single"
    return (
        f"One batch of {len(first.labels)} training digits after step {steps:,}, {precision} "
        f"precision. The marked slope by finite difference is {step.finite:+.9f}; the gradient "
        f"differs by {abs(step.finite - slope):.1e}."
    )
