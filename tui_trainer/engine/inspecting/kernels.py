"""The kernels of each layer as pictures, and how far they have moved since the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import torch
from torch import Tensor

from tui_trainer.anatomy.review.design import CONVOLUTIONS
from tui_trainer.engine.experiments.pictures import enlarged, map_picture, no_numbers
from tui_trainer.engine.inspecting.desk import Parts
from tui_trainer.engine.inspecting.scene import Scene
from tui_trainer.engine.inspecting.tiles import (
    PIXELS,
    WIDEST,
    even_parts,
    mosaic,
    shrunk,
    tiles_that_fit,
)
from tui_trainer.engine.inspecting.units import Units, census, outlet
from tui_trainer.engine.inspecting.weights import Weights, change, cosine, weights_of
from tui_trainer.run.exhibit import (
    Block,
    Choices,
    Control,
    Exhibit,
    Opening,
    Picture,
    Pictures,
    Table,
    Words,
    at,
    chosen_whole,
    chosen_word,
    counting,
)
from tui_trainer.run.text import count, plural

NOW, START, CHANGE = "now", "start", "change"
SHOWS = Control(name="shows", label="shows", value=NOW, steps=(NOW, START, CHANGE))

SMALL, LARGE, MOST_ROWS = 18, 16, 28
"""Kernels on a page: of a single channel, as a mosaic of channels, and as rows of a matrix."""

DRAWN = 9
"""Pixels that a small kernel is enlarged to, at least about."""

MATRICES = 4
"""Parts of a matrix of 1×1 kernels that stand beside each other."""

FAINT = 0.01
"""A kernel whose norm is below this share of the layer's median is as good as none."""

ROWS = 16
"""Layers that the table has at most, the chosen one among them."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is told of one kernel.

    Attributes:
        norm: ‖w‖, the square root of the sum of its squares.
        moved: ‖w − w₀‖ / ‖w₀‖; NaN where the start is not known.
        cosine: Of the angle between w and w₀; NaN likewise.
        is_faint: Whether it is next to nothing beside the others of its layer.
        is_dead: Whether its unit gives nothing on the sample; None while that is not known.
    """

    norm: float
    moved: float
    cosine: float
    is_faint: bool
    is_dead: bool | None = None

    @property
    def mark(self) -> str:
        """What it is marked with; empty where nothing is the matter."""
        return "dead" if self.is_dead else "faint" if self.is_faint else ""


def show(scene: Scene, choices: Choices, goes: bool) -> Parts:
    """Show the kernels of one layer, and all layers in a table; then which units are dead."""
    network = scene.bench.copy()
    layers, missing = weights_of(scene, network)
    yield None
    if not layers:
        yield Exhibit(blocks=(Words(text="It has no layer whose weights can be seen."),))
        return
    layer = Control(
        name="layer", label="layer", value=layers[0].name, steps=tuple(w.name for w in layers)
    )
    layer = at(layer, chosen_word(choices, layer))
    kernels = {weights.name: kernels_of(weights) for weights in layers}
    yield _exhibit(scene, layers, kernels, layer, choices, missing)
    places = {outlet(scene.bench.layers, weights.place): weights.name for weights in layers}
    seen = yield from census(scene, network, places)
    for place, units in seen.items():
        kernels[places[place]] = _judged(kernels[places[place]], units)
    yield _exhibit(scene, layers, kernels, layer, choices, missing, seen)


def kernels_of(weights: Weights) -> list[Kernel]:
    """Return what is told of each kernel of a layer."""
    norms = weights.now.flatten(1).norm(dim=1)
    faint = norms <= FAINT * float(norms.median())
    unknown = float("nan")
    return [
        Kernel(
            norm=float(norms[number]),
            moved=unknown if weights.start is None else change(now, weights.start[number]),
            cosine=unknown if weights.start is None else cosine(now, weights.start[number]),
            is_faint=bool(faint[number]) and bool(torch.isfinite(norms[number])),
        )
        for number, now in enumerate(weights.now)
    ]


def _judged(kernels: list[Kernel], units: Units) -> list[Kernel]:
    if len(units.low) != len(kernels):
        return kernels
    dead = set(units.dead)
    return [replace(kernel, is_dead=number in dead) for number, kernel in enumerate(kernels)]


def _exhibit(
    scene: Scene,
    layers: Sequence[Weights],
    kernels: Mapping[str, list[Kernel]],
    layer: Control,
    choices: Choices,
    missing: str,
    seen: Mapping[int, Units] | None = None,
) -> Exhibit:
    chosen = next(weights for weights in layers if weights.name == layer.value)
    shows = at(SHOWS, chosen_word(choices, SHOWS) if chosen.start is not None else NOW)
    values = shown(chosen, str(shows.value))
    parts = even_parts(len(values), per_page(values))
    page = counting("page", "page", len(parts), first=1)
    page = at(page, chosen_whole(choices, page))
    block = _pictures(chosen, values, str(shows.value), parts[int(page.value) - 1], kernels)
    blocks: list[Block] = [block]
    if missing:
        blocks.append(Words(text=missing, tone="look"))
    blocks += [_table(layers, kernels, chosen), *_explained(chosen)]
    images = next((units.images for units in (seen or {}).values()), 0)
    return Exhibit(
        blocks=tuple(blocks),
        controls=(layer, shows, *([page] if len(parts) > 1 else [])),
        result=_result(chosen, kernels[chosen.name], images),
        certainty=f"The weights after step {count(scene.step)}"
        + (f"; units on {count(images)} {scene.bench.split_name} images." if images else "."),
        opens=Opening(
            view="likes",
            choices=(("layer", chosen.name), ("unit", float(parts[int(page.value) - 1][0]))),
            hint="what its kernels like best",
        ),
        progress=None if seen is not None else 0.2,
        figures=_figures(layers, kernels, images),
    )


