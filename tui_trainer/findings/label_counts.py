"""Rules about the labels: constant, noisy, sorted, or with a class missing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tui_trainer.findings.causes import cause
from tui_trainer.findings.data_checks import is_clean, label_noise, missing_classes, mixed_classes
from tui_trainer.findings.rule import finding, recent_updates
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import EpochDone, FindingRaised
from tui_trainer.protocol.probed import SampleProbed
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

MIN_IMAGES = 16
"""The minimum number of images in a sample or batch to judge its classes."""

UNEVEN = 6.0
"""Standard deviations by which a batch's class counts may differ from a random draw."""

PURE = 0.6
"""The share of one class in a batch of a script's sorted examples."""

MANY_BATCHES = 6
"""Sampled batches of a user's own loop that must have the same label for it to be the only one."""

MIN_ERRORS = 20
"""The minimum number of errors to judge their spread over the class pairs."""

NOISY = 0.06
"""The minimum share of errors for label noise, at the lower end of its interval."""

EVEN = 1.4
"""With label noise, how much more often than at random two errors may share a class pair."""

LOW_CONFIDENCE = 0.95
"""The highest 90th percentile of the confidence that still suggests label noise."""

UNLEARNED, LEARNED = 0.1, 0.85
"""The accuracy of a class that is not learned, and of the median of the others …"""

LEARNED_MISSING = 0.5
"""… which may be lower where the training split lacks the class."""

RARE = 0.3
"""A class with fewer images than this share of the median class is rare, if it is not learned."""

FEW = 0.3
"""The maximum share of classes that can be missing."""

ENOUGH = 100
"""The minimum sample size at which an absent class counts as missing."""


def constant_labels(history: History) -> FindingRaised | None:
    """Find that all training labels are the same."""
    data, sample = history.data_probe, history.last_sample
    if data is not None:
        counts, named = list(data.train_counts), "training images"
    else:
        counts = [sum(row) for row in sample.confusion] if sample else []
        named = "sampled training images"
    there = [label for label, count in enumerate(counts) if count]
    if len(there) != 1 or sum(counts) < MIN_IMAGES:
        return None
    if history.started is not None and history.started.script:
        # The sample are the first examples of the loop: later ones may have other labels.
        seen = {c for u in history.updates for c, n in enumerate(u.label_counts) if n}
        if len(seen) != 1 or len(history.updates) < MANY_BATCHES:
            return None
    return finding(
        "constant_labels",
        title=f"every label is {there[0]}",
        evidence=f"all {sum(counts):,} {named} have the label {there[0]}",
        step=0,
    )


def not_shuffled(history: History) -> FindingRaised | None:
    """Find batches whose classes are not a random draw from the training images.

    The test is the chi-squared statistic of the class counts of the last four sampled batches
    against the sample; three of four must be far beyond what shuffling gives.
    """
    if found := _sorted_batches(history):
        return found
    updates = [update for update in recent_updates(history, 4) if update.batch_size >= MIN_IMAGES]
    if len(updates) < 4 or not history.samples or not all(u.label_counts for u in updates):
        return None
    if _is_sampled_otherwise(history):
        return None
    rows = [sum(row) for row in history.samples[-1].confusion]
    deviations = [_unevenness(update.label_counts, rows) for update in updates]
    if sorted(deviations)[1] < UNEVEN:
        return None
    counts = updates[-1].label_counts
    most = max(range(len(counts)), key=counts.__getitem__)
    return finding(
        "not_shuffled",
        evidence=(
            f"{counts[most]} of {updates[-1].batch_size} images of the batch at step "
            f"{fmt.count(updates[-1].step)} are of class {history.class_name(most)}; "
            f"the median batch is {statistics.median(deviations):.0f} standard deviations away "
            "from a random draw"
        ),
        step=updates[0].step,
        plot=tuple(float(count) for count in counts),
    )


