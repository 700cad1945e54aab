"""The view of one step of one kernel in the first layer of the run's model."""

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

MAX_ROWS = 9
"""Rows of the table: all of a 3×3 kernel; the largest gradients of a larger one."""

PICTURE_WIDTH = 12
"""Pixels across: a small kernel is enlarged to it, a large one is shrunk."""

FALLBACK = "tiny"
"""The model that is shown if the run's model has no such layer."""


def show_first_layer(context: Context, controls: Controls) -> Exhibit:
    """Show a kernel of the first layer before and after a step, and its gradient."""
    first, note = first_layer(context, context.copy()), ""
    if first is None:
        note = (
            f"This model has no convolution or linear layer to show; {FALLBACK} is shown instead."
        )
        first = first_layer(context, context.fresh(FALLBACK))
    if first is None:
        raise ValueError(f"{FALLBACK} has no layer with weights")
    is_kernel = isinstance(first.layer, nn.Conv2d)
    label = "kernel" if is_kernel else "unit"
    kernels = counting("kernel", label, len(first.layer.weight))
    lrs = number_control(
        "lr", "η", context.config.base_lr, (0.001, 0.01, 0.1, 1, 10, 100), 0.0, 1_000.0
    )
    kernel = controls.whole(kernels)
    step = kernel_step(first, kernel, controls.number(lrs))
    if not (math.isfinite(step.loss_before) and bool(step.gradient.isfinite().all())):
        text = (
            "The loss of this network is not finite: the run diverged, so there are no gradients."
        )
        return Exhibit(blocks=(Words(text=text, tone="error"),), result=text)
    intro = (Words(text=note, tone="warning"),) if note else ()
    return Exhibit(
        blocks=(*intro, *_blocks(first, step, kernel)),
        result=_result(step),
        evidence=_uncertainty(first, step, 0 if note else context.step),
    )


def _blocks(first: FirstLayer, step: KernelStep, kernel: int) -> tuple[Block, ...]:
    digits, count = len(first.labels), len(first.layer.weight)
    kind, terms = "unit", f"over {digits} images"
    if isinstance(first.layer, nn.Conv2d):
        products = digits * first.positions
        kind, terms = (
            "kernel",
            f"of {digits} images × {first.positions:,} positions = {products:,} terms",
        )
    about = f"{first.name or 'the layer'}, {kind} {kernel} (the first is 0) of {count}."
    about += f" Each of its gradients is a sum {terms}."
    blocks: list[Block] = []
    pictures = _pictures(step)
    if pictures is not None:
        blocks.append(pictures)
    blocks.append(_numbers(step))
    blocks.append(Words(text=f"{about} All other weights stay fixed.", tone="muted"))
    if not bool(step.gradient.any()):
        text = "All of its gradients are 0: on these images it does not influence the loss."
        blocks.append(Words(text=text, tone="warning"))
    return tuple(blocks)


def _pictures(step: KernelStep) -> Pictures | None:
    """Return the kernel, its gradient, the update and the new kernel; None for a long row."""
    height, width = step.before.shape[1:]
    if height == 1 and width > PICTURE_WIDTH:
        return None
    channels = len(step.before)
    in_color = channels == 3
    bound = float(torch.stack([step.before, step.after])[:, : 3 if in_color else 1].abs().max())
    bound = bound or 1.0
    if not math.isfinite(bound):
        return None

    def drawn(maps: Tensor, caption: str, most: float | None = None) -> Picture:
        shown = maps if in_color else maps[0]
        most = most or float(shown.abs().max()) or 1.0
        return kernel_picture(
            shrunk(shown.float(), PICTURE_WIDTH + 2), caption, bound=most, across=PICTURE_WIDTH
        )

    caption = "the first of its channels" if channels > 1 else "one step"
    if in_color:
        caption = "one step; its channels are red, green and blue"
    if max(height, width) > PICTURE_WIDTH:
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
    """Return up to nine weights; the one with the largest gradient is marked."""
    channels, _, width = step.before.shape
    slopes = step.gradient.flatten()
    places = sorted(slopes.abs().argsort(descending=True, stable=True)[:MAX_ROWS].tolist())
    columns = (step.before, step.gradient, step.update, step.after)
    flat = [column.flatten().tolist() for column in columns]

    def name(place: int) -> str:
        row, column = divmod(place, width)
        channel, row = divmod(row, step.before.shape[1])
        return f"{f'{channel + 1}: ' if channels > 1 else ''}{row + 1}, {column + 1}"

    everything = len(slopes) <= MAX_ROWS
    return Table(
        caption="its weights"
        if everything
        else f"the {len(places)} largest gradients of {len(slopes)}",
        heads=("row, column", "before", "∂loss/∂w", "−η·∂loss/∂w", "after"),
        rows=tuple(
            (name(place), *(f"{numbers[place]:+z.7f}" for numbers in flat)) for place in places
        ),
        marked=places.index(step.steepest),
    )


def _result(step: KernelStep) -> str:
    """Return the change of the loss, and the change that the gradient predicts."""
    predicted = -step.lr * float((step.gradient**2).sum())
    changed = step.loss_after - step.loss_before
    return (
        f"With η = {step.lr:g} the loss goes from {step.loss_before:.6f} to "
        f"{step.loss_after:.6f}: {changed:+.2e}, the gradient predicts {predicted:+.2e}."
    )


def _uncertainty(first: FirstLayer, step: KernelStep, steps: int) -> str:
    """Return the batch and precision used, and the error of the finite difference."""
    slope = float(step.gradient.flatten()[step.steepest])
    precision = "double" if step.before.dtype is torch.float64 else "single"
    return (
        f"One batch of {len(first.labels)} training images after step {steps:,}, {precision} "
        f"precision. Finite difference of the marked weight: {step.finite:+.9f}; the gradient "
        f"differs by {abs(step.finite - slope):.1e}."
    )
