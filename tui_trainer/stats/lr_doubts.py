"""What makes the suggestion of learning rate range tests unreliable, each from its evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from tui_trainer.stats.lr_range import CLEAR, RangeTest, Suggestion, fall, mean_curve

WIDEST = 4.0
"""The largest factor from one end of the interval to the other that counts as agreement."""

FEWEST_SEEDS = 3
"""Student's t for two values is 12.7: an interval from them says nothing."""

PER_DECADE = 10
"""The fewest updates per decade of the learning rate. With fewer, the loss cannot follow."""

LAST = 0.95
"""The share of the range, in decades, from which a minimum of the loss is at its end."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason why a suggestion is unreliable.

    Attributes:
        code: Its name, for scripts.
        evidence: What was measured.
        advice: What to change, with the option of ``mnist-tui find-lr``.
    """

    code: str
    evidence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the range tests were made.

    Attributes:
        low: The lowest learning rate.
        high: The highest one.
        updates: Updates of each test.
        batch_size: Images of each update.
        train_images: The size of the training split.
        is_fresh: Whether the models are untrained.
    """

    low: float
    high: float
    updates: int
    batch_size: int
    train_images: int
    is_fresh: bool


def doubts(tests: Sequence[RangeTest], found: Suggestion, setup: Setup) -> tuple[Doubt, ...]:
    """Return what makes a suggestion unreliable, the most serious first; empty if nothing does."""
    broken = [test for test in tests if not math.isfinite(test.start)]
    if broken:
        return (_not_finite(broken, len(tests), setup),)
    if not math.isfinite(found.lr):
        return (_no_effect(tests, setup), *_of_setup(setup))
    return (
        *_of_loss(tests, found, setup),
        *_of_seeds(tests, found),
        *_of_setup(setup),
    )


def _not_finite(broken: Sequence[RangeTest], total: int, setup: Setup) -> Doubt:
    count = f"{len(broken)} of {total} {'test' if total == 1 else 'tests'}"
    if any(not math.isfinite(test.losses[0]) for test in broken):
        evidence = f"in {count} the loss is not finite before the first update"
        advice = (
            "look for NaN with mnist-tui check"
            if setup.is_fresh
            else "the weights have diverged: rewind the run, or take an earlier checkpoint"
        )
    else:
        evidence = f"in {count} the loss is not finite after a few updates at {setup.low:.3g}"
        advice = f"begin lower (--from {setup.low / 1000:.0e})"
    return Doubt("not_finite", evidence, advice)


def _no_effect(tests: Sequence[RangeTest], setup: Setup) -> Doubt:
    start, most = fmean(test.start for test in tests), fmean(map(_fall, tests))
    reached = min(test.lrs[-1] for test in tests)
    return Doubt(
        "no_effect",
        f"up to {reached:.3g} the loss neither falls by {CLEAR} nats nor doubles: "
        f"it begins at {start:.3g} and falls by {most:.2g}",
        f"go higher (--to {_above(setup.high)}) or train longer (--steps {2 * setup.updates})",
    )


def _fall(test: RangeTest) -> float:
    return fall(test, test.smoothed())


def _above(high: float) -> str:
    """Return a higher end of the range, within the limits of a learning rate."""
    return f"{min(1000.0, 100 * high):g}"


def _of_loss(tests: Sequence[RangeTest], found: Suggestion, setup: Setup) -> Iterator[Doubt]:
    """Yield what is unusual in the curves."""
    start = fmean(test.start for test in tests)
    if found.rule == "rise" and setup.is_fresh:
        yield Doubt(
            "no_fall",
            f"the loss never falls clearly: by {fmean(map(_fall, tests)):.2g} from {start:.3g}, "
            f"at least {CLEAR} is needed; the suggestion is only a limit",
            f"train longer (--steps {2 * setup.updates}), or try mnist-tui check",
        )
    mean = mean_curve([test.smoothed() for test in tests])
    first, last = math.log10(setup.low), math.log10(setup.high)
    if found.rule == "fall" and mean.x:
        lowest = mean.x[min(range(len(mean.x)), key=mean.mean.__getitem__)]
        if lowest >= first + LAST * (last - first):
            yield Doubt(
                "falls_at_end",
                f"the range is too narrow: the loss still falls at its end, {setup.high:.3g}",
                f"go higher (--to {_above(setup.high)})",
            )
    edge = tests[0].lrs[len(tests[0].first) - 1]
    if found.lr <= edge:
        moves = "falls" if found.rule == "fall" else "rises"
        yield Doubt(
            "begins_high",
            f"the range is too narrow: the loss already {moves} in its first updates, "
            f"below {edge:.3g}",
            f"begin lower (--from {setup.low / 1000:.0e})",
        )
    early = [test for test in tests if test.is_early and test.lrs[-1] <= found.lr]
    if early:
        worst = min(early, key=lambda test: test.lrs[-1])
        yield Doubt(
            "exploded_early",
            f"seed {worst.seed} exploded at {worst.lrs[-1]:.3g}, below the suggestion",
            f"stay below {worst.lrs[-1] / 3:.2g}, and repeat with more seeds (--seeds "
            f"{2 * len(tests)})",
        )


def _of_seeds(tests: Sequence[RangeTest], found: Suggestion) -> Iterator[Doubt]:
    """Yield what the seeds tell: how many there are, and how far apart."""
    known = [lr for lr in found.lrs if math.isfinite(lr)]
    if len(known) < len(tests):
        yield Doubt(
            "seeds_without_rate",
            f"{len(tests) - len(known)} of {len(tests)} seeds suggest no rate",
            f"repeat with more seeds (--seeds {2 * len(tests)})",
        )
    if len(known) < FEWEST_SEEDS:
        words = "one seed does not show" if len(known) == 1 else "two seeds hardly show"
        yield Doubt("few_seeds", f"{words} how well a suggestion repeats", "add seeds (--seeds 5)")
    elif found.high > WIDEST * found.low:
        yield Doubt(
            "seeds_disagree",
            f"the seeds disagree: from {min(known):.3g} to {max(known):.3g}; the interval spans "
            f"a factor of {found.high / found.low:.2g}, more than {WIDEST:g}",
            f"repeat with more seeds (--seeds {2 * len(tests)})",
        )


def _of_setup(setup: Setup) -> Iterator[Doubt]:
    """Yield what is wrong with the number of updates."""
    decades = math.log10(setup.high / setup.low)
    if setup.updates < PER_DECADE * decades:
        yield Doubt(
            "few_updates",
            f"{setup.updates / decades:.1f} updates for each power of ten are too few for the "
            f"loss to follow; {PER_DECADE} are needed",
            f"train longer (--steps {math.ceil(PER_DECADE * decades / 10) * 10})",
        )
    seen = setup.updates * setup.batch_size / setup.train_images
    if seen > 1:
        once = max(1, setup.train_images // setup.batch_size)
        yield Doubt(
            "few_images",
            f"each test sees every training image {seen:.1f} times: the loss also falls because "
            "they repeat",
            "take more images (--train-size) or smaller batches (--batch-size)"
            if setup.is_fresh
            else f"once is {once} updates (--steps {max(20, once)})",
        )
