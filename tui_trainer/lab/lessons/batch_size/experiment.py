"""The batch size: how much batches agree, and three sizes side by side."""

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
    scaled_rate,
)
from tui_trainer.lab.samples import BACKWARD, affordable, drawn, flat_gradient
from tui_trainer.lab.trial import Arm
from tui_trainer.models.modes import recalibrate
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words, counting
from tui_trainer.text.fmt import count, learning_rate, plural

PART = 8
"""Images of the smallest batch; the larger ones are put together from these."""

LEAST, MOST = 64, 1_024
"""Images whose gradients are taken at once …"""

ROUNDS = 4
"""… and how often: what is shown first, so many of them, is made surer while the reader looks."""

ENOUGH = 512
"""Images with which it ends: two batches of the largest size that is of use here."""

NUMBERS = 20_000_000
"""Numbers of all gradients together at most: a large network gets fewer batches."""

BATCHES = 16
"""Batches by which the noise scale is measured, if there are so many."""

SIZES = (16, 64, 256, 1_024)
"""The batches that are compared by their gradients, as far as there are two of a size …"""

RACED = (16, 128, 1_024)
"""… and those that are trained with."""

USUAL = 128
"""The batch that the rate is meant for, where it is scaled."""

IMAGES = 16_384
"""Training images that each size gets, if there is time: 16 of the largest batch."""

MODEL = "small"

EQUAL = word_control("equal", ("samples", "time"))
RULE = word_control("rate", ("same", "scaled"))
DRAW = counting("draw", "draw", 100)


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the cosines between batches' gradients, or train with three batch sizes."""
    equal, rule, draw = controls.word(EQUAL), controls.word(RULE), controls.whole(DRAW)
    if confirmed:
        yield from _race(context, equal, rule)
        return
    sizes = ", ".join(map(count, RACED))
    trains = f"train {MODEL} with batches of {sizes}, equal {equal}: about 15 s"
    for products, far in gradient_products(context, draw):
        yield replace(
            _agreement(context, products), trains=trains, progress=far if far < 1 else None
        )


def gradient_products(context: Context, draw: int) -> Iterator[tuple[list[list[float]], float]]:
    """Yield the scalar products of the gradients of batches of ``PART`` images.

    First of few, then of more and more; and the share that is done. Gradients of batches only add
    up where no image's depends on the others of its batch: batch norm goes by the statistics of all
    images of the first round together, and dropout hides nothing.
    """
    network = context.copy()
    numbers = sum(p.numel() for p in network.parameters() if p.requires_grad)
    size = affordable(context.layers, BACKWARD + 1, least=LEAST, most=MOST)
    size = min(size, PART * max(4, NUMBERS // ROUNDS // max(1, numbers))) // PART * PART
    rounds = min(ROUNDS, math.ceil(ENOUGH / size))
    inputs, labels = drawn(context, rounds * size, draw)
    # The running ones can be far off early in a run, and the gradient with them.
    recalibrate(network, [inputs[:size]], is_every=True)
    network.eval()
    gradients: list[Tensor] = []
    for done in range(1, rounds + 1):
        for start in range(len(gradients) * PART, done * size, PART):
            part = slice(start, start + PART)
            if start + PART <= len(labels):
                found = flat_gradient(network, inputs[part], labels[part])
                # In single precision the products lose the digits that tell the gradients apart.
                gradients.append(found.cpu().double())
        table = torch.stack(gradients) if gradients else torch.empty(0, 0)
        yield (table @ table.t()).tolist(), done / rounds


def _agreement(context: Context, products: list[list[float]]) -> Exhibit:
    """Return what the gradients of batches have in common."""
    if len(products) < 2 or not all(math.isfinite(cell) for row in products for cell in row):
        text = "The gradient is no number any more, or there are too few images for two batches."
        return Exhibit(blocks=(Words(text=text, tone="error"),))
    # Of fewer, larger batches: their gradients are more alike in length, as the estimate has it.
    together = max(1, len(products) // BATCHES)
    scale = noise_scale(joined(products, together), PART * together)
    return Exhibit(
        blocks=(_cosines(products, scale), _expected(context, scale)),
        result=_result(context, scale),
        certainty=(
            f"{count(len(products) * PART)} images, one draw, after step {context.step:,}; batch "
            "norm by the statistics of all together, so that the gradients of batches add up."
        ),
    )


def _cosines(products: Sequence[Sequence[float]], scale: float | None) -> Bars:
    """Return the mean cosine between two batches of each size, measured, and that expected."""
    bars = []
    for size in SIZES:
        together = joined(products, size // PART)
        found = cosines(together)
        expected = expected_cosine(scale, size) if scale is not None else None
        told = f"expected {expected:.3f}" if expected is not None else ""
        if found:
            mean = statistics.fmean(found)
            pairs = f"{len(found)} pair{'s' * (len(found) > 1)}"
            number = f"cosine {mean:.3f}   {told:14}  {pairs}".rstrip()
        elif expected is not None:
            mean, number = expected, f"not measured   {told}"
        else:
            continue
        bars.append(Bar(label=f"{size:5,} images", share=max(0.0, mean), number=number))
    return Bars(caption="cosine between the gradients of two batches", bars=tuple(bars))


def _expected(context: Context, scale: float | None) -> Words:
    if scale is None:
        text = "On so few images the noise scale cannot be told from nothing; try another draw."
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
        return "What these batches have in common is too little to tell the noise scale."
    size = context.config.batch_size
    if size > scale:
        what = "most of what two of its batches say is the same"
    else:
        what = "most of what one of its batches says is noise"
    about = plural(round(scale), "image")
    return f"The noise scale is about {about}; the run's batch has {size:,}: {what}."


def _race(context: Context, equal: str, rule: str) -> Iterator[Exhibit]:
    """Train the same network with three batch sizes."""
    network = context.fresh(MODEL)
    usual = float(str(RECIPE["lr"]))
    arms = [
        arm(
            context,
            f"batch {count(size)}",
            network,
            batch_size=size,
            lr=scaled_rate(usual, size, USUAL) if rule == "scaled" else usual,
        )
        for size in RACED
    ]
    how = f"{learning_rate(usual)} for all"
    if rule == "scaled":
        how = f"{learning_rate(usual)} · n / {USUAL}"
    text = f"{MODEL}, the same first weights, equal {equal}; learning rate {how}."
    setup = (Words(text=text, tone="muted"),)
    yield from compare(
        context, arms, setup=setup, found=_spent, images=IMAGES, by_time=equal == "time"
    )


def _spent(arms: Sequence[Arm], scores: Evaluations) -> tuple[Block, ...]:
    """Return what each size took: steps, seconds, and how fast it was."""
    return (
        Table(
            caption="what it took",
            heads=("network", "rate", "steps", "images", "seconds", "images/s"),
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
