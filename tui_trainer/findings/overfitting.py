"""Rules about overfitting: when training and validation diverge, and when that means nothing."""

from __future__ import annotations

import math
import statistics

from tui_trainer.findings.causes import cause, from_finding, ranked
from tui_trainer.findings.neighborhoods import difference
from tui_trainer.findings.rule import Remedy, accuracy_on, finding, remedy
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause
from tui_trainer.protocol.events import EpochDone, FindingRaised
from tui_trainer.stats.intervals import wilson
from tui_trainer.text import fmt

PERSISTENCE = 3
"""Consecutive epochs that must show overfitting."""

SIGNIFICANT, NOTABLE = 3.0, 2.0
"""Standard errors above the best epoch: of the last of these epochs, and of the others."""

NOISE_FACTOR = 4.0
"""The rise of each epoch over the best, in units of the run's epoch-to-epoch noise."""

MEDIAN_OF_NORMAL = 0.6745
"""The median of a normal distribution's absolute values, in standard deviations."""

MEMORIZED_GAP = 0.02
"""The generalization gap, as a fraction, above which training images count as memorized."""

WORTH_KNOWING = 0.5
"""The training accuracy below which other findings matter more."""

FEW_PER_CLASS = 200
"""Training images of a class below which they are few."""

BELOW, BELOW_Z = 0.01, 3.0
"""How far test accuracy must be below validation accuracy, as a fraction and in standard errors."""

EARLY_STOPPING = "stop now and keep the best checkpoint (early stopping)"

PLOTTED = 24
"""The number of epochs whose validation loss is plotted."""


def overfitting(history: History) -> FindingRaised | None:
    """Find a validation loss that rises while the training loss still falls.

    Three conditions must hold for each of the last three epochs, compared with the best one:

    - Its validation loss is higher by more than two standard errors of the paired difference, and
      for the last epoch by more than three: other validation images would show the same.
    - It is higher by more than four times this run's epoch-to-epoch noise: other batches would show
      the same. The last batches of an epoch move the weights, and at a high learning rate that
      changes the loss far more than the number of validation images explains.
    - Its running training loss is lower.

    Fewer than one in a hundred healthy runs of twenty epochs meets them; see
    ``tests/findings/test_findings_rates.py``.
    """
    epochs = [epoch for epoch in history.epochs if math.isfinite(_validation(epoch))]
    losses = [_validation(epoch) for epoch in epochs]
    best = losses.index(min(losses)) if losses else 0
    recent = epochs[-PERSISTENCE:]
    if best >= len(epochs) - PERSISTENCE:
        return None
    then, now = epochs[best], epochs[-1]
    noise = _epoch_noise(losses, best)
    errors = [_standard_errors(epoch) for epoch in recent]
    rise = min(losses[-PERSISTENCE:]) - losses[best]
    is_noise = min(errors) < NOTABLE or errors[-1] < SIGNIFICANT or rise <= NOISE_FACTOR * noise
    if is_noise or max(epoch.train_loss for epoch in recent) >= then.train_loss:
        return None
    return finding(
        "overfitting",
        title=f"overfitting since epoch {then.epoch}",
        evidence=(
            f"by epoch {now.epoch} validation loss {losses[best]:.4f} → {losses[-1]:.4f}, up "
            f"{losses[-1] - losses[best]:.4f} ({errors[-1]:.1f} standard errors; epoch-to-epoch "
            f"noise {noise:.4f}), while training loss fell {then.train_loss:.4f} → "
            f"{now.train_loss:.4f}"
        ),
        causes=_causes(history),
        step=then.step,
        plot=tuple(losses[-PLOTTED:]),
        plot_label=f"validation loss, epochs {epochs[-PLOTTED:][0].epoch} to {now.epoch}",
    )


def memorizing(history: History) -> FindingRaised | None:
    """Find training images that the model has memorized without generalizing.

    In each of the last three epochs the validation error, at the lower end of its Wilson interval
    of three standard errors, is two points above the running training error, which is at most a
    quarter of it. The validation loss need not rise: a small training split can be memorized while
    it still falls. Once it rises, ``overfitting`` replaces this finding.
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
            f"on {started.train_size:,} images, validation accuracy "
            f"{fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}: generalization "
            f"gap {100 * (now.train_accuracy - now.val_accuracy):.1f} points"
        ),
        causes=_causes(history),
        step=recent[0].step,
    )


def validation_better(history: History) -> FindingRaised | None:
    """Explain a validation accuracy above the training accuracy.

    In each of the last two epochs the Wilson interval of the validation accuracy lies above the
    running training accuracy. The sample, unaugmented training images in evaluation mode, shows how
    much of that comes from how training accuracy is measured.
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
    reasons = ["it is a running mean, taken before each update"]
    if history.settings.get("dropout"):
        reasons.insert(0, f"dropout drops {fmt.percent(history.settings['dropout'], 0)}")
    if history.settings.get("augmentation"):
        reasons.insert(0, "its images are augmented")
    evidence = (
        f"epoch {now.epoch}: training accuracy {fmt.percent(now.train_accuracy)}, validation "
        f"accuracy {fmt.accuracy_with_interval(now.val_accuracy, now.val_interval)}"
    )
    sample = history.last_sample
    if sample is not None and sample.step == now.step:
        evidence += (
            f"; {accuracy_on(sample)} on {sample.sample_size} unaugmented training images in "
            "evaluation mode"
        )
    return finding(
        "validation_better",
        evidence=evidence,
        step=recent[0].step,
        lesson=(14 if history.settings.get("dropout") else 15),
        cause=("training accuracy is measured under harder conditions: " + ", ".join(reasons)),
    )


