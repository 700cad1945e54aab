"""The machine: a training that slows down, waits for its input, or runs out of memory."""

from __future__ import annotations

import statistics

from tui_trainer.findings.rule import changed_since, finding, recent_updates
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.text import fmt

SLOWED = 0.5
"""A speed below this share of the run's best is told …"""

LONG_ENOUGH = 20.0
"""… of epochs that last at least so many seconds: short ones are all noise."""

WAITING = 0.5
"""The share of a step that goes by before the network begins."""

PROBES = 8

SHORT = 0.1
"""The share of the memory below which what is left is told."""


def slower(history: History) -> FindingRaised | None:
    """Tell that the last two epochs ran at less than half of the best speed so far."""
    epochs, started = history.epochs, history.started
    recent = epochs[-2:]
    if started is None or len(epochs) < 3 or min(e.seconds for e in recent) < LONG_ENOUGH:
        return None
    if changed_since(history, 1):
        return None
    best = max(epoch.images_per_second for epoch in epochs)
    if max(epoch.images_per_second for epoch in recent) > SLOWED * best:
        return None
    return finding(
        "slower",
        evidence=f"{fmt.rate(recent[-1].images_per_second)}, {fmt.rate(best)} at its best",
        step=recent[0].step,
        plot=tuple(epoch.images_per_second for epoch in epochs[-24:]),
    )


def input_bound(history: History) -> FindingRaised | None:
    """Tell that more than half of each step is spent on fetching and augmenting the batch."""
    looks = recent_updates(history, PROBES)
    shares = [look.input_share for look in looks if look.input_share is not None]
    if len(shares) < PROBES or statistics.median(shares) < WAITING:
        return None
    share = statistics.median(shares)
    return finding(
        "input_bound",
        evidence=f"{fmt.percent(share, 0)} of a step goes by before the network begins",
        step=looks[0].step,
        cause=(
            "augmentation of each image costs more than so small a network"
            if history.settings.get("augmentation")
            else "batches are fetched slowly"
        ),
    )


def memory_short(history: History) -> FindingRaised | None:
    """Find that the machine has little memory left, at two looks in a row."""
    left = [look.memory_left for look in list(history.samples)[-2:]]
    told = [share for share in left if share is not None and share < SHORT]
    if len(told) < 2:
        return None
    size = int(history.settings["batch_size"])
    return finding(
        "memory_short",
        evidence=f"{fmt.percent(told[-1], 1)} of the machine's memory is left",
        advice=f"a smaller batch, from {size} to {max(1, size // 2)}",
        step=history.samples[-1].step,
        fix_setting="batch_size",
        fix_value=max(1, size // 2),
    )
