"""How the weights and the activations of a layer are spread, now and at the start; dead units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_trainer.engine.experiments.pictures import no_numbers
from tui_trainer.engine.inspecting.bins import Bins, bins_for
from tui_trainer.engine.inspecting.desk import Parts
from tui_trainer.engine.inspecting.scene import Scene
from tui_trainer.engine.inspecting.units import Units, census, outlet, part_size
from tui_trainer.engine.inspecting.weights import Weights, weights_of
from tui_trainer.run.exhibit import (
    Bar,
    Bars,
    Block,
    Choices,
    Control,
    Exhibit,
    Table,
    Words,
    at,
    chosen_word,
)
from tui_trainer.run.text import count, percent, plural

WEIGHTS, ACTIVATIONS, CHANGES = "weights", "activations", "changes"
OF = Control(name="of", label="of", value=WEIGHTS, steps=(WEIGHTS, ACTIVATIONS, CHANGES))

KEPT = 2_000
"""Numbers of a layer that are kept of each part, evenly spread over it."""

ROWS = 16
"""Layers that the table has at most, the chosen one among them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of a layer.

    Attributes:
        name: The layer.
        now: Those of now; those that are exactly 0 among them.
        start: Those of the start; None where they are not known.
        units: What its units do now; None of weights.
        start_units: What they did at the start.
    """

    name: str
    now: Tensor
    start: Tensor | None
    units: Units | None = None
    start_units: Units | None = None

    @property
    def is_lost(self) -> bool:
        """Whether some are no finite numbers."""
        return not bool(torch.isfinite(self.now).all())

    @property
    def bins(self) -> Bins:
        """Bins for both; of numbers that are not finite only the start counts."""
        both = [self.now] if self.start is None else [self.now, self.start]
        return bins_for([_counted(values) for values in both])


def show(scene: Scene, choices: Choices, goes: bool) -> Parts:
    """Show the histogram of one layer, and all layers in a table."""
    network = scene.bench.copy()
    layers, missing = weights_of(scene, network)
    of = at(OF, chosen_word(choices, OF))
    if not layers:
        yield Exhibit(
            blocks=(Words(text="It has no layer whose weights can be seen."),), controls=(of,)
        )
        return
    names = tuple(weights.name for weights in layers)
    layer = Control(name="layer", label="layer", value=names[0], steps=names)
    controls = (of, at(layer, chosen_word(choices, layer)))
    if of.value != ACTIVATIONS:
        spreads = [_of_weights(weights, str(of.value)) for weights in layers]
        yield _exhibit(scene, spreads, controls, missing)
        return
    places = {outlet(scene.bench.layers, weights.place): weights.name for weights in layers}
    yield Exhibit(
        blocks=(Words(text="Some images are on their way …", tone="muted"),),
        controls=controls,
        progress=0.0,
    )
    kept, first = _Kept(), _Kept()
    units = yield from census(scene, network, places, kept.taken)
    spreads = [
        Spread(name, kept.values(place), None, units.get(place)) for place, name in places.items()
    ]
    is_start = not missing and scene.step > 0
    yield _exhibit(scene, spreads, controls, missing, progress=0.5 if is_start else None)
    if not is_start:
        return
    start = _calibrated(scene, scene.at_start())
    yield None
    begun = yield from census(scene, start, places, first.taken)
    spreads = [
        Spread(name, kept.values(place), first.values(place), units.get(place), begun.get(place))
        for place, name in places.items()
    ]
    yield _exhibit(scene, spreads, controls, missing)


def _calibrated(scene: Scene, network: nn.Module) -> nn.Module:
    """Give batch norms that have seen no batch yet the statistics of a few images.

    Their own would let the maps of an untrained network dwindle from layer to layer, as they never
    do while it is trained.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    images = scene.bench.sample(part_size(scene)).images
    if len(images) < 2 or not norms:
        return network
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches: of this one
        norm.training = True
    with torch.no_grad():
        network(scene.bench.data.prepare(images).cpu())
    return network.eval()


class _Kept:
    """Keeps some numbers of each layer, always the same ones."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Tensor]] = {}

    def taken(self, place: int, outputs: Tensor) -> None:
        """Take some of a layer's outputs, evenly spread over them."""
        flat = outputs.flatten()
        if len(flat) > KEPT:
            places = torch.linspace(0, len(flat) - 1, KEPT, dtype=torch.float64)
            flat = flat[places.long().to(flat.device)]
        self._parts.setdefault(place, []).append(flat.cpu().clone())

    def values(self, place: int) -> Tensor:
        """Return what was kept of a layer."""
        return torch.cat(self._parts.get(place, [torch.zeros(0)]))


