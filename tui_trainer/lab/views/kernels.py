"""The kernels of each layer as pictures, and their change since initialization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

import torch
from torch import Tensor

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, link_to, word_control
from tui_trainer.lab.drawing import (
    MOSAIC,
    PIXELS,
    WIDEST,
    even_parts,
    kernel_picture,
    map_picture,
    mosaic,
    nonfinite_notice,
    page_of,
    shrunk,
    tiles_that_fit,
)
from tui_trainer.lab.views.layer_units import output_place, unit_statistics
from tui_trainer.lab.views.weights import (
    Kernel,
    Weights,
    around,
    change,
    cosine,
    kernels_of,
    nothing_to_see,
    reads_color,
    weights_of,
)
from tui_trainer.models.units import Units
from tui_trainer.protocol.exhibit import Block, Exhibit, Picture, Pictures, Table, Words
from tui_trainer.text.fmt import count, plural

NOW, START, CHANGE = "now", "initial", "change"
CAPTIONS = {NOW: "now", START: "at initialization", CHANGE: "change since initialization"}
"""Which weights are drawn, and the caption of each."""

SMALL, LARGE, MOST_ROWS = 18, 16, 28
"""Kernels on a page: of a single channel, as a mosaic of channels, and as rows of a matrix."""

MATRICES = 4
"""Parts of a matrix of 1×1 kernels that are drawn next to each other."""

SHOWS = word_control("shows", (NOW, START, CHANGE))

TOGETHER, APART = "in color", "apart"
CHANNELS = word_control("channels", (TOGETHER, APART))
"""How the three channels of kernels on images in color are drawn."""


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the kernels of one layer and a table of all layers; then which units are dead."""
    model = context.copy()
    layers, missing = weights_of(context, model)
    yield None
    if not layers:
        yield nothing_to_see()
        return
    kernels = {weights.name: kernels_of(weights) for weights in layers}
    layer = word_control("layer", kernels, value=layers[0].name)
    name = controls.word(layer)
    chosen = next(weights for weights in layers if weights.name == name)
    yield _exhibit(context, layers, kernels, chosen, controls, missing)
    places = {output_place(context.layers, weights.place): weights.name for weights in layers}
    seen = yield from unit_statistics(context, model, places)
    for place, units in seen.items():
        kernels[places[place]] = _with_dead_units(kernels[places[place]], units)
    yield _exhibit(context, layers, kernels, chosen, controls, missing, seen)


def _with_dead_units(kernels: list[Kernel], units: Units) -> list[Kernel]:
    if len(units.low) != len(kernels):
        return kernels
    dead = set(units.dead)
    return [replace(kernel, is_dead=number in dead) for number, kernel in enumerate(kernels)]


def _exhibit(
    context: Context,
    layers: Sequence[Weights],
    kernels: Mapping[str, list[Kernel]],
    chosen: Weights,
    controls: Controls,
    missing: str,
    seen: Mapping[int, Units] | None = None,
) -> Exhibit:
    shows = controls.word(SHOWS) if chosen.start is not None else NOW
    controls.add(SHOWS, shows)
    values = _shown(chosen, shows)
    in_color = reads_color(context, chosen) and controls.word(CHANNELS) == TOGETHER
    here = page_of(len(values), _per_page(values, in_color=in_color), controls)
    drawn = _pictures(chosen, values, shows, here, kernels[chosen.name], in_color=in_color)
    blocks: list[Block] = [drawn]
    if missing:
        blocks.append(Words(text=missing, tone="warning"))
    blocks += [_table(layers, kernels, chosen), *_explained(chosen)]
    images = next((units.images for units in (seen or {}).values()), 0)
    return Exhibit(
        blocks=tuple(blocks),
        result=_result(chosen, kernels[chosen.name], images),
        evidence=f"Weights of step {count(context.step)}"
        + (f"; dead units on {count(images)} {context.split_name} images." if images else "."),
        opens=link_to(
            "activation",
            "the images that activate its kernels most",
            layer=chosen.name,
            unit=here[0],
        ),
        progress=None if seen is not None else 0.2,
        figures=_figures(layers, kernels, images),
    )


