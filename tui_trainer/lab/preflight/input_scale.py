"""Is the input normalized, and the validation's like the training's?"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.models.tensors import mean_and_std
from tui_trainer.protocol.diagnosis import Diagnosis, Verdict

USUAL_MEAN = 0.5
"""How far from 0 the mean may lie: normalized input has 0 …"""

USUAL_STD = (0.5, 2.0)
"""… and a deviation of 1."""

ERRORS = 5.0
"""Standard errors by which two samples of the same images hardly ever differ."""

LEAST_SHIFT, LEAST_RATIO = 0.1, 1.25
"""Differences below these do no harm, however sure they are."""


def input_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Judge mean and deviation of what the network is given, on both splits."""
    train = context.data.prepare(context.sample.images)
    mean, std = mean_and_std(train)
    told = f"training {mean:+.2f} ± {std:.2f}"
    severity, title, advice = _of_training(mean, std, is_flat=bool(train.amin() == train.amax()))
    if len(context.val_sample) and severity != "error":
        val = context.data.prepare(context.val_sample.images)
        val_mean, val_std = mean_and_std(val)
        told += f", validation {val_mean:+.2f} ± {val_std:.2f}"
        if _differ(train, val):
            severity, title = "error", "the validation images are scaled differently"
            advice = "give both splits the same normalization: the training split's mean and std"
    yield Diagnosis(
        code="input",
        severity=severity,
        title=title,
        evidence=f"pixels as the network is given them, mean ± deviation: {told} "
        f"({len(context.sample):,} and {len(context.val_sample):,} images)",
        advice=advice,
        lesson=10,
        value=std,
        figure=f"deviation {std:.2f}",
    )


def _of_training(mean: float, std: float, *, is_flat: bool) -> Verdict:
    if is_flat:
        return "error", "all images are the same grey", "look at the files: is this the right data?"
    if abs(mean) > USUAL_MEAN or not USUAL_STD[0] <= std <= USUAL_STD[1]:
        words = "normalize the images: subtract their mean, divide by their deviation"
        return "warning", "the input is not normalized", words
    return "ok", "the input is normalized", ""


def _differ(train: Tensor, val: Tensor) -> bool:
    """Say whether two samples of images (N, 1, H, H) differ in brightness beyond chance."""
    a, b = train.flatten(1), val.flatten(1)
    means = a.mean(dim=1), b.mean(dim=1)
    error = sum(float(m.var()) / len(m) if len(m) > 1 else 0.0 for m in means) ** 0.5
    shift = abs(float(means[0].mean() - means[1].mean()))
    first, second = float(train.std(correction=0)), float(val.std(correction=0))
    ratio = max(first, second) / max(1e-12, min(first, second))
    spreads = a.std(dim=1), b.std(dim=1)
    doubt = sum(float(s.var()) / len(s) if len(s) > 1 else 0.0 for s in spreads) ** 0.5
    is_moved = shift > max(ERRORS * error, LEAST_SHIFT * first)
    return is_moved or (ratio > LEAST_RATIO and abs(first - second) > ERRORS * doubt)