def _sorted_batches(history: History) -> FindingRaised | None:
    """Find batches of a script that have a single class each, though not the same one."""
    updates = recent_updates(history)
    if not history.loops or not updates or _is_sampled_otherwise(history):
        return None
    if any(update.batch_size < MIN_IMAGES or not update.label_counts for update in updates):
        return None
    most = [max(update.label_counts) for update in updates]
    shares = [count / u.batch_size for count, u in zip(most, updates, strict=True)]
    classes = {u.label_counts.index(count) for count, u in zip(most, updates, strict=True)}
    if min(shares) < PURE or len(classes) < 2 or len(updates[-1].label_counts) < 3:
        return None
    now, label = updates[-1], updates[-1].label_counts.index(most[-1])
    return finding(
        "not_shuffled",
        evidence=(
            f"{most[-1]} of {now.batch_size} examples of the batch at step {fmt.count(now.step)} "
            f"are of class {history.class_name(label)}; the sampled batches before it have one "
            "class each, too"
        ),
        step=updates[0].step,
        plot=tuple(float(count) for count in now.label_counts),
    )


def _is_sampled_otherwise(history: History) -> bool:
    """Whether the loader of a script shuffles, or draws its batches by another rule."""
    now = history.loops[-1] if history.loops else None
    return now is not None and now.sampler not in ("", "SequentialSampler")


def labels_noisy(history: History) -> FindingRaised | None:
    """Find label noise in the training images.

    Before the first step, nearest neighbors show it, or show that there is none. Where images are
    too hard to compare, a trained model does: it misclassifies the images with a wrong label, and
    those errors are spread evenly over all class pairs, while its genuine errors concentrate on a
    few similar pairs. It also learns not to trust the labels: it is not confident about any image.
    The last two samples must agree, after the first epoch.
    """
    if (known := label_noise(history)) is not None:
        share, evidence = known
        found = cause("label_noise", "shown", evidence)
        title = f"label noise: about {100 * share:.0f} % of the labels"
        return finding("labels_noisy", title=title, evidence=evidence, causes=(found,), step=0)
    samples, started = list(history.samples)[-2:], history.started
    if started is None or len(samples) < 2 or is_clean(history):
        return None
    if not all(s.images >= started.train_size and _has_noisy_errors(s) for s in samples):
        return None
    sample = samples[-1]
    errors = _errors(sample)
    wrong, evenness = sum(errors), _repeats(errors)
    low, high = wilson(wrong, sample.sample_size)
    evidence = (
        f"{wrong} of {sample.sample_size} training images ([{100 * low:.0f}, {100 * high:.0f}] "
        "%) are misclassified; the errors are spread over the class pairs like random ones "
        f"(two share a pair {evenness:.1f} times as often as at random), and confidence is at "
        f"most {sample.confidence_p90:.2f} on nine of ten images"
    )
    return finding(
        "labels_noisy",
        title=f"label noise: about {100 * wrong / sample.sample_size:.0f} % of the labels",
        evidence=evidence,
        causes=(cause("label_noise", "likely", evidence), cause("capacity", "possible")),
        step=sample.step,
    )


def class_missing(history: History) -> FindingRaised | None:
    """Find a class that is not learned while the others are.

    Three epochs in a row must agree; one is enough if the training sample has none of it.
    """
    sample = history.last_sample
    there = (
        [sum(row) for row in sample.confusion] if sample and sample.sample_size >= ENOUGH else []
    )
    known = missing_classes(history)
    gone = {label for label, count in enumerate(there) if not count} if known is None else known
    if known:
        return _without_images(history, known)
    recent = [_unlearned(epoch, LEARNED) for epoch in history.epochs[-3:]]
    missing = set.intersection(*recent) if len(recent) == 3 else set()
    if not missing and history.epochs:
        missing = gone & _unlearned(history.epochs[-1], LEARNED_MISSING)
    if not missing:
        return None
    epoch = history.epochs[-1]
    name = history.class_name
    named = ", ".join(name(label) for label in sorted(missing))
    accuracies = epoch.val_class_accuracy or ()
    evidence = f"epoch {epoch.epoch}: validation accuracy " + ", ".join(
        f"{fmt.percent(accuracies[c] or 0.0, 1)} on class {name(c)}" for c in sorted(missing)
    )
    return finding(
        "class_missing",
        severity="error" if gone & missing else "warning",
        title=f"class {named} is not learned",
        evidence=f"{evidence}, {fmt.percent(epoch.val_accuracy or 0.0, 1)} on all classes",
        step=epoch.step,
        causes=_causes_of_missing(history, missing, gone),
        plot=tuple(share or 0.0 for share in accuracies),
    )


