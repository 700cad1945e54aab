"""Overfitting: how training and validation drift apart, and when that means nothing."""

from __future__ import annotations

import math
import statistics

from tui_trainer.findings.rule import Remedy, accuracy_on, finding, remedy
from tui_trainer.history.history import History
from tui_trainer.protocol.events import EpochDone, FindingRaised
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

PERSISTENCE = 3
"""Epochs in a row that must show overfitting before it is said."""

SIGNIFICANT, NOTABLE = 3.0, 2.0
"""Standard errors that the last of them must be above the best epoch, and the others."""

JITTERS = 4.0
"""Times the run's own jitter, from epoch to epoch, that each of them must be above the best."""

MEDIAN_OF_NORMAL = 0.6745
"""The median of a normal distribution's absolute values, in standard deviations."""

MEMORIZED_GAP = 0.02
"""Points of accuracy, as a fraction, that validation must lack to be called learned by heart."""

WORTH_KNOWING = 0.5
"""A training accuracy below which other things matter."""

PLOTTED = 24
"""Epochs whose validation loss is drawn."""


def overfitting(history: History) -> FindingRaised | None:
    """Find that validation gets worse while training still gets better.

    All three of these must hold of each of the last three epochs, against the best one:

    - Its validation loss is higher by more than two standard errors of the paired difference, the
      last one's by more than three: other validation images would say the same.
    - It is higher by more than four times the jitter of this run's validation loss: other batches
      would say the same. Weights are thrown about by each epoch's last batches, and at a large
      learning rate that moves the loss far beyond what the images' number explains.
    - Its running training loss is lower.

    Of healthy runs of twenty epochs fewer than one in a hundred shows that by chance; see
    ``tests/run/test_findings_rates.py``.
    """
    epochs = [epoch for epoch in history.epochs if math.isfinite(_validation(epoch))]
    losses = [_validation(epoch) for epoch in epochs]
    best = losses.index(min(losses)) if losses else 0
    recent = epochs[-PERSISTENCE:]
    if best >= len(epochs) - PERSISTENCE:
        return None
    then, now = epochs[best], epochs[-1]
    jitter = _jitter(losses, best)
    scores = [_standard_errors(epoch) for epoch in recent]
    rise = min(losses[-PERSISTENCE:]) - losses[best]
    is_noise = min(scores) < NOTABLE or scores[-1] < SIGNIFICANT or rise <= JITTERS * jitter
    if is_noise or max(epoch.train_loss for epoch in recent) >= then.train_loss:
        return None
    return finding(
        "overfitting",
        title=f"overfitting since epoch {then.epoch}",
        evidence=(
            f"by epoch {now.epoch} validation loss {losses[best]:.4f} → {losses[-1]:.4f}, up "
            f"{losses[-1] - losses[best]:.4f} ({scores[-1]:.1f} standard errors; it jitters by "
            f"{jitter:.4f}), while training loss fell {then.train_loss:.4f} → {now.train_loss:.4f}"
        ),
        **_against_overfitting(history),
        step=then.step,
        plot=tuple(losses[-PLOTTED:]),
        plot_label=f"validation loss, epochs {epochs[-PLOTTED:][0].epoch} to {now.epoch}",
    )


def memorizing(history: History) -> FindingRaised | None:
    """Find that the training images are known by heart, and others are not.

    In each of the last three epochs the validation error, at the favourable end of its Wilson
    interval of three standard errors, must be two points above the running training error, and that
    a quarter of it at most. The validation loss need not rise for this: a small training split is
    learned by heart while the loss still falls. A finding of its own only until overfitting shows
    by a rise as well.
    """
    recent = history.epochs[-PERSISTENCE:]
    started = history.started
    if len(recent) < PERSISTENCE or started is None or not all(map(_is_memorized, recent)):
        return None
    now = recent[-1]
    if overfitting(history) is not None or now.val_accuracy is None or now.val_interval is None:
        return None
    return finding(
        "memorizing",
        evidence=(
            f"by epoch {now.epoch} training accuracy {fmt.percent(now.train_accuracy)} "
            f"on {started.train_size:,} images, "
            f"validation {fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}: "
            f"{100 * (now.train_accuracy - now.val_accuracy):.1f} points apart"
        ),
        **_against_overfitting(history),
        step=recent[0].step,
        cause=f"{started.train_size:,} images are few enough to be learned one by one",
    )


