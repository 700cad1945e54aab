"""Is the input normalized, and the same way in both splits?"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.models.tensors import mean_and_std
from tui_trainer.protocol.diagnosis import Diagnosis, Verdict

USUAL_MEAN = 0.5
"""The largest distance of the mean from 0, that of normalized input …"""

USUAL_STD = (0.5, 2.0)
"""… and the range of the standard deviation around 1."""

ERRORS = 5.0
"""Standard errors by which two samples of one distribution almost never differ."""

LEAST_SHIFT, LEAST_RATIO = 0.1, 1.25
"""Differences below these are harmless, even if they are significant."""


def input_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Check mean and standard deviation of the model input in both splits."""
    train = context.data.prepare(context.sample.images)
    mean, std = mean_and_std(train)
    text = f"training {mean:+.2f} ± {std:.2f}"
    severity, title, advice = _of_training(mean, std, is_flat=bool(train.amin() == train.amax()))
    if len(context.val_sample) and severity != "error":
        val = context.data.prepare(context.val_sample.images)
        val_mean, val_std = mean_and_std(val)
        text += f", validation {val_mean:+.2f} ± {val_std:.2f}"
        if _differ(train, val):
            severity, title = "error", "the validation images are normalized differently"
            advice = "normalize both splits with mean and std of the training split"
    yield Diagnosis(
        code="input",
        severity=severity,
        title=title,
        evidence=f"model input, mean ± standard deviation: {text} "
        f"({len(context.sample):,} and {len(context.val_sample):,} images)",
        advice=advice,
        lesson=10,
        value=std,
        figure=f"std {std:.2f}",
    )


def _of_training(mean: float, std: float, *, is_flat: bool) -> Verdict:
    if is_flat:
        return "error", "all pixels have the same value", "check that the files hold the right data"
    if abs(mean) > USUAL_MEAN or not USUAL_STD[0] <= std <= USUAL_STD[1]:
        words = "normalize the images: subtract the mean, divide by the standard deviation"
        return "warning", "the input is not normalized", words
    return "ok", "the input is normalized", ""


def _differ(train: Tensor, val: Tensor) -> bool:
    """Return whether the brightness of two samples (N, 1, H, H) differs significantly."""
    a, b = train.flatten(1), val.flatten(1)
    means = a.mean(dim=1), b.mean(dim=1)
    error = sum(float(m.var()) / len(m) if len(m) > 1 else 0.0 for m in means) ** 0.5
    shift = abs(float(means[0].mean() - means[1].mean()))
    first, second = float(train.std(correction=0)), float(val.std(correction=0))
    ratio = max(first, second) / max(1e-12, min(first, second))
    stds = a.std(dim=1), b.std(dim=1)
    std_error = sum(float(s.var()) / len(s) if len(s) > 1 else 0.0 for s in stds) ** 0.5
    is_moved = shift > max(ERRORS * error, LEAST_SHIFT * first)
    return is_moved or (ratio > LEAST_RATIO and abs(first - second) > ERRORS * std_error)
