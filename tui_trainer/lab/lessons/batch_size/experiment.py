"""The batch size: the agreement of batches, and three sizes side by side."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tui_trainer.lab.compare import RECIPE, Evaluations, arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.lessons.batch_size.arithmetic import (
    cosines,
    expected_cosine,
    joined,
    noise_scale,
    scaled_lr,
)
from tui_trainer.lab.samples import BACKWARD, affordable, drawn, flat_gradient
from tui_trainer.lab.trial import Arm
from tui_trainer.models.modes import recalibrate
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words, counting
from tui_trainer.text.fmt import count, learning_rate, plural

PART = 8
"""Images of the smallest batch; larger batches join several of these."""

MIN_IMAGES, MAX_IMAGES = 64, 1_024
"""Images of a round of gradients …"""

ROUNDS = 4
"""… and the number of rounds: later rounds refine the figures while the reader looks at them."""

TOTAL_IMAGES = 512
"""Images in total: two batches of the largest useful size."""

MAX_NUMBERS = 20_000_000
"""Numbers in all gradients together, at most: a large model gets fewer batches."""

BATCHES = 16
"""Batches for the estimate of the noise scale, at most."""

SIZES = (16, 64, 256, 1_024)
"""Batch sizes whose gradients are compared, if there are two batches of a size …"""

TRAINED_SIZES = (16, 128, 1_024)
"""… and those that are trained."""

BASE_BATCH = 128
"""The batch size that the unscaled learning rate belongs to."""

IMAGES = 16_384
"""Training images for each size, if there is time: 16 of the largest batches."""

MODEL = "small"

EQUAL = word_control("equal", ("samples", "time"))
RULE = word_control("lr", ("same", "scaled"), label="learning rate")
DRAW = counting("draw", "draw", 100)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the cosines of batch gradients, or train with three batch sizes."""
    equal, rule, draw = controls.word(EQUAL), controls.word(RULE), controls.whole(DRAW)
    if confirmed:
        yield from _trained(context, equal, rule)
        return
    sizes = ", ".join(map(count, TRAINED_SIZES))
    trains = f"train {MODEL}, batches of {sizes}, equal {equal}: about 15 s"
    for products, share_done in gradient_products(context, draw):
        yield replace(
            _agreement(context, products),
            trains=trains,
            progress=share_done if share_done < 1 else None,
        )


