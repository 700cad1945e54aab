"""Robustness: how much a digit can be changed before the network no longer knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tui_trainer.data.dataset import Split
from tui_trainer.lab.context import DIGIT, SEED, Context, Digit, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import grey_picture, nonfinite_notice
from tui_trainer.lab.predictions import TEST
from tui_trainer.lab.samples import affordable
from tui_trainer.lab.views.perturbations import KINDS, PERTURBATIONS, Perturbation
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.protocol.exhibit import Block, Curve, Curves, Exhibit, Pictures, Table
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, percent

KIND = word_control("perturbation", KINDS)

LEAST, MOST = 40, 150
"""Images that every change is tried on."""

TIME_FACTOR = 16
"""It may take so many times as long as other looks: it is done in as many parts as amounts."""

POINTS = 13
"""Points of a curve, the unchanged digit among them."""

PICTURES = 4
_NOTHING_YET = "·"


@dataclass
class Accuracies:
    """How many of the images were given the right class.

    Attributes:
        total: How many images there are.
        plain: Hits among them as they are.
        correct: The same by change and amount, as far as it is known.
    """

    total: int
    plain: int = 0
    correct: dict[tuple[str, float], int] = field(default_factory=dict)

    def is_worse(self, perturbation: Perturbation, strength: float) -> bool:
        """Whether a change costs more than chance can explain: the two intervals lie apart."""
        correct = self.correct.get((perturbation.name, strength))
        if correct is None:
            return False
        return wilson(correct, self.total)[1] < wilson(self.plain, self.total)[0]


@dataclass
class Trace:
    """What becomes of one digit under a kind of change.

    Attributes:
        digit: The digit.
        kind: The kind.
        curves: The probability of its true class, over the amount.
        changed: The digit changed (H, H): what was done, and what it is taken for.
    """

    digit: Digit
    kind: str
    curves: list[Curve] = field(default_factory=list)
    changed: list[tuple[Tensor, str]] = field(default_factory=list)


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show one digit under a change, then the accuracy under all changes, row by row."""
    name, kind = controls.word(context.images_control), controls.word(KIND)
    number = controls.whole(DIGIT)
    if name == TEST:
        predictions = yield from context.predict(TEST)
        if predictions is None:
            yield sealed(context)
            return
    passes = 1 + sum(len(perturbation.strengths) for perturbation in PERTURBATIONS)
    affords = affordable(context.layers, passes / TIME_FACTOR, least=LEAST, most=MOST)
    split = context.split(name).sample(affords)
    plain = context.probabilities(split.images)
    if not bool(torch.isfinite(plain).all()):
        words = nonfinite_notice("the network's scores")
        yield Exhibit(blocks=(words,), figures={"images": name, "non_finite": True})
        return
    found = Accuracies(len(split), plain=_correct(plain, split))
    trace = Trace(context.digit(number, name), kind)
    for perturbation in PERTURBATIONS:
        if perturbation.kind == kind:
            _follow(context, perturbation, trace)
            yield None
    done = 0
    for perturbation in PERTURBATIONS:
        for strength in perturbation.strengths:
            changed = _whole(perturbation.apply(split.images.float(), strength, SEED))
            found.correct[perturbation.name, strength] = _correct(
                context.probabilities(changed), split
            )
            done += 1
            is_whole = strength == perturbation.strengths[-1] and done < passes - 1
            told = _exhibit(context, name, found, trace, done / (passes - 1))
            yield told if is_whole else None
    yield _exhibit(context, name, found, trace)


def _correct(probabilities: Tensor, split: Split) -> int:
    return int((probabilities.argmax(dim=1) == split.labels.cpu()).sum())


def _whole(greys: Tensor) -> Tensor:
    """Return greys as an image has them: whole numbers from 0 to 255."""
    return greys.round().clamp(0, 255).to(torch.uint8)


