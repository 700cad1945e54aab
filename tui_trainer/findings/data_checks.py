"""Rules about the images and labels themselves, from the data probe: before the first step.

What neighbors say is estimated in ``neighborhoods.py``; each threshold has its reference in the
data themselves. ``tests/findings/test_data_rules.py`` holds them against clean and faulty data.
"""

from __future__ import annotations

import statistics

from tui_trainer.findings import neighborhoods
from tui_trainer.findings.causes import cause
from tui_trainer.findings.neighborhoods import Mixed
from tui_trainer.findings.rule import finding
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause, Severity
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import DataProbed, NeighborLabels
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

MIN_QUERIES = 200
"""The minimum number of images compared with their neighbors."""

SHIFTED_LABELS = 2.0
"""Labels are shifted if neighbors agree this many times as often after they are shifted back."""

WRONG = 0.015
"""The share of wrong labels from which labels are noisy, at the lower end of its interval: at most
0.007 on clean data, 0.024 with 5 % wrong labels and 1,000 images compared."""

WRONG_EXCESS, EXCESS_Z = 0.03, 4.0
"""The same where one split is compared with the other, and the standard errors it takes."""

COMPARABLE = 0.8
"""In color images, neighbors must agree with the label of so many for what they say of the others:
on four classes of CIFAR-10 they agree with half to three quarters, and all labels are correct."""

PAIRS, CONCENTRATED = 2, 0.6
"""Wrong labels are between two classes if so many pairs have this share of them."""

MIN_OF_CLASS, CONFUSED, PARTLY, LEARNED = 20, 0.2, 0.1, 0.9
"""Errors concentrate on two classes if this share of the images of one, of which a sample has at
least so many, is classified as the other, a part of them rightly, and the others are learned."""

IMBALANCED = 0.1
"""A class with fewer images than this share of the median class is rare."""

LESS_THAN = 3.0
"""How many times larger the share of a class in the other split must be to be another one."""

LEAKED, MIN_LEAKED = 0.05, 5
"""The share and the number of validation images in the training split that make a leak."""

ALL_LEAKED = 0.97
"""The share of the examples that a user's loop evaluates itself: it evaluates no others."""

LEAKED_NEAR = 0.1
"""The same share of near-duplicates: drawings and renderings resemble each other naturally."""

RELABELED, BLANK = 0.005, 0.05
"""The shares of images, identical with another label or blank, that are a problem."""

OTHER_DATA = 0.9
"""Agreement of validation images with training images, relative to that of training images,
below which the two splits differ."""

AS_UNANIMOUS = 0.8
"""If the neighbors of validation images are unanimous at least this much as often as those of
training images, the images are of the same kind, and labels differ."""

OTHER_MEAN, OTHER_STD = 0.25, 1.3
"""How far apart the pixels of both splits may be: the means in standard deviations, and the ratio
of the standard deviations."""


def labels_shuffled(history: History) -> FindingRaised | None:
    """Find labels that similar images do not share: they are shuffled, or shifted by one.

    Neither neighbors nor a linear classifier then know more than the commonest label, and no
    validation accuracy either. Of color images it is a note: the pixels of photographs of cats and
    dogs say as little about their labels.
    """
    data, near = _neighbors(history)
    if data is None or near is None or len(_present(data.train_counts)) < 2:
        return None
    guess = max(data.train_counts) / _total(data)
    if not neighborhoods.is_guessing(near, guess):
        return None
    evidence = (
        f"{_agreement(near)} of {near.images:,} training images have the commonest label of their "
        f"10 nearest neighbors; random labels give about {fmt.percent(guess, 0)}"
    )
    other = data.val_within
    is_known = other is not None and other.images >= MIN_QUERIES
    is_known = is_known and other is not None and wilson(other.agreeing, other.images)[0] > guess
    if wilson(near.shift_agreeing, near.images)[0] > SHIFTED_LABELS * guess:
        evidence += (
            f"; {fmt.percent(near.shift_agreeing / near.images)} if each label is that of the "
            f"{'previous' if near.shift > 0 else 'next'} image"
        )
        found = cause("labels_shuffled", "shown", evidence, "remove the shift by one image")
    elif is_known and other is not None:
        evidence += f", {_agreement(other)} of validation images with each other"
        found = cause("labels_shuffled", "shown", evidence)
    elif _generalizes(history, data):
        return None
    elif history.is_color:
        return _hard_to_compare(evidence)
    else:
        found = cause("labels_shuffled", "likely", evidence)
    return finding(
        "labels_shuffled",
        severity="error" if found.likelihood == "shown" else "warning",
        evidence=evidence,
        causes=(found, *_uninformative(found)),
        step=0,
    )


