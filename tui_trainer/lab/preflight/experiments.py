"""Why does a run not learn? Its first steps again on copies, with one setting changed.

A setting is blamed by its consequence alone: the run does not learn in its first steps, and the
same batches with the other value do. No ratio and no curve of a range test can show that.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.rule_items import item_of
from tui_trainer.models.build import dropout_of, set_dropout
from tui_trainer.protocol.diagnosis import Severity
from tui_trainer.protocol.schedules import factor
from tui_trainer.stats import envelope

LEARNED = 0.7
"""The share of random guessing's loss below which a run has begun to learn …"""

BEGUN = 0.9
"""… and the share from which on it has not even begun."""

BETTER = 0.1
"""The least difference of two losses that counts, as a share of random guessing's …"""

ERRORS = 3.0
"""… and in standard errors of the paired differences of the batches."""

MOVES = 0.001
"""The least fall of one batch's loss that shows an effect, as a share of random guessing's."""

RATES = 2
"""The learning rates on each side that are tried."""

ARM_STEPS = 40
"""The fewest steps with a setting changed, or half of the first steps."""

LARGEST_LR = 100.0
"""The largest learning rate that is tried."""

LARGEST = 3.0
"""A batch loss counts at most this multiple of random guessing's: a diverged one is no outlier."""

EXPLAINING = frozenset({"gradient_sign", "loss_function", "equal_units"})
"""Errors of other items that explain why a run does not learn."""

LOW_WARNING, LOW_ERROR = 0.25, 10.0
"""The share of the whole run that it takes to begin to learn from which on the learning rate is too
low: a warning, and an error. Two models that begin slowly learned five times as soon as
extrapolated: only a factor of ten is beyond doubt."""