def _of_weights(weights: Weights, of: str) -> Spread:
    """Return a layer's weights, or how they changed; without a start these are the weights."""
    now = weights.now.flatten()
    start = None if weights.start is None else weights.start.flatten()
    if of == CHANGES and start is not None:
        return Spread(weights.name, now - start, None)
    return Spread(weights.name, now, start)


def _counted(values: Tensor) -> Tensor:
    """Return the numbers that a histogram counts: finite, and not exactly 0."""
    return values[torch.isfinite(values) & (values != 0)]


def _exhibit(
    scene: Scene,
    spreads: Sequence[Spread],
    controls: tuple[Control, ...],
    missing: str,
    progress: float | None = None,
) -> Exhibit:
    of, layer = controls
    chosen = next(spread for spread in spreads if spread.name == layer.value)
    is_of_units = of.value == ACTIVATIONS
    images = max((spread.units.images for spread in spreads if spread.units), default=0)
    blocks: list[Block] = [_histogram(chosen, str(of.value))]
    if missing:
        blocks.append(Words(text=missing, tone="look"))
    table = _activation_table if is_of_units else _weight_table
    blocks.append(table(*_around(spreads, chosen)))
    on = f"; {count(images)} {scene.bench.split_name} images" if images else ""
    return Exhibit(
        blocks=tuple(blocks),
        controls=controls,
        result=_result(chosen, str(of.value)),
        certainty=f"The weights after step {count(scene.step)}{on}."
        + (" Each batch norm and ReLU belongs to the layer before it." if is_of_units else ""),
        progress=progress,
        figures={
            "of": of.value,
            "images": images,
            "layers": [_figures(spread) for spread in spreads] if progress is None else [],
        },
    )


def _around(spreads: Sequence[Spread], chosen: Spread) -> tuple[Sequence[Spread], int]:
    """Return the layers that the table has, and the place of the chosen one among them."""
    place = next(i for i, spread in enumerate(spreads) if spread is chosen)
    first = max(0, min(place - ROWS // 2, len(spreads) - ROWS))
    return spreads[first : first + ROWS], place - first


def _histogram(spread: Spread, of: str) -> Block:
    """Return the numbers of a layer as bars, those of the start told beside them."""
    if spread.is_lost:
        return no_numbers(f"the {of} of {spread.name}")
    counted, bins = _counted(spread.now), spread.bins
    if not len(counted):
        return Words(text=f"The {of} of {spread.name} are all 0.", tone="look")
    now = bins.shares(counted)
    start = None if spread.start is None else bins.shares(_counted(spread.start))
    zeros = 1 - len(counted) / len(spread.now)
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
                *map(_number, _moments(spread.now)),
                "–" if spread.start is None else _number(_moments(spread.start)[1]),
                _number(float(spread.now.abs().max())),
                percent(_zeros(spread), 1),
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


def _moments(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std(correction=0))


def _zeros(spread: Spread) -> float:
    return float((spread.now == 0).double().mean())


def _number(value: float) -> str:
    return f"{value:z.3f}".replace("-", "−") if isfinite(value) else "–"


def _result(spread: Spread, of: str) -> str:
    if spread.is_lost:
        return f"The {of} of {spread.name} are no numbers any more."
    mean, std = _moments(spread.now)
    begun = ""
    if spread.start is not None:
        begun = f"; at the start {_number(_moments(spread.start)[1])}"
    told = f"{spread.name}: mean {_number(mean)}, standard deviation {_number(std)}{begun}."
    if spread.units is None:
        return told
    dead = spread.units.dead
    if not dead:
        return f"{told} No dead unit."
    which = ", ".join(map(str, dead[:8])) + (", …" if len(dead) > 8 else "")
    return f"{told} {plural(len(dead), 'dead unit')} of {len(spread.units.low)}: {which}."


def _figures(spread: Spread) -> Mapping[str, object]:
    mean, std = _moments(spread.now)
    bins = spread.bins
    units = spread.units
    figures: dict[str, object] = {
        "layer": spread.name,
        "mean": mean,
        "std": std,
        "zeros": _zeros(spread),
        "edges": bins.edges,
        "shares": bins.shares(_counted(spread.now)),
        "start_shares": None if spread.start is None else bins.shares(_counted(spread.start)),
        "start_std": None if spread.start is None else _moments(spread.start)[1],
    }
    if units is not None:
        figures |= {
            "mean": units.mean,
            "std": units.std,
            "zeros": units.zeros / units.numbers,
            "units": len(units.low),
            "dead": units.dead,
            "saturated": units.saturated_share,
        }
    return figures
