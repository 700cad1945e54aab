"""Calibration: does the confidence of the predictions match their accuracy?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views.split_predictions import evidence, predictions_of
from tui_trainer.protocol.exhibit import Curve, Curves, Exhibit, Table, Words
from tui_trainer.stats.reliability import (
    EQUAL_MASS,
    EQUAL_WIDTH,
    Calibration,
    CalibrationBin,
    brier,
    edges_of,
    negative_log_likelihood,
    places,
)
from tui_trainer.text.fmt import count, percent

BINS = number_control("bins", "bins", 15, (5, 10, 15, 20))
BINNING = word_control("binning", (EQUAL_WIDTH, EQUAL_MASS))

DRAWS, PER_PART, SEED = 200, 20, 8
"""How often a calibrated model is simulated on these images, how many per slice, and the seed."""

FEWEST = 5
"""Images that a bin needs to be plotted: the accuracy of fewer is too uncertain."""


@dataclass(frozen=True, slots=True)
class CalibratedErrors:
    """The errors of a perfectly calibrated model on as many images: sampling noise alone.

    Attributes:
        ece: Its mean expected calibration error.
        ece_high: The 95th percentile of that.
        mce: Its mean maximum calibration error.
    """

    ece: float
    ece_high: float
    mce: float


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the reliability diagram, ECE, MCE, Brier score and log loss."""
    images, bins = controls.word(context.images_control), controls.whole(BINS)
    bins = max(int(step) for step in BINS.steps if float(step) <= bins)
    controls.add(BINS, bins)
    binning = controls.word(BINNING)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    confidence = predictions.confidence.double()
    values = confidence.tolist()
    edges = edges_of(values, bins, binning)
    found = Calibration.of(values, (predictions.predicted == predictions.labels).tolist(), edges)
    yield None
    metrics = _metrics(predictions)
    inside = torch.tensor(places(values, edges))
    yield None
    drawn: list[Tensor] = []
    for turn in range(DRAWS // PER_PART):
        drawn.append(calibrated_gaps(confidence, inside, len(found.bins), PER_PART, SEED + turn))
        yield None
    calibrated = calibrated_errors(torch.cat(drawn), found)
    yield Exhibit(
        blocks=(
            _verdict(found, calibrated),
            _diagram(found),
            _summary(found, calibrated, metrics),
            _bins(found),
        ),
        result=f"Expected calibration error (ECE) {percent(found.ece)}; a calibrated network has "
        f"{percent(calibrated.ece)} from sampling alone (95th percentile "
        f"{percent(calibrated.ece_high)}).",
        evidence=evidence(predictions),
        figures=figures(found, calibrated, metrics, binning),
    )


def calibrated_gaps(confidence: Tensor, inside: Tensor, bins: int, draws: int, seed: int) -> Tensor:
    """Return sums of confidence − correct (draws, bins) of a simulated calibrated model.

    In each draw an image is correct with a probability of its confidence.

    Args:
        confidence: The confidences (N).
        inside: The bin of each (N).
        bins: The number of bins.
        draws: The number of simulations.
        seed: Seed of the simulations.
    """
    calibrated = torch.Generator().manual_seed(seed)
    correct = (
        torch.rand((draws, len(confidence)), generator=calibrated, dtype=torch.float64) < confidence
    )
    gaps = torch.zeros((draws, bins), dtype=torch.float64)
    return gaps.index_add_(1, inside, confidence - correct.double())


def calibrated_errors(gaps: Tensor, found: Calibration) -> CalibratedErrors:
    """Return the errors of a calibrated model from the gaps of its bins (draws, bins)."""
    sizes = torch.tensor([each.images for each in found.bins], dtype=torch.float64)
    errors = gaps.abs().sum(dim=1) / found.images
    largest = (gaps.abs() / sizes.clamp_min(1)).amax(dim=1)
    return CalibratedErrors(
        float(errors.mean()), float(errors.quantile(0.95)), float(largest.mean())
    )


def figures(
    found: Calibration, calibrated: CalibratedErrors, metrics: Mapping[str, float], binning: str
) -> Mapping[str, object]:
    """Return the bins and all metrics as plain numbers."""
    return {
        "images": found.images,
        "binning": binning,
        "ece": found.ece,
        "ece_if_calibrated": calibrated.ece,
        "ece_if_calibrated_95": calibrated.ece_high,
        "mce": found.mce,
        "mce_if_calibrated": calibrated.mce,
        **metrics,
        "confidence_minus_accuracy": found.gap,
        "confidence_minus_accuracy_interval": list(found.gap_interval),
        "bins": [
            {
                "low": each.low,
                "high": each.high,
                "images": each.images,
                "correct": each.correct,
                "confidence": each.confidence if each.images else None,
                "accuracy": each.accuracy,
                "accuracy_interval": None if each.interval is None else list(each.interval),
            }
            for each in found.bins
        ],
    }


def _metrics(predictions: Predictions) -> Mapping[str, float]:
    labels = predictions.labels.tolist()
    return {
        "nll": negative_log_likelihood(predictions.true_probability.tolist()),
        "brier": brier(predictions.probabilities.tolist(), labels),
    }


def _diagram(found: Calibration) -> Curves:
    """Return accuracy by confidence, with the diagonal of a calibrated network."""
    full = [each for each in found.bins if each.images >= FEWEST]
    confidence = tuple(each.confidence for each in full)
    shares = tuple(each.correct / each.images for each in full)
    ends = [each.interval or (0.0, 1.0) for each in full]
    return Curves(
        caption=f"reliability diagram: accuracy by confidence, bins of at least {FEWEST} images",
        x_label="confidence",
        curves=(
            Curve(name="calibrated", x=(0.0, 1.0), y=(0.0, 1.0)),
            Curve(name="accuracy", x=confidence, y=shares),
            Curve(name="95 % interval from", x=confidence, y=tuple(low for low, _ in ends)),
            Curve(name="to", x=confidence, y=tuple(high for _, high in ends)),
        ),
    )


def _summary(
    found: Calibration, calibrated: CalibratedErrors, metrics: Mapping[str, float]
) -> Table:
    return Table(
        caption="",
        heads=("", "here", "if calibrated"),
        rows=(
            ("ECE, expected calibration error", percent(found.ece), f"{percent(calibrated.ece)}"),
            ("MCE, maximum calibration error", percent(found.mce), f"{percent(calibrated.mce)}"),
            ("Brier score, 0 to 2", f"{metrics['brier']:.4f}", ""),
            ("log loss, nats", f"{metrics['nll']:.4f}", ""),
        ),
    )


def _verdict(found: Calibration, calibrated: CalibratedErrors) -> Words:
    """Say whether it is overconfident, underconfident or calibrated."""
    low, high = found.gap_interval
    on_average = (
        f"mean confidence − accuracy is {_points(found.gap)} points "
        f"[{_points(low)}, {_points(high)}]"
    )
    if found.ece <= calibrated.ece_high:
        text = f"No miscalibration is detectable on {count(found.images)} images: "
        return Words(text=f"{text}{on_average}.", tone="ok")
    if low > 0:
        return Words(text=f"Overconfident: {on_average}.", tone="warning")
    if high < 0:
        return Words(text=f"Underconfident: {on_average}.", tone="warning")
    text = "Overconfident in some bins, underconfident in others; "
    return Words(text=f"{text}{on_average}.", tone="warning")


def _points(share: float, digits: int = 2) -> str:
    """Return a difference of shares in percentage points with its sign: ``+1.78``."""
    text = f"{100 * share:+.{digits}f}".replace("-", "−")
    return text if float(text[1:]) else text[1:]


def _bins(found: Calibration) -> Table:
    shown = [each for each in found.bins if each.images]
    empty = len(found.bins) - len(shown)
    return Table(
        caption="bins, in %" + (f"; {empty} empty bins left out" if empty else ""),
        heads=("bin", "images", "confidence", "accuracy", "gap"),
        rows=tuple(map(_row, shown)),
    )


def _row(each: CalibrationBin) -> tuple[str, ...]:
    low, high = each.interval or (0.0, 1.0)
    return (
        f"{100 * each.low:.2f} to {100 * each.high:.2f}",
        count(each.images),
        f"{100 * each.confidence:.1f}",
        f"{100 * (each.accuracy or 0.0):.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        _points(each.gap, 1),
    )
