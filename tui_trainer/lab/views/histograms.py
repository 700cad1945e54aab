"""Histograms of the weights or activations of a layer, now and at initialization; dead units."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from torch import nn

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import nonfinite_notice
from tui_trainer.lab.views.distributions import (
    Distribution,
    Kept,
    counted,
    distribution_of,
    figures_of,
    mean_and_std,
    recalibrated,
    zeros_of,
)
from tui_trainer.lab.views.layer_units import output_place, unit_statistics
from tui_trainer.lab.views.weights import Weights, around, nothing_to_see, weights_of
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words
from tui_trainer.text.fmt import count, percent, plural

WEIGHTS, ACTIVATIONS, CHANGES = "weights", "activations", "changes"
OF = word_control("of", (WEIGHTS, ACTIVATIONS, CHANGES))


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the histogram of one layer, and a table of all layers."""
    model = context.copy()
    layers, missing = weights_of(context, model)
    of = controls.word(OF)
    if missing and of == CHANGES:
        of = WEIGHTS
        controls.add(OF, of)
    if not layers:
        yield nothing_to_see()
        return
    names = tuple(weights.name for weights in layers)
    layer = controls.word(word_control("layer", names))
    if of != ACTIVATIONS:
        distributions = [distribution_of(weights, is_change=of == CHANGES) for weights in layers]
        yield _exhibit(context, distributions, of, layer, missing)
        return
    yield from _activations(context, model, layers, layer, missing)


def _activations(
    context: Context, model: nn.Module, layers: Sequence[Weights], chosen: str, missing: str
) -> Parts:
    """Show the activations on a sample; then next to them those at initialization."""
    places = {output_place(context.layers, weights.place): weights.name for weights in layers}
    yield Exhibit(
        blocks=(Words(text="Running the network on a sample …", tone="muted"),), progress=0.0
    )
    kept, first = Kept(), Kept()
    units = yield from unit_statistics(context, model, places, kept.taken)
    distributions = [
        Distribution(name, kept.values(place), None, units.get(place))
        for place, name in places.items()
    ]
    is_start = not missing and context.step > 0
    progress = 0.5 if is_start else None
    yield _exhibit(context, distributions, ACTIVATIONS, chosen, missing, progress)
    if not is_start:
        return
    start = recalibrated(context, context.initial_model())
    yield None
    begun = yield from unit_statistics(context, start, places, first.taken)
    distributions = [
        Distribution(
            name, kept.values(place), first.values(place), units.get(place), begun.get(place)
        )
        for place, name in places.items()
    ]
    yield _exhibit(context, distributions, ACTIVATIONS, chosen, missing)


def _exhibit(
    context: Context,
    distributions: Sequence[Distribution],
    of: str,
    layer: str,
    missing: str,
    progress: float | None = None,
) -> Exhibit:
    chosen = next(distribution for distribution in distributions if distribution.name == layer)
    is_of_units = of == ACTIVATIONS
    images = max(
        (distribution.units.images for distribution in distributions if distribution.units),
        default=0,
    )
    blocks: list[Block] = [_histogram(chosen, of)]
    if missing:
        blocks.append(Words(text=missing, tone="warning"))
    table = _activation_table if is_of_units else _weight_table
    place = next(i for i, distribution in enumerate(distributions) if distribution is chosen)
    part = around(place, len(distributions))
    blocks.append(table(distributions[part], place - part.start))
    on = f"; {count(images)} {context.split_name} images" if images else ""
    return Exhibit(
        blocks=tuple(blocks),
        result=_result(chosen, of),
        evidence=f"Weights of step {count(context.step)}{on}."
        + (" Batch norm and ReLU are counted with the layer before them." if is_of_units else ""),
        progress=progress,
        figures={
            "of": of,
            "images": images,
            "layers": [figures_of(distribution) for distribution in distributions]
            if progress is None
            else [],
        },
    )


def _histogram(distribution: Distribution, of: str) -> Block:
    """Return the histogram of a layer as bars, with the shares at initialization."""
    if distribution.is_nonfinite:
        return nonfinite_notice(f"the {of} of {distribution.name}")
    finite, bins = counted(distribution.now), distribution.bins
    if not len(finite):
        return Words(text=f"The {of} of {distribution.name} are all 0.", tone="warning")
    now = bins.shares(finite)
    start = None if distribution.start is None else bins.shares(counted(distribution.start))
    zeros = 1 - len(finite) / len(distribution.now)
    aside = f", without the {percent(zeros, 1)} exact zeros" if zeros > 0 else ""
    second = "; second column: at initialization" if start is not None else ""
    most = max(now)
    places = [
        place
        for place, share in enumerate(now)
        if 0 < place <= bins.count or share > 0 or (start is not None and start[place] > 0)
    ]
    labels = bins.labels()
    return Bars(
        caption=f"{distribution.name}: {of}{aside}{second}",
        bars=tuple(
            Bar(
                label=labels[place],
                share=now[place] / most,
                number=f"{100 * now[place]:.1f} %"
                + ("" if start is None else f" {100 * start[place]:7.1f} %"),
            )
            for place in places
        ),
    )


def _weight_table(distributions: Sequence[Distribution], marked: int) -> Table:
    return Table(
        caption="all layers",
        heads=("layer", "count", "mean", "std", "initial std", "largest", "zeros"),
        rows=tuple(
            (
                distribution.name,
                count(len(distribution.now)),
                *map(_number, mean_and_std(distribution.now)),
                "–" if distribution.start is None else _number(mean_and_std(distribution.start)[1]),
                _number(float(distribution.now.abs().max())),
                percent(zeros_of(distribution), 1),
            )
            for distribution in distributions
        ),
        marked=marked,
    )


def _activation_table(distributions: Sequence[Distribution], marked: int) -> Table:
    rows = []
    for distribution in distributions:
        units, begun = distribution.units, distribution.start_units
        if units is None:
            rows.append((distribution.name, *["–"] * 7))
            continue
        dead = len(units.dead)
        rows.append(
            (
                distribution.name,
                count(len(units.low)),
                _number(units.mean),
                _number(units.std),
                "–" if begun is None else _number(begun.std),
                percent(units.zeros / units.numbers, 1),
                f"{dead} ✗" if dead else "0",
                "–" if units.saturated_share is None else percent(units.saturated_share, 1),
            )
        )
    heads = ("layer", "units", "mean", "std", "initial std", "zeros", "dead", "saturated")
    return Table(caption="all layers", heads=heads, rows=tuple(rows), marked=marked)


def _number(value: float) -> str:
    return f"{value:z.3f}".replace("-", "−") if isfinite(value) else "–"


def _result(distribution: Distribution, of: str) -> str:
    if distribution.is_nonfinite:
        return f"The {of} of {distribution.name} are not finite."
    mean, std = mean_and_std(distribution.now)
    begun = ""
    if distribution.start is not None:
        begun = f", initially {_number(mean_and_std(distribution.start)[1])}"
    text = f"{distribution.name}: mean {_number(mean)}, standard deviation {_number(std)}{begun}."
    if distribution.units is None:
        return text
    dead = distribution.units.dead
    if not dead:
        return f"{text} No dead unit."
    which = ", ".join(map(str, dead[:8])) + (", …" if len(dead) > 8 else "")
    return f"{text} {plural(len(dead), 'dead unit')} of {len(distribution.units.low)}: {which}."
