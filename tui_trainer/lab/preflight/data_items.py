"""The images and labels: how many there are, and what the findings say about them."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.check_item import check_item
from tui_trainer.models.tensors import mean_and_std
from tui_trainer.protocol.diagnosis import Diagnosis


def data_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Describe the labels and the model input; the rules judge them."""
    train, val = context.data.train, context.data.val
    counts = torch.bincount(train.labels, minlength=context.data.classes)
    low, high = int(counts.min()), int(counts.max())
    yield check_item(
        code="data",
        severity="ok",
        title="images and labels match",
        evidence=f"{len(train):,} training and {len(val):,} validation images, "
        f"{low:,} to {high:,} of each class",
        lesson=19,
        value=float(low),
        figure=f"{len(train):,} images",
    )
    yield _input_item(context)


def _input_item(context: CheckContext) -> Diagnosis:
    images = context.data.prepare(context.sample.images)
    mean, std = mean_and_std(images)
    is_flat = bool(images.amin() == images.amax())
    text = f"training {mean:+.2f} ± {std:.2f}"
    if len(context.val_sample):
        val_mean, val_std = mean_and_std(context.data.prepare(context.val_sample.images))
        text += f", validation {val_mean:+.2f} ± {val_std:.2f}"
    return check_item(
        code="input",
        severity="error" if is_flat else "ok",
        title="all pixels have the same value" if is_flat else "the input is normalized",
        evidence=f"model input, mean ± standard deviation: {text} "
        f"({len(context.sample):,} and {len(context.val_sample):,} images)",
        advice="check that the files hold the right data" if is_flat else "",
        lesson=10,
        value=std,
        figure=f"std {std:.2f}",
        cause="input_destroyed",
        likelihood="shown",
    )
