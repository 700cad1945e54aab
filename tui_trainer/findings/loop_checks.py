"""Rules about the rest of a user's own loop: modes, memory, precision, schedulers."""

from __future__ import annotations

from tui_trainer.findings.causes import cause
from tui_trainer.findings.rule import finding
from tui_trainer.history.history import History
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.loop_probed import LoopProbed, SchedulerProbe
from tui_trainer.text import fmt

IN_TRAINING = 0.95
"""The share of evaluated examples in training mode that is no recalibration of batch norm, which
needs training mode too."""

KEPT = 3
"""Graphs of sampled steps in memory that are no coincidence."""

EVERY_BATCH = 0.9
"""Steps of a scheduler per training step from which it is stepped every batch."""

NOTHING_LEFT = 1e-3
"""The share of its start to which a scheduler may lower the learning rate by half of the run."""

LONGER = 4
"""How many times longer than the run a schedule must be to be meant for batches."""


def validation_in_training_mode(history: History) -> FindingRaised | None:
    """Find a validation during which batch norm and dropout are in training mode."""
    now = history.loops[-1] if history.loops else None
    if now is None or not now.is_epoch or not now.mode_layers or not now.training_mode_images:
        return None
    if now.training_mode_images < IN_TRAINING * now.evaluated_images:
        return None
    return finding(
        "validation_in_training_mode",
        evidence=(
            f"{now.training_mode_images:,} of {now.evaluated_images:,} examples were evaluated in "
            f"training mode, with {fmt.listed(now.mode_layers, 3)}"
        ),
        step=now.step,
    )


def examples_mixed(history: History) -> FindingRaised | None:
    """Find inputs of the model that have the values of several examples of the batch in one."""
    recent = [probe for probe in history.loops if probe.loss is not None][-2:]
    if len(recent) < 2 or not all(probe.is_mixed for probe in recent):
        return None
    return finding(
        "examples_mixed",
        evidence=(
            "the model's input has the values of the batch, but not those of one example in one "
            f"place, since step {fmt.count(recent[0].step)}"
        ),
        causes=(
            cause(
                "input_destroyed",
                "shown",
                "the values of several examples are in one",
                "reshape each example by itself: keep the batch dimension first, and use permute() "
                "to exchange dimensions",
            ),
        ),
        step=recent[0].step,
    )


def kept_graph(history: History) -> FindingRaised | None:
    """Find graphs of earlier steps that are still in memory: something refers to their losses."""
    now = history.loops[-1] if history.loops else None
    if now is None or now.kept_graphs < KEPT:
        return None
    return finding(
        "kept_graph",
        evidence=(
            f"the graphs of {now.kept_graphs} of the last {now.sampled_graphs} sampled steps are "
            f"still in memory at step {fmt.count(now.step)}"
        ),
        step=now.step,
    )


def double_precision(history: History) -> FindingRaised | None:
    """Note a model in double precision: it takes twice the memory, and more time."""
    now = history.loops[-1] if history.loops else None
    if now is None or now.dtype != "float64":
        return None
    return finding(
        "double_precision", evidence="most parameters are float64", step=history.loops[0].step
    )


def scheduler_order(history: History) -> FindingRaised | None:
    """Find a scheduler that is stepped before the first update."""
    now = history.loops[-1] if history.loops else None
    early = [each.name for each in now.schedulers if each.is_early] if now else []
    if not early:
        return None
    return finding(
        "scheduler_order",
        evidence=f"{fmt.listed(early, 2)}.step() was called before the first optimizer.step(), by "
        f"step {fmt.count(history.loops[0].step)}",
        step=history.loops[0].step,
    )


def scheduler_pace(history: History) -> FindingRaised | None:
    """Find a scheduler that is stepped every batch though it is made for epochs, or the other way.

    Made for epochs is one that is done within as many steps as the run has epochs, or one that
    takes the learning rate to 0 before half of the run is over.
    """
    now = history.loops[-1] if history.loops else None
    started = history.started
    if now is None or started is None or now.step < 10:
        return None
    for each in now.schedulers:
        if found := _too_fast(history, now, each) or _too_slow(history, now, each):
            evidence, why = found
            return finding(
                "scheduler_pace",
                evidence=evidence,
                causes=(cause(why, "shown", evidence),),
                step=now.step,
            )
    return None


def _too_fast(history: History, now: LoopProbed, each: SchedulerProbe) -> tuple[str, str] | None:
    started = history.started
    if started is None or each.steps < EVERY_BATCH * now.step:
        return None
    total = started.epochs * started.train_size / max(1, started.batch_size)
    named = f"{each.name} was stepped {fmt.plural(each.steps, 'time')} in {now.step:,} batches"
    if each.decay is not None and each.decay ** (total / 2) < NOTHING_LEFT:
        left = each.decay ** (total / 2)
        return (
            f"{named}; by half of the run that leaves {left:.1g} of the learning rate",
            "schedule",
        )
    per_epoch = total / started.epochs
    is_short = each.length is not None and 1 < each.length <= max(2, started.epochs)
    if is_short and each.decay is None and each.name != "LinearLR" and per_epoch > 2:
        return f"{named}, and is done after {each.length} steps: less than an epoch", "schedule"
    return None


def _too_slow(history: History, now: LoopProbed, each: SchedulerProbe) -> tuple[str, str] | None:
    started = history.started
    if started is None or len(history.epochs) < 2 or each.length is None:
        return None
    is_per_epoch = 0 < each.steps <= len(history.epochs) + 1
    if not is_per_epoch or each.length <= LONGER * started.epochs or each.name != "OneCycleLR":
        return None
    return (
        f"{each.name} was stepped {fmt.plural(each.steps, 'time')} in {len(history.epochs)} "
        f"epochs, but is made for {each.length:,} steps",
        "schedule_slow",
    )


def scheduler_unused(history: History) -> FindingRaised | None:
    """Find a scheduler that is never stepped."""
    now = history.loops[-1] if history.loops else None
    if now is None or len(history.epochs) < 2:
        return None
    idle = [each.name for each in now.schedulers if not each.steps]
    if not idle:
        return None
    return finding(
        "scheduler_unused",
        evidence=f"{fmt.listed(idle, 2)}.step() was not called in {len(history.epochs)} epochs",
        step=now.step,
    )


def same_order(history: History) -> FindingRaised | None:
    """Note training examples that come in the same order in every epoch."""
    now = history.loops[-1] if history.loops else None
    if now is None or not (now.repeats_order or now.sampler == "SequentialSampler"):
        return None
    sampler = f"the loader has a {now.sampler}" if now.sampler else "the loader does not shuffle"
    repeats = "; the first batches of two epochs were the same" if now.repeats_order else ""
    begun = history.loops[0].step
    return finding("same_order", evidence=f"{sampler}{repeats}, since step {begun}", step=begun)