def _generalizes(history: History, data: DataProbed) -> bool:
    """Return whether an epoch's validation accuracy is above the share of the commonest class."""
    guess = max(data.val_counts, default=0) / max(1, sum(data.val_counts))
    return any(
        wilson(epoch.val_correct, epoch.val_total, z=neighborhoods.Z)[0] > guess
        for epoch in history.epochs
        if epoch.val_correct is not None and epoch.val_total
    )


def _hard_to_compare(evidence: str) -> FindingRaised:
    found = cause("labels_shuffled", "possible", evidence)
    return finding(
        "labels_shuffled",
        severity="note",
        title="similar images do not have the same label",
        evidence=f"{evidence}; of photographs that can be so with correct labels",
        causes=(found, *_uninformative(found)),
        step=0,
    )


def _uninformative(found: Cause) -> tuple[Cause, ...]:
    """Return the other cause, where nothing shows that the images differ by class."""
    return () if found.likelihood == "shown" else (cause("input_destroyed", "possible"),)


def label_noise(history: History) -> tuple[float, str] | None:
    """Return the share of wrong labels in the training split, with the evidence; None if few."""
    data, near = _neighbors(history)
    if data is None or near is None:
        return None
    estimate = neighborhoods.wrong_labels(near) if _are_comparable(history, near) else None
    if estimate is not None and estimate[1] >= WRONG:
        low, high = wilson(near.contradicted, near.unanimous)
        return estimate[0], (
            f"{near.contradicted} of {near.unanimous} training images ([{100 * low:.0f}, "
            f"{100 * high:.0f}] %) have another label than 9 of their 10 nearest neighbors, which "
            "agree, between similar and dissimilar classes"
        )
    val = data.val_neighbors
    if val is None or val.images < MIN_QUERIES or differing_pixels(history) is not None:
        return None
    if data.relabeled_images > RELABELED * _total(data) or mixed_classes(history) is not None:
        return None
    theirs, ours = (val.agreeing, val.images), (near.agreeing, near.images)
    if neighborhoods.difference(theirs, ours) < EXCESS_Z:
        return None
    share = 1 - near.agreeing / near.images / (val.agreeing / val.images)
    return share, (
        f"{_agreement(near)} of {near.images:,} training images have the commonest label of their "
        f"nearest neighbors, {_agreement(val)} of {val.images:,} validation images"
    )


def is_clean(history: History) -> bool:
    """Return whether neighbors show that the training labels are not noisy."""
    _, near = _neighbors(history)
    estimate = neighborhoods.wrong_labels(near) if near is not None else None
    return estimate is not None and label_noise(history) is None


def mixed_classes(history: History) -> Mixed | None:
    """Return the two classes of the training split whose labels are mixed; None without."""
    data, near = _neighbors(history)
    if data is None or near is None or not _are_comparable(history, near):
        return None
    return neighborhoods.mixed_classes(near, data.train_counts, data.val_within)


def _are_comparable(history: History, near: NeighborLabels) -> bool:
    """Return whether labels of neighbors that differ point to the labels, not to the images.

    The nearest pixels of a photograph of a cat are often those of a dog: of few classes, two such
    ones stand out although every label is correct.
    """
    return not history.is_color or near.agreeing >= COMPARABLE * near.images


def label_confusion(history: History) -> FindingRaised | None:
    """Find two classes with mixed labels: even at the core of one, its neighbors have the other's.

    If validation images of the same classes are not mixed, that shows it. If nothing separates the
    two classes, they may as well overlap by nature (the letter O and the digit 0): a note. So are
    the errors of a trained model where neighbors do not decide.
    """
    data, near = _neighbors(history)
    mixed = mixed_classes(history)
    if data is None or near is None or mixed is None:
        return _confused_by_model(history)
    label, other = map(history.class_name, mixed.pair)
    is_shown = neighborhoods.is_pure(data.val_within, mixed)
    evidence = (
        f"at the core of class {label}, far from other classes, {fmt.percent(mixed.share, 0)} of "
        f"{mixed.votes} neighbors have the label {other} ({fmt.percent(mixed.back, 0)} the other "
        "way round)"
    )
    if is_shown:
        evidence += "; validation images of these classes have no such neighbors"
    advice = f"check how {label} and {other} are labeled: plot images of both"
    confused = cause("label_confusion", "shown" if is_shown else "likely", evidence, advice)
    overlap = cause("classes_overlap", "possible")
    severity: Severity = "note" if mixed.is_even and not is_shown else "warning"
    return finding(
        "label_confusion",
        title=f"labels of {label} and {other} are mixed",
        severity=severity,
        evidence=evidence,
        causes=(confused,) if is_shown else (confused, overlap),
        step=0,
        plot=tuple(float(count) for count in near.core_votes[mixed.pair[0]]),
    )