def validation_better(history: History) -> FindingRaised | None:
    """Explain a validation accuracy that is above the training accuracy.

    In each of the last two epochs the validation's Wilson interval lies above the running training
    accuracy. The sample, plain images in evaluation mode, tells how much of that is the way in
    which the training figure is taken.
    """
    recent = history.epochs[-2:]
    started = history.started
    if started is None or len(recent) < 2:
        return None
    if any(e.val_interval is None or e.val_interval[0] <= e.train_accuracy for e in recent):
        return None
    now = recent[-1]
    if now.val_accuracy is None or now.train_accuracy < WORTH_KNOWING:
        return None
    reasons = ["it is a running figure, taken before each update"]
    if history.settings.get("dropout"):
        reasons.insert(0, f"dropout hides {fmt.percent(history.settings['dropout'], 0)}")
    if history.settings.get("augmentation"):
        reasons.insert(0, "its images are augmented")
    evidence = (
        f"epoch {now.epoch}: training {fmt.percent(now.train_accuracy)}, "
        f"validation {fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}"
    )
    sample = history.samples[-1] if history.samples else None
    if sample is not None and sample.step == now.step:
        evidence += f"; {sample.sample_size} training images as they are: {accuracy_on(sample)}"
    return finding(
        "validation_better",
        evidence=evidence,
        step=recent[0].step,
        lesson=(14 if history.settings.get("dropout") else 15),
        cause=("the training figure is a harder one: " + ", ".join(reasons)),
    )


def _is_memorized(epoch: EpochDone) -> bool:
    """Whether an epoch's validation error is far above its training error, whatever the sample."""
    if epoch.val_accuracy is None or epoch.val_correct is None or not epoch.val_total:
        return False
    known = 1 - epoch.train_accuracy
    # A far end: every epoch is another chance for a small sample to look worse than it is.
    gap = 1 - wilson(epoch.val_correct, epoch.val_total, z=SIGNIFICANT)[1] - known
    return gap >= MEMORIZED_GAP and known <= (1 - epoch.val_accuracy) / 4


def _validation(epoch: EpochDone) -> float:
    """Return the epoch's validation loss, not a number where there is none."""
    return math.nan if epoch.val_loss is None else epoch.val_loss


def _jitter(losses: list[float], best: int) -> float:
    """Return the standard deviation of the validation loss from one epoch to the next.

    It is measured on second differences, which no steady fall or rise enters and whose variance is
    six times that of the noise (J. von Neumann and others, "The mean square successive difference",
    Annals of Mathematical Statistics 12, 1941). Of two estimates the larger counts: the mean square
    since shortly before the best epoch, which knows the present noise, and the median of the whole
    run, which knows more epochs.
    """
    bends = [abs(a - 2 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    lately = math.sqrt(statistics.fmean(bend * bend for bend in bends[max(0, best - 2) :]))
    usually = statistics.median(bends) / MEDIAN_OF_NORMAL
    return max(lately, usually) / math.sqrt(6)


def _standard_errors(epoch: EpochDone) -> float:
    """How far the epoch's validation loss is above the lowest, in standard errors."""
    if epoch.val_loss_rise is None or not epoch.val_loss_rise_error:
        return 0.0
    return epoch.val_loss_rise / epoch.val_loss_rise_error


def _against_overfitting(history: History) -> Remedy:
    """Choose what to try: the words, the knob and its value."""
    if not history.settings.get("augmentation"):
        return remedy("switch augmentation on", "augmentation", 1)
    dropout = history.settings.get("dropout")
    if dropout is None:
        return remedy("train a network with dropout (--model era-s6-dropout), or stop here")
    more = round(min(0.5, dropout + 0.1), 2)
    if more <= dropout:
        return remedy("stop here, or train on more images")
    return remedy(f"raise dropout from {dropout:g} to {more:g}", "dropout", more)
