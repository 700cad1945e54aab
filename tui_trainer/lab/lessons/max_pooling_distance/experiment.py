"""Distance of max pooling from the prediction: the layers after it and their effect."""

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
"""The kernels of the models that are trained."""

SHIFTED_IMAGES = 500
"""Images that are shifted by one pixel after the training."""

AFTER = number_control("after", "layers after", 4, (2, 3, 4))
"""Layers with weights after the last pool, the output layer included."""


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the model's pools, or train two models with the last pool at two positions."""
    after = controls.whole(AFTER)
    classes, channels = context.data.classes, context.data.channels
    setup = _setup(
        {
            arm_name(apart): layers_of(pooled_model, context.data.shape, apart, classes, channels)
            for apart in (1, after)
        }
    )
    if not confirmed:
        yield Exhibit(
            blocks=(_run_pools(context), setup),
            trains=f"train both, with 1 and {after} layers after the pool: about 15 s",
        )
        return
    arms = [
        arm(
            context, arm_name(apart), context.build(partial(pooled_model, apart, classes, channels))
        )
        for apart in (1, after)
    ]
    yield from compare(context, arms, setup=(setup,), found=partial(_after_shift, context))


def arm_name(after: int) -> str:
    """Return the name of the arm with this number of layers after its last pool."""
    return f"{plural(after, 'layer')} after"


def pooled_model(after: int, classes: int, channels: int = 1) -> nn.Sequential:
    """Return five convolutions and an output layer, with two pools.

    The first pool follows the first convolution; ``after`` layers with weights follow the second,
    the output layer included.
    """
    plan: list[Conv | str] = []
    for number, kernels in enumerate(KERNELS, start=1):
        plan.append(Conv(kernels))
        if number in (1, len(KERNELS) + 1 - after):
            plan.append(POOL)
    return stack(plan, classes, channels=channels)


def shifted(images: Tensor) -> Tensor:
    """Return images (N, …, H, H), each shifted by one pixel: right, left, down, up in turn.

    The border is filled with black.
    """
    result = torch.zeros_like(images)
    result[0::4, ..., 1:] = images[0::4, ..., :-1]
    result[1::4, ..., :-1] = images[1::4, ..., 1:]
    result[2::4, ..., 1:, :] = images[2::4, ..., :-1, :]
    result[3::4, ..., :-1, :] = images[3::4, ..., 1:, :]
    return result


def _run_pools(context: Context) -> Block:
    """Return the distance of each max pooling of the run's model from its logits."""
    design = Design(context.layers)
    pools = [place for place in design.positions("max pool") if place in design.distances]
    name = model_name(context.config.model)
    if not pools:
        return Words(text=f"{name} has no max pooling.", tone="warning")
    return Table(
        caption=f"{name}: layers with weights after each max pooling",
        heads=("pool", "maps", "field", "layers after", "output layer"),
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
    """Return the models that are trained: the same kernels, the last pool elsewhere."""
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
        caption="trained: five convolutions, the last pool at two positions",
        heads=("network", "last maps", "field", "parameters", "mult-adds"),
        rows=tuple(rows),
    )


def _after_shift(
    context: Context, arms: Sequence[Arm], evaluations: Evaluations
) -> tuple[Block, ...]:
    """Return the effect of a shift by one pixel on the logits of each model."""
    images = context.sample(SHIFTED_IMAGES).images
    rows = []
    for each in arms:
        change, changed_predictions = _change(context, each.trial.model, images)
        rows.append((each.name, f"{change:.3f}", accuracy_text(changed_predictions, len(images))))
    return (
        Table(
            caption=f"{len(images)} images shifted by one pixel",
            heads=("network", "logit change", "changed predictions, 95 %"),
            rows=tuple(rows),
        ),
        Words(
            text="Logit change: the root mean square of the change divided by the standard "
            "deviation of the logits.",
            tone="muted",
        ),
    )


def _change(context: Context, model: nn.Module, images: Tensor) -> tuple[float, int]:
    """Return the change of the logits in standard deviations, and of the predictions."""
    with evaluating(model), torch.no_grad():
        original = model(context.data.prepare(images))
        other = model(context.data.prepare(shifted(images)))
    change = float((other - original).square().mean().sqrt() / original.std())
    return change, int((other.argmax(dim=1) != original.argmax(dim=1)).sum())
