"""Rules about the loss of a user's own loop: how it is computed, and from which labels."""

from __future__ import annotations

import statistics

from tui_trainer.findings.causes import cause
from tui_trainer.findings.loop_updates import is_scale_free
from tui_trainer.findings.rule import (
    RECENT,
    finding,
    relative_loss,
    update_ratio,
)
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.loop_probed import LoopProbed, LossProbe
from tui_trainer.text import fmt

AGREED = 2
"""Sampled steps that must agree."""

OTHER_LABELS, SAME_LABELS = 0.5, 0.9
"""The share of the labels in the loss that are the batch's, below which they are others, and above
which they are the same."""

EXACT = 0.03
"""How exactly the loss is the sum."""

LARGE_RATIO, TOO_LARGE, LATE = 0.02, 0.05, 40
"""The update-to-weight ratios that are large, and too large, for a mean loss, and the step from
which the loss should have fallen."""


def losses(history: History, count: int = AGREED) -> list[tuple[LoopProbed, LossProbe]]:
    """Return the last ``count`` sampled losses with their probes; none if there are fewer."""
    found = [(probe, probe.loss) for probe in history.loops if probe.loss is not None]
    return found[-count:] if len(found) >= count else []


def loss_negated(history: History) -> FindingRaised | None:
    """Find a loss whose gradient lowers the output of the label: training maximizes the error."""
    recent = losses(history)
    if not all(
        loss.direction == -1 and (loss.agreement or 0.0) >= SAME_LABELS for _, loss in recent
    ):
        return None
    if not recent:
        return None
    loss = recent[-1][1]
    ratio = "" if loss.ratio is None else f"; the loss is {loss.ratio:.3g} times the mean loss"
    return finding(
        "loss_negated",
        evidence=(
            "the gradient of the loss lowers the output of one class of each example, instead of "
            f"raising that of its label{ratio}"
        ),
        step=recent[0][0].step,
    )


def loss_labels(history: History) -> FindingRaised | None:
    """Find a loss whose labels are not those of the batch.

    The gradient of the outputs shows them. Labels that are a function of the batch's labels are no
    mistake: classes can be merged or renumbered. Only where each is moved by the same number,
    though they all are in range, is that one.
    """
    recent = losses(history, AGREED + 1)
    known = [loss for _, loss in recent if loss.agreement is not None]
    if len(known) < AGREED + 1 or any((loss.agreement or 0) >= OTHER_LABELS for loss in known):
        return None
    step = recent[0][0].step
    if all(loss.is_relabeled for loss in known):
        return _shifted(history, known, step)
    if any(loss.is_relabeled for loss in known):
        return None
    if all(loss.is_permuted for loss in known) and any(probe.is_changed for probe, _ in recent):
        return None  # the examples may be mixed with each other: mixup, cutmix
    now = known[-1]
    evidence = (
        f"the gradient of the loss shows other labels than the batch has: "
        f"{fmt.percent(now.agreement or 0.0, 0)} of them agree"
    )
    if min(loss.previous or 0.0 for loss in known) >= SAME_LABELS:
        evidence += f", {fmt.percent(now.previous or 0.0, 0)} with the labels of the batch before"
        why = cause("labels_previous", "shown", evidence)
    elif min(loss.rolled or 0.0 for loss in known) >= SAME_LABELS:
        evidence += f", {fmt.percent(now.rolled or 0.0, 0)} once they are moved by one example"
        why = cause("labels_shuffled", "shown", evidence, "remove the shift by one example")
    else:
        why = cause("labels_other", "shown", evidence)
    return finding("loss_labels", evidence=evidence, causes=(why,), step=step)


def _shifted(history: History, known: list[LossProbe], step: int) -> FindingRaised | None:
    shifts = {loss.shift for loss in known}
    ranges = [loss.label_range for loss in known if loss.label_range is not None]
    started = history.started
    if len(shifts) > 1 or not ranges or started is None or not (shift := known[-1].shift):
        return None
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if high >= started.classes or low > 0:
        return None
    evidence = (
        f"the loss uses each label {'plus' if shift > 0 else 'minus'} {abs(shift)}, though the "
        f"labels of the batches are {low} to {high} already"
    )
    return finding(
        "loss_labels",
        title="the labels in the loss are off by " + ("one" if abs(shift) == 1 else str(shift)),
        evidence=evidence,
        causes=(cause("labels_off_by_one", "shown", evidence),),
        step=step,
    )