def _confused_by_model(history: History) -> FindingRaised | None:
    """Find a class of which a trained model classifies many images as one other class.

    The last two samples must agree, after the first epoch.
    """
    started, samples = history.started, list(history.samples)[-2:]
    if started is None or len(samples) < 2 or samples[0].images < started.train_size:
        return None
    first, pair = (_concentrated(sample.confusion) for sample in samples)
    if pair is None or first != pair:
        return None
    label, other = map(history.class_name, pair)
    row = samples[-1].confusion[pair[0]]
    confused = row[pair[1]]
    low, high = wilson(confused, sum(row))
    evidence = (
        f"{confused} of {sum(row)} training images of class {label} ([{100 * low:.0f}, "
        f"{100 * high:.0f}] %) are classified as {other}; no other two classes are confused half "
        "as often"
    )
    return finding(
        "label_confusion",
        title=f"errors concentrate on {label} and {other}",
        severity="note",
        evidence=evidence,
        causes=(
            cause("label_confusion", "possible", evidence),
            cause("classes_overlap", "possible", evidence),
        ),
        step=samples[-1].step,
        plot=tuple(float(count) for count in row),
    )


def _concentrated(confusion: tuple[tuple[int, ...], ...]) -> tuple[int, int] | None:
    """Return the true and the predicted class of most errors of a trained model, if one stands out.

    All other classes must be learned, and the true class itself in part: it is not missing.
    """
    shares = [[n / max(1, sum(row)) for n in row] for row in confusion]
    pairs = [
        (share, label, other)
        for label, row in enumerate(shares)
        for other, share in enumerate(row)
        if other != label and sum(confusion[label]) >= MIN_OF_CLASS
    ]
    share, label, other = max(pairs, default=(0.0, 0, 0))
    rest = [row[k] for k, row in enumerate(shares) if k not in (label, other)]
    usual = max((one for one, k, _ in pairs if k not in (label, other)), default=share)
    if share < CONFUSED or usual > share / 2 or shares[label][label] < PARTLY:
        return None
    return (label, other) if rest and statistics.median(rest) >= LEARNED else None


def classes_overlap(history: History) -> FindingRaised | None:
    """Find identical training images with different labels."""
    data = history.data_probe
    if data is None or data.relabeled_images - data.blank_images <= RELABELED * _total(data):
        return None
    evidence = (
        f"{data.relabeled_images:,} of {_total(data):,} training images are identical to an "
        "image with another label"
    )
    if data.relabeled_pair is not None:
        *pair, count = data.relabeled_pair
        label, other = map(history.class_name, pair)
        evidence += f"; most often {label} and {other}: {fmt.plural(count, 'image')}"
    return finding("classes_overlap", evidence=evidence, step=0)


def leak(history: History) -> FindingRaised | None:
    """Find validation images that are training images too: validation accuracy is too high.

    Identical images are counted in both splits. Images that were moved, or to which noise was
    added, are counted in a sample, and their share is estimated.
    """
    data = history.data_probe
    total = sum(data.val_counts) if data else 0
    if history.loops:
        return _leak_in_loop(history)
    if data is None or not total or not _total(data):
        return None
    shared = data.shared_images - data.val_blank_images
    if shared >= max(MIN_LEAKED, LEAKED * total):
        evidence = (
            f"{shared:,} of {total:,} validation images are in the training split, pixel by pixel"
        )
        return finding("leak", evidence=evidence, step=0)
    val = data.val_neighbors
    if val is None:
        return None
    searched = max(1, val.references) / _total(data)
    moved = data.moved_images / val.images / searched
    if data.moved_images >= MIN_LEAKED and moved >= LEAKED:
        evidence = (
            f"{data.moved_images:,} of {val.images:,} validation images are one of "
            f"{val.references:,} training images, moved by some pixels"
        )
        return finding("leak", evidence=evidence, step=0)
    near = val.near_duplicates / val.images / searched
    if val.near_duplicates < 2 * MIN_LEAKED or near < LEAKED_NEAR:
        return None
    return finding(
        "leak",
        severity="warning",
        title="validation has near-duplicates of training images",
        evidence=(
            f"{val.near_duplicates:,} of {val.images:,} validation images are less than half as "
            f"far from one of {val.references:,} training images as from the next: about "
            f"{fmt.percent(min(1.0, near), 0)} of all"
        ),
        step=0,
    )