def _causes_of_missing(history: History, missing: set[int], gone: set[int]) -> tuple[Cause, ...]:
    """Return why classes are not learned, by what is known of their images, labels and logits."""
    data, sample = history.data_probe, history.last_sample
    found = []
    if gone & missing:
        found.append(cause("class_missing", "shown" if data else "likely"))
    elif data is not None:
        counts = {label: data.train_counts[label] for label in sorted(missing)}
        usual = statistics.median([count for count in data.train_counts if count])
        if min(counts.values()) < RARE * usual:
            name = history.class_name
            evidence = fmt.listed(
                [f"{n:,} images of class {name(c)}" for c, n in counts.items()], 4
            )
            found.append(
                cause("class_imbalance", "shown", f"{evidence}; the median class has {usual:,.0f}")
            )
    if sample is not None and sample.logit_min >= 0:
        evidence = f"the lowest of {sample.sample_size:,} images' logits is {sample.logit_min:.3g}"
        found.insert(0, cause("logits_bounded", "shown", evidence))
    mixed = mixed_classes(history)
    if mixed is not None and missing & set(mixed.pair):
        confused = history.findings.get("label_confusion")
        evidence = confused.evidence if confused else ""
        found.append(cause("label_confusion", "shown", evidence))
    return tuple(found) or tuple(
        cause(code, "possible") for code in ("dead_units", "label_confusion", "learning_rate_high")
    )


def _without_images(history: History, classes: set[int]) -> FindingRaised:
    counts = history.data_probe.val_counts if history.data_probe else ()
    name = history.class_name
    named = ", ".join(map(name, sorted(classes)))
    evidence = (
        ", ".join(f"{counts[c]:,} validation images of class {name(c)}" for c in sorted(classes))
        + ", and not one in the training split"
    )
    return finding(
        "class_missing",
        severity="error",
        title=f"class {named} has no training images",
        evidence=evidence,
        causes=(cause("class_missing", "shown", evidence),),
        step=0,
    )


def _has_noisy_errors(sample: SampleProbed) -> bool:
    """Return whether the errors of a sample look like those that label noise causes."""
    errors = _errors(sample)
    wrong = sum(errors)
    if (
        wrong < MIN_ERRORS
        or wilson(wrong, sample.sample_size)[0] < NOISY
        or sample.confidence_p90 > LOW_CONFIDENCE
    ):
        return False
    is_trained = sample.correct * len(sample.confusion) >= 2 * sample.sample_size
    return _repeats(errors) <= EVEN and is_trained


def _unlearned(epoch: EpochDone, learned: float) -> set[int]:
    """Return the classes with almost no correct prediction, if the median of the others is good."""
    known = dict(enumerate(epoch.val_class_accuracy or ()))
    bad = {label for label, share in known.items() if share is not None and share < UNLEARNED}
    others = [share for label, share in known.items() if share is not None and label not in bad]
    is_few = len(bad) <= FEW * len(known)  # a model that knows only one class is another problem
    return bad if others and is_few and statistics.median(others) >= learned else set()


def _unevenness(batch: Sequence[int], sample: Sequence[int]) -> float:
    """Return how far a batch's class counts are from the sample's, in standard deviations.

    It is the chi-squared statistic of two samples, which includes the sample's own randomness: W.
    Press and others, "Numerical Recipes", section 14.3.
    """
    weight = (sum(sample) / sum(batch)) ** 0.5
    pairs = [(b, s) for b, s in zip(batch, sample, strict=True) if b + s]
    chi = sum((b * weight - s / weight) ** 2 / (b + s) for b, s in pairs)
    freedom = max(1, len(pairs) - 1)
    return float((chi - freedom) / (2 * freedom) ** 0.5)


def _errors(sample: SampleProbed) -> list[int]:
    """Return the number of errors for each pair of true and predicted class."""
    return [
        count
        for label, row in enumerate(sample.confusion)
        for predicted, count in enumerate(row)
        if label != predicted
    ]


def _repeats(errors: Sequence[int]) -> float:
    """Return how many times as often as at random two errors share a class pair."""
    total = sum(errors)
    alike = sum(count * (count - 1) for count in errors)
    return alike * len(errors) / (total * (total - 1)) if total > 1 else 0.0
