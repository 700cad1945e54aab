"""What the views of a whole split share: its predictions, losses and certainty."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import nonfinite_notice
from tui_trainer.lab.predictions import TEST, Predictions
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.stats.intervals import wilson
from tui_trainer.stats.reliability import SMALLEST
from tui_trainer.text.fmt import count


def evidence(predictions: Predictions) -> str:
    """Return the accuracy with its interval, and the images that a view is computed on."""
    total, correct = len(predictions.labels), _correct(predictions)
    low, high = wilson(correct, total)
    number = predictions.test_evaluation
    evaluation = f", test evaluation {number}" if number else ""
    return (
        f"Accuracy {100 * correct / total:.2f} % [{100 * low:.2f}, {100 * high:.2f}] on "
        f"{count(total)} {predictions.images} images, step {count(predictions.step)}{evaluation}."
    )


def _correct(predictions: Predictions) -> int:
    return int((predictions.predicted == predictions.labels).sum())


def predictions_of(
    context: Context, images: str
) -> Generator[Exhibit | None, None, Predictions | None]:
    """Return the predictions for a split.

    Where there are none, yield an exhibit with the reason and return None: the test set is sealed,
    or probabilities are not finite.
    """
    predictions = yield from context.predict(images)
    shown = sealed(context) if predictions is None else non_finite(predictions)
    if shown is not None:
        yield shown
        return None
    return predictions


def non_finite(predictions: Predictions) -> Exhibit | None:
    """Return what is shown if some probabilities are not finite; None if all are finite."""
    gone = int((~predictions.probabilities.isfinite().all(dim=1)).sum())
    if not gone:
        return None
    total = len(predictions.labels)
    some = f"the probabilities of {count(gone)} of {count(total)} images"
    return Exhibit(
        blocks=(nonfinite_notice("the probabilities" if gone == total else some),),
        figures={"images": total, "correct": _correct(predictions), "non_finite": gone},
    )


def losses(predictions: Predictions) -> Tensor:
    """Return the cross-entropy loss of each image (N), in nats and double precision."""
    return -predictions.true_probability.double().clamp_min(SMALLEST).log()


def hardest_first(predictions: Predictions, mask: Tensor | None = None) -> list[int]:
    """Return the image indices by falling loss; with ``mask`` (N), only of those images."""
    order = losses(predictions).argsort(descending=True, stable=True)
    return (order if mask is None else order[mask[order]]).tolist()


def in_cell(predictions: Predictions, label: int, predicted: int) -> list[int]:
    """Return the indices of a cell of the confusion matrix, the highest loss first."""
    return hardest_first(
        predictions, (predictions.labels == label) & (predictions.predicted == predicted)
    )


def sealed(context: Context) -> Exhibit:
    """Return what is shown instead of the test set before its first evaluation."""
    number = context.data.test.evaluations + 1
    return Exhibit(
        blocks=(
            Words(
                text="The test set is sealed. No decision uses it, so that its accuracy stays an "
                "unbiased estimate. Press enter to evaluate it: each evaluation is counted and "
                "reported with the result."
            ),
        ),
        trains=f"run test evaluation {number} on {count(len(context.test))} images, counted",
        figures={"images": TEST, "sealed": True},
    )