def gradient_products(context: Context, draw: int) -> Iterator[tuple[list[list[float]], float]]:
    """Yield the dot products of the gradients of batches of ``PART`` images, and the share done.

    Each round adds batches. Gradients of batches only average if no image depends on the others of
    its batch: batch norm uses the statistics of all images of the first round, and dropout is off.
    """
    model = context.copy()
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    size = affordable(context.layers, BACKWARD + 1, least=MIN_IMAGES, most=MAX_IMAGES)
    size = min(size, PART * max(4, MAX_NUMBERS // ROUNDS // max(1, numbers))) // PART * PART
    rounds = min(ROUNDS, math.ceil(TOTAL_IMAGES / size))
    inputs, labels = drawn(context, rounds * size, draw)
    # Early in a run the running statistics can be far off, and with them the gradient.
    recalibrate(model, [inputs[:size]], is_every=True)
    model.eval()
    gradients: list[Tensor] = []
    for done in range(1, rounds + 1):
        for start in range(len(gradients) * PART, done * size, PART):
            part = slice(start, start + PART)
            if start + PART <= len(labels):
                found = flat_gradient(model, inputs[part], labels[part])
                # In single precision the products lose the digits in which the gradients differ.
                gradients.append(found.cpu().double())
        table = torch.stack(gradients) if gradients else torch.empty(0, 0)
        yield (table @ table.t()).tolist(), done / rounds


def _agreement(context: Context, products: list[list[float]]) -> Exhibit:
    """Return the agreement of the batch gradients."""
    if len(products) < 2 or not all(math.isfinite(cell) for row in products for cell in row):
        text = "The gradient is not finite, or there are too few images for two batches."
        return Exhibit(blocks=(Words(text=text, tone="error"),))
    # Fewer, larger batches: their gradients have more similar norms, which the estimate assumes.
    together = max(1, len(products) // BATCHES)
    scale = noise_scale(joined(products, together), PART * together)
    return Exhibit(
        blocks=(_cosines(products, scale), _expected(context, scale)),
        result=_result(context, scale),
        evidence=(
            f"{count(len(products) * PART)} images, one draw, after step {context.step:,}; batch "
            "norm uses the statistics of all of them, so that gradients of batches average."
        ),
    )


def _cosines(products: Sequence[Sequence[float]], scale: float | None) -> Bars:
    """Return the mean cosine of two batches of each size, measured and expected."""
    bars = []
    for size in SIZES:
        together = joined(products, size // PART)
        found = cosines(together)
        expected = expected_cosine(scale, size) if scale is not None else None
        expected_text = f"expected {expected:.3f}" if expected is not None else ""
        if found:
            mean = statistics.fmean(found)
            pairs = f"{len(found)} pair{'s' * (len(found) > 1)}"
            number = f"cosine {mean:.3f}   {expected_text:14}  {pairs}".rstrip()
        elif expected is not None:
            mean, number = expected, f"not measured   {expected_text}"
        else:
            continue
        bars.append(Bar(label=f"{size:5,} images", share=max(0.0, mean), number=number))
    return Bars(caption="cosine of the gradients of two batches", bars=tuple(bars))


def _expected(context: Context, scale: float | None) -> Words:
    if scale is None:
        text = "Too few images for a significant noise scale; try another draw."
        return Words(text=text, tone="warning")
    size = context.config.batch_size
    text = (
        f"noise scale  B = tr(Σ) / |G|² = {plural(round(scale), 'image')}\n"
        f"expected     cosine = 1 / (1 + B / n) = {expected_cosine(scale, size):.3f} "
        f"for n = {size:,}, the run's batch"
    )
    return Words(text=text, is_preformatted=True)


def _result(context: Context, scale: float | None) -> str:
    if scale is None:
        return "These batches agree too little to estimate the noise scale."
    size = context.config.batch_size
    if size > scale:
        what = "the gradients of two of its batches mostly agree"
    else:
        what = "the gradient of one of its batches is mostly noise"
    about = plural(round(scale), "image")
    return f"The noise scale is about {about}; the run's batch has {size:,}: {what}."


def _trained(context: Context, equal: str, rule: str) -> Iterator[Exhibit]:
    """Train the same model with three batch sizes."""
    model = context.fresh(MODEL)
    base_lr = float(str(RECIPE["lr"]))
    arms = [
        arm(
            context,
            f"batch {count(size)}",
            model,
            batch_size=size,
            lr=scaled_lr(base_lr, size, BASE_BATCH) if rule == "scaled" else base_lr,
        )
        for size in TRAINED_SIZES
    ]
    how = f"{learning_rate(base_lr)} for all"
    if rule == "scaled":
        how = f"{learning_rate(base_lr)} · n / {BASE_BATCH}"
    text = f"{MODEL}, the same initial weights, equal {equal}; learning rate {how}."
    setup = (Words(text=text, tone="muted"),)
    yield from compare(
        context, arms, setup=setup, found=_cost_table, images=IMAGES, by_time=equal == "time"
    )


def _cost_table(arms: Sequence[Arm], evaluations: Evaluations) -> tuple[Block, ...]:
    """Return the cost of each size: steps, seconds and throughput."""
    return (
        Table(
            caption="cost of the training",
            heads=("network", "lr", "steps", "images", "seconds", "images/s"),
            rows=tuple(
                (
                    each.name,
                    learning_rate(each.trial.config.base_lr),
                    count(len(each.losses)),
                    count(each.trial.images),
                    f"{each.seconds:.1f}",
                    f"{each.trial.images / each.seconds:,.0f}" if each.seconds else "-",
                )
                for each in arms
            ),
        ),
    )
