"""How the weights and the activations of a layer are spread, now and at the start; dead units."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from torch import nn

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import no_numbers
from tui_trainer.lab.views.layer_units import census, outlet
from tui_trainer.lab.views.spreads import (
    Kept,
    Spread,
    calibrated,
    counted,
    figures_of,
    mean_and_std,
    spread_of,
    zeros_of,
)
from tui_trainer.lab.views.weights import Weights, around, nothing_to_see, weights_of
from tui_trainer.protocol.exhibit import Bar, Bars, Block, Exhibit, Table, Words
from tui_trainer.text.fmt import count, percent, plural

WEIGHTS, ACTIVATIONS, CHANGES = "weights", "activations", "changes"
OF = word_control("of", (WEIGHTS, ACTIVATIONS, CHANGES))


def show(context: Context, controls: Controls, goes: bool) -> Parts:
    """Show the histogram of one layer, and all layers in a table."""
    network = context.copy()
    layers, missing = weights_of(context, network)
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
        spreads = [spread_of(weights, is_change=of == CHANGES) for weights in layers]
        yield _exhibit(context, spreads, of, layer, missing)
        return
    yield from _activations(context, network, layers, layer, missing)


def _activations(
    context: Context, network: nn.Module, layers: Sequence[Weights], chosen: str, missing: str
) -> Parts:
    """Show what the layers give on a sample; then beside it what they gave at the start."""
    places = {outlet(context.layers, weights.place): weights.name for weights in layers}
    yield Exhibit(
        blocks=(Words(text="Some images are on their way …", tone="muted"),), progress=0.0
    )
    kept, first = Kept(), Kept()
    units = yield from census(context, network, places, kept.taken)
    spreads = [
        Spread(name, kept.values(place), None, units.get(place)) for place, name in places.items()
    ]
    is_start = not missing and context.step > 0
    progress = 0.5 if is_start else None
    yield _exhibit(context, spreads, ACTIVATIONS, chosen, missing, progress)
    if not is_start:
        return
    start = calibrated(context, context.at_start())
    yield None
    begun = yield from census(context, start, places, first.taken)
    spreads = [
        Spread(name, kept.values(place), first.values(place), units.get(place), begun.get(place))
        for place, name in places.items()
    ]
    yield _exhibit(context, spreads, ACTIVATIONS, chosen, missing)


def _exhibit(
    context: Context,
    spreads: Sequence[Spread],
    of: str,
    layer: str,
    missing: str,
    progress: float | None = None,
) -> Exhibit:
    chosen = next(spread for spread in spreads if spread.name == layer)
    is_of_units = of == ACTIVATIONS
    images = max((spread.units.images for spread in spreads if spread.units), default=0)
    blocks: list[Block] = [_histogram(chosen, of)]
    if missing:
        blocks.append(Words(text=missing, tone="warning"))
    table = _activation_table if is_of_units else _weight_table
    place = next(i for i, spread in enumerate(spreads) if spread is chosen)
    part = around(place, len(spreads))
    blocks.append(table(spreads[part], place - part.start))
    on = f"; {count(images)} {context.split_name} images" if images else ""
    return Exhibit(
        blocks=tuple(blocks),
        result=_result(chosen, of),
        certainty=f"The weights after step {count(context.step)}{on}."
        + (" Each batch norm and ReLU belongs to the layer before it." if is_of_units else ""),
        progress=progress,
        figures={
            "of": of,
            "images": images,
            "layers": [figures_of(spread) for spread in spreads] if progress is None else [],
        },
    )


def _histogram(spread: Spread, of: str) -> Block:
    """Return the numbers of a layer as bars, those of the start told beside them."""
    if spread.is_lost:
        return no_numbers(f"the {of} of {spread.name}")
    finite, bins = counted(spread.now), spread.bins
    if not len(finite):
        return Words(text=f"The {of} of {spread.name} are all 0.", tone="warning")
    now = bins.shares(finite)
    start = None if spread.start is None else bins.shares(counted(spread.start))
    zeros = 1 - len(finite) / len(spread.now)
    aside = f", without the {percent(zeros, 1)} that are 0" if zeros > 0 else ""
    beside = "; beside it the share at the start" if start is not None else ""
    most = max(now)
    places = [
        place
        for place, share in enumerate(now)
        if 0 < place <= bins.count or share > 0 or (start is not None and start[place] > 0)
    ]
    labels = bins.labels()
    return Bars(
        caption=f"{spread.name}: {of}{aside}{beside}",
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


def _weight_table(spreads: Sequence[Spread], marked: int) -> Table:
    return Table(
        caption="all layers",
        heads=("layer", "numbers", "mean", "std", "std at start", "largest", "exactly 0"),
        rows=tuple(
            (
                spread.name,
                count(len(spread.now)),
                *map(_number, mean_and_std(spread.now)),
                "–" if spread.start is None else _number(mean_and_std(spread.start)[1]),
                _number(float(spread.now.abs().max())),
                percent(zeros_of(spread), 1),
            )
            for spread in spreads
        ),
        marked=marked,
    )


def _activation_table(spreads: Sequence[Spread], marked: int) -> Table:
    rows = []
    for spread in spreads:
        units, begun = spread.units, spread.start_units
        if units is None:
            rows.append((spread.name, *["–"] * 7))
            continue
        dead = len(units.dead)
        rows.append(
            (
                spread.name,
                count(len(units.low)),
                _number(units.mean),
                _number(units.std),
                "–" if begun is None else _number(begun.std),
                percent(units.zeros / units.numbers, 1),
                f"{dead} ✗" if dead else "0",
                "–" if units.saturated_share is None else percent(units.saturated_share, 1),
            )
        )
    heads = ("layer", "units", "mean", "std", "std at start", "exactly 0", "dead", "saturated")
    return Table(caption="all layers", heads=heads, rows=tuple(rows), marked=marked)


def _number(value: float) -> str:
    return f"{value:z.3f}".replace("-", "−") if isfinite(value) else "–"


def _result(spread: Spread, of: str) -> str:
    if spread.is_lost:
        return f"The {of} of {spread.name} are no numbers any more."
    mean, std = mean_and_std(spread.now)
    begun = ""
    if spread.start is not None:
        begun = f"; at the start {_number(mean_and_std(spread.start)[1])}"
    told = f"{spread.name}: mean {_number(mean)}, standard deviation {_number(std)}{begun}."
    if spread.units is None:
        return told
    dead = spread.units.dead
    if not dead:
        return f"{told} No dead unit."
    which = ", ".join(map(str, dead[:8])) + (", …" if len(dead) > 8 else "")
    return f"{told} {plural(len(dead), 'dead unit')} of {len(spread.units.low)}: {which}."
