"""Rules about the images and labels themselves, from the data probe: before the first step.

An image's nearest neighbors mostly share its label. The thresholds come from
MNIST, clean and with known errors, on 300 to 55,000 images (``tests/benchmarks/findings/public``).
"""

from __future__ import annotations

import statistics

from tui_trainer.findings.rule import finding
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import DataProbed, NeighborLabels
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

MIN_QUERIES = 200
"""The minimum number of images compared with their neighbors."""

NO_AGREEMENT = 1.5
"""Agreement of neighbors up to this many times that of random labels counts as none."""

CONTRADICTED = 0.025
"""The share of unanimous neighborhoods that contradict a label from which labels are noisy, at the
lower end of its interval: 0.5 to 1.4 % on MNIST, 6.6 % with 5 % wrong labels."""

CONCENTRATED = 0.35
"""The share of the contradictions in one pair of classes from which it is no random noise."""

MIXED, MIN_TRAIN = 0.3, 2_000
"""The share of a class's neighbors with one other label from which the two classes are mixed (0.12
at most on MNIST), and the training images that it takes."""

IMBALANCED = 0.1
"""A class with fewer images than this share of the median class is rare."""

LEAKED, MIN_LEAKED = 0.05, 5
"""The share and the number of validation images in the training split that make a leak."""

RELABELED, BLANK = 0.005, 0.05
"""The shares of images, identical with another label or blank, that are a problem."""

OTHER_DATA = 0.75
"""Agreement of validation images with training images, relative to that of training images,
below which the two splits differ."""


def labels_shuffled(history: History) -> FindingRaised | None:
    """Find labels that similar images do not share: they are shuffled, or shifted by one."""
    data, near = _neighbors(history)
    if data is None or near is None:
        return None
    low, high = wilson(near.agreeing, near.images)
    commonest = max(data.train_counts) / max(1, sum(data.train_counts))
    if len([count for count in data.train_counts if count]) < 2 or low > NO_AGREEMENT * commonest:
        return None
    return finding(
        "labels_shuffled",
        evidence=(
            f"{fmt.accuracy_with_interval(near.agreeing / near.images, (low, high))} of "
            f"{near.images:,} training images have the commonest label of their 10 nearest "
            f"neighbors; random labels give about {fmt.percent(commonest, 0)}"
        ),
        step=0,
    )


def label_noise(history: History) -> tuple[float, str] | None:
    """Return the share of wrong labels that neighbors suggest, with the evidence; None if few."""
    _, near = _neighbors(history)
    if near is None or near.unanimous < MIN_QUERIES / 2:
        return None
    share = near.contradicted / near.unanimous
    low, high = wilson(near.contradicted, near.unanimous)
    if low < CONTRADICTED or near.largest_pair > CONCENTRATED * near.contradicted:
        return None
    return share, (
        f"{near.contradicted} of {near.unanimous} training images ([{100 * low:.0f}, "
        f"{100 * high:.0f}] %) have another label than 9 of their 10 nearest neighbors, which agree"
    )


def label_confusion(history: History) -> FindingRaised | None:
    """Find two classes whose images have the same neighbors: their labels are mixed."""
    data, near = _neighbors(history)
    if data is None or near is None or sum(data.train_counts) < MIN_TRAIN:
        return None
    pairs = [
        (count / sum(row), label, other)
        for label, row in enumerate(near.votes)
        for other, count in enumerate(row)
        if label != other and sum(row) >= MIN_QUERIES
    ]
    share, label, other = max(pairs, default=(0.0, 0, 0))
    if share < MIXED:
        return None
    return finding(
        "label_confusion",
        title=f"labels of {label} and {other} are mixed",
        evidence=(
            f"{fmt.percent(share, 0)} of the nearest neighbors of images with label {label} have "
            f"label {other}"
        ),
        step=0,
        plot=tuple(float(count) for count in near.votes[label]),
    )


def classes_overlap(history: History) -> FindingRaised | None:
    """Find identical training images with different labels."""
    data = history.data_probe
    if data is None or data.relabeled_images - data.blank_images <= RELABELED * _total(data):
        return None
    return finding(
        "classes_overlap",
        evidence=(
            f"{data.relabeled_images:,} of {_total(data):,} training images are identical to an "
            "image with another label"
        ),
        step=0,
    )


def leak(history: History) -> FindingRaised | None:
    """Find validation images that are training images too: validation accuracy is too high."""
    data = history.data_probe
    total = sum(data.val_counts) if data else 0
    if data is None or data.shared_images < max(MIN_LEAKED, LEAKED * total):
        return None
    return finding(
        "leak",
        evidence=(
            f"{data.shared_images:,} of {total:,} validation images are in the training split, "
            "pixel by pixel"
        ),
        step=0,
    )


def class_imbalance(history: History) -> FindingRaised | None:
    """Find classes with far fewer training images than the others."""
    data = history.data_probe
    present = [count for count in data.train_counts if count] if data else []
    if data is None or len(present) < 2:
        return None
    median = statistics.median(present)
    rare = {c: n for c, n in enumerate(data.train_counts) if 0 < n < IMBALANCED * median}
    if not rare:
        return None
    named = fmt.listed([str(label) for label in rare], 4)
    return finding(
        "class_imbalance",
        title=f"few training images of class {named}",
        evidence=fmt.listed([f"{n:,} of class {c}" for c, n in rare.items()], 4)
        + f"; the median class has {median:,.0f}",
        step=0,
        plot=tuple(float(count) for count in data.train_counts),
    )


def blank_images(history: History) -> FindingRaised | None:
    """Find training images without content."""
    data = history.data_probe
    if data is None or data.blank_images <= BLANK * _total(data):
        return None
    return finding(
        "blank_images",
        title=f"{fmt.percent(data.blank_images / _total(data), 0)} of training images are blank",
        evidence=f"all pixels of {data.blank_images:,} of {_total(data):,} images are equal",
        step=0,
    )


def differs_by_neighbors(history: History) -> str | None:
    """Return the evidence that validation images or labels differ from training; else None."""
    data, near = _neighbors(history)
    other = data.val_neighbors if data else None
    if near is None or other is None or other.images < MIN_QUERIES:
        return None
    within, across = near.agreeing / near.images, other.agreeing / other.images
    high = wilson(other.agreeing, other.images)[1]
    if high >= OTHER_DATA * within:
        return None
    return (
        f"{fmt.percent(across)} of {other.images:,} validation images have the commonest label of "
        f"their nearest training images, {fmt.percent(within)} of as many training images"
    )


def missing_classes(history: History) -> set[int] | None:
    """Return the classes without a training image that validation has; None if not recorded."""
    data = history.data_probe
    if data is None:
        return None
    pairs = zip(data.train_counts, data.val_counts, strict=True)
    return {label for label, (train, val) in enumerate(pairs) if val and not train}


def _neighbors(history: History) -> tuple[DataProbed | None, NeighborLabels | None]:
    data = history.data_probe
    near = data.neighbors if data else None
    return data, near if near is not None and near.images >= MIN_QUERIES else None


def _total(data: DataProbed) -> int:
    return sum(data.train_counts)