def shown(weights: Weights, what: str) -> Tensor:
    """Return the weights that are drawn (kernels, channels, height, width)."""
    if weights.start is None or what == NOW:
        return weights.now
    return weights.start if what == START else weights.now - weights.start


def per_page(values: Tensor) -> int:
    """Return how many kernels are drawn at once."""
    _, channels, height, width = values.shape
    if height * width == 1:
        return MOST_ROWS
    pixels = min(WIDEST, height) * min(WIDEST, width) * min(channels, tiles_that_fit(height, width))
    return max(1, min(SMALL if channels == 1 else LARGE, PIXELS // pixels))


def _pictures(
    weights: Weights,
    values: Tensor,
    what: str,
    page: range,
    kernels: Mapping[str, list[Kernel]],
) -> Block:
    """Return a page of kernels; those of now and of the start share their scale."""
    total, channels, height, width = values.shape
    if not bool(torch.isfinite(values).all()):
        return no_numbers("the weights")
    both = [values] if what == CHANGE or weights.start is None else [weights.now, weights.start]
    bound = max(float(each.abs().max()) for each in both) or 1.0
    if height * width == 1:
        return _matrices(weights, values[:, :, 0, 0], what, page, bound)
    fits = tiles_that_fit(height, width)
    kept = strongest(values, fits)
    noun = "kernel" if weights.row.kind in CONVOLUTIONS else "unit"
    of = "" if len(page) == total else f" {page[0]} to {page[-1]} of {total}"
    aside = "" if len(kept) == channels else f", the {len(kept)} strongest of {channels} channels"
    inside = "" if channels == 1 else f"; each a mosaic of its channels{aside}"
    told = {NOW: "now", START: "at the start", CHANGE: "how they changed"}[what]
    return Pictures(
        caption=f"{weights.name}: {noun}s{of or f', all {total}'}, {told}{inside}",
        items=tuple(
            _picture(values[number, kept], number, bound, kernels[weights.name][number], what)
            for number in page
        ),
    )


def strongest(values: Tensor, most: int) -> list[int]:
    """Return the channels with the largest weights over all kernels, in their own order."""
    norms = values.pow(2).sum(dim=(0, 2, 3))
    return sorted(norms.argsort(descending=True)[:most].tolist())


def _picture(values: Tensor, number: int, bound: float, kernel: Kernel, what: str) -> Picture:
    tiles = torch.stack([shrunk(tile) for tile in values])
    if len(tiles) == 1:
        drawn = enlarged(tiles[0], max(1, DRAWN // max(tiles.shape[1:])))
    else:
        drawn = mosaic(tiles)
    told = [str(number), kernel.mark]
    if what == CHANGE and isfinite(kernel.moved):
        told.append(f"{kernel.moved:.2f}")
    return map_picture(drawn, " ".join(filter(None, told)), bound=bound)


def _matrices(weights: Weights, values: Tensor, what: str, page: range, bound: float) -> Pictures:
    """Return 1×1 kernels (kernels, channels) as a matrix, in parts where it is too wide."""
    channels = values.shape[1]
    parts = even_parts(channels, WIDEST)
    cut = "" if len(parts) <= MATRICES else f", the first {MATRICES * len(parts[0])} or so"
    noun = "kernels" if weights.row.kind in CONVOLUTIONS else "units"
    told = {NOW: "now", START: "at the start", CHANGE: "how they changed"}[what]
    return Pictures(
        caption=f"{weights.name}: {told}; a row for each of the {noun} {page[0]} to {page[-1]}, a "
        f"column for each of {plural(channels, 'channel')}{cut}",
        items=tuple(
            map_picture(
                values[page[0] : page[-1] + 1, part[0] : part[-1] + 1],
                f"channels {part[0]} to {part[-1]}",
                bound=bound,
            )
            for part in parts[:MATRICES]
        ),
    )


def _table(
    layers: Sequence[Weights], kernels: Mapping[str, list[Kernel]], chosen: Weights
) -> Table:
    """Return the layers, or those around the chosen one."""
    place = layers.index(chosen)
    first = max(0, min(place - ROWS // 2, len(layers) - ROWS))
    seen = layers[first : first + ROWS]
    return Table(
        caption="all layers that have weights",
        heads=("layer", "kernels", "each", "‖w‖", "at start", "change", "cosine", "dead"),
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
            for weights in seen
        ),
        marked=place - first,
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
        "Change: ‖w − w₀‖ / ‖w₀‖, how far the weights lie from those of the start. A cosine near 1 "
        "says that a layer kept its first direction, one near 0 that nothing of it is left."
    )
    return (Words(text=text, tone="muted"),)


def _result(weights: Weights, kernels: Sequence[Kernel], images: int) -> str:
    if weights.is_lost:
        return f"{weights.name}: weights are no numbers any more."
    marked = [number for number, kernel in enumerate(kernels) if kernel.mark]
    dead = f" Dead or faint: {', '.join(map(str, marked[:8]))}." if marked else ""
    if not marked and images:
        dead = " None is dead."
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
    return f"{weights.name} moved by {whole:.2f} of its norm{spread}.{dead}"


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
                "faint": [n for n, kernel in enumerate(kernels[weights.name]) if kernel.is_faint],
                "dead": [n for n, kernel in enumerate(kernels[weights.name]) if kernel.is_dead]
                if images
                else None,
            }
            for weights in layers
        ],
    }
