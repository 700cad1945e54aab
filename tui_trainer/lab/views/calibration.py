"""Whether the network is as sure as it is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls, number_control, word_control
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views.split_predictions import certainty, predictions_of
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
"""How often the images are drawn anew as they would be if all was calibrated, and the seed."""

FEWEST = 5
"""Images of a bin that is drawn; the accuracy of fewer could be anything."""


@dataclass(frozen=True, slots=True)
class CalibratedErrors:
    """What a calibrated network would show on these images.

    Attributes:
        ece: Its calibration error on average.
        ece_high: Below which it stays nineteen times of twenty.
        mce: The largest gap of a bin, on average.
    """

    ece: float
    ece_high: float
    mce: float


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the reliability diagram, and what it comes to."""
    images, bins = controls.word(context.images_control), controls.whole(BINS)
    bins = max(int(step) for step in BINS.steps if float(step) <= bins)
    controls.add(BINS, bins)
    binning = controls.word(BINNING)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    confidence = predictions.confidence.double()
    told = confidence.tolist()
    edges = edges_of(told, bins, binning)
    found = Calibration.of(told, (predictions.predicted == predictions.labels).tolist(), edges)
    yield None
    metrics = _metrics(predictions)
    inside = torch.tensor(places(told, edges))
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
        result=f"Calibration error (ECE) {percent(found.ece)}; by chance alone a calibrated "
        f"network shows {percent(calibrated.ece)}, and in 19 of 20 cases at most "
        f"{percent(calibrated.ece_high)}.",
        certainty=certainty(predictions),
        figures=figures(found, calibrated, metrics, binning),
    )


def calibrated_gaps(confidence: Tensor, inside: Tensor, bins: int, draws: int, seed: int) -> Tensor:
    """Return the sums of confidence less hits (draws, bins) that a calibrated network would have.

    Each image is right with the probability that the network gives it, drawn from a seed.

    Args:
        confidence: The confidences (N).
        inside: The bin of each (N).
        bins: How many bins.
        draws: How often all images are drawn.
        seed: Of the draws.
    """
    calibrated = torch.Generator().manual_seed(seed)
    correct = (
        torch.rand((draws, len(confidence)), generator=calibrated, dtype=torch.float64) < confidence
    )
    gaps = torch.zeros((draws, bins), dtype=torch.float64)
    return gaps.index_add_(1, inside, confidence - correct.double())


def calibrated_errors(gaps: Tensor, found: Calibration) -> CalibratedErrors:
    """Return the errors of a calibrated network from the gaps of its bins (draws, bins)."""
    sizes = torch.tensor([each.images for each in found.bins], dtype=torch.float64)
    errors = gaps.abs().sum(dim=1) / found.images
    largest = (gaps.abs() / sizes.clamp_min(1)).amax(dim=1)
    return CalibratedErrors(
        float(errors.mean()), float(errors.quantile(0.95)), float(largest.mean())
    )


def figures(
    found: Calibration, calibrated: CalibratedErrors, metrics: Mapping[str, float], binning: str
) -> Mapping[str, object]:
    """Return the bins and all scores as plain numbers."""
    return {
        "images": found.images,
        "binning": binning,
        "ece": found.ece,
        "ece_by_chance": calibrated.ece,
        "ece_by_chance_95": calibrated.ece_high,
        "mce": found.mce,
        "mce_by_chance": calibrated.mce,
        **metrics,
        "confidence_less_accuracy": found.gap,
        "confidence_less_accuracy_interval": list(found.gap_interval),
        "bins": [
            {
                "low": each.low,
                "high": each.high,
                "images": each.images,
                "right": each.correct,
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
    """Return accuracy by confidence, with the diagonal on which a calibrated network lies."""
    full = [each for each in found.bins if each.images >= FEWEST]
    sure = tuple(each.confidence for each in full)
    shares = tuple(each.correct / each.images for each in full)
    ends = [each.interval or (0.0, 1.0) for each in full]
    return Curves(
        caption=f"reliability: accuracy by confidence, bins of {FEWEST} images or more",
        x_label="confidence",
        curves=(
            Curve(name="calibrated", x=(0.0, 1.0), y=(0.0, 1.0)),
            Curve(name="accuracy", x=sure, y=shares),
            Curve(name="its interval from", x=sure, y=tuple(low for low, _ in ends)),
            Curve(name="to", x=sure, y=tuple(high for _, high in ends)),
        ),
    )


def _summary(
    found: Calibration, calibrated: CalibratedErrors, metrics: Mapping[str, float]
) -> Table:
    return Table(
        caption="",
        heads=("", "here", "calibrated, by chance"),
        rows=(
            ("ECE, mean gap of the bins", percent(found.ece), f"{percent(calibrated.ece)}"),
            ("MCE, largest gap of a bin", percent(found.mce), f"{percent(calibrated.mce)}"),
            ("Brier score, 0 to 2", f"{metrics['brier']:.4f}", ""),
            ("log loss, nats", f"{metrics['nll']:.4f}", ""),
        ),
    )


def _verdict(found: Calibration, calibrated: CalibratedErrors) -> Words:
    """Say in words whether it is too sure, not sure enough, or as sure as it is right."""
    low, high = found.gap_interval
    on_average = (
        f"its mean confidence differs from its accuracy by {_points(found.gap)} points "
        f"[{_points(low)}, {_points(high)}]"
    )
    if found.ece <= calibrated.ece_high:
        text = f"As sure as it is right, as far as {count(found.images)} images can tell: "
        return Words(text=f"{text}{on_average}.", tone="ok")
    if low > 0:
        return Words(text=f"Overconfident: {on_average}.", tone="warning")
    if high < 0:
        return Words(text=f"Underconfident: {on_average}.", tone="warning")
    text = "Too sure in some bins, not sure enough in others; on average "
    return Words(text=f"{text}{on_average}.", tone="warning")


def _points(share: float, digits: int = 2) -> str:
    """Return a difference of shares in points, with its sign: ``+1.78``; 0 has none."""
    text = f"{100 * share:+.{digits}f}".replace("-", "−")
    return text if float(text[1:]) else text[1:]


def _bins(found: Calibration) -> Table:
    shown = [each for each in found.bins if each.images]
    empty = len(found.bins) - len(shown)
    return Table(
        caption="the bins, in %" + (f"; {empty} without images left out" if empty else ""),
        heads=("confidence", "images", "mean", "accuracy", "gap"),
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
