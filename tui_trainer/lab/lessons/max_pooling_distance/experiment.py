"""Distance of max pooling from the prediction: how many layers are behind it, what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tui_trainer.anatomy.review.design import CONVOLUTIONS, Design
from tui_trainer.lab.compare import Evaluations, accuracy_text, arm, compare
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.model_variants import POOL, Conv, layers_of, stack
from tui_trainer.lab.trial import Arm
from tui_trainer.models.modes import evaluating
from tui_trainer.protocol.exhibit import Block, Exhibit, Table, Words
from tui_trainer.protocol.layers import LayerRow, shape_text, totals
from tui_trainer.protocol.reference import model_name
from tui_trainer.text.fmt import count, field, plural, short_count

KERNELS = (8, 12, 16, 20, 24)
"""The kernels of the networks that are trained."""

SHIFTED = 500
"""Images that are moved by a pixel after the training."""

BEHIND = number_control("behind", "layers behind", 4, (2, 3, 4))
"""Layers with weights from the last pool to the scores: the one that makes these is the first."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the network's pools; train one with its last pool at the end and one with it before."""
    behind = controls.whole(BEHIND)
    side, classes = context.data.image_size, context.data.classes
    setup = _setup(
        {named(apart): layers_of(network, side, apart, classes) for apart in (1, behind)}
    )
    if not confirmed:
        yield Exhibit(
            blocks=(_own(context), setup),
            trains=f"train both, with 1 and {behind} layers behind the pool: about 15 s",
        )
        return
    arms = [
        arm(context, named(apart), context.build(partial(network, apart, classes)))
        for apart in (1, behind)
    ]
    yield from compare(context, arms, setup=(setup,), found=partial(_after_moving, context))


def named(behind: int) -> str:
    """Return what a network with so many layers with weights behind its last pool is called."""
    return f"{plural(behind, 'layer')} behind"


def network(behind: int, classes: int) -> nn.Sequential:
    """Return five convolutions and the layer that makes the scores, pooled twice.

    The first pool is behind the first convolution; so many layers with weights are behind the
    other, that of the scores among them.
    """
    plan: list[Conv | str] = []
    for number, kernels in enumerate(KERNELS, start=1):
        plan.append(Conv(kernels))
        if number in (1, len(KERNELS) + 1 - behind):
            plan.append(POOL)
    return stack(plan, classes)


def moved(images: Tensor) -> Tensor:
    """Return images (N, H, H), each moved by one pixel: right, left, down, up in turns.

    What comes in at the border is black.
    """
    result = torch.zeros_like(images)
    result[0::4, :, 1:] = images[0::4, :, :-1]
    result[1::4, :, :-1] = images[1::4, :, 1:]
    result[2::4, 1:, :] = images[2::4, :-1, :]
    result[3::4, :-1, :] = images[3::4, 1:, :]
    return result


def _own(context: Context) -> Block:
    """Return how far each max pooling of the run's network is from its scores."""
    design = Design(context.layers)
    pools = [place for place in design.positions("max pool") if place in design.distances]
    name = model_name(context.config.model)
    if not pools:
        return Words(text=f"{name} has no max pooling.", tone="warning")
    return Table(
        caption=f"{name}: layers with weights behind each max pooling",
        heads=("pool", "maps", "field", "layers behind", "scored by"),
        rows=tuple(
            (
                design.rows[place].name,
                shape_text(design.rows[place].output_shape),
                field(design.rows[place].receptive_field),
                str(design.distances[place]),
                ", ".join(design.rows[head].name for head in sorted(design.heads)),
            )
            for place in pools
        ),
        marked=len(pools) - 1,
    )


def _setup(tables: Mapping[str, Sequence[LayerRow]]) -> Table:
    """Return what is trained: the same kernels, the last pool in another place."""
    rows = []
    for name, layers in tables.items():
        last = next(row for row in reversed(layers) if row.kind in (*CONVOLUTIONS, "max pool"))
        total = totals(layers)
        rows.append(
            (
                name,
                shape_text(last.output_shape),
                field(last.receptive_field),
                count(total.parameters),
                short_count(total.multiply_adds),
            )
        )
    return Table(
        caption="trained: five convolutions, the last pool in another place",
        heads=("network", "last maps", "field", "parameters", "mult-adds"),
        rows=tuple(rows),
    )


def _after_moving(context: Context, arms: Sequence[Arm], scores: Evaluations) -> tuple[Block, ...]:
    """Return what a shift of the digit by one pixel does to the scores of each network."""
    images = context.sample(SHIFTED).images
    rows = []
    for each in arms:
        change, switched = _change(context, each.trial.model, images)
        rows.append((each.name, f"{change:.3f}", accuracy_text(switched, len(images))))
    return (
        Table(
            caption=f"{len(images)} images moved by one pixel",
            heads=("network", "scores move by", "answers that change, 95 %"),
            rows=tuple(rows),
        ),
        Words(
            text="The scores' movement is told in deviations of the scores themselves: "
            "root mean square of the change, over their deviation.",
            tone="muted",
        ),
    )


def _change(context: Context, network: nn.Module, images: Tensor) -> tuple[float, int]:
    """Return how far scores move, in their own deviations, and how many answers change."""
    with evaluating(network), torch.no_grad():
        still = network(context.data.prepare(images))
        other = network(context.data.prepare(moved(images)))
    change = float((other - still).square().mean().sqrt() / still.std())
    return change, int((other.argmax(dim=1) != still.argmax(dim=1)).sum())
