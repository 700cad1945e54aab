"""Is the learning rate one that this network can use? A short range test.

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017: the rate is
raised from batch to batch; where the loss begins to fall and where it blows up bound what is of
use.
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
"""The range, as factors of the optimizer's usual rate: five decades."""

WINDOW = 5
"""Batches that a loss is smoothed over, half of them on either side."""

BEGINS, LOST = 0.1, 0.5
"""Shares of the whole fall: where it begins, and how much is lost where the loss blows up."""

LOW_WARNING, LOW_ERROR = 5.0, 30.0
"""How far below the rate at which the loss begins to fall is slow, and how far hopeless."""

TURNED_WARNING, TURNED_ERROR = 3.0, 10.0
"""How far above the rate at which the loss is lowest."""

BLOWN_WARNING, BLOWN_ERROR = 1.5, 4.0
"""How far above the one at which it has blown up."""

LEAST_FALL = 0.2
"""Nats that a loss must fall for its course to say anything."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a range test has shown, in rates.

    Attributes:
        begins: Where the loss has begun to fall; None where it never fell.
        fastest: Where it falls fastest.
        lowest: Where it is lowest.
        blows_up: Where it has lost half of its fall again; None if it never did.
        fall: How far it fell, in nats.
        low: The lowest rate that was tried.
        high: The highest.
    """

    begins: float | None
    fastest: float
    lowest: float
    blows_up: float | None
    fall: float
    low: float
    high: float

    @property
    def suggested(self) -> float | None:
        """A rate in the middle of what is useful, in one digit; None where that was not seen."""
        if self.begins is None:
            return None
        return float(f"{math.sqrt(self.begins * max(self.begins, self.lowest)):.0e}")


def lr_items(context: CheckContext) -> Iterator[Diagnosis]:
    """Judge the run's highest rate."""
    usual = RunConfig(optimizer=context.config.optimizer).base_lr
    count = context.plan.range_steps
    rates = [usual * BELOW * (ABOVE / BELOW) ** (i / (count - 1)) for i in range(count)]
    trial = context.trial(batch_size=min(context.config.batch_size, RANGE_BATCH))
    losses: list[float] = []
    for rate in rates:
        losses.append(float(trial.step(lr=rate)))
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * losses[0] + 4:
            break
    yield _item(read_range(rates, losses), context.config.base_lr)


def read_range(rates: Sequence[float], losses: Sequence[float]) -> Range:
    """Return what the losses of a range test show; they may end early, where they blew up.

    Args:
        rates: Every rate that was meant to be tried, rising.
        losses: The loss of each batch, before its update.
    """
    ended_early = len(losses) < len(rates)
    finite = [loss if math.isfinite(loss) else 2 * losses[0] + 10 for loss in losses]
    half = WINDOW // 2
    smooth = [statistics.fmean(finite[max(0, i - half) : i + half + 1]) for i in range(len(finite))]
    before = statistics.fmean(finite[: max(1, len(rates) // 8)])
    floor = min(smooth)
    bottom, fall = smooth.index(floor), before - floor
    begins = next((i for i, loss in enumerate(smooth) if loss <= before - BEGINS * fall), None)
    slopes = [smooth[i] - smooth[i + 1] for i in range(len(smooth) - 1)]
    falling = slopes[:bottom] or [0.0]
    steepest = falling.index(max(falling))
    after = range(bottom, len(smooth))
    lost = next((i for i in after if smooth[i] >= floor + LOST * fall), None)
    if lost is None and ended_early:
        lost = len(losses) - 1
    is_seen = fall >= LEAST_FALL
    return Range(
        begins=rates[begins] if is_seen and begins is not None else None,
        fastest=rates[steepest],
        lowest=rates[bottom],
        blows_up=rates[lost] if lost is not None and (is_seen or ended_early) else None,
        fall=fall,
        low=rates[0],
        high=rates[-1],
    )


def _item(seen: Range, rate: float) -> Diagnosis:
    severity, title, advice = _judged(seen, rate)
    if seen.begins is None:
        told = f"the loss fell by {max(0.0, seen.fall):.2f}, which says nothing"
    else:
        told = (
            f"the loss begins to fall at {_r(seen.begins)}, falls fastest at {_r(seen.fastest)} "
            f"and is lowest at {_r(seen.lowest)}"
        )
    lost = f"blows up at {_r(seen.blows_up)}" if seen.blows_up else "does not blow up"
    return Diagnosis(
        code="learning-rate",
        severity=severity,
        title=title,
        evidence=f"{_r(rate)} at its highest; raised from {_r(seen.low)} to {_r(seen.high)}, "
        f"{told}; it {lost}",
        advice=advice,
        lesson=7,
        value=rate,
        figure=f"lr {_r(rate)}",
    )


def _judged(seen: Range, rate: float) -> Verdict:
    use = f"--lr {_r(seen.suggested)}" if seen.suggested else "a tenth of where it blows up"
    tops = [(seen.blows_up, BLOWN_WARNING, BLOWN_ERROR)] if seen.blows_up else []
    if seen.begins is not None:
        tops.append((seen.lowest, TURNED_WARNING, TURNED_ERROR))
    grades: tuple[tuple[Severity, int, float], ...]
    grades = (("error", 2, LOW_ERROR), ("warning", 1, LOW_WARNING))
    for severity, place, _ in grades:
        if over := [rate / top[0] for top in tops if rate > top[place] * top[0]]:
            return severity, f"the learning rate is {max(over):,.0f} times too high", use
    if seen.begins is None:
        words = "raise the rate slowly, or put a norm behind the convolutions"
        return "warning", "no learning rate moves the loss in so few steps", words
    for severity, _, times in grades:
        if rate * times < seen.begins:
            title = f"the learning rate is {seen.begins / rate:,.0f} times too low"
            return severity, title, use
    return "ok", "the learning rate is one that it can use", ""


def _r(rate: float) -> str:
    return fmt.learning_rate(float(f"{rate:.1e}"))
