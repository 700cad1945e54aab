"""The predictions of the model for every image of a split, kept until there are newer ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

VALIDATION, TEST = "validation", "test"
"""Splits with predictions; without a validation split, ``training`` replaces it."""

NO_CLASS = -1
"""The predicted class if the logits are not finite: it counts as misclassified."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of a model for every image of a split.

    Attributes:
        images: The split: ``validation``, ``training`` or ``test``.
        step: The training step of the weights.
        probabilities: The probabilities (N, classes), on the CPU.
        labels: The true classes (N), on the CPU.
        test_evaluation: The number of the test evaluation; 0 for other splits.
        at: The time of the evaluation, by the run's clock in seconds.
    """

    images: str
    step: int
    probabilities: Tensor
    labels: Tensor
    test_evaluation: int = 0
    at: float = 0.0

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image (N): the most probable one, or :data:`NO_CLASS`."""
        confidence, predicted = self.probabilities.max(dim=1)
        return predicted.masked_fill(confidence.isnan(), NO_CLASS)

    @property
    def confidence(self) -> Tensor:
        """The probability of the predicted class (N)."""
        return self.probabilities.amax(dim=1)

    @property
    def true_probability(self) -> Tensor:
        """The probability of the true class (N)."""
        return self.probabilities.gather(1, self.labels.unsqueeze(1)).squeeze(1)


@dataclass
class PredictionStore:
    """The newest predictions of each split.

    Attributes:
        by_split: The predictions by split name.
        shown_steps: The step of the predictions that were shown last, by split name.
    """

    by_split: dict[str, Predictions] = field(default_factory=dict)
    shown_steps: dict[str, int] = field(default_factory=dict)

    def keep(self, predictions: Predictions) -> None:
        """Keep predictions; they replace the earlier ones of their split."""
        self.by_split[predictions.images] = predictions

    def forget(self) -> None:
        """Forget all predictions: the same step can have other weights now."""
        self.by_split.clear()
        self.shown_steps.clear()
