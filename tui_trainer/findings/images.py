"""The input: whether it is normalized, and whether validation is given the same."""

from __future__ import annotations

from tui_trainer.findings.rule import finding
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised

FAR_OFF, LARGE, SMALL = 3.0, 5.0, 0.1
"""Mean and deviation of the input beyond which training suffers for certain."""

USUAL = (0.5, 2.0)
"""Deviations that count as normalized."""

SHIFTED, STRETCHED = 0.25, 1.3
"""How many deviations apart the means may be, and how many times the deviations."""


def input_scale(history: History) -> FindingRaised | None:
    """Find that the network is given pixels that are not about 0 with a deviation of about 1."""
    sample = history.samples[-1] if history.samples else None
    if sample is None:
        return None
    mean, std = sample.input_mean, sample.input_std
    is_wrong = abs(mean) > FAR_OFF or not SMALL <= std <= LARGE
    if not is_wrong and USUAL[0] <= std <= USUAL[1] and abs(mean) <= 1:
        return None
    return finding(
        "input_scale",
        severity=("warning" if is_wrong else "note"),
        evidence=f"mean {mean:.3g}, deviation {std:.3g} where 0 and 1 are usual",
        step=0,
        cause=(
            "large inputs make large gradients in the first layer alone"
            if std > 1
            else "small inputs leave the first layer next to nothing to tell apart"
        ),
    )


def validation_differs(history: History) -> FindingRaised | None:
    """Find that the validation images come in another scale than the training images."""
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.val_mean is None or sample.val_std is None:
        return None
    apart = abs(sample.val_mean - sample.input_mean)
    deviations = sorted((max(sample.input_std, 1e-12), max(sample.val_std, 1e-12)))
    times = deviations[1] / deviations[0]
    if apart <= SHIFTED * max(sample.input_std, 1e-12) and times <= STRETCHED:
        return None
    return finding(
        "validation_differs",
        evidence=(
            f"training images have mean {sample.input_mean:.3g} and deviation "
            f"{sample.input_std:.3g}, validation images {sample.val_mean:.3g} and "
            f"{sample.val_std:.3g} ({sample.sample_size} of each)"
        ),
        step=sample.step,
    )