HEAVY_SMOOTHING, HEAVY_MOMENTUM = 0.3, 0.95
"""Label smoothing and momentum from which on the run is tried with less."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Some steps with a setting changed.

    Attributes:
        settings: The changed settings.
        losses: The loss of each batch, capped.
        path: The sum of the learning rates up to each step.
    """

    settings: dict[str, Any]
    losses: tuple[float, ...]
    path: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the experiments show.

    Attributes:
        cause: The code of the cause; empty if the run learns, or if no setting changes that.
        severity: How much it costs; ``ok`` if the run learns.
        evidence: The losses that were compared.
        arm: The steps that learn; None if none do.
        tried: The settings that were tried in vain.
    """

    cause: str = ""
    severity: Severity = "ok"
    evidence: str = ""
    arm: Arm | None = None
    tried: tuple[str, ...] = ()

    @property
    def is_unexplained(self) -> bool:
        """Whether the run does not learn, and no tried setting changes that."""
        return not self.cause and self.severity == "warning"


def late(losses: Sequence[float]) -> tuple[float, float]:
    """Return the mean of the last batch losses and its standard error."""
    last = losses[-max(1, min(envelope.LAST_STEPS, len(losses) // 3)) :]
    if not last or not all(map(math.isfinite, last)):
        return math.inf, 0.0
    error = statistics.stdev(last) / len(last) ** 0.5 if len(last) > 1 else 0.0
    return statistics.fmean(last), error


def explain(context: CheckContext, guess: float) -> Verdict:
    """Compare the first steps of the run with others, if it does not learn.

    Args:
        context: The check.
        guess: The loss of random guessing.
    """
    first, config = context.first, context.config
    count, planned = len(first.steps), steps_of_run(context)
    run = Arm({}, _capped(first.losses, context.plan.steps, guess), ())
    mean, error = late(run.losses[:count] if _is_finite(first.losses) else run.losses)
    suspected = any(f.code == "learning_rate_high" and f.severity != "note" for f in first.findings)
    learns = mean + ERRORS * error < LEARNED * guess
    if learns and not suspected:
        return Verdict()
    if (known := _known_cause(context)) is not None and not learns:
        return Verdict(severity="note", evidence=f"fix this first: {known}")
    lower = _lower_rate(context, guess, run)
    if lower is not None:
        return _too_high(context, guess, lower, mean)
    if learns:
        return Verdict()
    if planned < context.plan.steps:
        times = math.ceil(envelope.STEPS / planned)
        longer = _arm(context, guess, epochs=config.epochs * times)
        if late(longer.losses)[0] < LEARNED * guess:
            text = f"it has {planned} steps; after {len(longer.losses)} it learns: "
            return Verdict("few_steps", "error", text + _compared(mean, longer), longer)
    hardly_moves = mean >= BEGUN * guess
    if hardly_moves and (found := _too_low(context, guess, run)) is not None:
        return found
    return _other_setting(context, guess, run, mean)


def _known_cause(context: CheckContext) -> str | None:
    """Return the title of an error that no setting of the training can repair."""
    for found in context.first.findings:
        in_model_or_data = item_of(found.code) in ("data", "input", "softmax", "optimizer")
        if found.severity == "error" and (in_model_or_data or found.code in EXPLAINING):
            return found.title
    return None


def steps_of_run(context: CheckContext) -> int:
    """Return the number of steps of the whole run."""
    return context.config.epochs * -(-len(context.data.train) // context.config.batch_size)


def _rates(context: CheckContext, guess: float, *, upwards: bool) -> list[float]:
    """Return the factors of the learning rate worth some steps: those that lower one batch's loss.

    The best comes first. Without a trial of updates: a tenth, or ten times the learning rate.
    """
    tried = context.first.history.updates_tried
    if tried is None:
        return [10.0 if upwards else 0.1]
    ends = {one.factor: one.loss for one in tried.rates if one.loss is not None}
    limit = min(ends.get(1.0, math.inf), tried.loss) - MOVES * guess
    side = (f for f, end in ends.items() if (f > 1 if upwards else f < 1) and end < limit)
    return sorted(side, key=lambda times: ends[times])[:RATES]


def _lower_rate(context: CheckContext, guess: float, run: Arm) -> Arm | None:
    """Return the steps at a lower learning rate that learn where the run does not."""
    for times in _rates(context, guess, upwards=False):
        arm = _arm(context, guess, lr=context.config.base_lr * times)
        if _beats(arm, run, guess):
            return arm
    return None


def _too_high(context: CheckContext, guess: float, lower: Arm, mean: float) -> Verdict:
    text = _compared(mean, lower)
    if mean < BEGUN * guess:
        return Verdict("learning_rate_high", "warning", text, lower)
    # It would be an error: the batches of another seed must show it too.
    seed = context.config.seed + 1
    again = _arm(context, guess, seed=seed)
    lower_again = _arm(context, guess, seed=seed, **lower.settings)
    is_error = _beats(lower_again, again, guess) and late(again.losses)[0] >= BEGUN * guess
    return Verdict("learning_rate_high", "error" if is_error else "warning", text, lower)


def _too_low(context: CheckContext, guess: float, run: Arm) -> Verdict | None:
    """Raise the learning rate until the run learns; None if it is not too low.

    Small steps add up: N steps at one learning rate move the weights as much as N / 10 steps at ten
    times that rate. The steps until the higher one learns give the number that the run needs.
    """
    config = context.config
    for times in _rates(context, guess, upwards=True):
        if config.base_lr * times > LARGEST_LR:
            return None
        arm = _arm(context, guess, lr=config.base_lr * times)
        begun = _first_below(arm.losses, LEARNED * guess)
        if not _is_lower(arm, run, 0.0):
            continue
        share = arm.path[-1 if begun is None else begun] / _path_of_run(context)
        if begun is None and share < 1:
            continue
        if share < LOW_WARNING:
            return None
        needed = math.ceil(share * steps_of_run(context))
        return Verdict(
            "learning_rate_low",
            "error" if share >= LOW_ERROR else "warning",
            f"{_compared(late(run.losses)[0], arm)}; at the run's own it takes about {needed:,} "
            f"steps to get that far, and the run has {steps_of_run(context):,}",
            arm,
        )
    return None


def _other_setting(context: CheckContext, guess: float, run: Arm, mean: float) -> Verdict:
    config = context.config
    dropout = dropout_of(context.model)
    others: list[tuple[str, str, dict[str, Any]]] = []
    if config.weight_decay > 0:
        others.append(("weight_decay_high", "weight decay", {"weight_decay": 0.0}))
    if dropout:
        others.append(("dropout_high", "dropout", {"dropout": 0.0}))
    if config.label_smoothing >= HEAVY_SMOOTHING:
        others.append(("label_smoothing_high", "label smoothing", {"label_smoothing": 0.0}))
    if config.optimizer == "sgd" and config.momentum >= HEAVY_MOMENTUM:
        others.append(("momentum_high", "high momentum", {"momentum": 0.9}))
    for cause, _, settings in others:
        arm = _arm(context, guess, **settings)
        if _beats(arm, run, guess):
            # Smoothed targets raise the loss, and need not lower the accuracy.
            is_error = mean >= BEGUN * guess and cause != "label_smoothing_high"
            severity: Severity = "error" if is_error else "warning"
            return Verdict(cause, severity, _compared(mean, arm), arm)
    tried = ("other learning rates", *(f"no {name}" for _, name, _ in others))
    return Verdict(severity="warning", tried=tried)


def _arm(context: CheckContext, guess: float, **settings: Any) -> Arm:
    dropout = settings.get("dropout")
    trial = context.trial(**{name: v for name, v in settings.items() if name != "dropout"})
    if dropout is not None:
        set_dropout(trial.model, dropout)
    count = context.plan.steps
    if "epochs" not in settings:
        count = min(count, max(ARM_STEPS, count // 2), steps_of_run(context))
    losses: list[float] = []
    lrs: list[float] = []
    with context.seeded_rng():
        for _ in range(count):
            lrs.append(trial.lr)
            losses.append(float(trial.step()))
            if not math.isfinite(losses[-1]):
                break
    path = tuple(itertools.accumulate(lrs))
    return Arm(settings, _capped(losses, count, guess), path)


def _capped(losses: Sequence[float], count: int, guess: float) -> tuple[float, ...]:
    """Return the losses, capped; those after a non-finite one are the cap."""
    most = LARGEST * guess
    known = [min(loss, most) if math.isfinite(loss) else most for loss in losses]
    missing = count - len(known) if not _is_finite(losses) else 0
    return (*known, *[most] * missing)


def _is_finite(losses: Sequence[float]) -> bool:
    return all(map(math.isfinite, losses))


def _beats(arm: Arm, run: Arm, guess: float) -> bool:
    """Return whether an arm has begun to learn, far ahead of the run."""
    return late(arm.losses)[0] < BEGUN * guess and _is_lower(arm, run, BETTER * guess)


def _is_lower(arm: Arm, run: Arm, least: float) -> bool:
    """Return whether an arm's last losses are significantly lower, on the same batches."""
    count = min(len(arm.losses), len(run.losses))
    apart = [run.losses[i] - arm.losses[i] for i in range(count)]
    mean, error = late(apart)
    return mean > max(ERRORS * error, least)


def _first_below(losses: Sequence[float], limit: float) -> int | None:
    """Return the first step at which the mean of ten batches is below a limit."""
    for i in range(len(losses)):
        if statistics.fmean(losses[max(0, i - 9) : i + 1]) < limit and i >= 1:
            return i
    return None


def _path_of_run(context: CheckContext) -> float:
    """Return the sum of the learning rates of the whole run."""
    config, parts = context.config, 200
    shares = [factor(config, config.epochs * (i + 0.5) / parts) for i in range(parts)]
    return config.base_lr * steps_of_run(context) * statistics.fmean(shares)


def _compared(mean: float, arm: Arm) -> str:
    other = late(arm.losses)[0]
    return f"loss {mean:.2f} at the end of the first steps, {other:.2f} instead {_named(arm)}"


def _named(arm: Arm) -> str:
    words = {"lr": "at --lr", "epochs": "with --epochs"}
    options = [
        f"{words.get(name, 'with --' + name.replace('_', '-'))} {value:.6g}"
        for name, value in arm.settings.items()
        if name != "seed"
    ]
    return ", ".join(options)
