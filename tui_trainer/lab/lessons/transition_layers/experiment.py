"""Transition layers: what one leaves of a digit's maps, and what it saves the next layer."""

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
"""Maps drawn before and after: as many as stand side by side in 80 columns."""

LEFT = number_control("left", "channels left", 16, (4, 8, 16, 32, 64), 1.0, 512.0)
POOLS = word_control("pools", ("yes", "no"), label="pool")


def show(context: Context, controls: Controls, confirmed: bool) -> Iterator[Exhibit]:
    """Show a transition's maps of a digit and its figures, and a calculator of what it saves."""
    seen = subject(
        context,
        lambda seen: bool(transitions(seen.layers)),
        fallback="era-s6",
        lacks="transition layer (1×1 to fewer maps, then a pool)",
    )
    found = transitions(seen.layers)
    which = controls.whole(counting("transition", "transition", len(found), first=1))
    mix, pool = found[which - 1]
    entering = seen.layers[mix].input_shape or seen.layers[mix].output_shape
    number = controls.whole(DIGIT)
    channels = controls.whole(at(LEFT, float(seen.layers[mix].output_shape[2])))
    pools = controls.word(POOLS) == "yes"
    kernels = _kernels_behind(seen.layers, pool) or entering[2]
    spared = saving(entering, channels, kernels, pools=pools)
    yield Exhibit(
        blocks=(
            *seen.note,
            *_maps(context, seen, mix, pool, number),
            _figures(seen.layers, mix, pool),
            _calculator(spared, entering, channels, kernels, pools),
        ),
        result=(
            f"With {channels} channels left and {'a' if pools else 'no'} pool, transition "
            f"and next layer together take {percent(spared.left, 1)} of the multiply-adds that the "
            "next layer takes without."
        ),
        certainty="Counted, not measured: it holds for these shapes whatever the weights are.",
    )


def transitions(rows: Sequence[LayerRow]) -> list[tuple[int, int]]:
    """Return the transitions of a network: the places of each 1×1 convolution and of its pool.

    The convolution makes fewer maps, is none that completes a depthwise one, and the pool makes
    them smaller.
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


def _maps(context: Context, seen: Subject, mix: int, pool: int, number: int) -> tuple[Block, ...]:
    """Return the liveliest maps of a digit before and after a transition."""
    digit = context.digit(number)
    maps: Mapping[int, LayerMaps] = {
        each.place: each for each in maps_of(seen, digit.model_input, None)
    }
    before, after = maps.get(seen.layers[mix].sources[0]), maps.get(pool)
    if before is None or after is None:
        return ()
    if before.is_nonfinite or after.is_nonfinite:
        return (nonfinite_notice("the maps"),)
    return (
        Pictures(
            caption=f"a {digit.label}: the {BEFORE} liveliest maps before",
            items=_liveliest(before.values, BEFORE),
        ),
        Pictures(
            caption=f"the {AFTER} liveliest behind 1×1 and pool",
            items=_liveliest(after.values, AFTER),
        ),
    )


def _liveliest(values: Tensor, most: int) -> tuple[Picture, ...]:
    """Return the maps of (channels, H, W) that differ most from place to place."""
    spread = values.flatten(1).std(dim=1, correction=0)
    chosen = sorted(spread.topk(min(most, len(values))).indices.tolist())
    return tuple(map_picture(values[channel], f"map {channel + 1}") for channel in chosen)


def _figures(rows: Sequence[LayerRow], mix: int, pool: int) -> Table:
    """Return shapes, parameters and work before, between and after."""
    entering = rows[mix].input_shape or rows[mix].output_shape
    told = [("before", entering, None), ("mix 1×1", rows[mix].output_shape, rows[mix])]
    told.append(("pool", rows[pool].output_shape, rows[pool]))
    return Table(
        caption=f"{rows[mix].name} and {rows[pool].name}: what is left",
        heads=("step", "maps", "numbers", "left", "parameters", "mult-adds"),
        rows=tuple(
            (
                name,
                shape_text(shape),
                count(prod(shape)),
                percent(prod(shape) / prod(entering), 1),
                count(row.parameters) if row else "",
                short_count(row.multiply_adds) if row else "",
            )
            for name, shape, row in told
        ),
    )


def _kernels_behind(rows: Sequence[LayerRow], pool: int) -> int | None:
    """Return the kernels of the next convolution; None where there is none."""
    behind = (row.output_shape[2] for row in rows[pool + 1 :] if row.kind in CONVOLUTIONS)
    return next(behind, None)


def _calculator(spared: Saving, entering: Shape, channels: int, kernels: int, pools: bool) -> Table:
    """Return what the next 3×3 layer costs without a transition and with one."""
    costs = (
        ("next layer without", spared.without),
        ("next layer behind it", spared.behind),
        ("the 1×1 itself", spared.mixing),
    )
    arrow = f"{entering[2]} → {channels} channels{', pooled' if pools else ''}"
    return Table(
        caption=f"a 3×3 layer of {kernels} kernels behind {shape_text(entering)}; {arrow}",
        heads=("layer", "parameters", "mult-adds"),
        rows=tuple(
            (name, count(cost.parameters), short_count(cost.multiply_adds)) for name, cost in costs
        ),
    )