def _table(
    layers: Sequence[Weights], kernels: Mapping[str, list[Kernel]], chosen: Weights
) -> Table:
    """Return the layers, or those around the selected one."""
    place = layers.index(chosen)
    part = around(place, len(layers))
    return Table(
        caption="layers with weights",
        heads=("layer", "kernels", "size", "‖w‖", "initial", "change", "cosine", "dead"),
        rows=tuple(
            (
                weights.name,
                count(len(weights.now)),
                weights.kernel_text,
                _number(float(weights.now.norm())),
                *(
                    ("–", "–", "–")
                    if weights.start is None
                    else (
                        _number(float(weights.start.norm())),
                        _number(change(weights.now, weights.start)),
                        _number(cosine(weights.now, weights.start)),
                    )
                ),
                _dead(kernels[weights.name]),
            )
            for weights in layers[part]
        ),
        marked=place - part.start,
    )


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if isfinite(value) else "–"


def _dead(kernels: Sequence[Kernel]) -> str:
    if any(kernel.is_dead is None for kernel in kernels):
        return "–"
    return str(sum(bool(kernel.mark) for kernel in kernels))


def _explained(weights: Weights) -> tuple[Block, ...]:
    if weights.start is None:
        return ()
    text = (
        "Change: ‖w − w₀‖ / ‖w₀‖, the distance from the initial weights w₀ relative to their norm. "
        "Cosine(w, w₀): near 1 the weights kept their initial direction, near 0 it is lost."
    )
    return (Words(text=text, tone="muted"),)


def _result(weights: Weights, kernels: Sequence[Kernel], images: int) -> str:
    if weights.is_nonfinite:
        return f"{weights.name}: the weights are not finite."
    marked = [number for number, kernel in enumerate(kernels) if kernel.mark]
    dead = f" Dead or near zero: {', '.join(map(str, marked[:8]))}." if marked else ""
    if not marked and images:
        dead = " No dead unit."
    if weights.start is None:
        return f"{weights.name}: ‖w‖ {float(weights.now.norm()):.2f}.{dead}"
    moved = torch.tensor([kernel.moved for kernel in kernels]).nan_to_num(0.0)
    most, least = int(moved.argmax()), int(moved.argmin())
    spread = (
        f"; kernel {most} most ({float(moved[most]):.2f}), {least} least "
        f"({float(moved[least]):.2f})"
        if len(kernels) > 1
        else ""
    )
    whole = change(weights.now, weights.start)
    return f"{weights.name}: change {whole:.2f} of the initial norm{spread}.{dead}"


def _figures(
    layers: Sequence[Weights], kernels: Mapping[str, list[Kernel]], images: int
) -> Mapping[str, object]:
    return {
        "images": images,
        "layers": [
            {
                "layer": weights.name,
                "kind": weights.row.kind,
                "shape": list(weights.now.shape),
                "norm": float(weights.now.norm()),
                "start_norm": None if weights.start is None else float(weights.start.norm()),
                "change": None if weights.start is None else change(weights.now, weights.start),
                "cosine": None if weights.start is None else cosine(weights.now, weights.start),
                "kernels": {
                    "norm": [kernel.norm for kernel in kernels[weights.name]],
                    "change": [kernel.moved for kernel in kernels[weights.name]],
                    "cosine": [kernel.cosine for kernel in kernels[weights.name]],
                },
                "near_zero": [
                    n for n, kernel in enumerate(kernels[weights.name]) if kernel.is_near_zero
                ],
                "dead": [n for n, kernel in enumerate(kernels[weights.name]) if kernel.is_dead]
                if images
                else None,
            }
            for weights in layers
        ],
    }


