"""Transition layers: what one keeps of a digit's maps, and what it saves the next layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from torch import Tensor

from tui_trainer.anatomy.review.design import CONVOLUTIONS, Design
from tui_trainer.lab.context import DIGIT, Context
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.drawing import map_picture, nonfinite_notice
from tui_trainer.lab.layer_maps import LayerMaps, Subject, maps_of, subject
from tui_trainer.lab.lessons.transition_layers.arithmetic import Saving, Shape, saving
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, at, counting
from tui_trainer.protocol.layers import LayerRow, shape_text
from tui_trainer.text.fmt import count, percent, short_count

BEFORE, AFTER = 2, 4
"""Maps drawn before and after: as many as fit side by side in 80 columns."""

LEFT = number_control("left", "channels left", 16, (4, 8, 16, 32, 64), 1.0, 512.0)
POOLS = word_control("pools", ("yes", "no"), label="pool")


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show the maps before and after a transition, its figures, and a cost calculator."""
    inspected = subject(
        context,
        lambda inspected: bool(transitions(inspected.layers)),
        fallback="era-s6",
        lacks="transition layer (1×1 to fewer maps, then a pool)",
    )
    found = transitions(inspected.layers)
    which = controls.whole(counting("transition", "transition", len(found), first=1))
    mix, pool = found[which - 1]
    entering = inspected.layers[mix].input_shape or inspected.layers[mix].output_shape
    number = controls.whole(DIGIT)
    channels = controls.whole(at(LEFT, float(inspected.layers[mix].output_shape[2])))
    pools = controls.word(POOLS) == "yes"
    kernels = _kernels_after(inspected.layers, pool) or entering[2]
    saved = saving(entering, channels, kernels, pools=pools)
    yield Exhibit(
        blocks=(
            *inspected.note,
            *_maps(context, inspected, mix, pool, number),
            _figures(inspected.layers, mix, pool),
            _calculator(saved, entering, channels, kernels, pools),
        ),
        result=(
            f"With {channels} channels left and {'a' if pools else 'no'} pool, transition and next "
            f"layer together take {percent(saved.left, 1)} of the multiply-adds of the next layer "
            "without a transition."
        ),
        evidence="Counted, not measured: it holds for these shapes with any weights.",
    )


def transitions(rows: Sequence[LayerRow]) -> list[tuple[int, int]]:
    """Return the transitions of a model: the indices of each 1×1 convolution and its pool.

    The convolution reduces the channels and does not complete a depthwise one; the pool shrinks the
    maps.
    """
    design = Design(rows)
    found = []
    for pool in design.shrinking_pools:
        mix = next(reversed(list(design.back(pool))), None)
        if mix is None or not design.is_pointwise(mix) or design.depthwise_of(mix) is not None:
            continue
        if rows[mix].output_shape[2] < design.reads(mix)[2]:
            found.append((mix, pool))
    return found


def _maps(
    context: Context, inspected: Subject, mix: int, pool: int, number: int
) -> tuple[Block, ...]:
    """Return the maps with the highest variance before and after a transition."""
    digit = context.digit(number)
    maps: Mapping[int, LayerMaps] = {
        each.place: each for each in maps_of(inspected, digit.model_input, None)
    }
    before, after = maps.get(inspected.layers[mix].sources[0]), maps.get(pool)
    if before is None or after is None:
        return ()
    if before.is_nonfinite or after.is_nonfinite:
        return (nonfinite_notice("the maps"),)
    return (
        Pictures(
            caption=f"{digit.caption}: the {BEFORE} maps with the highest variance before",
            items=_highest_variance(before.values, BEFORE),
        ),
        Pictures(
            caption=f"the {AFTER} maps with the highest variance after 1×1 and pool",
            items=_highest_variance(after.values, AFTER),
        ),
    )


def _highest_variance(values: Tensor, most: int) -> tuple[Picture, ...]:
    """Return the maps of (channels, H, W) with the highest variance over positions."""
    spread = values.flatten(1).std(dim=1, correction=0)
    chosen = sorted(spread.topk(min(most, len(values))).indices.tolist())
    return tuple(map_picture(values[channel], f"map {channel + 1}") for channel in chosen)


def _figures(rows: Sequence[LayerRow], mix: int, pool: int) -> Table:
    """Return shapes, parameters and multiply-adds of each step."""
    entering = rows[mix].input_shape or rows[mix].output_shape
    steps = [("before", entering, None), ("mix 1×1", rows[mix].output_shape, rows[mix])]
    steps.append(("pool", rows[pool].output_shape, rows[pool]))
    return Table(
        caption=f"{rows[mix].name} and {rows[pool].name}: what is left",
        heads=("step", "maps", "values", "left", "parameters", "mult-adds"),
        rows=tuple(
            (
                name,
                shape_text(shape),
                count(prod(shape)),
                percent(prod(shape) / prod(entering), 1),
                count(row.parameters) if row else "",
                short_count(row.multiply_adds) if row else "",
            )
            for name, shape, row in steps
        ),
    )


def _kernels_after(rows: Sequence[LayerRow], pool: int) -> int | None:
    """Return the number of kernels of the next convolution; None if there is none."""
    later = (row.output_shape[2] for row in rows[pool + 1 :] if row.kind in CONVOLUTIONS)
    return next(later, None)


def _calculator(saved: Saving, entering: Shape, channels: int, kernels: int, pools: bool) -> Table:
    """Return the cost of the next 3×3 layer without and with a transition."""
    costs = (
        ("next layer without", saved.without),
        ("next layer after it", saved.after),
        ("the 1×1 itself", saved.mixing),
    )
    arrow = f"{entering[2]} → {channels} channels{', pooled' if pools else ''}"
    return Table(
        caption=f"a 3×3 layer of {kernels} kernels on {shape_text(entering)}; {arrow}",
        heads=("layer", "parameters", "mult-adds"),
        rows=tuple(
            (name, count(cost.parameters), short_count(cost.multiply_adds)) for name, cost in costs
        ),
    )
