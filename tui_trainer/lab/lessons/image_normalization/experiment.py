"""Image normalization: the same pixels on several scales, and a training on each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import is_weighted
from tui_trainer.data.dataset import Data
from tui_trainer.lab.compare import arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.layer_maps import input_and_output
from tui_trainer.lab.lessons.image_normalization.arithmetic import (
    RAW,
    UNIT,
    WHITE,
    Scale,
    binned,
    over_channels,
    scaled_statistics,
    statistics,
)
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Table, Words
from tui_trainer.text.fmt import by_channel, count, percent

IMAGES = 4_000
"""Training images of each arm: only the first steps differ."""

PIXEL_IMAGES = 2_000
"""Training images for the pixel statistics."""

LAYER_IMAGES = 128
"""Images for the output of the first layer."""

EDGES = (0, 1, 32, 64, 96, 128, 160, 192, 224, 256)
"""The bin edges of the bars; black has its own bin."""

PLAIN, NORMED = "without", "with"

LR = 0.02
"""The learning rate of all arms, chosen for normalized pixels."""

PIXELS = word_control("pixels", ("0–255", "0–1", "normalized", "typed"), value="normalized")
SHIFT = number_control(
    "shift", "subtract", 0.5, (-1.0, -0.5, 0, 0.13, 0.25, 0.5, 1, 2), -10.0, 10.0
)
DIVISOR = number_control(
    "divisor", "divide by", 0.5, (0.004, 0.01, 0.1, 0.31, 0.5, 1, 3, 10), 0.001, 100.0
)
NORM = word_control("norm", (PLAIN, NORMED), label="batch norm")


class Rescaled(nn.Module):
    """A model whose input pixels are on another scale than those of the data.

    It undoes the normalization of the data, so that the model gets (gray − shift) / divisor of each
    level from 0 to 1, in each channel.
    """

    def __init__(self, model: nn.Module, scale: Scale, data: Data) -> None:
        super().__init__()
        self.model = model
        factor = [std / scale.divisor for std in data.std]
        offset = [(mean - scale.shift) / scale.divisor for mean in data.mean]
        device = data.train.labels.device
        self._factor = torch.tensor(factor, device=device).view(-1, 1, 1)
        self._offset = torch.tensor(offset, device=device).view(-1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images (N, C, H, H) to logits (N, classes)."""
        logits: Tensor = self.model(images * self._factor + self._offset)
        return logits


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the pixels on the chosen scale, or train one model on each scale."""
    chosen = controls.word(PIXELS)
    data = context.data
    scales = {"0–255": RAW, "0–1": UNIT, "normalized": Scale(*over_channels(data.mean, data.std))}
    if chosen == "typed":
        scales["typed"] = Scale(controls.number(SHIFT), controls.number(DIVISOR))
    norm = controls.word(NORM)
    if confirmed:
        yield from _trained(context, scales, norm)
        return
    images = context.sample(PIXEL_IMAGES, training=True).images
    counts = torch.bincount(images.flatten().cpu(), minlength=WHITE + 1).tolist()
    yield Exhibit(
        blocks=(
            _table(context, images, counts, scales, chosen),
            _bars(counts, scales[chosen]),
            _run_statistics(context, counts, len(images)),
        ),
        trains=f"train on {', '.join(scales)}, {norm} batch norm: up to 15 s",
    )


def _trained(context: Context, scales: dict[str, Scale], norm: str) -> Iterator[Exhibit]:
    """Train one model on each scale."""
    model = context.build(partial(_model, context, norm == NORMED))
    arms = [
        arm(context, name, Rescaled(model, scale, context.data), lr=LR)
        for name, scale in scales.items()
    ]
    text = (
        f"The same network with the same initial weights {norm} batch norm, the same images, "
        f"learning rate {LR:g}. Only the scale of the pixels differs."
    )
    setup = (Words(text=text),)
    yield from compare(context, arms, setup=setup, images=IMAGES)


def _model(context: Context, norm: bool) -> nn.Module:
    """Return the model that is trained."""
    last_side = context.data.image_size // 2 // 2
    plan = (Conv(8), POOL, Conv(16), POOL)
    channels = context.data.channels
    return stack(plan, context.data.classes, channels=channels, norm=norm, last_side=last_side)


def _table(
    context: Context, images: Tensor, counts: list[int], scales: dict[str, Scale], chosen: str
) -> Table:
    """Return mean and std of the pixels on each scale, and of the first layer's output."""
    mean, std = statistics(counts)
    rows = []
    for name, scale in scales.items():
        moved = scaled_statistics(mean, std, scale)
        first = _first_output(context, images, scale)
        span = f"{_short(scale.of(0.0))} to {_short(scale.of(1.0))}"
        shown = ("none", "none") if first is None else first
        rows.append((name, span, _short(moved[0]), _short(moved[1]), *shown))
    return Table(
        caption="the pixels, and the output of the first layer",
        heads=("pixels", "black to white", "mean", "std", "layer 1: mean", "std"),
        rows=tuple(rows),
        marked=list(scales).index(chosen),
    )


def _first_output(context: Context, images: Tensor, scale: Scale) -> tuple[str, str] | None:
    """Return mean and std of the first layer's output; None if it is not available."""
    model = context.copy()
    modules = dict(model.named_modules())
    weighted = (row for row in context.layers if is_weighted(row) and row.name in modules)
    first = next((modules[row.name] for row in weighted), None)
    if first is None:
        return None
    rescaled = Rescaled(model, scale, context.data)
    met = input_and_output(rescaled, first, context.data.prepare(images[:LAYER_IMAGES]))
    if met is None or not bool(torch.isfinite(met[1]).all()):
        return None
    return _short(float(met[1].mean())), _short(float(met[1].std()))


def _bars(counts: list[int], scale: Scale) -> Bars:
    """Return the share of pixels in each range of gray levels, before and after scaling."""
    total = sum(counts)
    bars = []
    for (low, high), number in zip(pairwise(EDGES), binned(counts, EDGES), strict=True):
        before = f"{low}" if high - low == 1 else f"{low}–{high - 1}"
        ends = [_short(scale.of(level / WHITE)) for level in (low, high - 1)]
        after = ends[0] if high - low == 1 else " to ".join(ends)
        share = number / total
        bars.append(Bar(label=f"{before:>7}  {after:>16}", share=share, number=percent(share)))
    return Bars(
        caption="gray levels as stored and as the network gets them, share of pixels",
        bars=tuple(bars),
    )


def _run_statistics(context: Context, counts: list[int], images: int) -> Words:
    """Return the mean and std of the run next to those of the images here."""
    (mean, std), data = statistics(counts), context.data
    of_all = "" if data.channels == 1 else ", all channels together"
    return Words(
        text=f"Mean and std of the run are {by_channel(data.mean)} and {by_channel(data.std)}, "
        f"from its {count(len(data.train))} training images; on {count(images)} of them they are "
        f"{mean:.4f} and {std:.4f}{of_all}. Validation images are normalized with the same "
        f"{'two ' if data.channels == 1 else ''}numbers."
    )


def _short(number: float) -> str:
    """Return a number in at most about six characters."""
    digits = 1 if abs(number) >= 100 else 2 if abs(number) >= 10 else 3
    return f"{number:z.{digits}f}"
