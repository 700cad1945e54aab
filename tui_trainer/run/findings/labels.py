"""The labels: constant, noisy, sorted, or without one of the classes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tui_trainer.run import text
from tui_trainer.run.events import EpochDone, FindingRaised
from tui_trainer.run.findings.watch import lately
from tui_trainer.run.history import History
from tui_trainer.run.probed import SampleProbed
from tui_trainer.run.stats import wilson

FEWEST = 16
"""Images of the sample, or of a batch, that say something of its classes."""

UNEVEN = 6.0
"""Standard deviations that a batch's classes may be off those of the training images."""

FEWEST_ERRORS = 20
"""Errors whose spread over the pairs of classes is judged."""

NOISY = 0.06
"""The share of errors that labels must at least have, at the favourable end of its interval."""

EVEN = 1.6
"""How much more often than by chance two errors may be of the same kind, if labels are noisy."""

UNLEARNED, LEARNED = 0.1, 0.85
"""The accuracy of a class that is not learned, and of the median class beside it …"""

LEARNED_MISSING = 0.5
"""… which may be lower where the training images have none of it."""

ENOUGH = 100
"""Images of the sample from which on a class that is not among them is missing."""


def constant_labels(history: History) -> FindingRaised | None:
    """Find that all labels are the same."""
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.sample < FEWEST:
        return None
    there = [label for label, row in enumerate(sample.confusion) if sum(row)]
    if len(there) != 1:
        return None
    return FindingRaised(
        code="constant_labels",
        severity="wrong",
        title=f"every label is {there[0]}",
        evidence=f"all of {sample.sample} training images, evenly chosen, are of class {there[0]}",
        advice="check how the labels are read",
        step=sample.step,
        lesson=19,
        cause="there is nothing to learn: the bias of one score is enough",
    )


def not_shuffled(history: History) -> FindingRaised | None:
    """Find that the batches' classes are not a fair draw from the training images.

    By the chi-squared statistic of the class counts of the last four batches looked at, against the
    sample's shares; three of four must be far beyond what a shuffled order gives.
    """
    looks = [look for look in lately(history, 4) if look.batch_size >= FEWEST]
    if len(looks) < 4 or not history.samples:
        return None
    shares = _shares(history.samples[-1])
    scores = [_unevenness(look.label_counts, shares) for look in looks]
    if sorted(scores)[1] < UNEVEN:
        return None
    counts = looks[-1].label_counts
    most = max(range(len(counts)), key=counts.__getitem__)
    return FindingRaised(
        code="not_shuffled",
        severity="wrong",
        title="the data is not shuffled",
        evidence=(
            f"{counts[most]} of {looks[-1].batch_size} images of the batch at step "
            f"{text.count(looks[-1].step)} are of class {most}; the median batch is "
            f"{statistics.median(scores):.0f} standard deviations off a fair draw"
        ),
        advice="draw a new order for each epoch",
        step=looks[0].step,
        lesson=20,
        cause="images of one class come together: each batch unlearns what the last one taught",
        plot=tuple(float(count) for count in counts),
        plot_label="images of each class in the last batch looked at",
    )


