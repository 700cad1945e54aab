"""How well the learning rate finder repeats, and how its suggestions train.

``python -m tests.benchmarks.lr_finder repeats mlp:adam nano:sgd`` runs the finder again and again
with other seeds. It prints how often a suggestion falls into the interval of another repeat, next
to the share that the finder claims, and how far the suggestions spread, next to those of the usual
finder: one seed, the steepest descent of the moving average of the loss.

``python -m tests.benchmarks.lr_finder trains mlp:adam nano:sgd`` trains with the suggestion, a
tenth of it and ten times it, and compares the validation losses seed by seed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from tests.benchmarks.options import Parser, from_zero, whole
from tui_trainer.protocol.config import MODELS, OPTIMIZERS, RunConfig
from tui_trainer.stats.intervals import wilson
from tui_trainer.stats.means import mean_interval, paired_difference

FIRST_SEED = 100_000
"""Where the seeds begin: not those of the presets, nor those with which the rules were chosen."""

SMOOTHING = 0.9
"""The weight that the usual finder's moving average keeps."""

DIVERGED = 2.302585
"""The validation loss of a diverged training: that of uniform guesses, ln 10."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and an optimizer."""

    model: str
    optimizer: str

    @property
    def name(self) -> str:
        """The name on the command line."""
        return f"{self.model}:{self.optimizer}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each model and optimizer, and return the exit code."""
    parser = Parser("lr_finder", "Measure the learning rate finder")
    parser.add_argument("what", choices=("repeats", "trains"))
    parser.add_argument("subjects", nargs="+", metavar="MODEL:OPTIMIZER")
    parser.add_argument("--repeats", type=whole, default=10)
    parser.add_argument("--seeds", type=whole, default=5)
    parser.add_argument("--steps", type=whole, default=100)
    parser.add_argument("--train-size", type=whole_images, default=None)
    parser.add_argument("--epochs", type=whole, default=1)
    parser.add_argument("--schedule", default="one-cycle", choices=("one-cycle", "constant"))
    chosen = parser.parse_args(arguments)
    subjects = []
    for text in chosen.subjects:
        model, _, optimizer = text.partition(":")
        if model not in MODELS or optimizer not in OPTIMIZERS:
            parser.error(f"{text!r} is no MODEL:OPTIMIZER, as mlp:adam")
        subjects.append(Subject(model, optimizer))
    if chosen.what == "trains":
        trains(subjects, chosen)
        return 0
    if chosen.repeats < 2:
        parser.error("a repeat needs another one: --repeats 2 or more")
    repeats(subjects, chosen)
    return 0


def whole_images(text: str) -> int:
    """Return a number of images, at least 1."""
    return max(1, from_zero(text))


def find(subject: Subject, chosen: Any, number: int) -> dict[str, Any]:
    """Run the finder with seeds that no other number has, and return its figures."""
    from tui_trainer.lab.standalone import answers
    from tui_trainer.protocol.answers import Answered
    from tui_trainer.protocol.commands import Ask
    from tui_trainer.protocol.exhibit import Exhibit

    config = RunConfig(
        model=subject.model,
        optimizer=subject.optimizer,
        seed=FIRST_SEED + number * chosen.seeds,
        train_size=chosen.train_size,
        threads=1,
    )
    choices = (("start", "fresh"), ("seeds", chosen.seeds), ("steps", chosen.steps))
    figures: dict[str, Any] = {}
    for event in answers(config, [Ask("find-lr", choices, "confirmed")]):
        if isinstance(event, Answered) and isinstance(event.content, Exhibit):
            figures = dict(event.content.figures)
    return figures


# --- repeats


