"""Robustness: the accuracy under perturbations of rising strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tui_trainer.data.dataset import Split
from tui_trainer.lab.context import DIGIT, SEED, Context, Digit, Parts
from tui_trainer.lab.controls import Controls, word_control
from tui_trainer.lab.drawing import WIDEST, image_picture, nonfinite_notice
from tui_trainer.lab.predictions import TEST
from tui_trainer.lab.samples import affordable
from tui_trainer.lab.views.perturbations import Perturbation, kinds, perturbations
from tui_trainer.lab.views.split_predictions import sealed
from tui_trainer.protocol.exhibit import Block, Curve, Curves, Exhibit, Pictures, Table
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, percent

LEAST, MOST = 40, 150
"""Images that every perturbation is tried on, at least and at most."""

TIME_FACTOR = 16
"""It may take so many times as long as other views: every strength is a separate slice."""

POINTS = 13
"""Points of a curve, strength 0 included."""

PICTURES = 4
_PENDING = "·"


@dataclass
class Accuracies:
    """Correct predictions by perturbation and strength.

    Attributes:
        tried: The perturbations.
        total: The number of images.
        plain: Correct predictions on the unperturbed images.
        correct: The same by perturbation and strength, where known.
    """

    tried: tuple[Perturbation, ...]
    total: int
    plain: int = 0
    correct: dict[tuple[str, float], int] = field(default_factory=dict)

    def is_worse(self, perturbation: Perturbation, strength: float) -> bool:
        """Whether the accuracy drops significantly: the two 95 % intervals do not overlap."""
        correct = self.correct.get((perturbation.name, strength))
        if correct is None:
            return False
        return wilson(correct, self.total)[1] < wilson(self.plain, self.total)[0]


@dataclass
class Trace:
    """One image under a kind of perturbation.

    Attributes:
        digit: The image.
        kind: The kind.
        curves: The probability of its true class by strength.
        changed: Perturbed images with strength and prediction as captions.
    """

    digit: Digit
    kind: str
    curves: list[Curve] = field(default_factory=list)
    changed: list[tuple[Tensor, str]] = field(default_factory=list)


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show one image under a perturbation, then the accuracy under all of them, row by row."""
    channels = context.data.channels
    name = controls.word(context.images_control)
    kind = controls.word(word_control("perturbation", kinds(channels)))
    number = controls.whole(DIGIT)
    if name == TEST:
        predictions = yield from context.predict(TEST)
        if predictions is None:
            yield sealed(context)
            return
    tried = perturbations(channels)
    passes = 1 + sum(len(perturbation.strengths) for perturbation in tried)
    affords = affordable(context.layers, passes / TIME_FACTOR, least=LEAST, most=MOST)
    split = context.split(name).sample(affords)
    plain = context.probabilities(split.images)
    if not bool(torch.isfinite(plain).all()):
        words = nonfinite_notice("the logits")
        yield Exhibit(blocks=(words,), figures={"images": name, "non_finite": True})
        return
    found = Accuracies(tried, len(split), plain=_correct(plain, split))
    trace = Trace(context.digit(number, name), kind)
    for perturbation in tried:
        if perturbation.kind == kind:
            _follow(context, perturbation, trace)
            yield None
    done = 0
    for perturbation in tried:
        for strength in perturbation.strengths:
            changed = _whole(perturbation.apply(split.images.float(), strength, SEED))
            found.correct[perturbation.name, strength] = _correct(
                context.probabilities(changed), split
            )
            done += 1
            is_whole = strength == perturbation.strengths[-1] and done < passes - 1
            exhibit = _exhibit(context, name, found, trace, done / (passes - 1))
            yield exhibit if is_whole else None
    yield _exhibit(context, name, found, trace)


def _correct(probabilities: Tensor, split: Split) -> int:
    return int((probabilities.argmax(dim=1) == split.labels.cpu()).sum())


def _whole(grays: Tensor) -> Tensor:
    """Return grays or colors rounded to uint8."""
    return grays.round().clamp(0, 255).to(torch.uint8)


