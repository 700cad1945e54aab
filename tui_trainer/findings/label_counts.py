"""The labels: constant, noisy, sorted, or without one of the classes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tui_trainer.findings.rule import finding, recent_updates
from tui_trainer.history.history import History
from tui_trainer.protocol.events import EpochDone, FindingRaised
from tui_trainer.protocol.probed import SampleProbed
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

FEWEST = 16
"""Images of the sample, or of a batch, that say something of its classes."""

UNEVEN = 6.0
"""Standard deviations that a batch's classes may be off those of the training images."""

FEWEST_ERRORS = 20
"""Errors whose spread over the pairs of classes is judged."""

NOISY = 0.06
"""The share of errors that labels must at least have, at the favourable end of its interval."""

EVEN = 1.4
"""How much more often than by chance two errors may be of the same kind, if labels are noisy."""

LOW_CONFIDENCE = 0.95
"""The probability that nine in ten images stay below, if labels cannot be relied on."""

UNLEARNED, LEARNED = 0.1, 0.85
"""The accuracy of a class that is not learned, and of the median class beside it …"""

LEARNED_MISSING = 0.5
"""… which may be lower where the training images have none of it."""

FEW = 0.3
"""The share of the classes that can be called missing at a time."""

ENOUGH = 100
"""Images of the sample from which on a class that is not among them is missing."""


def constant_labels(history: History) -> FindingRaised | None:
    """Find that all labels are the same."""
    sample = history.samples[-1] if history.samples else None
    if sample is None or sample.sample_size < FEWEST:
        return None
    there = [label for label, row in enumerate(sample.confusion) if sum(row)]
    if len(there) != 1:
        return None
    return finding(
        "constant_labels",
        title=f"every label is {there[0]}",
        evidence=(
            f"all of {sample.sample_size} training images, evenly chosen, are of class {there[0]}"
        ),
        step=sample.step,
    )


def not_shuffled(history: History) -> FindingRaised | None:
    """Find that the batches' classes are not a fair draw from the training images.

    By the chi-squared statistic of the class counts of the last four batches looked at, against the
    sample's shares; three of four must be far beyond what a shuffled order gives.
    """
    looks = [look for look in recent_updates(history, 4) if look.batch_size >= FEWEST]
    if len(looks) < 4 or not history.samples:
        return None
    rows = [sum(row) for row in history.samples[-1].confusion]
    scores = [_unevenness(look.label_counts, rows) for look in looks]
    if sorted(scores)[1] < UNEVEN:
        return None
    counts = looks[-1].label_counts
    most = max(range(len(counts)), key=counts.__getitem__)
    return finding(
        "not_shuffled",
        evidence=(
            f"{counts[most]} of {looks[-1].batch_size} images of the batch at step "
            f"{fmt.count(looks[-1].step)} are of class {most}; the median batch is "
            f"{statistics.median(scores):.0f} standard deviations off a fair draw"
        ),
        step=looks[0].step,
        plot=tuple(float(count) for count in counts),
    )


def labels_noisy(history: History) -> FindingRaised | None:
    """Find that some labels of the training images are wrong.

    A network that has learned errs on the images whose label is wrong, and those errors are spread
    evenly over all pairs of classes, where its own errors keep to a few pairs that look alike. And
    it learns that no label can be relied on: it is not sure of any image. At the last two looks at
    the sample, from the end of the first epoch on.
    """
    looks, started = list(history.samples)[-2:], history.started
    if started is None or len(looks) < 2:
        return None
    if not all(look.images >= started.train_size and _has_noisy_errors(look) for look in looks):
        return None
    look = looks[-1]
    errors = _errors(look)
    wrong, evenness = sum(errors), _repeats(errors)
    low, high = wilson(wrong, look.sample_size)
    return finding(
        "labels_noisy",
        title=f"about {100 * wrong / look.sample_size:.0f} % of the labels look wrong",
        evidence=(
            f"{wrong} of {look.sample_size} training images [{100 * low:.0f}, {100 * high:.0f}] "
            f"are given another class than their label, spread over the pairs of classes like "
            f"chance (two alike {evenness:.1f} times as often), and nine in ten images with a "
            f"probability of {look.confidence_p90:.2f} at most"
        ),
        step=look.step,
    )


def class_missing(history: History) -> FindingRaised | None:
    """Find a class that is not learned while the others are.

    In three epochs in a row; in one, if the sample of the training images has none of it.
    """
    sample = history.samples[-1] if history.samples else None
    there = (
        [sum(row) for row in sample.confusion] if sample and sample.sample_size >= ENOUGH else []
    )
    gone = {label for label, count in enumerate(there) if not count}
    recent = [_unlearned(epoch, LEARNED) for epoch in history.epochs[-3:]]
    lost = set.intersection(*recent) if len(recent) == 3 else set()
    if not lost and history.epochs:
        lost = gone & _unlearned(history.epochs[-1], LEARNED_MISSING)
    if not lost:
        return None
    epoch = history.epochs[-1]
    named = ", ".join(str(label) for label in sorted(lost))
    accuracies = epoch.val_class_accuracy or ()
    return finding(
        "class_missing",
        severity="error" if gone & lost else "warning",
        title=f"class {named} is not learned",
        evidence=f"epoch {epoch.epoch}: "
        + ", ".join(f"{fmt.percent(accuracies[c] or 0.0, 1)} of class {c}" for c in lost)
        + f" right, {fmt.percent(epoch.val_accuracy or 0.0, 1)} of all",
        step=epoch.step,
        cause=(
            "the training images have none of it"
            if gone & lost
            else "it is rare in the training images, or labelled as another class"
        ),
        plot=tuple(share or 0.0 for share in accuracies),
    )


def _has_noisy_errors(look: SampleProbed) -> bool:
    """Say whether the errors at one look are those that wrong labels make."""
    errors = _errors(look)
    wrong = sum(errors)
    if (
        wrong < FEWEST_ERRORS
        or wilson(wrong, look.sample_size)[0] < NOISY
        or look.confidence_p90 > LOW_CONFIDENCE
    ):
        return False
    return _repeats(errors) <= EVEN and look.correct * len(look.confusion) >= 2 * look.sample_size


def _unlearned(epoch: EpochDone, learned: float) -> set[int]:
    """Return the classes that validation gets wrong, if it gets the median of the others right."""
    told = dict(enumerate(epoch.val_class_accuracy or ()))
    bad = {label for label, share in told.items() if share is not None and share < UNLEARNED}
    others = [share for label, share in told.items() if share is not None and label not in bad]
    is_few = len(bad) <= FEW * len(told)  # a network that knows one class alone is another matter
    return bad if others and is_few and statistics.median(others) >= learned else set()


def _unevenness(batch: Sequence[int], sample: Sequence[int]) -> float:
    """Return how far the classes of a batch are off those of the sample, in standard deviations.

    By the chi-squared statistic of two samples, which counts the sample's own chance in: W. Press
    and others, "Numerical Recipes", section 14.3.
    """
    weight = (sum(sample) / sum(batch)) ** 0.5
    pairs = [(b, s) for b, s in zip(batch, sample, strict=True) if b + s]
    chi = sum((b * weight - s / weight) ** 2 / (b + s) for b, s in pairs)
    freedom = max(1, len(pairs) - 1)
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