def _leak_in_loop(history: History) -> FindingRaised | None:
    """Find validation examples that are training examples, in a script's loop."""
    probes = [probe for probe in history.loops if probe.is_epoch]
    if not probes:
        return None
    now = probes[-1]
    if now.overlap is not None:
        if now.overlap < max(MIN_LEAKED, LEAKED * now.overlap_size):
            return None
        evidence = (
            f"{now.overlap:,} of {now.overlap_size:,} validation examples are training examples, "
            "by their indices in the same dataset"
        )
        return finding("leak", evidence=evidence, step=now.step)
    searched = now.training_sampled / max(1, now.training_size)
    share = now.shared_images / max(1, now.validation_sampled) / max(searched, 1e-9)
    if now.shared_images < MIN_LEAKED or share < LEAKED:
        return None
    if now.is_by_loop:
        # It may evaluate training examples next to the others, for the training accuracy.
        results = [each for e in history.epochs for each in (e.val_loss, e.val_accuracy)]
        if all(each is None for each in results) or share < ALL_LEAKED:
            return None
    evidence = (
        f"{now.shared_images:,} of {now.validation_sampled:,} sampled validation examples are one "
        f"of {now.training_sampled:,} sampled training examples, value by value: about "
        f"{fmt.percent(min(1.0, share), 0)} of all"
    )
    return finding("leak", evidence=evidence, step=now.step)


def class_imbalance(history: History) -> FindingRaised | None:
    """Find classes with far fewer training images than the others.

    It is a note if the validation split has as few of them: the data are like that.
    """
    data = history.data_probe
    present = _present(data.train_counts) if data else []
    if data is None or len(present) < 2:
        return None
    median = statistics.median(present)
    rare = {c: n for c, n in enumerate(data.train_counts) if 0 < n < IMBALANCED * median}
    if not rare:
        return None
    name = history.class_name
    named = fmt.listed([name(label) for label in rare], 4)
    elsewhere = [label for label in rare if label in rarer_classes(data)]
    evidence = fmt.listed([f"{n:,} of class {name(c)}" for c, n in rare.items()], 4)
    evidence += f"; the median class has {median:,.0f}"
    if elsewhere:
        evidence += ", and the validation split has " + fmt.listed(
            [f"{data.val_counts[c]:,} of class {name(c)}" for c in elsewhere], 4
        )
    return finding(
        "class_imbalance",
        title=f"few training images of class {named}",
        severity="warning" if elsewhere or not sum(data.val_counts) else "note",
        evidence=evidence,
        step=0,
        plot=tuple(float(count) for count in data.train_counts),
    )


def rarer_classes(data: DataProbed) -> set[int]:
    """Return the classes of which the training split has far less than the validation split."""
    train, val = max(1, _total(data)), max(1, sum(data.val_counts))
    counts = enumerate(zip(data.train_counts, data.val_counts, strict=True))
    return {c for c, (n, m) in counts if m * train > LESS_THAN * max(n, 1) * val}


def blank_images(history: History) -> FindingRaised | None:
    """Find images without content."""
    data = history.data_probe
    if data is None or not _total(data):
        return None
    total, val = _total(data), sum(data.val_counts)
    blank = data.blank_images + data.val_blank_images
    if max(data.blank_images / total, data.val_blank_images / max(1, val)) <= BLANK:
        return None
    return finding(
        "blank_images",
        title=f"{fmt.percent(blank / (total + val), 0)} of images are blank",
        evidence=(
            f"all pixels are equal in {data.blank_images:,} of {total:,} training images and "
            f"{data.val_blank_images:,} of {val:,} validation images"
        ),
        step=0,
    )


def are_apart(one: tuple[float, float], other: tuple[float, float], least: float) -> bool:
    """Return whether two splits, by mean and standard deviation, have other pixels.

    A standard deviation counts as ``least`` at least.
    """
    (mean, std), (other_mean, other_std) = one, other
    low, high = sorted((max(std, least), max(other_std, least)))
    is_near = abs(other_mean - mean) <= OTHER_MEAN * max(std, least)
    return not (is_near and high / low <= OTHER_STD)


