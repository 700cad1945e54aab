"""Rules about the machine: slowdown, input-bound training and low memory."""

from __future__ import annotations

import statistics

from tui_trainer.findings.rule import changed_since, finding, recent_updates
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.text import fmt

SLOWED = 0.5
"""A speed below this share of the run's best is reported …"""

LONG_ENOUGH = 20.0
"""… for epochs of at least this many seconds: shorter ones are too noisy."""

WAITING = 0.5
"""The share of a step's time spent on the input, above which training is input-bound."""

MOSTLY = 0.6
"""The share from which a script's loader is slow: it prepares each example in Python."""

PROBES, FEW_PROBES = 8, 5

SHORT = 0.1
"""The share of free memory below which it is low."""


def slower(history: History) -> FindingRaised | None:
    """Note that the last two epochs ran at less than half of the best speed on images so large.

    Images of the full size take longer than the smaller ones of progressive resizing.
    """
    started, now = history.started, history.last_epoch
    if started is None or now is None:
        return None
    smaller = started.resize_until * started.epochs
    is_whole = now.epoch - 1 >= smaller
    epochs = [e for e in history.epochs if (e.epoch - 1 >= smaller) == is_whole]
    recent = epochs[-2:]
    if len(epochs) < 3 or min(e.seconds for e in recent) < LONG_ENOUGH:
        return None
    if changed_since(history, 1):
        return None
    best = max(epoch.images_per_second for epoch in epochs)
    if max(epoch.images_per_second for epoch in recent) > SLOWED * best:
        return None
    return finding(
        "slower",
        evidence=f"{fmt.speed(recent[-1].images_per_second)}, {fmt.speed(best)} at best",
        step=recent[0].step,
        plot=tuple(epoch.images_per_second for epoch in epochs[-24:]),
    )


def input_bound(history: History) -> FindingRaised | None:
    """Note that more than half of each step is spent on loading and augmenting the batch."""
    count = FEW_PROBES if history.loops else PROBES
    updates = recent_updates(history, count)
    shares = [update.input_share for update in updates if update.input_share is not None]
    if len(shares) < count or statistics.median(shares) < WAITING:
        return None
    share = statistics.median(shares)
    return finding(
        "input_bound",
        severity="warning" if history.loops and share >= MOSTLY else "note",
        evidence=f"{fmt.percent(share, 0)} of each step is spent on loading and augmenting images",
        step=updates[0].step,
        cause=(
            "augmenting an image takes longer than a training step of this small model on it"
            if history.settings.get("augmentation")
            else "loading a batch is slow"
        ),
    )


def memory_short(history: History) -> FindingRaised | None:
    """Find a machine with little free memory in two consecutive samples."""
    left = [sample.memory_left for sample in list(history.samples)[-2:]]
    low = [share for share in left if share is not None and share < SHORT]
    if len(low) < 2:
        return None
    size = int(history.settings["batch_size"])
    smaller = max(1, size // 2)
    return finding(
        "memory_short",
        evidence=f"{fmt.percent(low[-1], 1)} of the machine's memory is free",
        advice=f"lower the batch size from {size} to {smaller} (--batch-size {smaller})",
        step=history.samples[-1].step,
        fix_setting="batch_size",
        fix_value=smaller,
    )