def repeats(subjects: Sequence[Subject], chosen: Any) -> None:
    """Print a line for each subject, and one for all of them."""
    print(
        f"{'':18} {'suggestion':>10} {'spread':>7} {'of one':>7} {'usual':>7}  in the interval "
        f"of another repeat; spreads are factors of one standard deviation"
    )
    inside = pairs = alone = lonely = 0
    claimed = math.nan
    for subject in subjects:
        found = [find(subject, chosen, number) for number in range(chosen.repeats)]
        claimed = found[0]["confidence"]
        known = [each for each in found if each["lr"] is not None]
        inside_others = [
            one["low"] <= other["lr"] <= one["high"]
            for one in known
            for other in known
            if one is not other and one["low"] is not None
        ]
        separate = [
            one["low"] <= other["lr"] <= one["high"]
            for one, other in zip(known[::2], known[1::2], strict=False)
            if one["low"] is not None
        ]
        count = sum(inside_others)
        inside, pairs = inside + count, pairs + len(inside_others)
        alone, lonely = alone + sum(separate), lonely + len(separate)
        single = [seed["lr"] for each in found for seed in each["seeds"] if seed["lr"] is not None]
        usual = [usual_lr(seed["lrs"], seed["losses"]) for each in found for seed in each["seeds"]]
        lrs = [each["lr"] for each in known]
        doubts = sorted({doubt["code"] for each in found for doubt in each["doubts"]})
        print(
            f"{subject.name:18} {typical(lrs):>10.3g} {spread(lrs):>7.2f} {spread(single):>7.2f} "
            f"{spread(usual):>7.2f}  {share(count, len(inside_others))}  {' '.join(doubts)}",
            flush=True,
        )
    low, high = wilson(alone, lonely) if lonely else (math.nan, math.nan)
    print(
        f"claimed {100 * claimed:.0f} %; measured {share(inside, pairs)} of all pairs, and "
        f"{share(alone, lonely)} [{100 * low:.1f}, {100 * high:.1f}] of pairs that share no repeat"
    )


def usual_lr(lrs: Sequence[float], losses: Sequence[float | None]) -> float:
    """Return the learning rate of the steepest descent of a moving average, before its minimum."""
    mean, smooth = 0.0, list[float]()
    for number, loss in enumerate(losses, 1):
        if loss is None:
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth.append(mean / (1 - SMOOTHING**number))
    lowest = max(1, smooth.index(min(smooth)))
    return lrs[min(range(1, lowest + 1), key=lambda i: smooth[i] - smooth[i - 1])]


def typical(lrs: Sequence[float]) -> float:
    """Return the geometric mean."""
    return 10 ** fmean(map(math.log10, lrs)) if lrs else math.nan


def spread(lrs: Sequence[float]) -> float:
    """Return the standard deviation of the logarithms as a factor."""
    return 10 ** stdev(map(math.log10, lrs)) if len(lrs) > 1 else math.nan


def share(count: int, total: int) -> str:
    """Return a share in percent with its counts."""
    return f"{100 * count / total:5.1f} % ({count} of {total})" if total else "no pairs"


# --- trainings


def trains(subjects: Sequence[Subject], chosen: Any) -> None:
    """Print the validation losses with the suggestion, a tenth of it and ten times it."""
    print(f"{'':18} {'lr':>8}  validation loss with lr / 10, lr, 10 lr; differences to lr")
    for subject in subjects:
        lr = find(subject, chosen, 0)["lr"]
        if lr is None:
            print(f"{subject.name:18} no suggestion", flush=True)
            continue
        seeds = range(FIRST_SEED, FIRST_SEED + chosen.repeats)
        lower, losses, higher = (
            [val_loss(subject, chosen, lr * factor, seed) for seed in seeds]
            for factor in (0.1, 1.0, 10.0)
        )
        means = " ".join(f"{mean_interval(each).mean:.4f}" for each in (lower, losses, higher))
        print(
            f"{subject.name:18} {lr:>8.3g}  {means}; "
            f"{difference(lower, losses)} {difference(higher, losses)}",
            flush=True,
        )


def val_loss(subject: Subject, chosen: Any, lr: float, seed: int) -> float:
    """Train, and return the last validation loss."""
    from tui_trainer.engine.loop import train
    from tui_trainer.protocol.commands import Inbox
    from tui_trainer.protocol.events import EpochDone

    config = RunConfig(
        model=subject.model,
        optimizer=subject.optimizer,
        lr=min(lr, 1_000.0),
        epochs=chosen.epochs,
        schedule=chosen.schedule,
        train_size=chosen.train_size,
        val_size=2_000,
        seed=seed,
        threads=1,
        probes=False,
    )
    loss = DIVERGED
    for event in train(config, Inbox()):
        if isinstance(event, EpochDone) and event.val_loss is not None:
            loss = event.val_loss
    return loss


def difference(others: Sequence[float], losses: Sequence[float]) -> str:
    """Return the mean difference of losses, seed by seed, with its 95 % interval."""
    found = paired_difference(others, losses)
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


if __name__ == "__main__":
    sys.exit(main())