def _follow(context: Context, perturbation: Perturbation, trace: Trace) -> None:
    """Perturb one image with each variant in small steps, and keep its predictions."""
    digit = trace.digit
    most = perturbation.strengths[-1]
    strengths = [most * step / (POINTS - 1) for step in range(POINTS)]
    grays = digit.pixels.float()[None]
    for variant_name, variant in perturbation.variants:
        changed = _whole(torch.cat([variant(grays, a, SEED + digit.number) for a in strengths]))
        probabilities = context.probabilities(changed)
        true = probabilities[:, digit.label].tolist()
        trace.curves.append(Curve(name=variant_name, x=tuple(strengths), y=tuple(true)))
        for step in (POINTS // 2, POINTS - 1):
            predicted = int(probabilities[step].argmax())
            strength = perturbation.strength_text(round(strengths[step], 2))
            what = f"{variant_name} {strength}: {context.class_name(predicted)}"
            trace.changed.append(
                (changed[step], f"{what}, {percent(float(probabilities[step, predicted]), 0)}")
            )


def _exhibit(
    context: Context, images: str, found: Accuracies, trace: Trace, progress: float | None = None
) -> Exhibit:
    is_done = progress is None
    return Exhibit(
        blocks=(_table(found, trace.kind), *_traced(found, trace)),
        result=_result(found) if is_done else "",
        evidence=f"The same {count(found.total)} {images} images for every perturbation, step "
        f"{count(context.step)}; 95 % intervals, lengths in pixels of a 28×28 image.",
        progress=progress,
        figures=_figures(images, found, trace) if is_done else {},
    )


def _table(found: Accuracies, kind: str) -> Table:
    """Return two rows per perturbation: its strengths, and the accuracies."""
    rows: list[tuple[str, ...]] = []
    marked = None
    for perturbation in found.tried:
        if perturbation.kind == kind and marked is None:
            marked = len(rows)
        rows.append((perturbation.name, *map(perturbation.strength_text, perturbation.strengths)))
        cells = (
            found.correct.get((perturbation.name, strength)) for strength in perturbation.strengths
        )
        rows.append(("", *(_PENDING if c is None else _accuracy(c, found.total) for c in cells)))
    return Table(
        caption=f"accuracy in %, {found.total} images; unperturbed "
        f"{_accuracy(found.plain, found.total)}",
        heads=("perturbation", "weak", "medium", "strong", "very strong"),
        rows=tuple(rows),
        marked=marked,
    )


def _accuracy(correct: int, total: int) -> str:
    """Return an accuracy in percent with its interval."""
    low, high = wilson(correct, total)
    return f"{100 * correct / total:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _traced(found: Accuracies, trace: Trace) -> tuple[Block, ...]:
    """Return curves and pictures of the one image."""
    units = " or ".join(dict.fromkeys(c.unit for c in found.tried if c.kind == trace.kind))
    pictures = [
        image_picture(pixels, caption, most=WIDEST) for pixels, caption in _few(trace.changed)
    ]
    return (
        Curves(
            caption=f"image #{trace.digit.number}: probability of the true class "
            f"{trace.digit.name}",
            x_label=f"{trace.kind}, {units}",
            curves=tuple(trace.curves),
        ),
        Pictures(caption="", items=tuple(pictures)),
    )


def _few(changed: list[tuple[Tensor, str]]) -> list[tuple[Tensor, str]]:
    """Return the shown pictures: with many variants only the strongest perturbations."""
    return changed if len(changed) <= PICTURES else changed[1::2][:PICTURES]


def _result(found: Accuracies) -> str:
    """Return the weakest significant strength of each perturbation."""
    worse = []
    for perturbation in found.tried:
        strength = next(
            (a for a in perturbation.strengths if found.is_worse(perturbation, a)), None
        )
        if strength is not None:
            worse.append(f"{perturbation.name} by {perturbation.strength_text(strength)}")
    if not worse:
        return "No perturbation lowers the accuracy significantly."
    return f"Accuracy drops significantly at: {', '.join(worse)}."


def _figures(images: str, found: Accuracies, trace: Trace) -> Mapping[str, object]:
    return {
        "images": images,
        "total": found.total,
        "unperturbed": _figures_of(found.plain, found.total),
        "perturbations": [
            {
                "perturbation": perturbation.name,
                "unit": perturbation.unit,
                "strength": strength,
                **_figures_of(found.correct[perturbation.name, strength], found.total),
                "is_significant": found.is_worse(perturbation, strength),
            }
            for perturbation in found.tried
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


def _figures_of(correct: int, total: int) -> Mapping[str, object]:
    low, high = wilson(correct, total)
    return {"correct": correct, "accuracy": correct / total, "low": low, "high": high}
