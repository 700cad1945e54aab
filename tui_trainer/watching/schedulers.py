"""Learning rate schedulers of a watched loop: how often they are stepped, and where that leads."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tui_trainer.protocol.loop_probed import SchedulerProbe


def schedulers_of(optimizers: Sequence[Optimizer], given: Any = None) -> list[LRScheduler]:
    """Return the schedulers of some optimizers, without those inside another scheduler.

    The garbage collector knows which objects hold an optimizer. It looks through all objects of
    the process, of which a script can have millions, so it is asked at most twice.
    """
    found: dict[int, LRScheduler] = {}
    if isinstance(given, LRScheduler):
        found[id(given)] = given
    attributes: dict[int, dict[str, Any]] = {}
    for holder in gc.get_referrers(*optimizers):
        if isinstance(holder, LRScheduler):
            found[id(holder)] = holder
        elif type(holder) is dict and "last_epoch" in holder:
            attributes[id(holder)] = holder
    for owner in gc.get_referrers(*attributes.values()) if attributes else ():
        if isinstance(owner, LRScheduler) and id(owner.__dict__) in attributes:
            found[id(owner)] = owner
    inside = {id(one) for each in found.values() for one in _parts(each)}
    return [each for key, each in found.items() if key not in inside]


def _parts(scheduler: LRScheduler) -> list[LRScheduler]:
    return list(getattr(scheduler, "_schedulers", []))


class Schedulers:
    """Counts how often the schedulers of a loop are stepped."""

    def __init__(self, optimizers: Sequence[Optimizer], given: Any = None) -> None:
        self._all = schedulers_of(optimizers, given)
        self._begun = [_count(each) for each in self._all]
        self._early = [False] * len(self._all)

    def first_update(self) -> None:
        """Take note of which were stepped before the first update, which comes now."""
        counts = zip(self._all, self._begun, strict=True)
        self._early = [_count(each) > begun for each, begun in counts]

    def probe(self) -> tuple[SchedulerProbe, ...]:
        """Return what is known of each."""
        return tuple(
            SchedulerProbe(
                name=type(each).__name__,
                steps=_count(each) - begun,
                length=_length(each),
                decay=_decay(each),
                is_early=early,
            )
            for each, begun, early in zip(self._all, self._begun, self._early, strict=True)
        )


def _count(scheduler: LRScheduler) -> int:
    """Return how often a scheduler was stepped; some count one of these, some the others."""
    counts = [getattr(scheduler, "_step_count", 0), getattr(scheduler, "last_epoch", 0)]
    return max(*map(int, counts), *(_count(part) for part in _parts(scheduler)))


def _length(scheduler: Any) -> int | None:
    milestones = getattr(scheduler, "milestones", None)
    if isinstance(milestones, dict) and milestones:
        return int(max(milestones))
    for name in ("T_max", "total_steps", "T_0", "total_iters", "step_size"):
        value = getattr(scheduler, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _decay(scheduler: Any) -> float | None:
    """Return the mean factor of a step, where the learning rate falls exponentially."""
    gamma = getattr(scheduler, "gamma", None)
    if not isinstance(gamma, float) or not 0 < gamma < 1:
        return None
    match type(scheduler).__name__:
        case "ExponentialLR":
            return gamma
        case "StepLR":
            return float(gamma ** (1 / scheduler.step_size))
    return None