def _shown(weights: Weights, what: str) -> Tensor:
    """Return the drawn weights (kernels, channels, height, width)."""
    if weights.start is None or what == NOW:
        return weights.now
    return weights.start if what == START else weights.now - weights.start


def _per_page(values: Tensor, *, in_color: bool) -> int:
    """Return the number of kernels on a page."""
    _, channels, height, width = values.shape
    if height * width == 1:
        return MOST_ROWS
    if in_color:
        channels = 1
    pixels = min(WIDEST, height) * min(WIDEST, width) * min(channels, tiles_that_fit(height, width))
    return max(1, min(SMALL if channels == 1 else LARGE, PIXELS // pixels))


def _pictures(
    weights: Weights,
    values: Tensor,
    what: str,
    page: range,
    kernels: Sequence[Kernel],
    *,
    in_color: bool,
) -> Block:
    """Return a page of kernels; current and initial ones share their scale."""
    total, channels, height, width = values.shape
    if not bool(torch.isfinite(values).all()):
        return nonfinite_notice("the weights")
    both = [values] if what == CHANGE or weights.start is None else [weights.now, weights.start]
    bound = max(float(each.abs().max()) for each in both) or 1.0
    if height * width == 1:
        return _matrices(weights, values[:, :, 0, 0], what, page, bound)
    fits = tiles_that_fit(height, width)
    kept = _strongest(values, fits)
    noun = "kernel" if weights.row.kind in CONVOLUTIONS else "unit"
    of = "" if len(page) == total else f" {page[0]} to {page[-1]} of {total}"
    aside = ""
    if len(kept) < channels:
        aside = f", the {len(kept)} of {channels} channels with the largest norm"
    inside = "" if channels == 1 else f"; each a mosaic of its channels{aside}"
    if in_color:
        kept, inside = list(range(channels)), "; its channels are red, green and blue"
    return Pictures(
        caption=f"{weights.name}: {noun}s{of or f', all {total}'}, {CAPTIONS[what]}{inside}",
        items=tuple(
            _picture(values[number, kept], number, bound, kernels[number], what, in_color=in_color)
            for number in page
        ),
    )


def _strongest(values: Tensor, most: int) -> list[int]:
    """Return the channels with the largest weight norm over all kernels, in ascending order."""
    norms = values.pow(2).sum(dim=(0, 2, 3))
    return sorted(norms.argsort(descending=True)[:most].tolist())


def _picture(
    values: Tensor, number: int, bound: float, kernel: Kernel, what: str, *, in_color: bool
) -> Picture:
    tiles = shrunk(values)
    parts = [str(number), kernel.mark]
    if what == CHANGE and isfinite(kernel.moved):
        parts.append(f"{kernel.moved:.2f}")
    caption = " ".join(filter(None, parts))
    if in_color or len(tiles) == 1:
        return kernel_picture(tiles if in_color else tiles[0], caption, bound=bound)
    return map_picture(mosaic(tiles), caption, bound=bound)


def _matrices(weights: Weights, values: Tensor, what: str, page: range, bound: float) -> Pictures:
    """Return 1×1 kernels (kernels, channels) as a matrix, split into parts if it is too wide."""
    channels = values.shape[1]
    parts = even_parts(channels, MOSAIC)
    cut = "" if len(parts) <= MATRICES else f", the first {MATRICES * len(parts[0])} or so"
    noun = "kernels" if weights.row.kind in CONVOLUTIONS else "units"
    return Pictures(
        caption=f"{weights.name}: {CAPTIONS[what]}; rows: {noun} {page[0]} to "
        f"{page[-1]}, columns: {plural(channels, 'channel')}{cut}",
        items=tuple(
            map_picture(
                values[page[0] : page[-1] + 1, part[0] : part[-1] + 1],
                f"channels {part[0]} to {part[-1]}",
                bound=bound,
            )
            for part in parts[:MATRICES]
        ),
    )
