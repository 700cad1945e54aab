"""Rules about misused layers: softmax, batch norm and dropout, and train and eval mode."""

from __future__ import annotations

import statistics

from tui_trainer.findings.loop_loss import double_activation
from tui_trainer.findings.model_checks import UNEQUAL
from tui_trainer.findings.rule import (
    EARLY_STEPS,
    accuracy_on,
    finding,
    recent_updates,
    relative_loss,
    scale_lr,
    update_ratio,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import SampleProbed, UpdateProbed
from tui_trainer.text import fmt

SMALL_BATCH, LARGE_STEP, COMMON = 16, 0.008, 0.15
"""A small batch size, a large update-to-weight ratio, and the cosine below which two gradients have
little in common."""

LEFT_TO_LEARN = 0.1
"""The share of random guessing's loss from which noisy steps are a problem."""

PROBES = 4
"""Consecutive sampled updates that must agree."""

GAP = 0.15
"""The gap between both losses, as a share of random guessing's, that must be exceeded …"""

STATISTICS_STEP = 100
"""… after this many steps: running statistics move a tenth of the difference per step."""

NOTED, WARNED = 2, 5
"""The consecutive samples that make a note, and a warning."""

HEAVY, LEARNED, EXTREME = 0.5, 0.7, 0.9
"""A high dropout probability, the training accuracy above which it does no harm, and a probability
that always harms."""


def depends_on_batch(history: History) -> FindingRaised | None:
    """Find logits that depend on the other images of the batch, in evaluation mode."""
    tried = history.model_probe
    # A non-finite gap was recorded as null and is read as NaN: that is a gap too.
    if tried is None or tried.batch_gap <= UNEQUAL or not tried.random_gap <= UNEQUAL:
        return None
    return finding(
        "depends_on_batch",
        evidence=(
            "in evaluation mode, the logits of an image alone and in a batch differ by "
            f"{_share(tried.batch_gap)}"
        ),
        step=tried.step,
    )


def random_in_evaluation(history: History) -> FindingRaised | None:
    """Find logits that differ from one evaluation of an image to the next."""
    tried = history.model_probe
    if tried is None or tried.random_gap <= UNEQUAL:
        return None
    return finding(
        "random_in_evaluation",
        evidence=(
            f"the logits of two evaluations of the same image differ by {_share(tried.random_gap)}"
        ),
        step=tried.step,
    )


def _share(gap: float) -> str:
    share = f"{fmt.percent(gap, 0)} of" if gap <= 1 else f"{gap:.3g} times"
    return f"{share} their range ({fmt.percent(UNEQUAL, 0)} may be rounding errors)"


def probabilities(history: History) -> FindingRaised | None:
    """Find outputs that are probabilities, though cross-entropy expects logits.

    The outputs of each image sum to 1 and none is below 0. In a user's own loop the graph of the
    loss decides: it shows an activation in the loop as well, and a loss that wants probabilities.
    """
    sample = history.last_sample
    if doubled := double_activation(history):
        return finding(
            "probabilities",
            title=f"{doubled} before the loss",
            evidence=f"the graph of the loss has a {doubled} before the activation of the loss "
            f"itself, since step {fmt.count(history.loops[0].step)}",
            step=history.loops[0].step,
            **(_SIGMOID if doubled == "sigmoid" else {}),
        )
    if sample is None or not sample.are_probabilities or not _wants_logits(history):
        return None
    return finding(
        "probabilities",
        evidence=(
            f"the outputs for each of {sample.sample_size} images sum to 1 and range from "
            f"{sample.logit_min:.3g} to {sample.logit_max:.3g}"
        ),
        step=sample.step,
    )


_SIGMOID = {
    "cause_code": "sigmoid_before_loss",
    "cause": "the loss applies its own activation: after a sigmoid the outputs differ by at most "
    "1, and the gradient is flat",
    "advice": "remove the sigmoid: give the loss the logits",
}


def _wants_logits(history: History) -> bool:
    """Whether the loss expects logits; so does that of every run of this program."""
    found = [probe.loss for probe in history.loops if probe.loss is not None]
    if history.started is None or not history.started.script:
        return True
    if not found or found[-1].has_graph:
        return False
    return found[-1].ratio is not None and abs(found[-1].ratio - 1) < 0.02


def evaluation_mode(history: History) -> FindingRaised | None:
    """Find batch norm or dropout layers that are in evaluation mode during training.

    If the model as a whole is in training mode, its own code keeps them there: a note.
    """
    updates = recent_updates(history, 2)
    last = history.last_update
    if history.loops and last is not None and not last.is_training:
        updates = [last]  # a script has not called train(); no code of the model's own
    found = sorted(set.intersection(*(set(u.eval_layers) for u in updates))) if updates else []
    if not found:
        return None
    kept = {
        "severity": "note",
        "title": "layers kept in evaluation mode",
        "advice": "",
        "cause": "the model's own code keeps them there: batch norm uses its running "
        "statistics, and dropout drops nothing",
    }
    return finding(
        "evaluation_mode",
        evidence=f"{fmt.listed(found, 3)} at step {fmt.count(updates[-1].step)}",
        step=updates[0].step,
        **(kept if updates[-1].is_training else {}),
    )


def batch_too_small(history: History) -> FindingRaised | None:
    """Find small batches whose noisy gradients drive large steps.

    In each of the last four sampled updates the update-to-weight ratio is above 0.8 %, and the
    gradients of consecutive batches have almost nothing in common, while much is left to learn.
    """
    size = int(history.settings["batch_size"])
    updates = [update for update in recent_updates(history, PROBES) if update.step > EARLY_STEPS]
    cosines = [cosine for update in updates if (cosine := _gradient_cosine(update)) is not None]
    if size > SMALL_BATCH or len(updates) < PROBES or len(cosines) < PROBES - 1:
        return None
    ratios, cosine = [update_ratio(update) for update in updates], statistics.fmean(cosines)
    if min(ratios) < LARGE_STEP or cosine > COMMON or relative_loss(history) < LEFT_TO_LEARN:
        return None
    return finding(
        "batch_too_small",
        evidence=(
            f"update-to-weight ratio {100 * min(ratios):.1f} % or more with {size} images per "
            f"batch; cosine of the gradients of consecutive batches {cosine:.2f}"
        ),
        step=updates[0].step,
        fix_setting="batch_size",
        fix_value=32,
        cause=f"{size} images give a noisy gradient: each large step goes in a different direction",
    )


def _gradient_cosine(update: UpdateProbed) -> float | None:
    """Return the cosine between the gradients of two consecutive batches."""
    lengths = update.gradient_norm * (update.previous_gradient_norm or 0.0)
    return update.gradient_dot / lengths if update.gradient_dot is not None and lengths else None


def batch_norm_gap(history: History) -> FindingRaised | None:
    """Find running statistics of batch norm that differ from the batches' statistics.

    In consecutive samples the loss with running statistics exceeds that with batch statistics, by
    three standard errors and by a share of random guessing's loss. Two such samples are a note,
    because a high learning rate causes the gap and its decay closes it; five are a warning.
    """
    samples: list[SampleProbed] = []
    for sample in reversed(history.samples):
        least = max(3 * (sample.batch_norm_gap_error or 0), GAP * history.guessing_loss)
        if (
            sample.step <= STATISTICS_STEP
            or sample.batch_norm_gap is None
            or -sample.batch_norm_gap < least
        ):
            break
        samples.insert(0, sample)
    if len(samples) < NOTED:
        return None
    now = samples[-1]
    return finding(
        "batch_norm_gap",
        severity=("warning" if len(samples) >= WARNED else "note"),
        evidence=(
            f"on the same images the loss is {now.loss:.3f} with running statistics, "
            f"{now.loss + (now.batch_norm_gap or 0):.3f} with batch statistics"
        ),
        **scale_lr(history, 0.1),
        step=samples[0].step,
    )


def dropout_high(history: History) -> FindingRaised | None:
    """Find a dropout probability so high that the model cannot learn.

    It is above 0.5, and the training accuracy after an epoch is still below 70 %; or it is 0.9 or
    more, which multiplies the features that are left by 10.
    """
    tried, epoch = history.model_probe, history.last_epoch
    knob = history.settings.get("dropout")
    share = knob if knob is not None else tried.dropout if tried else None
    if share is None or share <= HEAVY:
        return None
    evidence = f"dropout drops {fmt.percent(share, 0)} of the features"
    if epoch is None or epoch.train_accuracy >= LEARNED:
        if share < EXTREME or knob is not None:
            return None
    else:
        evidence += (
            f"; training accuracy {fmt.percent(epoch.train_accuracy)} in epoch {epoch.epoch}"
        )
        sample = history.last_sample
        if sample is not None and sample.step == epoch.step:
            evidence += f", {accuracy_on(sample)} without dropout"
    if knob is None:
        advice = f"lower dropout from {share:g} to 0.5 or less"
        return finding("dropout_high", evidence=evidence, advice=advice, step=0)
    return finding(
        "dropout_high",
        evidence=evidence,
        advice=f"lower dropout from {share:g} to 0.1 (--dropout 0.1)",
        step=epoch.step if epoch else 0,
        fix_setting="dropout",
        fix_value=0.1,
    )
