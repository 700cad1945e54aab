"""A short learning rate range test: is the run's learning rate in the useful range?

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017: the learning
rate is raised from batch to batch; the points where the loss starts to decrease and where it
diverges bound the useful range.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.plan import RANGE_BATCH
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis, Severity, Verdict
from tui_trainer.text import fmt

BELOW, ABOVE = 1e-3, 1e2
"""The range, as factors of the optimizer's default learning rate: five decades."""

WINDOW = 5
"""Batches of the centered moving average of the loss."""

BEGINS, DIVERGES = 0.1, 0.5
"""Shares of the whole decrease: where it begins, and what is lost again at divergence."""

LOW_WARNING, LOW_ERROR = 5.0, 30.0
"""Factors below the rate at which the loss begins to decrease: warning, error."""

TURNED_WARNING, TURNED_ERROR = 3.0, 10.0
"""Factors above the rate with the lowest loss: warning, error."""

DIVERGED_WARNING, DIVERGED_ERROR = 1.5, 4.0
"""Factors above the rate at which it diverged: warning, error."""

LEAST_FALL = 0.2
"""The smallest conclusive decrease of the loss, in nats."""


@dataclass(frozen=True, slots=True)
class Range:
    """The result of a range test, in learning rates.

    Attributes:
        begins: Where the loss begins to decrease; None if it never did.
        fastest: Where it decreases fastest.
        lowest: Where it is lowest.
        diverges: Where half of the decrease is lost again; None if it never was.
        fall: The decrease of the loss, in nats.
        low: The lowest tried learning rate.
        high: The highest tried learning rate.
    """

    begins: float | None
    fastest: float
    lowest: float
    diverges: float | None
    fall: float
    low: float
    high: float

    @property
    def suggested(self) -> float | None:
        """A learning rate in the middle of the useful range, to one digit; None if unknown."""
        if self.begins is None:
            return None
        return float(f"{math.sqrt(self.begins * max(self.begins, self.lowest)):.0e}")


def lr_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Check the run's base learning rate, the highest of its schedule."""
    usual = RunConfig(optimizer=context.config.optimizer).base_lr
    count = context.plan.range_steps
    lrs = [usual * BELOW * (ABOVE / BELOW) ** (i / (count - 1)) for i in range(count)]
    trial = context.trial(batch_size=min(context.config.batch_size, RANGE_BATCH))
    losses: list[float] = []
    for lr in lrs:
        losses.append(float(trial.step(lr=lr)))
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * losses[0] + 4:
            break
    yield _item(read_range(lrs, losses), context.config.base_lr)


def read_range(lrs: Sequence[float], losses: Sequence[float]) -> Range:
    """Evaluate a range test; the losses may end early, at divergence.

    Args:
        lrs: All planned learning rates, rising.
        losses: The loss of each batch, before its update.
    """
    ended_early = len(losses) < len(lrs)
    finite = [loss if math.isfinite(loss) else 2 * losses[0] + 10 for loss in losses]
    half = WINDOW // 2
    smooth = [statistics.fmean(finite[max(0, i - half) : i + half + 1]) for i in range(len(finite))]
    before = statistics.fmean(finite[: max(1, len(lrs) // 8)])
    floor = min(smooth)
    bottom, fall = smooth.index(floor), before - floor
    begins = next((i for i, loss in enumerate(smooth) if loss <= before - BEGINS * fall), None)
    slopes = [smooth[i] - smooth[i + 1] for i in range(len(smooth) - 1)]
    falling = slopes[:bottom] or [0.0]
    steepest = falling.index(max(falling))
    after = range(bottom, len(smooth))
    end = next((i for i in after if smooth[i] >= floor + DIVERGES * fall), None)
    if end is None and ended_early:
        end = len(losses) - 1
    is_seen = fall >= LEAST_FALL
    return Range(
        begins=lrs[begins] if is_seen and begins is not None else None,
        fastest=lrs[steepest],
        lowest=lrs[bottom],
        diverges=lrs[end] if end is not None and (is_seen or ended_early) else None,
        fall=fall,
        low=lrs[0],
        high=lrs[-1],
    )


def _item(seen: Range, lr: float) -> Diagnosis:
    severity, title, advice = _verdict(seen, lr)
    if seen.begins is None:
        text = f"the loss decreases by only {max(0.0, seen.fall):.2f}, which is inconclusive"
    else:
        text = (
            f"the loss begins to decrease at {_r(seen.begins)}, decreases fastest at "
            f"{_r(seen.fastest)} and is lowest at {_r(seen.lowest)}"
        )
    end = f"diverges at {_r(seen.diverges)}" if seen.diverges else "does not diverge"
    return Diagnosis(
        code="learning-rate",
        severity=severity,
        title=title,
        evidence=f"base lr {_r(lr)}; range test from {_r(seen.low)} to {_r(seen.high)}: "
        f"{text}; it {end}",
        advice=advice,
        lesson=7,
        value=lr,
        figure=f"lr {_r(lr)}",
    )


def _verdict(seen: Range, lr: float) -> Verdict:
    advice = (
        f"set --lr {_r(seen.suggested)}"
        if seen.suggested
        else "use a tenth of the learning rate at which it diverges"
    )
    tops = [(seen.diverges, DIVERGED_WARNING, DIVERGED_ERROR)] if seen.diverges else []
    if seen.begins is not None:
        tops.append((seen.lowest, TURNED_WARNING, TURNED_ERROR))
    grades: tuple[tuple[Severity, int, float], ...]
    grades = (("error", 2, LOW_ERROR), ("warning", 1, LOW_WARNING))
    for severity, place, _ in grades:
        if over := [lr / top[0] for top in tops if lr > top[place] * top[0]]:
            return severity, f"the learning rate is {max(over):,.0f} times too high", advice
    if seen.begins is None:
        words = (
            "warm up the learning rate (--schedule one-cycle), or add batch norm after the "
            "convolutions"
        )
        return "warning", "no learning rate lowers the loss in so few steps", words
    for severity, _, times in grades:
        if lr * times < seen.begins:
            title = f"the learning rate is {seen.begins / lr:,.0f} times too low"
            return severity, title, advice
    return "ok", "the learning rate is in the useful range", ""


def _r(lr: float) -> str:
    return fmt.learning_rate(float(f"{lr:.1e}"))
