"""The kernels of each layer as pictures, and how far they have moved since the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

import torch

from tui_trainer.lab.controls import Controls, with_controls
from tui_trainer.lab.views.desk import Parts
from tui_trainer.lab.views.kernel_pictures import CHANGE, NOW, START, per_page, pictures, shown
from tui_trainer.lab.views.layer_units import census, outlet
from tui_trainer.lab.views.scene import Scene
from tui_trainer.lab.views.tiles import page_of
from tui_trainer.lab.views.weights import (
    Kernel,
    Weights,
    around,
    change,
    cosine,
    kernels_of,
    nothing_to_see,
    weights_of,
)
from tui_trainer.models.units import Units
from tui_trainer.protocol.exhibit import (
    Block,
    Control,
    Exhibit,
    Opening,
    Table,
    Words,
)
from tui_trainer.text.fmt import count

SHOWS = Control(name="shows", label="shows", value=NOW, steps=(NOW, START, CHANGE))


@with_controls
def show(scene: Scene, controls: Controls, goes: bool) -> Parts:
    """Show the kernels of one layer, and all layers in a table; then which units are dead."""
    network = scene.bench.copy()
    layers, missing = weights_of(scene, network)
    yield None
    if not layers:
        yield nothing_to_see()
        return
    kernels = {weights.name: kernels_of(weights) for weights in layers}
    layer = Control(name="layer", label="layer", value=layers[0].name, steps=tuple(kernels))
    name = controls.word(layer)
    chosen = next(weights for weights in layers if weights.name == name)
    yield _exhibit(scene, layers, kernels, chosen, controls, missing)
    places = {outlet(scene.bench.layers, weights.place): weights.name for weights in layers}
    seen = yield from census(scene, network, places)
    for place, units in seen.items():
        kernels[places[place]] = _judged(kernels[places[place]], units)
    yield _exhibit(scene, layers, kernels, chosen, controls, missing, seen)


def _judged(kernels: list[Kernel], units: Units) -> list[Kernel]:
    if len(units.low) != len(kernels):
        return kernels
    dead = set(units.dead)
    return [replace(kernel, is_dead=number in dead) for number, kernel in enumerate(kernels)]


def _exhibit(
    scene: Scene,
    layers: Sequence[Weights],
    kernels: Mapping[str, list[Kernel]],
    chosen: Weights,
    controls: Controls,
    missing: str,
    seen: Mapping[int, Units] | None = None,
) -> Exhibit:
    shows = controls.word(SHOWS) if chosen.start is not None else NOW
    controls.add(SHOWS, shows)
    values = shown(chosen, shows)
    here = page_of(len(values), per_page(values), controls)
    blocks: list[Block] = [pictures(chosen, values, shows, here, kernels[chosen.name])]
    if missing:
        blocks.append(Words(text=missing, tone="look"))
    blocks += [_table(layers, kernels, chosen), *_explained(chosen)]
    images = next((units.images for units in (seen or {}).values()), 0)
    return Exhibit(
        blocks=tuple(blocks),
        result=_result(chosen, kernels[chosen.name], images),
        certainty=f"The weights after step {count(scene.step)}"
        + (f"; units on {count(images)} {scene.bench.split_name} images." if images else "."),
        opens=Opening(
            view="likes",
            choices=(("layer", chosen.name), ("unit", float(here[0]))),
            hint="what its kernels like best",
        ),
        progress=None if seen is not None else 0.2,
        figures=_figures(layers, kernels, images),
    )


def _table(
    layers: Sequence[Weights], kernels: Mapping[str, list[Kernel]], chosen: Weights
) -> Table:
    """Return the layers, or those around the chosen one."""
    place = layers.index(chosen)
    part = around(place, len(layers))
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
