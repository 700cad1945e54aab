"""Rules about the updates of a user's own loop: their order, and what they are made of."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tui_trainer.findings.causes import cause
from tui_trainer.findings.rule import finding, recent_updates, relative_loss, update_ratio
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.loop_probed import LoopProbed
from tui_trainer.text import fmt

NO_UPDATE = 32
"""Backward passes without an update from which ``optimizer.step()`` is missing: a ``GradScaler``
skips fewer, and gradients are accumulated over fewer."""

ALWAYS, FEW = 5, 3
"""Sampled updates that must all be clipped; fewer where that makes the updates too small."""

SMALL_UPDATES, USUAL_UPDATES = 5e-4, 1e-3
"""The update-to-weight ratios below which updates are small, and smaller than usual."""

CLIPPED, STRONGLY, EXTREMELY = 0.95, 0.2, 0.02
"""The norm of the gradient after clipping, relative to that before: clipped, strongly, and so
strongly that no norm of a gradient explains it."""

SCALED = 1e-4
"""A smaller ratio is no clipping: a ``GradScaler`` has multiplied the loss."""

UNLEARNED = 0.3
"""The share of random guessing's loss above which clipping holds a model back."""

SCALE_FREE = (
    "adam",
    "rmsprop",
    "adagrad",
    "adadelta",
    "lion",
    "lamb",
    "rprop",
    "muon",
    "adafactor",
)
"""Optimizers whose updates do not depend on the scale of the gradient, by a part of their names."""


def sampled(history: History, count: int) -> list[LoopProbed]:
    """Return the probes of the last ``count`` sampled updates; none if there are fewer."""
    found = [probe for probe in history.loops if probe.update_gradient_norm is not None]
    return found[-count:] if len(found) >= count else []


def last_probe(history: History) -> LoopProbed | None:
    """Return the last probe of the loop."""
    return history.loops[-1] if history.loops else None


def is_scale_free(probe: LoopProbed) -> bool:
    """Return whether the size of the gradient hardly changes what the optimizer does."""
    return any(name in probe.optimizer.lower() for name in SCALE_FREE)


def other_parameters(history: History) -> FindingRaised | None:
    """Find an optimizer that has tensors that are no longer, or never were, those of the model."""
    now = last_probe(history)
    if now is None or not now.parameters or not now.foreign:
        return None
    if now.optimized and not now.lookalikes:
        return None
    evidence = (
        f"the optimizer has {now.optimized} of the model's {now.parameters} parameter tensors, and "
        f"{fmt.plural(now.foreign, 'tensor')} that the model does not have"
    )
    if now.lookalikes:
        evidence += f"; {now.lookalikes} of them have the shape of a missing one"
    return finding("other_parameters", evidence=evidence, step=history.loops[0].step)


def no_update(history: History) -> FindingRaised | None:
    """Find a loop that never calls ``step()`` of the optimizer that it watches."""
    now = last_probe(history)
    if now is None or now.updates or now.backwards < NO_UPDATE:
        return None
    others = {}
    if now.has_moved:
        others = {
            "title": "another optimizer updates the model",
            "cause": "step() is called on another optimizer than the one given to watch()",
            "advice": "give watch() the optimizer whose step() the loop calls",
            "severity": "warning",
        }
    return finding(
        "no_update",
        evidence=f"{fmt.plural(now.backwards, 'backward pass', 'backward passes')}, and not one "
        "call of optimizer.step()",
        step=now.step,
        **others,
    )


def no_loss_gradient(history: History) -> FindingRaised | None:
    """Find updates for which no parameter of the optimizer has received a gradient.

    The loss is detached from the model, or its backward pass is missing.
    """
    recent = sampled(history, 2)
    if not recent or any(probe.is_reached or not probe.optimized for probe in recent):
        return None
    if any(probe.update_gradient_norm for probe in recent):
        return None  # the script computes the gradients itself
    now = recent[-1]
    evidence = (
        f"no parameter received a gradient in the sampled updates since step "
        f"{fmt.count(recent[0].step)}, after {fmt.count(now.updates)} updates"
    )
    loss = now.loss
    if not now.backwards and loss is not None and loss.has_graph and loss.is_connected:
        missing = cause(
            "no_backward", "shown", "the loss has a graph, but no backward pass was made"
        )
        return finding("no_loss_gradient", evidence=evidence, causes=(missing,), step=now.step)
    return finding(
        "no_loss_gradient",
        evidence=evidence,
        causes=(cause("loss_detached", "shown", evidence),),
        step=recent[0].step,
    )