def differing_pixels(history: History) -> str | None:
    """Return the evidence that validation images are lighter or have more contrast; else None."""
    data = history.data_probe
    if data is None or data.train_pixels is None or data.val_pixels is None:
        return None
    (mean, std), (val_mean, val_std) = data.train_pixels, data.val_pixels
    if not are_apart((mean, std), (val_mean, val_std), 1e-6):
        return None
    return (
        f"pixels of training images: mean {mean:.3f}, standard deviation {std:.3f}; of validation "
        f"images: {val_mean:.3f}, {val_std:.3f}"
    )


def differing_neighbors(history: History) -> Cause | None:
    """Return why validation images or labels differ from the training images'; None if equal."""
    data, near = _neighbors(history)
    val = data.val_neighbors if data else None
    if data is None or near is None or val is None or val.images < MIN_QUERIES:
        return None
    low, high = wilson(near.agreeing, near.images)[0], wilson(val.agreeing, val.images)[1]
    total = max(1, sum(data.val_counts))
    without = sum(data.val_counts[label] for label in rarer_classes(data)) / total
    theirs, ours = (val.contradicted, val.unanimous), (near.contradicted, near.unanimous)
    excess = theirs[0] / max(1, theirs[1]) - ours[0] / max(1, ours[1])
    is_noisier = (
        excess >= WRONG_EXCESS
        and neighborhoods.difference(theirs, ours) >= EXCESS_Z
        and not without
    )
    differs = high < OTHER_DATA * low - without
    if not differs and not is_noisier:
        return None
    evidence = (
        f"{_agreement(val)} of {val.images:,} validation images have the commonest label of their "
        f"nearest training images, {_agreement(near)} of as many training images"
    )
    return _why_different(history, near, val, evidence, differs=differs)


def _why_different(
    history: History, near: NeighborLabels, val: NeighborLabels, evidence: str, *, differs: bool
) -> Cause:
    data, name = history.data_probe, history.class_name
    assert data is not None
    within, guess = data.val_within, max(data.val_counts) / max(1, sum(data.val_counts))
    others = neighborhoods.exchanged(val)
    if len(others) > max(2, len(_present(data.val_counts)) // 2):
        numbered = fmt.listed([f"{name(label)} for {name(other)}" for label, other in others], 3)
        advice = "use the same mapping from class names to numbers for both splits"
        return cause("validation_differs", "shown", f"{evidence}: labels {numbered}", advice)
    pairs = _confused_pairs(near, val)
    if pairs:
        named = fmt.listed([f"{name(label)} instead of {name(other)}" for label, other in pairs], 3)
        advice = "check how these classes are labeled in both splits: plot images of both"
        return cause("label_confusion", "shown", f"{evidence}; most have the label {named}", advice)
    if within is not None and neighborhoods.is_guessing(within, guess):
        if wilson(val.shift_agreeing, val.images)[0] > SHIFTED_LABELS * guess:
            evidence += f"; {fmt.percent(val.shift_agreeing / val.images)} shifted by one image"
        return cause("labels_shuffled", "shown", f"{evidence}, {_agreement(within)} of each other")
    usual = near.unanimous / near.images
    is_other = 3 * val.contradicted > val.unanimous  # too many for wrong labels
    if differs and (is_other or val.unanimous / val.images < AS_UNANIMOUS * usual):
        if within is not None:
            evidence += f"; {_agreement(within)} agree with each other"
        return cause("validation_differs", "shown", evidence)
    low, high = wilson(val.contradicted, val.unanimous)
    return cause(
        "label_noise",
        "shown",
        f"{val.contradicted} of {val.unanimous} validation images ([{100 * low:.0f}, "
        f"{100 * high:.0f}] %) have another label than 9 of their 10 nearest training images, "
        f"{near.contradicted} of {near.unanimous} training images",
    )


def _confused_pairs(near: NeighborLabels, val: NeighborLabels) -> list[tuple[int, int]]:
    """Return the few pairs of labels that most contradictions of validation labels are between."""
    usual = {(label, other): count for label, other, count in near.contradictions}
    found = {
        (label, other): count
        for label, other, count in val.contradictions
        if neighborhoods.difference(
            (count, val.unanimous), (usual.get((label, other), 0), near.unanimous)
        )
        >= EXCESS_Z
    }
    most = sorted(found, key=lambda pair: -found[pair])[:PAIRS]
    share = sum(found[pair] for pair in most) / max(1, val.contradicted)
    return most if share >= CONCENTRATED else []


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


def _present(counts: tuple[int, ...]) -> list[int]:
    return [count for count in counts if count]


def _agreement(near: NeighborLabels) -> str:
    bounds = wilson(near.agreeing, near.images)
    return fmt.accuracy_with_interval(near.agreeing / near.images, bounds)