def loss_without_log(history: History) -> FindingRaised | None:
    """Find a negative log-likelihood of outputs that are no logarithms of probabilities."""
    recent = losses(history)
    if not recent or not all(map(_is_without_log, (loss for _, loss in recent))):
        return None
    given = "outputs" if recent[-1][1].is_raw else "probabilities"
    return finding(
        "loss_without_log",
        evidence=(
            f"the loss is the negative mean of the labels' {given} themselves in every sampled "
            f"step since step {fmt.count(recent[0][0].step)}"
        ),
        step=recent[0][0].step,
    )


def _is_without_log(loss: LossProbe) -> bool:
    probabilities = loss.activations[:1] in (("softmax",), ("sigmoid",))
    return loss.is_raw or (loss.head == "nll" and probabilities and not loss.is_log)


def softmax_axis(history: History) -> FindingRaised | None:
    """Find a softmax or log-softmax over the examples of the batch, instead of the classes."""
    recent = losses(history)
    if not recent or not all(loss.axis in (0, -2) for _, loss in recent):
        return None
    name = next((n for n in recent[-1][1].activations if n.endswith("softmax")), "softmax")
    return finding(
        "softmax_axis",
        evidence=f"the loss uses {name}(dim={recent[-1][1].axis}) of outputs (examples, classes)",
        step=recent[0][0].step,
    )


def double_activation(history: History) -> str | None:
    """Return the activation between the outputs and a loss that applies its own; None without.

    ``F.cross_entropy`` begins with a log-softmax, ``F.binary_cross_entropy_with_logits`` with a
    sigmoid. A second log-softmax changes nothing.
    """
    recent = losses(history)
    names = [_doubled(loss) for _, loss in recent]
    return names[-1] if names and all(names) else None


def _doubled(loss: LossProbe) -> str:
    applied = ""
    if loss.head == "bce_logits":
        applied = loss.activations[0] if loss.activations else ""
    elif loss.activations[:1] == ("log_softmax",) and len(loss.activations) > 1:
        applied = loss.activations[1]
    return applied if applied in ("softmax", "sigmoid") else ""


def loss_summed(history: History) -> FindingRaised | None:
    """Find a loss that is the sum over the batch: its gradient grows with the batch size.

    That is a note where the learning rate fits, or the optimizer divides the factor out again.
    """
    recent = losses(history)
    size = history.last_step.batch_size if history.last_step else 0
    if size < 4 or not recent or not all(_is_sum(loss, size) for _, loss in recent):
        return None
    updates = list(history.updates)[-RECENT:]
    ratio = statistics.median(map(update_ratio, updates)) if updates else 0.0
    share = relative_loss(history)
    step = history.step
    is_stuck = (step >= LATE and share >= 0.5) or (ratio >= TOO_LARGE and share >= 0.98)
    wild = [each for each in map(update_ratio, history.updates) if each >= 3 * TOO_LARGE]
    is_wild = (len(wild) > 1 or max(wild, default=0.0) >= 10 * TOO_LARGE) and share >= 0.1
    is_restless = step >= 2 * LATE and ratio >= LARGE_RATIO and share >= 0.1
    is_harmful = history.divergence is not None or (
        not is_scale_free(recent[-1][0]) and (is_stuck or is_wild or is_restless)
    )
    return finding(
        "loss_summed",
        severity="warning" if is_harmful else "note",
        evidence=(
            f"the loss is {recent[-1][1].ratio:.4g} times the mean loss of its batch, of {size} "
            f"examples" + (f"; update-to-weight ratio {100 * ratio:.2g} %" if ratio else "")
        ),
        step=recent[0][0].step,
    )


def _is_sum(loss: LossProbe, size: int) -> bool:
    return loss.ratio is not None and abs(abs(loss.ratio) / size - 1) <= EXACT
