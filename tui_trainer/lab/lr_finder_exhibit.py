"""What the learning rate finder shows: the curves, the suggestion, and how reliable it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.protocol.config import SETTINGS
from tui_trainer.protocol.exhibit import Block, Curve, Curves, Exhibit, Place, Table, Words
from tui_trainer.stats.lr_doubts import Doubt
from tui_trainer.stats.lr_range import (
    BELOW,
    MARGIN,
    RISEN,
    UPDATES,
    RangeTest,
    Suggestion,
    mean_curve,
)
from tui_trainer.text.fmt import learning_rate, percent

MOST_LR = (SETTINGS["lr"].within or (0.0, math.inf))[1]
"""The largest base learning rate that a run can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What range tests have found.

    Attributes:
        tests: The tests.
        lrs: The learning rates of a whole test.
        suggestion: What they suggest.
        doubts: What makes it unreliable.
        is_fresh: Whether they began with new weights.
        step: The step of the run; 0 for an untrained model.
        schedule: The run's learning rate schedule.
        factor: Its highest factor from here to the end of the run.
    """

    tests: tuple[RangeTest, ...]
    lrs: tuple[float, ...]
    suggestion: Suggestion
    doubts: tuple[Doubt, ...]
    is_fresh: bool
    step: int
    schedule: str
    factor: float

    @property
    def base_lr(self) -> float | None:
        """The base learning rate with which the run reaches the suggestion, but never exceeds it.

        It is the suggestion divided by the highest factor of the schedule that is still to come:
        for new weights, and before the peak of a one-cycle, that factor is 1. None if there is no
        suggestion, or if no base learning rate is high enough.
        """
        lr = self.suggestion.lr
        if not math.isfinite(lr) or not 0 < lr <= MOST_LR * self.factor:
            return None
        return rounded(lr / self.factor)


def rounded(lr: float) -> float:
    """Return a learning rate with three significant digits, as it is shown."""
    return float(f"{lr:.3g}")


def progress(
    tests: Sequence[RangeTest], lrs: Sequence[float], setup: Words, share: float
) -> Exhibit:
    """Return the exhibit of tests that are still running."""
    return Exhibit(blocks=(*_curves(tests, lrs), setup), progress=min(share, 1.0))


def outcome(found: Outcome, setup: Words) -> Exhibit:
    """Return the exhibit of tests that are done."""
    words = [
        Words(text=f"{doubt.evidence}; {doubt.advice}", tone="warning") for doubt in found.doubts
    ]
    return Exhibit(
        blocks=(*words, *_curves(found.tests, found.lrs, found.suggestion), _table(found), setup),
        result=_result(found),
        evidence=_evidence(found),
        figures=_figures(found),
    )


def _curves(
    tests: Sequence[RangeTest], lrs: Sequence[float], found: Suggestion | None = None
) -> tuple[Block, ...]:
    """Return the plot: each test faint, their mean in its band, the interval as places."""
    smooth = [curve for test in tests if len((curve := test.smoothed())[0]) > 1]
    if not smooth:
        return ()
    curves = [
        Curve(name="", x=tuple(10**x for x in xs), y=tuple(ys), is_faint=True) for xs, ys in smooth
    ]
    mean = mean_curve(smooth)
    if len(smooth) > 1 and mean.x:
        x = tuple(10**place for place in mean.x)
        name = f"mean of {len(smooth)} seeds, with its 95 % band"
        curves.append(Curve(name=name, x=x, y=mean.mean, low=mean.low, high=mean.high))
    block = Curves(
        caption="training loss while the learning rate grows, smoothed",
        x_label="learning rate",
        curves=tuple(curves),
        places=_places(found, lrs),
        is_log_x=True,
    )
    return (block,)


def _places(found: Suggestion | None, lrs: Sequence[float]) -> tuple[Place, ...]:
    if found is None or not math.isfinite(found.lr):
        return ()
    # The label is next to the last of them: there nothing is in its way.
    marks = [(found.low, "["), (found.lr, "▼"), (found.high, "]")]
    shown = [(lr, glyph) for lr, glyph in marks if lrs[0] <= lr <= lrs[-1]]
    labels = [""] * (len(shown) - 1) + [_lr_text(found.lr)]
    return tuple(
        Place(x=lr, label=label, glyph=glyph)
        for (lr, glyph), label in zip(shown, labels, strict=False)
    )


def _table(found: Outcome) -> Table:
    """Return a row for each test."""
    rows = []
    for test, lr in zip(found.tests, found.suggestion.lrs, strict=True):
        x, y = test.smoothed()
        at = min(range(len(y)), key=y.__getitem__) if len(y) else None
        rows.append(
            (
                str(test.seed),
                _lr_text(lr),
                f"{test.start:.3f}" if at is not None else "—",
                f"{y[at]:.3f}" if at is not None else "—",
                _lr_text(10 ** x[at]) if at is not None else "—",
                f"exploded at {learning_rate(test.lrs[-1])}" if test.is_early else "last update",
            )
        )
    return Table(
        caption="",
        heads=("seed", "suggests", "loss first", "lowest", "at lr", "ended"),
        rows=tuple(rows),
    )


def _lr_text(lr: float) -> str:
    return learning_rate(rounded(lr)) if math.isfinite(lr) else "—"


def _result(found: Outcome) -> str:
    """Return the suggestion with its interval and how often a repeat falls into it."""
    best, count = found.suggestion, len(found.tests)
    if not math.isfinite(best.lr):
        return "No learning rate can be suggested."
    words = f"Learning rate {_lr_text(best.lr)}"
    if math.isfinite(best.low):
        words += (
            f" [{_lr_text(best.low)}, {_lr_text(best.high)}]: about "
            f"{percent(best.confidence, 0)} of repeats with {count} other seeds fall into it"
        )
    words += ". Unreliable: see the warnings." if found.doubts else "."
    return f"{words} {_base_words(found)}".strip()


def _base_words(found: Outcome) -> str:
    """Return the base learning rate, where it is not the suggestion itself."""
    if found.base_lr is None:
        left = percent(found.factor, 2)
        return (
            f"No base learning rate reaches it: from here on the {found.schedule} schedule "
            f"multiplies it by at most {left}; add epochs."
        )
    if found.factor < 1:
        return (
            f"Base learning rate {_lr_text(found.base_lr)}: from here on the {found.schedule} "
            f"schedule multiplies it by at most {found.factor:.3g}."
        )
    if found.schedule == "one-cycle":
        return "As base learning rate, it is the peak of the one-cycle schedule."
    return ""


def _evidence(found: Outcome) -> str:
    """Return the rule, and the method of the interval."""
    best = found.suggestion
    if best.rule == "fall":
        rule = (
            f"1/{UPDATES:g} of the sum of its learning rates until the smoothed loss has fallen "
            f"half-way to its minimum, at most 1/{BELOW:g} of the one at which it has risen half "
            "back"
        )
    else:
        rule = (
            f"1/{MARGIN:g} of the learning rate at which the smoothed loss is {RISEN:g} times the "
            "loss of the start, because it hardly falls"
        )
    spread = (
        f" The standard deviation over seeds is a factor of {10**best.spread:.2f}."
        if math.isfinite(best.spread)
        else ""
    )
    return (
        f"Each seed suggests {rule}; their geometric mean is the suggestion, and its interval "
        "Student's prediction interval for the mean of as many other seeds (Hahn and Meeker)."
        f"{spread}"
    )


def _figures(found: Outcome) -> Mapping[str, object]:
    """Return everything as numbers, for scripts and for the window; None for what is unknown."""
    best = found.suggestion
    return {
        "lr": _known(best.lr),
        "low": _known(best.low),
        "high": _known(best.high),
        "confidence": best.confidence,
        "rule": best.rule,
        "spread_decades": _known(best.spread),
        "base_lr": found.base_lr,
        "schedule_factor": found.factor,
        "is_reliable": not found.doubts,
        "doubts": [
            {"code": each.code, "evidence": each.evidence, "advice": each.advice}
            for each in found.doubts
        ],
        "start": "fresh" if found.is_fresh else "now",
        "step": found.step,
        "updates": len(found.lrs),
        "seeds": [
            {
                "seed": test.seed,
                "lr": _known(lr),
                "exploded": test.is_early,
                "lrs": list(test.lrs),
                "losses": [_known(loss) for loss in test.losses],
            }
            for test, lr in zip(found.tests, best.lrs, strict=True)
        ],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
