"""Image normalization: the same pixels on several scales, and how a network learns from each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import is_weighted
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
    scaled_statistics,
    statistics,
)
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.protocol.exhibit import Bar, Bars, Exhibit, Table, Words
from tui_trainer.text.fmt import count, percent

IMAGES = 4_000
"""Training images of each arm: it is the first steps that differ."""

LOOKED_AT = 2_000
"""Training images whose pixels are counted."""

THROUGH = 128
"""Images that are sent through the first layer."""

EDGES = (0, 1, 32, 64, 96, 128, 160, 192, 224, 256)
"""Where the greys are parted for the bars; black is by itself."""

PLAIN, NORMED = "without", "with"

RATE = 0.02
"""The learning rate of all arms: one that suits normalized pixels."""

PIXELS = word_control("pixels", ("0–255", "0–1", "normalized", "typed"), value="normalized")
SHIFT = number_control(
    "shift", "subtract", 0.5, (-1.0, -0.5, 0, 0.13, 0.25, 0.5, 1, 2), -10.0, 10.0
)
DIVISOR = number_control(
    "divisor", "divide by", 0.5, (0.004, 0.01, 0.1, 0.31, 0.5, 1, 3, 10), 0.001, 100.0
)
NORM = word_control("norm", (PLAIN, NORMED), label="batch norm")


class Rescaled(nn.Module):
    """A network that gets its pixels on another scale than the data has them.

    The normalization of the data is undone first, so that the network sees
    (grey − shift) / divisor of each grey from 0 to 1.
    """

    def __init__(self, network: nn.Module, scale: Scale, mean: float, std: float) -> None:
        super().__init__()
        self.network = network
        self._factor = std / scale.divisor
        self._offset = (mean - scale.shift) / scale.divisor

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images (N, 1, H, H) to scores (N, classes)."""
        scores: Tensor = self.network(images * self._factor + self._offset)
        return scores


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the pixels on a chosen scale; train one network on each scale."""
    chosen = controls.word(PIXELS)
    scales = {"0–255": RAW, "0–1": UNIT, "normalized": Scale(context.data.mean, context.data.std)}
    if chosen == "typed":
        scales["typed"] = Scale(controls.number(SHIFT), controls.number(DIVISOR))
    norm = controls.word(NORM)
    if confirmed:
        yield from _trained(context, scales, norm)
        return
    images = context.sample(LOOKED_AT, training=True).images
    counts = torch.bincount(images.flatten().cpu(), minlength=WHITE + 1).tolist()
    yield Exhibit(
        blocks=(
            _table(context, images, counts, scales, chosen),
            _bars(counts, scales[chosen]),
            _own_figures(context, counts, len(images)),
        ),
        trains=f"train one network on {', '.join(scales)}, {norm} batch norm: up to 15 s",
    )


def _trained(context: Context, scales: dict[str, Scale], norm: str) -> Iterator[Exhibit]:
    """Train one network on each scale."""
    network = context.build(partial(_network, context, norm == NORMED))
    mean, std = context.data.mean, context.data.std
    arms = [
        arm(context, name, Rescaled(network, scale, mean, std), lr=RATE)
        for name, scale in scales.items()
    ]
    text = (
        f"The same network and the same first weights {norm} batch norm, the same images, learning "
        f"rate {RATE:g}. Only the scale of the pixels differs."
    )
    setup = (Words(text=text),)
    yield from compare(context, arms, setup=setup, images=IMAGES)


def _network(context: Context, norm: bool) -> nn.Module:
    """Return the network that is trained."""
    last_side = context.data.image_size // 2 // 2
    plan = (Conv(8), POOL, Conv(16), POOL)
    return stack(plan, context.data.classes, norm=norm, last_side=last_side)


def _table(
    context: Context, images: Tensor, counts: list[int], scales: dict[str, Scale], chosen: str
) -> Table:
    """Return mean and deviation of the pixels on each scale, and of what the first layer gives."""
    mean, std = statistics(counts)
    rows = []
    for name, scale in scales.items():
        moved = scaled_statistics(mean, std, scale)
        first = _first_output(context, images, scale)
        span = f"{_short(scale.of(0.0))} to {_short(scale.of(1.0))}"
        told = ("none", "none") if first is None else first
        rows.append((name, span, _short(moved[0]), _short(moved[1]), *told))
    return Table(
        caption="the pixels, and what the first layer makes of them",
        heads=("pixels", "black to white", "mean", "deviation", "layer 1: mean", "deviation"),
        rows=tuple(rows),
        marked=list(scales).index(chosen),
    )


def _first_output(context: Context, images: Tensor, scale: Scale) -> tuple[str, str] | None:
    """Return mean and deviation of the first layer's output; None where it cannot be seen."""
    network = context.copy()
    modules = dict(network.named_modules())
    weighted = (row for row in context.layers if is_weighted(row) and row.name in modules)
    first = next((modules[row.name] for row in weighted), None)
    if first is None:
        return None
    rescaled = Rescaled(network, scale, context.data.mean, context.data.std)
    met = input_and_output(rescaled, first, context.data.prepare(images[:THROUGH]))
    if met is None or not bool(torch.isfinite(met[1]).all()):
        return None
    return _short(float(met[1].mean())), _short(float(met[1].std()))


def _bars(counts: list[int], scale: Scale) -> Bars:
    """Return how many pixels there are of each range of greys, before and after scaling."""
    total = sum(counts)
    bars = []
    for (low, high), number in zip(pairwise(EDGES), binned(counts, EDGES), strict=True):
        before = f"{low}" if high - low == 1 else f"{low}–{high - 1}"
        ends = [_short(scale.of(grey / WHITE)) for grey in (low, high - 1)]
        after = ends[0] if high - low == 1 else " to ".join(ends)
        share = number / total
        bars.append(Bar(label=f"{before:>7}  {after:>16}", share=share, number=percent(share)))
    return Bars(caption="greys as stored, as the network gets them, their share", bars=tuple(bars))


def _own_figures(context: Context, counts: list[int], images: int) -> Words:
    """Return the run's own mean and deviation beside those counted here."""
    (mean, std), data = statistics(counts), context.data
    return Words(
        text=f"The run took {data.mean:.4f} and {data.std:.4f} from the pixels of its "
        f"{count(len(data.train))} training images; counted here on {count(images)} of them: "
        f"{mean:.4f} and {std:.4f}. Validation is given the same two numbers, not its own."
    )


def _short(number: float) -> str:
    """Return a number in at most about six characters."""
    digits = 1 if abs(number) >= 100 else 2 if abs(number) >= 10 else 3
    return f"{number:z.{digits}f}"
