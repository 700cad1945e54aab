"""Rules about the input: whether it is normalized, and validation likewise."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.findings.data_checks import are_apart, differing_neighbors, differing_pixels
from tui_trainer.findings.model_checks import MIXING
from tui_trainer.findings.rule import finding
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.layers import LayerRow

FAR_OFF, LARGE, SMALL = 3.0, 5.0, 0.1
"""The mean and the standard deviations of the input beyond which training certainly suffers."""

USUAL = (0.5, 2.0)
"""The standard deviations that count as normalized."""

_TITLES = {
    "labels_shuffled": "validation labels do not match their images",
    "label_confusion": "validation labels differ for some classes",
    "label_noise": "validation labels are noisy",
}
"""What differs, by its cause."""


def input_scale(history: History) -> FindingRaised | None:
    """Find an input whose mean is not about 0 or whose standard deviation is not about 1.

    Of a custom model it is the input of the first layer with weights: ``forward`` can scale the
    images once more. A model that begins with a norm takes any scale.
    """
    sample, tried = history.last_sample, history.model_probe
    if sample is None or (history.started and _begins_with_norm(history.started.layers)):
        return None
    mean, std, where = sample.input_mean, sample.input_std, ""
    if tried is not None and tried.first_input_std:
        mean, std = tried.first_input_mean or 0.0, tried.first_input_std
        where = " at the first layer"
    is_wrong = abs(mean) > FAR_OFF or not SMALL <= std <= LARGE
    is_usual = USUAL[0] <= sample.input_std <= USUAL[1] and abs(sample.input_mean) <= 1
    if not is_wrong and is_usual:
        return None
    return finding(
        "input_scale",
        severity=("warning" if is_wrong else "note"),
        evidence=f"mean {mean:.3g}, standard deviation {std:.3g}{where}; 0 and 1 are usual",
        step=0,
        cause=(
            "large inputs cause large gradients, but only in the first layer"
            if std > 1
            else "small inputs give the first layer almost no signal"
        ),
    )


def _begins_with_norm(rows: Sequence[LayerRow]) -> bool:
    """Whether a norm comes before the first layer that mixes its inputs."""
    kinds = [row.kind for row in rows if row.kind.endswith("norm") or row.kind in MIXING]
    return bool(kinds) and kinds[0] not in MIXING


def validation_differs(history: History) -> FindingRaised | None:
    """Find validation images that differ from training in mean or scale, or in their neighbors."""
    if (found := differing_neighbors(history)) is not None:
        title = _TITLES.get(found.code)
        texts = {"title": title} if title else {}
        return finding(
            "validation_differs", evidence=found.evidence, causes=(found,), step=0, **texts
        )
    if (pixels := differing_pixels(history)) is not None:
        return finding("validation_differs", evidence=pixels, step=0)
    sample = history.last_sample
    if sample is None or sample.val_mean is None or sample.val_std is None:
        return None
    train, val = (sample.input_mean, sample.input_std), (sample.val_mean, sample.val_std)
    if not are_apart(train, val, 1e-12):
        return None
    return finding(
        "validation_differs",
        evidence=(
            f"training images: mean {sample.input_mean:.3g}, standard deviation "
            f"{sample.input_std:.3g}; validation images: {sample.val_mean:.3g}, "
            f"{sample.val_std:.3g} ({sample.sample_size} of each)"
        ),
        step=sample.step,
    )
