"""Where the network looked: which pixels of a digit count for the class that it gives."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from math import ceil

import torch
from torch import Tensor

from tui_trainer.engine.experiments.bench import Digit
from tui_trainer.engine.experiments.pictures import map_picture
from tui_trainer.engine.experiments.samples import BACKWARD, affordable
from tui_trainer.engine.inspecting.attribution import (
    PATH_STEPS,
    Occluded,
    gradient,
    gradient_times_pixel,
    integrated_gradients,
    occlusion,
)
from tui_trainer.engine.inspecting.desk import Parts
from tui_trainer.engine.inspecting.judging import sealed
from tui_trainer.engine.inspecting.scene import Scene
from tui_trainer.engine.inspecting.tiles import shrunk
from tui_trainer.engine.inspecting.units import part_size
from tui_trainer.engine.inspecting.verdict import Verdict, chosen_digit, is_sealed, verdict_of
from tui_trainer.run.exhibit import (
    Block,
    Choices,
    Control,
    Exhibit,
    Opening,
    Picture,
    Pictures,
    Words,
    at,
    chosen_whole,
    chosen_word,
)
from tui_trainer.run.text import count, percent

OCCLUSION, GRADIENT, TIMES_PIXEL, INTEGRATED = (
    "occlusion",
    "gradient",
    "gradient × pixel",
    "integrated",
)
METHOD = Control(
    name="method",
    label="method",
    value=OCCLUSION,
    steps=(OCCLUSION, GRADIENT, TIMES_PIXEL, INTEGRATED),
)
PATCH = Control(
    name="patch",
    label="patch",
    value=5.0,
    steps=(3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    low=2.0,
    high=14.0,
)
ABOUT: Mapping[str, str] = {
    OCCLUSION: "Above 0: covering this place with black takes probability from the class, below "
    "0: it gives it some. A place is what is covered, not one pixel alone.",
    GRADIENT: "How fast the score changes with each pixel, up or down, at this very image: a "
    "slope, which says little of a larger change.",
    TIMES_PIXEL: "The slope times how bright the pixel is: a guess at what the ink there brings "
    "the score. Black pixels cannot count, though a gap may well matter.",
    INTEGRATED: "What the ink of each pixel brings the score on the way from black to this digit; "
    "together it is the score's whole difference. Black pixels cannot count.",
}
BARS = 5
"""Classes whose probabilities are told."""

PLACES, FEWEST = 676, 100
"""Places that a patch is put to, at most and at least."""

SHOWN = 4
"""Exhibits on the way of an occlusion."""


def show(scene: Scene, choices: Choices, goes: bool) -> Parts:
    """Show what the pixels of a digit count for the class it is given, and for its rival."""
    images = scene.control(choices)
    digits = chosen_digit(scene, str(images.value), choices)
    method = at(METHOD, chosen_word(choices, METHOD))
    patch = at(PATCH, chosen_whole(choices, PATCH))
    controls = (images, digits, method, *([patch] if method.value == OCCLUSION else []))
    if is_sealed(scene, str(images.value)):
        yield sealed(scene, controls)
        return
    digit = scene.digit(str(images.value), int(digits.value))
    verdict = verdict_of(digit, scene.network)
    if verdict.is_lost:
        lost = Words(text=verdict.sentence, tone="wrong")
        yield _exhibit(scene, digit, verdict, controls, (_digit(digit),), (lost,))
    elif method.value == OCCLUSION:
        yield from _cover(scene, digit, verdict, controls, int(patch.value))
    else:
        yield from _slopes(scene, digit, verdict, controls, str(method.value))


def rivals(verdict: Verdict) -> tuple[int, int]:
    """Return the two classes that are looked at: the said one, and the true one or the next."""
    said = verdict.said
    return said, verdict.label if said != verdict.label else verdict.order[1]


def black_of(scene: Scene) -> float:
    """Return what a black pixel is to the network."""
    return float(scene.bench.data.prepare(torch.zeros(1, 1, 1, dtype=torch.uint8)))


def stride_for(scene: Scene, patch: int) -> int:
    """Return the stride at which there are not more places than can be tried in a moment."""
    places = affordable(scene.bench.layers, 0.25, least=FEWEST, most=PLACES)
    across = scene.bench.data.image_size - patch
    return max(1, ceil(across / max(1, int(places**0.5) - 1)))


def _cover(
    scene: Scene,
    digit: Digit,
    verdict: Verdict,
    controls: tuple[Control, ...],
    patch: int,
) -> Parts:
    """Cover the digit place by place; show it a few times on the way."""
    part, stride = part_size(scene), stride_for(scene, patch)
    told = 0.0
    trial = occlusion(
        scene.network,
        digit.network_input,
        black_of(scene),
        patch=patch,
        stride=stride,
        part=part,
    )
    for found in trial:
        if found.share < 1 and found.share < told:
            yield None
            continue
        told = found.share + 1 / SHOWN
        yield _covered(scene, digit, verdict, controls, found, stride)


def _covered(
    scene: Scene,
    digit: Digit,
    verdict: Verdict,
    controls: tuple[Control, ...],
    found: Occluded,
    stride: int,
) -> Exhibit:
    said, other = rivals(verdict)
    maps = {class_: found.loss(class_) for class_ in (said, other)}
    worst = found.worst(said)
    top, left = found.corners[worst]
    inside = min(found.patch, found.side - top), min(found.patch, found.side - left)
    changed = int((found.covered.argmax(dim=1) != said).sum())
    tried = len(found.covered)
    most = found.covered[worst]
    to = f", and it says {int(most.argmax())}" if int(most.argmax()) != said else ""
    result = (
        f"{verdict.sentence} Covering the framed {inside[0]}×{inside[1]} pixels leaves P({said}) "
        f"{percent(float(most[said]), 1)}{to}. {changed} of {tried} places change the answer."
    )
    pictures = [
        _picture(values, f"P({class_}) {_points(values)}", float(values.abs().max()))
        for class_, values in maps.items()
    ]
    figures = {
        "patch": found.patch,
        "stride": stride,
        "places": len(found.corners),
        "changed": changed,
        "worst": {"top": top, "left": left, "probabilities": most.tolist()},
        "maps": {str(class_): values.tolist() for class_, values in maps.items()},
    }
    framed = _digit(digit, (top, left, *inside))
    return _exhibit(
        scene,
        digit,
        verdict,
        controls,
        (framed, *pictures),
        (),
        result=result,
        figures=figures,
        progress=None if found.share == 1 else found.share,
        on=f"{count(tried)} places of a patch, {stride} px apart",
    )


def _points(values: Tensor) -> str:
    """Return the largest loss or gain of a map, in percentage points."""
    most = values.flatten()[int(values.abs().argmax())]
    return f"{'loses' if most >= 0 else 'gains'} up to {100 * abs(float(most)):.2g} points"


def _slopes(
    scene: Scene,
    digit: Digit,
    verdict: Verdict,
    controls: tuple[Control, ...],
    method: str,
) -> Parts:
    """Show what the gradient tells, by one of its methods."""
    said, other = rivals(verdict)
    yield _exhibit(scene, digit, verdict, controls, (_digit(digit),), (), progress=0.0)
    maps: dict[int, Tensor] = {}
    for class_ in (said, other):
        values = yield from _map(scene, digit, method, class_)
        if values is None:
            lack = Words(text="No gradient gets from its scores to the image.", tone="look")
            yield _exhibit(scene, digit, verdict, controls, (_digit(digit),), (lack,))
            return
        maps[class_] = values.abs() if method == GRADIENT else values
        yield None
    bound = max(float(each.abs().max()) for each in maps.values())
    pictures = [
        _picture(values, f"score of {class_}", bound, is_signed=method != GRADIENT)
        for class_, values in maps.items()
    ]
    yield _exhibit(
        scene,
        digit,
        verdict,
        controls,
        (_digit(digit), *pictures),
        (),
        result=f"{verdict.sentence} {_told(maps[said], method, said, digit)}".strip(),
        figures={"maps": {str(class_): values.tolist() for class_, values in maps.items()}},
        on=f"{PATH_STEPS} points on the way from black" if method == INTEGRATED else "its gradient",
    )


def _map(
    scene: Scene, digit: Digit, method: str, class_: int
) -> Generator[None, None, Tensor | None]:
    network, image, black = scene.network, digit.network_input, black_of(scene)
    if method == GRADIENT:
        return gradient(network, image, class_)
    if method == TIMES_PIXEL:
        return gradient_times_pixel(network, image, black, class_)
    part = part_size(scene, passes=8 * BACKWARD)
    return (yield from integrated_gradients(network, image, black, class_, part=part))


def _told(values: Tensor, method: str, class_: int, digit: Digit) -> str:
    """Return what a map comes to, in a sentence."""
    if method == INTEGRATED:
        return f"Together the ink brings the score of {class_} {float(values.sum()):+.1f}."
    ink, total = digit.pixels.cpu() > 0, float(values.abs().sum())
    if method == TIMES_PIXEL or not total > 0:
        return "" if total > 0 else "No pixel changes the score."
    share, area = float(values.abs()[ink].sum()) / total, float(ink.float().mean())
    return f"{percent(share, 0)} of it lies on the ink, which is {percent(area, 0)} of the image."


def _digit(digit: Digit, frame: tuple[int, int, int, int] | None = None) -> Picture:
    values = shrunk(digit.pixels.float().cpu())
    whole = frame if values.shape == digit.pixels.shape else None
    return map_picture(values, f"a {digit.label}", low=0.0, high=255.0, frame=whole)


def _picture(values: Tensor, caption: str, bound: float, *, is_signed: bool = True) -> Picture:
    drawn = shrunk(values)
    if is_signed:
        return map_picture(drawn, caption, bound=bound or 1.0)
    return map_picture(drawn, caption, low=0.0, high=bound or 1.0)


def _exhibit(
    scene: Scene,
    digit: Digit,
    verdict: Verdict,
    controls: tuple[Control, ...],
    pictures: tuple[Picture, ...],
    notes: tuple[Block, ...],
    *,
    result: str = "",
    figures: Mapping[str, object] | None = None,
    progress: float | None = None,
    on: str = "",
) -> Exhibit:
    images, _, method, *_ = controls
    about = Words(text=ABOUT[str(method.value)], tone="muted")
    bars = () if verdict.is_lost else (verdict.bars(BARS),)
    return Exhibit(
        blocks=(Pictures(caption="", items=pictures), *notes, *bars, about),
        controls=controls,
        result=result or verdict.sentence,
        certainty=f"One {images.value} image after step {count(scene.step)}"
        + (f": {on}." if on else "."),
        opens=Opening(
            view="maps",
            choices=(("images", images.value), ("digit", float(digit.number))),
            hint="its way through the layers",
        ),
        progress=progress,
        figures={
            "digit": digit.number,
            **verdict.figures,
            "method": method.value,
            **(figures or {}),
        },
    )
