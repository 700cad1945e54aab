"""Layers used in the wrong way: softmax, batch norm and dropout, over the batch or at random."""

from __future__ import annotations

import statistics

from tui_trainer.findings.rule import (
    EARLY_STEPS,
    accuracy_on,
    finding,
    recent_updates,
    scale_lr,
    update_ratio,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed
from tui_trainer.text import fmt

SMALL_BATCH, LARGE_STEP, COMMON = 16, 0.008, 0.15
"""Images of a small batch, the share of the weights that a large update moves, and the cosine
below which two gradients have little in common."""

PROBES = 4
"""Updates in a row that must show it."""

GAP = 0.15
"""A difference of loss, as a share of guessing's, that batch statistics must make to be told …"""

STATISTICS_STEP = 100
"""… after so many steps: the running ones follow by a tenth of the difference a step."""

NOTED, WARNED = 2, 5
"""Looks in a row at which it is a note, and a warning."""

HEAVY, LEARNED = 0.5, 0.7
"""A share of dropout that is heavy, and a training accuracy from which on it does no harm."""


UNEQUAL = 0.01
"""The share of a model's logits by which two answers to one image must differ to be reported.

Ten times what orders of summation explain; ``models.behaviour`` has the same limit.
"""


def depends_on_batch(history: History) -> FindingRaised | None:
    """Find that an image's logits depend on the other images of its batch, in evaluation mode."""
    tried = history.tried
    # A gap that is not finite was recorded as null and is read as NaN: that is a gap too.
    if tried is None or tried.batch_gap <= UNEQUAL or not tried.random_gap <= UNEQUAL:
        return None
    return finding(
        "depends_on_batch",
        evidence=(
            "the logits of one image alone and of the same image in a batch differ by "
            f"{_share(tried.batch_gap)}, in evaluation mode"
        ),
        step=tried.step,
    )


def random_in_evaluation(history: History) -> FindingRaised | None:
    """Find that the logits of an image differ from one evaluation to the next."""
    tried = history.tried
    if tried is None or tried.random_gap <= UNEQUAL:
        return None
    return finding(
        "random_in_evaluation",
        evidence=(
            "two evaluations of the same image gave logits that differ by "
            f"{_share(tried.random_gap)}"
        ),
        step=tried.step,
    )


def _share(gap: float) -> str:
    share = f"{fmt.percent(gap, 0)} of" if gap <= 1 else f"{gap:.3g} times"
    return f"{share} their range ({fmt.percent(UNEQUAL, 0)} may be rounding)"


def probabilities(history: History) -> FindingRaised | None:
    """Find that what the network gives are probabilities: the loss takes scores, and softmax twice.

    Each image's scores add up to 1 and none is below 0.
    """
    sample = history.samples[-1] if history.samples else None
    if sample is None or not sample.are_probabilities:
        return None
    return finding(
        "probabilities",
        evidence=(
            f"the scores of each of {sample.sample_size} images add up to 1, from "
            f"{sample.logit_min:.3g} to {sample.logit_max:.3g}"
        ),
        step=sample.step,
    )


def evaluation_mode(history: History) -> FindingRaised | None:
    """Find batch norm or dropout layers that are in evaluation mode while the network trains.

    If the model as a whole is in training mode, its own code keeps them there: a note.
    """
    looks = recent_updates(history, 2)
    still = sorted(set.intersection(*(set(look.eval_layers) for look in looks))) if looks else []
    if not still:
        return None
    kept = {
        "severity": "note",
        "title": "layers kept in evaluation mode",
        "advice": "",
        "cause": "the model's own code keeps them there: batch norm goes by its running "
        "statistics, dropout drops nothing",
    }
    return finding(
        "evaluation_mode",
        evidence=f"{fmt.listed(still, 3)} at step {fmt.count(looks[-1].step)}",
        step=looks[0].step,
        **(kept if looks[-1].is_training else {}),
    )


def batch_too_small(history: History) -> FindingRaised | None:
    """Find that batches of so few images do not agree on where to go, and large steps are taken.

    In the last four updates looked at, each moved the median layer by more than 0.8 % of its
    weights, and the gradients of two batches in a row have next to nothing in common.
    """
    size = int(history.settings["batch_size"])
    looks = [look for look in recent_updates(history, PROBES) if look.step > EARLY_STEPS]
    agreements = [a for look in looks if (a := _agreement(look)) is not None]
    if size > SMALL_BATCH or len(looks) < PROBES or len(agreements) < PROBES - 1:
        return None
    ratios, agreement = [update_ratio(look) for look in looks], statistics.fmean(agreements)
    if min(ratios) < LARGE_STEP or agreement > COMMON:
        return None
    return finding(
        "batch_too_small",
        evidence=(
            f"an update of {size} images moves the weights by {100 * min(ratios):.1f} % or more, "
            f"and the gradients of two batches in a row have a cosine of {agreement:.2f}"
        ),
        step=looks[0].step,
        fix_setting="batch_size",
        fix_value=32,
        cause=f"{size} images say little of all the others: each step goes its own way, and far",
    )


def _agreement(look: UpdateProbed) -> float | None:
    """Return the cosine between the gradients of two batches in a row."""
    lengths = look.gradient_norm * (look.previous_gradient_norm or 0.0)
    return look.gradient_dot / lengths if look.gradient_dot is not None and lengths else None


def batch_norm_gap(history: History) -> FindingRaised | None:
    """Find that batch norm's running statistics are not those of the batches.

    At looks at the sample in a row the loss with the running statistics is above that with the
    batches' own, by three standard errors and a share of guessing's loss. Two such looks are a
    note, for a large learning rate brings that about and its decline mends it; five are a warning.
    """
    looks: list[SampleProbed] = []
    for look in reversed(history.samples):
        least = max(3 * (look.batch_norm_gap_error or 0), GAP * history.guessing_loss)
        if (
            look.step <= STATISTICS_STEP
            or look.batch_norm_gap is None
            or -look.batch_norm_gap < least
        ):
            break
        looks.insert(0, look)
    if len(looks) < NOTED:
        return None
    now = looks[-1]
    return finding(
        "batch_norm_gap",
        severity=("warning" if len(looks) >= WARNED else "note"),
        evidence=(
            f"on the same images the loss is {now.loss:.3f} with the running statistics, "
            f"{now.loss + (now.batch_norm_gap or 0):.3f} with those of batches"
        ),
        **scale_lr(history, 0.1),
        step=looks[0].step,
    )


def dropout_high(history: History) -> FindingRaised | None:
    """Find that so much is dropped that the network cannot learn.

    The dropout is above one half, and after an epoch the training accuracy is still below 70 %.
    """
    share, epoch = history.settings.get("dropout"), history.last_epoch
    if share is None or epoch is None or share <= HEAVY or epoch.train_accuracy >= LEARNED:
        return None
    sample = history.samples[-1] if history.samples else None
    evidence = (
        f"dropout hides {fmt.percent(share, 0)} of the features; by epoch {epoch.epoch} "
        f"{fmt.percent(epoch.train_accuracy)} of the training images are right"
    )
    if sample is not None and sample.step == epoch.step:
        evidence += f", with nothing hidden {accuracy_on(sample)}"
    return finding(
        "dropout_high",
        evidence=evidence,
        advice=f"lower dropout from {share:g} to 0.1",
        step=epoch.step,
        fix_setting="dropout",
        fix_value=0.1,
    )