def cleared_gradients(history: History) -> FindingRaised | None:
    """Find gradients that are cleared after the backward pass and before the update."""
    recent = sampled(history, 2)
    if not recent or not all(map(_is_cleared, recent)) or _is_stale(recent[-1]):
        return None
    return finding(
        "cleared_gradients",
        evidence=(
            f"norm of the gradient {recent[-1].gradient_norm:.3g} after the backward pass, 0 at "
            f"optimizer.step(), in every sampled update since step {fmt.count(recent[0].step)}"
        ),
        step=recent[0].step,
    )


def step_before_backward(history: History) -> FindingRaised | None:
    """Find updates between the forward and the backward pass of a batch.

    They use the gradient of the batch before, if it is still there.
    """
    recent = sampled(history, 2)
    if not recent or not _is_stale(recent[-1]):
        return None
    now = recent[-1]
    evidence = (
        f"{fmt.count(now.stale_updates)} of {fmt.plural(now.updates, 'update')} came between the "
        "forward and the backward pass"
    )
    is_cleared = all(map(_is_cleared, recent)) or not now.is_reached
    if is_cleared:
        evidence += "; the gradients were cleared by then, so that nothing changes"
    return finding(
        "step_before_backward",
        severity="error" if is_cleared else "warning",
        evidence=evidence,
        step=recent[0].step,
    )


def _is_cleared(probe: LoopProbed) -> bool:
    return bool(probe.gradient_norm) and probe.update_gradient_norm == 0


def _is_stale(probe: LoopProbed) -> bool:
    has_backward = 2 * probe.backwards >= probe.updates >= 4
    return has_backward and probe.stale_updates >= 0.9 * probe.updates - 1


def clipped_gradients(history: History) -> FindingRaised | None:
    """Find a gradient that is clipped in every update, so that the updates are too small.

    Clipping that is always at work makes the step the same for small and large gradients. That
    alone is a note: with a learning rate that fits it does no harm, and Adam divides the factor
    out again.
    """
    recent = sampled(history, FEW)
    shares = [_kept(probe) for probe in sampled(history, ALWAYS) or recent]
    known = [share for share in shares if share is not None]
    if not recent or len(known) < len(shares) or max(known) > CLIPPED:
        return None
    now, share, updates = recent[-1], statistics.median(known), recent_updates(history)
    ratio = statistics.median(map(update_ratio, updates)) if updates else 1.0
    is_harmful = (
        max(known) <= STRONGLY
        and ratio < (USUAL_UPDATES if max(known) <= EXTREMELY else SMALL_UPDATES)
        and not is_scale_free(now)
        and relative_loss(history) >= UNLEARNED
    )
    if not is_harmful and len(known) < ALWAYS:
        return None
    return finding(
        "clipped_gradients",
        severity="warning" if is_harmful else "note",
        evidence=(
            f"clipping leaves {fmt.percent(share, 1)} of the gradient's norm (median; "
            f"{now.gradient_norm:.3g} → {now.update_gradient_norm:.3g} at step "
            f"{fmt.count(now.step)}), in every sampled update since step "
            f"{fmt.count(recent[0].step)}; update-to-weight ratio {100 * ratio:.2g} %, about 0.1 % "
            "is usual"
        ),
        step=recent[0].step,
        plot=tuple(known),
    )


def _kept(probe: LoopProbed) -> float | None:
    """Return the part of the gradient's norm that is left at the update; None if unknown."""
    if not probe.gradient_norm or probe.update_gradient_norm is None:
        return None
    share = probe.update_gradient_norm / probe.gradient_norm
    return share if SCALED <= share <= 1.001 and not _is_power_of_two(share) else None


def _is_power_of_two(share: float) -> bool:
    """Whether a factor is that of a ``GradScaler``: a negative power of 2."""
    return any(abs(share * 2**power - 1) < 1e-4 for power in range(1, 14))


def parameters_left_out(probes: Sequence[LoopProbed]) -> bool:
    """Return whether an optimizer has only a part of the model's parameters, and nothing else."""
    now = probes[-1] if probes else None
    return now is not None and 0 < now.optimized < now.parameters and not now.foreign
