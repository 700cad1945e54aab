"""What all views say alike of the images that they judge by."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from tui_trainer.lab.context import Context
from tui_trainer.lab.drawing import no_numbers
from tui_trainer.lab.predictions import TEST, Predictions
from tui_trainer.protocol.exhibit import Exhibit, Words
from tui_trainer.stats.intervals import wilson
from tui_trainer.stats.reliability import SMALLEST
from tui_trainer.text.fmt import count


def certainty(judged: Predictions) -> str:
    """Return on how many images a view rests, and how many were right."""
    total, right = len(judged.labels), _correct(judged)
    low, high = wilson(right, total)
    look = f", look {judged.look} at the test set" if judged.look else ""
    return (
        f"{count(total)} {judged.images} images after step {count(judged.step)}{look}: "
        f"{100 * right / total:.2f} % right [{100 * low:.2f}, {100 * high:.2f}]."
    )


def _correct(judged: Predictions) -> int:
    return int((judged.given == judged.labels).sum())


def predictions_of(
    context: Context, images: str
) -> Generator[Exhibit | None, None, Predictions | None]:
    """Return what the network says of the images of a split.

    None where nothing can be told of them: the test set is sealed, or probabilities are no numbers.
    That is shown then.
    """
    judged = yield from context.judged(images)
    shown = sealed(context) if judged is None else lost(judged)
    if shown is not None:
        yield shown
        return None
    return judged


def lost(judged: Predictions) -> Exhibit | None:
    """Return what is shown where probabilities are no numbers; None where all of them are."""
    gone = int((~judged.probabilities.isfinite().all(dim=1)).sum())
    if not gone:
        return None
    total = len(judged.labels)
    some = f"the probabilities of {count(gone)} of {count(total)} images"
    return Exhibit(
        blocks=(no_numbers("the probabilities" if gone == total else some),),
        figures={"images": total, "correct": _correct(judged), "without_numbers": gone},
    )


def losses(judged: Predictions) -> Tensor:
    """Return the cross-entropy of each image (N), in nats and double precision."""
    return -judged.right_probability.double().clamp_min(SMALLEST).log()


def hardest_first(judged: Predictions, among: Tensor | None = None) -> list[int]:
    """Return the numbers of images, the highest loss first; of those that are told (N) alone."""
    order = losses(judged).argsort(descending=True, stable=True)
    return (order if among is None else order[among[order]]).tolist()


def in_cell(judged: Predictions, label: int, said: int) -> list[int]:
    """Return the numbers of one class's images that were given a class, the hardest first."""
    return hardest_first(judged, (judged.labels == label) & (judged.given == said))


def sealed(context: Context) -> Exhibit:
    """Return what is shown in place of the test set before it was opened."""
    look = context.data.test.evaluations + 1
    return Exhibit(
        blocks=(
            Words(
                text="The test set is sealed: nothing is chosen by it, so that it can tell the "
                "truth once. Enter opens it; the look is counted, and told with the result."
            ),
        ),
        trains=f"read the {count(len(context.test))} test images: look {look}, counted",
        figures={"images": TEST, "sealed": True},
    )