def test_below_validation(history: History) -> FindingRaised | None:
    """Find a test accuracy far below the validation accuracy of the same weights.

    It is the only rule that sees a test result, once the user has opened the test set: nothing
    earlier depends on it. Selecting the best of many runs by validation accuracy explains a little;
    a leak or test images of another kind explain much.
    """
    test = history.tests[-1] if history.tests else None
    before = [epoch for epoch in history.epochs if test is not None and epoch.step <= test.step]
    if test is None or not before:
        return None
    epoch = before[-1]
    if epoch.val_accuracy is None or epoch.val_correct is None or not epoch.val_total:
        return None
    val, tested = (epoch.val_correct, epoch.val_total), (test.test_correct, test.test_total)
    gap = epoch.val_accuracy - test.test_accuracy
    if gap < BELOW or difference(val, tested) < BELOW_Z:
        return None
    evidence = (
        f"test accuracy {fmt.accuracy_with_interval(test.test_accuracy, test.test_interval)} on "
        f"{test.test_total:,} images, validation accuracy "
        f"{fmt.accuracy_with_interval(epoch.val_accuracy, epoch.val_interval)} on "
        f"{epoch.val_total:,}: {100 * gap:.1f} points less"
    )
    return finding(
        "test_below_validation",
        evidence=evidence,
        causes=(
            *ranked(history, from_finding("leak"), from_finding("validation_differs")),
            cause("test_below_validation", "likely", evidence),
        ),
        step=test.step,
    )


def _is_memorized(epoch: EpochDone) -> bool:
    """Whether an epoch's validation error is far above its training error."""
    if epoch.val_accuracy is None or epoch.val_correct is None or not epoch.val_total:
        return False
    train_error = 1 - epoch.train_accuracy
    # A wide interval: over many epochs, a small sample sometimes looks worse than it is.
    gap = 1 - wilson(epoch.val_correct, epoch.val_total, z=SIGNIFICANT)[1] - train_error
    return gap >= MEMORIZED_GAP and train_error <= (1 - epoch.val_accuracy) / 4


def _validation(epoch: EpochDone) -> float:
    """Return the epoch's validation loss, NaN where there is none."""
    return math.nan if epoch.val_loss is None else epoch.val_loss


def _epoch_noise(losses: list[float], best: int) -> float:
    """Return the standard deviation of the validation loss's noise from epoch to epoch.

    It is measured on second differences, which cancel a steady trend and have six times the
    variance of the noise (J. von Neumann and others, "The mean square successive difference",
    Annals of Mathematical Statistics 12, 1941). The larger of two estimates counts: the mean square
    since shortly before the best epoch, which reflects the current noise, and the median over the
    whole run, which has more epochs.
    """
    bends = [abs(a - 2 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    recent = math.sqrt(statistics.fmean(bend * bend for bend in bends[max(0, best - 2) :]))
    usual = statistics.median(bends) / MEDIAN_OF_NORMAL
    return max(recent, usual) / math.sqrt(6)


def _standard_errors(epoch: EpochDone) -> float:
    """Return how far the epoch's validation loss is above the lowest, in standard errors."""
    if epoch.val_loss_rise is None or not epoch.val_loss_rise_error:
        return 0.0
    return epoch.val_loss_rise / epoch.val_loss_rise_error


def _causes(history: History) -> tuple[Cause, ...]:
    """Return the causes of overfitting: wrong labels, few images, or long training.

    Images are few if the training split has fewer than 200 of each class; with more, a model that
    is trained long enough overfits all the same.
    """
    started, last = history.started, history.epochs[-1]
    size, classes = (started.train_size, started.classes) if started else (0, 1)
    fix = _against_overfitting(history)
    advice = {"advice": fix["advice"]}
    setting, value = fix["fix_setting"], fix["fix_value"]
    knob = (setting, value) if setting is not None and value is not None else None
    evidence = f"{size:,} training images, {size / max(1, classes):,.0f} of each class"
    evidence += f", each seen {fmt.plural(last.epoch, 'time')}"
    if not history.settings.get("augmentation"):
        evidence += " without augmentation"
    few = size < FEW_PER_CLASS * classes
    found = cause("few_images", "likely" if few else "possible", evidence, fix=knob, **advice)
    return (*ranked(history, from_finding("labels_noisy")), found)


def _against_overfitting(history: History) -> Remedy:
    """Choose the advice: its text, the knob and its value."""
    if not history.settings.get("augmentation"):
        return remedy("enable augmentation (--augment light)", "augmentation", 1)
    dropout = history.settings.get("dropout")
    if dropout is None:
        return remedy(f"use a model with dropout (--model era-s6-dropout), or {EARLY_STOPPING}")
    more = round(min(0.5, dropout + 0.1), 2)
    if more <= dropout:
        return remedy(f"train on more images, or {EARLY_STOPPING}")
    advice = f"raise dropout from {dropout:g} to {more:g} (--dropout {more:g})"
    return remedy(advice, "dropout", more)
