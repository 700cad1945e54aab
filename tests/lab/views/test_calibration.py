"""The calibration view, on the real 10,000 against scikit-learn and numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.predictions import (
    figures,
    only,
    random_context,
    random_probabilities,
    trained_context,
    words,
)
from tests.stats.test_reliability import STRATEGIES, ece_by_numpy
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import TEST, Predictions, PredictionStore
from tui_trainer.lab.views.calibration import calibrated_gaps
from tui_trainer.protocol.exhibit import Curves


def agrees(context: Context, seen: Seen) -> None:
    judged = context.prediction_store.by_split[TEST]
    probabilities, labels = judged.probabilities.double().numpy(), judged.labels.numpy()
    confident = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    for bins in (5, 10, 15, 20):
        for binning, strategy in STRATEGIES.items():
            exhibit = seen(context, "calibration", images=TEST, bins=bins, binning=binning)
            shown = figures(exhibit)
            accuracy, confidence = calibration_curve(
                right, confident, n_bins=bins, strategy=strategy
            )
            full = [each for each in shown["bins"] if each["images"]]
            # Rounding may put an image that is a quantile itself on either side of it.
            least = min(each["images"] for each in full)
            off = 1e-9 if strategy == "uniform" else 1 / least
            assert [e["accuracy"] for e in full] == pytest.approx(accuracy.tolist(), abs=off)
            assert [e["confidence"] for e in full] == pytest.approx(confidence.tolist(), abs=off)
            if strategy == "uniform":
                assert shown["ece"] == pytest.approx(ece_by_numpy(confident, right, bins), abs=1e-9)
    truth = np.eye(10)[labels]
    assert shown["brier"] == pytest.approx(((probabilities - truth) ** 2).sum(axis=1).mean())
    exact = probabilities / probabilities.sum(axis=1, keepdims=True)
    assert shown["nll"] == pytest.approx(log_loss(labels, exact), abs=1e-6)


def test_it_agrees_with_scikit_learn_on_the_real_10_000(context_of: Contexts, seen: Seen) -> None:
    agrees(random_context(context_of("tiny"), TEST), seen)


@pytest.mark.slow
def test_it_agrees_with_scikit_learn_for_a_trained_model(seen: Seen) -> None:
    agrees(trained_context(), seen)


def calibrated(context: Context, warmth: float = 1.0) -> Context:
    """Labels drawn from the probabilities, which are then sharpened or flattened."""
    probabilities = random_probabilities(context.test.labels, strength=3.0)
    rng = torch.Generator().manual_seed(12)
    labels = torch.multinomial(probabilities, 1, generator=rng).squeeze(1)
    reported = (probabilities.log() / warmth).softmax(dim=1)
    predictions = PredictionStore()
    predictions.keep(Predictions(TEST, context.step, reported, labels, 1))
    return replace(context, prediction_store=predictions)


@pytest.mark.parametrize(
    ("warmth", "verdict"),
    [(1.0, "No miscalibration"), (0.8, "Overconfident"), (1.25, "Underconfident")],
)
def test_the_verdict_is_over_or_underconfident(
    context_of: Contexts, seen: Seen, warmth: float, verdict: str
) -> None:
    exhibit = seen(calibrated(context_of("tiny"), warmth), "calibration", images=TEST)
    shown = figures(exhibit)
    assert words(exhibit).startswith(verdict)
    assert (shown["ece"] > shown["ece_if_calibrated_95"]) == (warmth != 1.0)
    low, high = shown["confidence_minus_accuracy_interval"]
    assert (low > 0) == (warmth < 1)
    assert (high < 0) == (warmth > 1)


def test_the_calibrated_errors_match_a_simulation(context_of: Contexts, seen: Seen) -> None:
    """The simulated errors match numpy's draws; fewer images have larger ones."""
    context = random_context(context_of("tiny"), TEST)
    shown = figures(seen(context, "calibration", images=TEST))
    confident = context.prediction_store.by_split[TEST].confidence.double().numpy()
    rng = np.random.default_rng(3)
    errors = [ece_by_numpy(confident, rng.random(10_000) < confident, 15) for _ in range(200)]
    assert shown["ece_if_calibrated"] == pytest.approx(np.mean(errors), rel=0.08)
    assert shown["ece_if_calibrated_95"] == pytest.approx(np.quantile(errors, 0.95), rel=0.12)
    few = figures(seen(random_context(context_of("tiny")), "calibration"))
    assert few["ece_if_calibrated"] > 4 * shown["ece_if_calibrated"]


def test_the_calibrated_errors_are_reproducible() -> None:
    confident, inside = torch.tensor([0.6, 0.9, 1.0]).double(), torch.tensor([0, 1, 1])
    one, again = (calibrated_gaps(confident, inside, 2, 50, seed=4) for _ in range(2))
    assert torch.equal(one, again)
    assert one.shape == (50, 2)
    assert set(np.round(one[:, 0].numpy(), 6)) == {0.6, -0.4}  # wrong, or correct
    assert one[:, 1].max() == pytest.approx(
        0.9
    )  # full confidence is always correct in the simulation


def test_the_diagram_has_bins_with_enough_images_and_the_diagonal(
    context_of: Contexts, seen: Seen
) -> None:
    exhibit = seen(random_context(context_of("tiny")), "calibration")
    diagonal, accuracy, low, high = only(Curves, exhibit).curves
    assert diagonal.x == diagonal.y == (0.0, 1.0)
    drawn = [each for each in figures(exhibit)["bins"] if each["images"] >= 5]
    assert 0 < len(drawn) < 15
    assert accuracy.x == tuple(each["confidence"] for each in drawn)
    assert accuracy.y == tuple(each["accuracy"] for each in drawn)
    assert tuple(zip(low.y, high.y, strict=True)) == tuple(
        tuple(each["accuracy_interval"]) for each in drawn
    )


def test_the_number_of_bins_is_rounded_down(context_of: Contexts, seen: Seen) -> None:
    exhibit = seen(random_context(context_of("tiny")), "calibration", bins=12)
    assert len(figures(exhibit)["bins"]) == 10
    assert exhibit.controls[1].value == 10.0