def _follow(context: Context, perturbation: Perturbation, trace: Trace) -> None:
    """Change one digit in each way, little by little, and keep what it is taken for."""
    digit = trace.digit
    most = perturbation.strengths[-1]
    strengths = [most * step / (POINTS - 1) for step in range(POINTS)]
    greys = digit.pixels.float()[None]
    for way_name, way in perturbation.ways:
        changed = _whole(torch.cat([way(greys, a, SEED + digit.number) for a in strengths]))
        told = context.probabilities(changed)
        right = told[:, digit.label].tolist()
        trace.curves.append(Curve(name=way_name, x=tuple(strengths), y=tuple(right)))
        for step in (POINTS // 2, POINTS - 1):
            predicted = int(told[step].argmax())
            what = (
                f"{way_name} {perturbation.strength_text(round(strengths[step], 2))}: {predicted}"
            )
            trace.changed.append(
                (changed[step], f"{what}, {percent(float(told[step, predicted]), 0)}")
            )


def _exhibit(
    context: Context, images: str, found: Accuracies, trace: Trace, progress: float | None = None
) -> Exhibit:
    is_done = progress is None
    return Exhibit(
        blocks=(_table(found, trace.kind), *_traced(trace)),
        result=_result(found) if is_done else "",
        certainty=f"{count(found.total)} {images} images after step {count(context.step)}, the "
        "same under every change; intervals of 95 %, lengths in pixels of a 28×28 image.",
        progress=progress,
        figures=_figures(images, found, trace) if is_done else {},
    )


def _table(found: Accuracies, kind: str) -> Table:
    """Return two rows a change: its amounts, and the accuracy under them."""
    rows: list[tuple[str, ...]] = []
    marked = None
    for perturbation in PERTURBATIONS:
        if perturbation.kind == kind and marked is None:
            marked = len(rows)
        rows.append((perturbation.name, *map(perturbation.strength_text, perturbation.strengths)))
        cells = (
            found.correct.get((perturbation.name, strength)) for strength in perturbation.strengths
        )
        rows.append(
            ("", *(_NOTHING_YET if c is None else _accuracy(c, found.total) for c in cells))
        )
    return Table(
        caption=f"right, %, of {found.total} digits; unchanged "
        f"{_accuracy(found.plain, found.total)}",
        heads=("change", "a little", "more", "much", "very much"),
        rows=tuple(rows),
        marked=marked,
    )


def _accuracy(correct: int, total: int) -> str:
    """Return an accuracy in per cent with its interval."""
    low, high = wilson(correct, total)
    return f"{100 * correct / total:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _traced(trace: Trace) -> tuple[Block, ...]:
    """Return the curves of the one digit, and pictures of it."""
    label = trace.digit.label
    units = " or ".join(dict.fromkeys(c.unit for c in PERTURBATIONS if c.kind == trace.kind))
    pictures = [grey_picture(greys, caption) for greys, caption in _few(trace.changed)]
    return (
        Curves(
            caption=f"digit {trace.digit.number}, a {label}: the probability of {label}",
            x_label=f"{trace.kind}, {units}",
            curves=tuple(trace.curves),
        ),
        Pictures(caption="", items=tuple(pictures)),
    )


def _few(changed: list[tuple[Tensor, str]]) -> list[tuple[Tensor, str]]:
    """Return as many as are shown: of many ways only the greatest changes."""
    return changed if len(changed) <= PICTURES else changed[1::2][:PICTURES]


def _result(found: Accuracies) -> str:
    """Say from where on each change costs more than chance can explain."""
    worse = []
    for perturbation in PERTURBATIONS:
        strength = next(
            (a for a in perturbation.strengths if found.is_worse(perturbation, a)), None
        )
        if strength is not None:
            worse.append(f"{perturbation.name} by {perturbation.strength_text(strength)}")
    if not worse:
        return "None of these changes makes it clearly worse."
    return f"Clearly worse from here on: {', '.join(worse)}."


def _figures(images: str, found: Accuracies, trace: Trace) -> Mapping[str, object]:
    return {
        "images": images,
        "total": found.total,
        "unchanged": _judged(found.plain, found.total),
        "perturbations": [
            {
                "perturbation": perturbation.name,
                "unit": perturbation.unit,
                "strength": strength,
                **_judged(found.correct[perturbation.name, strength], found.total),
                "clearly_worse": found.is_worse(perturbation, strength),
            }
            for perturbation in PERTURBATIONS
            for strength in perturbation.strengths
        ],
        "digit": {
            "number": trace.digit.number,
            "true": trace.digit.label,
            "perturbation": trace.kind,
            "curves": [
                {"variant": curve.name, "strengths": list(curve.x), "probability": list(curve.y)}
                for curve in trace.curves
            ],
        },
    }


def _judged(correct: int, total: int) -> Mapping[str, object]:
    low, high = wilson(correct, total)
    return {"correct": correct, "accuracy": correct / total, "low": low, "high": high}
