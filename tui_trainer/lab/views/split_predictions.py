"""What all views say alike of the images that they judge by."""

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


def certainty(predictions: Predictions) -> str:
    """Return on how many images a view rests, and how many were right."""
    total, correct = len(predictions.labels), _correct(predictions)
    low, high = wilson(correct, total)
    number = predictions.test_evaluation
    look = f", look {number} at the test set" if number else ""
    return (
        f"{count(total)} {predictions.images} images after step {count(predictions.step)}{look}: "
        f"{100 * correct / total:.2f} % right [{100 * low:.2f}, {100 * high:.2f}]."
    )


def _correct(predictions: Predictions) -> int:
    return int((predictions.predicted == predictions.labels).sum())


def predictions_of(
    context: Context, images: str
) -> Generator[Exhibit | None, None, Predictions | None]:
    """Return what the network says of the images of a split.

    None where nothing can be told of them: the test set is sealed, or probabilities are no numbers.
    That is shown then.
    """
    predictions = yield from context.predict(images)
    shown = sealed(context) if predictions is None else lost(predictions)
    if shown is not None:
        yield shown
        return None
    return predictions


def lost(predictions: Predictions) -> Exhibit | None:
    """Return what is shown where probabilities are no numbers; None where all of them are."""
    gone = int((~predictions.probabilities.isfinite().all(dim=1)).sum())
    if not gone:
        return None
    total = len(predictions.labels)
    some = f"the probabilities of {count(gone)} of {count(total)} images"
    return Exhibit(
        blocks=(nonfinite_notice("the probabilities" if gone == total else some),),
        figures={"images": total, "correct": _correct(predictions), "without_numbers": gone},
    )


def losses(predictions: Predictions) -> Tensor:
    """Return the cross-entropy of each image (N), in nats and double precision."""
    return -predictions.true_probability.double().clamp_min(SMALLEST).log()


def hardest_first(predictions: Predictions, among: Tensor | None = None) -> list[int]:
    """Return the numbers of images, the highest loss first; of those that are told (N) alone."""
    order = losses(predictions).argsort(descending=True, stable=True)
    return (order if among is None else order[among[order]]).tolist()


def in_cell(predictions: Predictions, label: int, predicted: int) -> list[int]:
    """Return the numbers of one class's images that were given a class, the hardest first."""
    return hardest_first(
        predictions, (predictions.labels == label) & (predictions.predicted == predicted)
    )


def sealed(context: Context) -> Exhibit:
    """Return what is shown in place of the test set before it was opened."""
    test_evaluation = context.data.test.evaluations + 1
    return Exhibit(
        blocks=(
            Words(
                text="The test set is sealed: nothing is chosen by it, so that it can tell the "
                "truth once. Enter opens it; the look is counted, and told with the result."
            ),
        ),
        trains=f"read the {count(len(context.test))} test images: look {test_evaluation}, counted",
        figures={"images": TEST, "sealed": True},
    )
