"""Images whose label may be wrong: the network says another class, and is as sure as it ever is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_trainer.lab.context import Context, Parts
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import gallery
from tui_trainer.lab.views.hardest import link
from tui_trainer.lab.views.misclassified import facts
from tui_trainer.lab.views.split_predictions import certainty, predictions_of
from tui_trainer.protocol.exhibit import Block, Exhibit, Pictures, Table, Words
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import count, percent, plural

LEAST_RIGHT = 0.5
"""The accuracy, at the low end of its interval, from which on a network can accuse a label."""

MANY = 0.06
"""A share of suspects that is no matter of single images; the run's finding of noisy labels asks
for as many errors."""

SPREAD = 1.645
"""Standard deviations above the mean that are passed by chance once in twenty times."""


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """What confident learning finds on images that were judged.

    Attributes:
        numbers: The suspected images, the least plausible label first.
        thresholds: How sure one has to be to call an image a class (classes): the mean
            probability of the class on the images that are labelled so; NaN without images.
        sure: How many images are confidently of a class.
        expected: How many suspects there would be if each label was drawn with the network's own
            probabilities: honest errors of a network that is as sure as it is right.
        expected_high: Below which that number stays nineteen times of twenty.
    """

    numbers: tuple[int, ...]
    thresholds: tuple[float, ...]
    sure: int
    expected: float
    expected_high: float


def find_label_issues(probabilities: Tensor, labels: Tensor) -> LabelIssues:
    """Return the images that a network confidently gives another class than their label.

    An image is confidently of its most probable class if that is at least as probable as the class
    is on average on the images that are labelled so. Suspects are ordered by the margin between
    the label's probability and that of the class. The source also counts a class that passes its
    threshold without being the most probable one.

    Args:
        probabilities: Of each class (N, classes), of images that the network was not trained on.
        labels: As they are given (N).

    Source: C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in
    dataset labels", Journal of Artificial Intelligence Research 70 (2021), 1373-1411.
    """
    shares = probabilities.double()
    own = shares.gather(1, labels.unsqueeze(1)).squeeze(1)
    classes = shares.shape[1]
    sums = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels, own)
    thresholds = sums / torch.bincount(labels, minlength=classes)
    confidence, predicted = shares.max(dim=1)
    # A class without images has no threshold, and nothing is above it.
    is_sure = confidence >= thresholds[predicted]
    accused = is_sure & (predicted != labels)
    order = (own - confidence).argsort(stable=True)
    doubt = (1 - confidence[is_sure]).clamp(0.0, 1.0)
    expected, variance = float(doubt.sum()), float((doubt * (1 - doubt)).sum())
    return LabelIssues(
        numbers=tuple(order[accused[order]].tolist()),
        thresholds=tuple(thresholds.tolist()),
        sure=int(is_sure.sum()),
        expected=expected,
        expected_high=expected + SPREAD * variance**0.5,
    )


def show(context: Context, controls: Controls, confirmed: bool) -> Parts:
    """Show the suspects, the least plausible label first."""
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
        result=f"{plural(len(found.numbers), 'suspected label')} of {count(total)}: {share}; "
        f"the network's own honest errors would make about {found.expected:.0f}.",
        certainty=certainty(predictions),
        opens=link(predictions, page.chosen, images) if page else None,
        figures=figures(context, predictions, found),
    )


def figures(context: Context, predictions: Predictions, found: LabelIssues) -> Mapping[str, object]:
    """Return the suspects as plain numbers."""
    return {
        "images": len(predictions.labels),
        "can_judge": True,
        "suspected": len(found.numbers),
        "expected_by_honest_errors": found.expected,
        "expected_by_honest_errors_95": found.expected_high,
        "confident": found.sure,
        "thresholds": list(found.thresholds),
        "suspects": facts(context, predictions, found.numbers),
    }


def _too_weak(predictions: Predictions) -> Exhibit:
    text = "A network that is not surely right on half of the images cannot accuse a label. "
    return Exhibit(
        blocks=(Words(text=f"{text}Train it first, or choose a better checkpoint."),),
        result="No label is judged.",
        certainty=certainty(predictions),
        figures={"images": len(predictions.labels), "can_judge": False, "suspects": []},
    )


def _blocks(
    context: Context, predictions: Predictions, found: LabelIssues, page: gallery.Page | None
) -> tuple[Block, ...]:
    """Return what there is to see."""
    words = _words(context, predictions, found)
    if page is None:
        none = f"No suspect among {count(len(predictions.labels))} images."
        return (Words(text=none, tone="ok"), *words)
    captions = gallery.captions(context, predictions, page.numbers)
    pictures = Pictures(
        caption="suspected: look yourself. The least plausible label first",
        items=gallery.thumbnails(context, predictions.images, captions, page.chosen),
    )
    return (pictures, *words, _pairs(predictions, found))


def _words(context: Context, predictions: Predictions, found: LabelIssues) -> tuple[Words, ...]:
    """Say how the suspects are found, and how far they can be trusted."""
    some = len(found.numbers)
    chance = (
        "were all labels right and the network as sure as it is right, there would be "
        f"{found.expected:.0f}, in 19 of 20 cases at most {found.expected_high:.0f}."
    )
    if some > found.expected_high:
        verdict = f"More than honest errors: {chance} Wrong labels make more, and so does an "
        verdict += "overconfident network: see its calibration."
    else:
        verdict = f"No more than honest errors: {chance}"
    told = [Words(text=verdict)]
    if some > MANY * len(predictions.labels):
        text = "So many are no matter of single images: it learns little yet, or labels are noisy. "
        told.append(Words(text=f"{text}The findings of the run judge that.", tone="warning"))
    how = (
        "An image is suspected if the network says another class than its label, and is at least "
        "as sure of it as it is on average on that class's own images. "
    )
    if predictions.images == context.split_name == "training":
        how += "The network was trained on these images: what it has by heart is never suspected."
    else:
        how += "The network was not trained on these images."
    return (*told, Words(text=how, tone="muted"))


def _pairs(predictions: Predictions, found: LabelIssues) -> Table:
    """Return how many suspects each pair of label and class has, the most frequent first."""
    counts: dict[tuple[int, int], int] = {}
    for number in found.numbers:
        pair = int(predictions.labels[number]), int(predictions.predicted[number])
        counts[pair] = counts.get(pair, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Table(
        caption="suspects by label and class, the most frequent",
        heads=("label", "said", "suspects"),
        rows=tuple(
            (str(label), str(predicted), count(some)) for (label, predicted), some in ranked[:8]
        ),
    )
