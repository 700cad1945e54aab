"""Label issues by confident learning: images whose label the model confidently contradicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.gallery import image_records
from tui_trainer.lab.views.hardest import link
from tui_trainer.lab.views.split_predictions import evidence, predictions_of
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, percent, plural

LEAST_RIGHT = 0.5
"""The accuracy, at the lower end of its interval, that a model needs to question labels."""

MANY = 0.06
"""A share of label issues that points to a noisy data set or a weak model; the finding on noisy
labels requires as many errors."""

SPREAD = 1.645
"""The 95th percentile of the normal distribution, in standard deviations above the mean."""


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """The result of confident learning on the images of a split.

    Attributes:
        numbers: The indices of the label issues, the largest margin first.
        thresholds: The confidence threshold of each class (classes): the mean probability of the
            class over the images with that label; NaN without images.
        confident: The number of images whose prediction passes its threshold.
        expected: The expected number of issues if all labels are correct and the model is
            calibrated: its ordinary errors.
        expected_high: The 95th percentile of that number.
    """

    numbers: tuple[int, ...]
    thresholds: tuple[float, ...]
    confident: int
    expected: float
    expected_high: float


def find_label_issues(probabilities: Tensor, labels: Tensor) -> LabelIssues:
    """Return the images that a model confidently predicts as another class than their label.

    A prediction is confident if its probability is at least the threshold of the predicted class.
    Issues are ranked by the margin between the probabilities of the label and of the prediction.
    The source also counts a class that passes its threshold without being the most probable one.

    Args:
        probabilities: Probabilities (N, classes) on images that the model was not trained on.
        labels: The given labels (N).

    Source: C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in
    dataset labels", Journal of Artificial Intelligence Research 70 (2021), 1373-1411.
    """
    shares = probabilities.double()
    label_probabilities = shares.gather(1, labels.unsqueeze(1)).squeeze(1)
    classes = shares.shape[1]
    sums = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, label_probabilities)
    thresholds = sums / torch.bincount(labels, minlength=classes)
    confidence, predicted = shares.max(dim=1)
    # A class without images has a NaN threshold, which no prediction passes.
    is_confident = confidence >= thresholds[predicted]
    is_issue = is_confident & (predicted != labels)
    order = (label_probabilities - confidence).argsort(stable=True)
    doubt = (1 - confidence[is_confident]).clamp(0.0, 1.0)
    expected, variance = float(doubt.sum()), float((doubt * (1 - doubt)).sum())
    return LabelIssues(
        numbers=tuple(order[is_issue[order]].tolist()),
        thresholds=tuple(thresholds.tolist()),
        confident=int(is_confident.sum()),
        expected=expected,
        expected_high=expected + SPREAD * variance**0.5,
    )


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the label issues, the largest margin first."""
    images = controls.word(context.images_control)
    if (predictions := (yield from predictions_of(context, images))) is None:
        return
    correct, total = (
        int((predictions.predicted == predictions.labels).sum()),
        len(predictions.labels),
    )
    if wilson(correct, total)[0] < LEAST_RIGHT:
        yield _too_weak(predictions)
        return
    found = find_label_issues(predictions.probabilities, predictions.labels)
    yield None
    page = gallery.page_of(found.numbers, controls) if found.numbers else None
    low, high = wilson(len(found.numbers), total)
    share = f"{percent(len(found.numbers) / total)} [{100 * low:.2f}, {100 * high:.2f}]"
    yield Exhibit(
        blocks=_blocks(context, predictions, found, page),
        result=f"{plural(len(found.numbers), 'label issue')} in {count(total)} images: {share}; "
        f"about {found.expected:.0f} are expected from ordinary errors of the network.",
        evidence=evidence(predictions),
        opens=link(context, predictions, page.chosen, images) if page else None,
        figures=figures(context, predictions, found),
    )


def figures(context: Context, predictions: Predictions, found: LabelIssues) -> Mapping[str, object]:
    """Return the label issues as plain numbers."""
    return {
        "images": len(predictions.labels),
        "is_reliable": True,
        "label_issues": len(found.numbers),
        "expected_model_errors": found.expected,
        "expected_model_errors_95": found.expected_high,
        "confident": found.confident,
        "thresholds": list(found.thresholds),
        "issues": image_records(context, predictions, found.numbers),
    }


def _too_weak(predictions: Predictions) -> Exhibit:
    text = "The accuracy is too low to question labels: it must be above 50 %. "
    return Exhibit(
        blocks=(Words(text=f"{text}Train the network longer, or choose a better checkpoint."),),
        result="No label is questioned.",
        evidence=evidence(predictions),
        figures={"images": len(predictions.labels), "is_reliable": False, "issues": []},
    )


def _blocks(
    context: Context, predictions: Predictions, found: LabelIssues, page: gallery.Page | None
) -> tuple[Block, ...]:
    words = _words(context, predictions, found)
    if page is None:
        none = f"No label issue in {count(len(predictions.labels))} images."
        return (Words(text=none, tone="ok"), *words)
    captions = gallery.captions(context, predictions, page.numbers)
    pictures = Pictures(
        caption="label issues, largest margin first: check them by eye",
        items=gallery.thumbnails(context, predictions.images, captions, page.chosen),
    )
    return (pictures, *words, _pairs(context, predictions, found))


def _words(context: Context, predictions: Predictions, found: LabelIssues) -> tuple[Words, ...]:
    """Explain how the label issues are found, and how reliable they are."""
    some = len(found.numbers)
    baseline = (
        "with correct labels and a calibrated network, "
        f"{found.expected:.0f} are expected (95th percentile {found.expected_high:.0f})."
    )
    if some > found.expected_high:
        verdict = f"More than ordinary errors: {baseline} The cause is wrong labels or an "
        verdict += "overconfident network: see the calibration view."
    else:
        verdict = f"No more than ordinary errors: {baseline}"
    texts = [Words(text=verdict)]
    if some > MANY * len(predictions.labels):
        text = "So many issues are not single mislabeled images: the network has learned too "
        text += "little, or the labels are noisy. See the findings of the run."
        texts.append(Words(text=text, tone="warning"))
    how = (
        "A label issue (confident learning, cleanlab): the predicted class differs from the label, "
        "and its probability is at least the mean probability of that class over its own images. "
    )
    if predictions.images == context.split_name == "training":
        how += "The network was trained on these images: a label that it memorized is not found."
    else:
        how += "The network was not trained on these images."
    return (*texts, Words(text=how, tone="muted"))


def _pairs(context: Context, predictions: Predictions, found: LabelIssues) -> Table:
    """Return the number of issues by label and predicted class, the most frequent first."""
    counts: dict[tuple[int, int], int] = {}
    for number in found.numbers:
        pair = int(predictions.labels[number]), int(predictions.predicted[number])
        counts[pair] = counts.get(pair, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Table(
        caption="label issues by label and predicted class",
        heads=("label", "predicted", "issues"),
        rows=tuple(
            (context.class_name(label), context.class_name(predicted), count(some))
            for (label, predicted), some in ranked[:8]
        ),
    )
