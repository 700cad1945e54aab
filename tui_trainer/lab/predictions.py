"""The predictions of the network for every image of a split, kept until there are newer ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

VALIDATION, TEST = "validation", "test"
"""Splits that are judged; where there is no validation split it is ``training``."""

NO_CLASS = -1
"""What an image is given whose logits are no numbers: it is wrong, whatever its label."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of a network for every image of a split.

    Attributes:
        images: The split: ``validation``, ``training`` or ``test``.
        step: After how many batches the weights were as they were used.
        probabilities: Of each class (N, classes), on the CPU.
        labels: The true classes (N), on the CPU.
        test_evaluation: Which reading of the test set it was; 0 for other splits.
        at: When that was, by the run's clock in seconds.
    """

    images: str
    step: int
    probabilities: Tensor
    labels: Tensor
    test_evaluation: int = 0
    at: float = 0.0

    @property
    def predicted(self) -> Tensor:
        """The class that each image is given (N): the most probable one, or :data:`NO_CLASS`."""
        most, predicted = self.probabilities.max(dim=1)
        return predicted.masked_fill(most.isnan(), NO_CLASS)

    @property
    def confidence(self) -> Tensor:
        """The probability of that class (N)."""
        return self.probabilities.amax(dim=1)

    @property
    def true_probability(self) -> Tensor:
        """The probability of the true class (N)."""
        return self.probabilities.gather(1, self.labels.unsqueeze(1)).squeeze(1)


@dataclass
class PredictionStore:
    """The newest predictions of each split.

    Attributes:
        by_split: Each by its split.
        shown_steps: The step of the one of each split that was shown last.
    """

    by_split: dict[str, Predictions] = field(default_factory=dict)
    shown_steps: dict[str, int] = field(default_factory=dict)

    def keep(self, predictions: Predictions) -> None:
        """Keep predictions, in place of the ones before of their split."""
        self.by_split[predictions.images] = predictions

    def forget(self) -> None:
        """Forget all: the weights are others at the same step."""
        self.by_split.clear()
        self.shown_steps.clear()