def labels_noisy(history: History) -> FindingRaised | None:
    """Find that some labels of the training images are wrong.

    A network that has learned errs on the images whose label is wrong, and those errors are spread
    evenly over all pairs of classes; its own errors keep to a few pairs that look alike. Asked of
    the last two looks at the sample together, after the first epoch.
    """
    looks = list(history.samples)[-2:]
    if len(looks) < 2 or not history.epochs or looks[0].step < history.epochs[0].step:
        return None  # while it learns fast, its own errors are spread, too
    errors = [_errors(look) for look in looks]
    total, wrong = sum(look.sample for look in looks), sum(map(sum, errors))
    lowest = wilson(wrong, total)[0]
    if min(map(sum, errors)) < FEWEST_ERRORS / 2 or wrong < FEWEST_ERRORS or lowest < NOISY:
        return None
    if max(look.correct / look.sample for look in looks) < 1.5 / len(looks[0].confusion):
        return None  # nothing has been learned that errors could be told from
    evenness = statistics.fmean(map(_repeats, errors))
    if evenness > EVEN:
        return None
    now = looks[-1]
    return FindingRaised(
        code="labels_noisy",
        severity="look",
        title=f"about {100 * wrong / total:.0f} % of the labels look wrong",
        evidence=(
            f"{now.sample - now.correct} of {now.sample} training images are told apart from their "
            f"label, and those errors are spread over the pairs of classes like chance (two alike "
            f"{evenness:.1f} times as often; own errors keep to a few pairs)"
        ),
        advice="look at some of these images; label smoothing softens what is left",
        step=looks[0].step,
        lesson=15,
        cause="labels given at random, or images and labels out of step for a part",
    )


def class_missing(history: History) -> FindingRaised | None:
    """Find a class that is not learned while the others are.

    In two epochs in a row; in one, if the sample of the training images has none of it.
    """
    sample = history.samples[-1] if history.samples else None
    there = [sum(row) for row in sample.confusion] if sample and sample.sample >= ENOUGH else []
    gone = {label for label, count in enumerate(there) if not count}
    recent = [_unlearned(epoch, LEARNED) for epoch in history.epochs[-2:]]
    lost = set.intersection(*recent) if len(recent) == 2 else set()
    if not lost and history.epochs:
        lost = gone & _unlearned(history.epochs[-1], LEARNED_MISSING)
    if not lost:
        return None
    epoch = history.epochs[-1]
    named = ", ".join(str(label) for label in sorted(lost))
    accuracies = epoch.val_class_accuracy or ()
    return FindingRaised(
        code="class_missing",
        severity="wrong" if gone & lost else "look",
        title=f"class {named} is not learned",
        evidence=(
            f"epoch {epoch.epoch}: "
            + ", ".join(f"{text.percent(accuracies[c] or 0.0, 1)} of class {c}" for c in lost)
            + f" right, {text.percent(epoch.val_accuracy or 0.0, 1)} of all"
        ),
        advice="look at its training images: how many there are, and their labels",
        step=epoch.step,
        lesson=19,
        cause=(
            "the training images have none of it"
            if gone & lost
            else "it is rare in the training images, or labelled as another class"
        ),
        plot=tuple(share or 0.0 for share in accuracies),
        plot_label="validation accuracy, class by class",
    )


def _unlearned(epoch: EpochDone, learned: float) -> set[int]:
    """Return the classes that validation gets wrong, if it gets the median of the others right."""
    told = dict(enumerate(epoch.val_class_accuracy or ()))
    bad = {label for label, share in told.items() if share is not None and share < UNLEARNED}
    others = [share for label, share in told.items() if share is not None and label not in bad]
    return bad if others and statistics.median(others) >= learned else set()


def _shares(sample: SampleProbed) -> list[float]:
    """Return the share of each class in the training images, none quite 0."""
    rows = [sum(row) + 0.5 for row in sample.confusion]
    return [row / sum(rows) for row in rows]


def _unevenness(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return how far counts are off a fair draw: chi-squared, in its standard deviations."""
    total = sum(counts)
    expected = [total * share for share in shares]
    chi = sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))
    freedom = max(1, len(counts) - 1)
    return float((chi - freedom) / (2 * freedom) ** 0.5)


def _errors(sample: SampleProbed) -> list[int]:
    """Return how often each pair of a class and another one was confused."""
    return [
        count
        for label, row in enumerate(sample.confusion)
        for given, count in enumerate(row)
        if label != given
    ]


def _repeats(errors: Sequence[int]) -> float:
    """Return how many times as often as by chance two errors are of the same pair of classes."""
    total = sum(errors)
    alike = sum(count * (count - 1) for count in errors)
    return alike * len(errors) / (total * (total - 1)) if total > 1 else 0.0
