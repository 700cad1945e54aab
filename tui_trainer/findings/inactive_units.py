"""Rules about inactive units: dead ReLUs and saturated sigmoids or tanhs."""

from __future__ import annotations

from tui_trainer.findings import causes
from tui_trainer.findings.rule import finding, scale_lr, update_ratio
from tui_trainer.history.history import History
from tui_trainer.protocol.diagnosis import Cause, Severity
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.probed import LayerProbe, SampleProbed
from tui_trainer.text import fmt

ALL_DEAD, MOST_DEAD, MANY_DEAD = 0.9, 0.75, 0.55
"""Dead shares of a layer: nothing gets through, little does, more than half is wasted."""

LARGE = 0.01
"""The update-to-weight ratio from which updates can kill units; 0.001 is usual."""

SATURATED = 0.8
"""The share of a sigmoid's or tanh's outputs that are at its bounds."""


def dead_units(history: History) -> FindingRaised | None:
    """Find layers in which more than half of the ReLUs are dead.

    A unit is one channel; it is dead if its output was 0 for every image of the sample, at every
    position. One sample is enough if a whole layer is dead, else the last two must agree. A single
    layer can lose half of its units without harm: that is a note.
    """
    samples = list(history.samples)[-2:]
    if not samples:
        return None
    now = samples[-1]
    bad = [layer for layer in _of_relus(now.layers) if _share(layer) >= MANY_DEAD]
    if not bad:
        return None
    worst = max(bad, key=_share)
    if _share(worst) < ALL_DEAD:
        before = {layer.name: layer for layer in samples[0].layers}
        was = [layer for layer in bad if _share(before.get(layer.name, layer)) >= MANY_DEAD]
        if len(samples) < 2 or not was:
            return None
    return finding(
        "dead_units",
        severity=_severity(bad),
        title=f"{worst.dead} of {worst.units} ReLUs dead in {worst.name}",
        evidence=(
            f"output 0 on all {now.sample_size} sampled images: "
            + fmt.listed([f"{layer.dead} of {layer.units} in {layer.name}" for layer in bad], 4)
        ),
        causes=_causes(history, now),
        step=samples[0].step,
        plot=tuple(_share(layer) for layer in _of_relus(now.layers)),
    )


def saturated(history: History) -> FindingRaised | None:
    """Find sigmoid or tanh layers whose outputs are almost all at their bounds."""
    sample = history.last_sample
    bad = [layer for layer in sample.layers if layer.saturated >= SATURATED] if sample else []
    if sample is None or not bad:
        return None
    worst = max(bad, key=lambda layer: layer.saturated)
    return finding(
        "saturated",
        title=f"saturated units in {worst.name}",
        evidence=f"{fmt.percent(worst.saturated, 0)} of its outputs are within 0.01 of a bound",
        step=sample.step,
    )


def _severity(bad: list[LayerProbe]) -> Severity:
    """Return the severity for layers that are at least half dead."""
    share = max(map(_share, bad))
    if share >= ALL_DEAD:
        return "error"
    return "warning" if share >= MOST_DEAD or len(bad) > 1 else "note"


def _causes(history: History, now: SampleProbed) -> tuple[Cause, ...]:
    """Return what else can be the cause: a layer of fewer units than classes, or large updates.

    Units that were alive before the first step have died in training.
    """
    dead = causes.cause("dead_units", "shown")
    narrow = causes.capacity(history)
    if narrow is not None and narrow.likelihood == "shown":
        return narrow, dead
    first = max((_share(layer) for layer in _of_relus(history.samples[0].layers)), default=0.0)
    largest = max((update_ratio(update) for update in history.updates), default=0.0)
    if not now.step or history.samples[0].step or first >= MANY_DEAD or largest < LARGE:
        return ()
    evidence = (
        f"{fmt.percent(1 - first, 0)} of the units of each layer were alive before training; "
        f"update-to-weight ratio up to {100 * largest:.2g} % since"
    )
    fix = scale_lr(history, 0.1)
    value = fix["fix_value"]
    knob = ("base_lr", value) if value is not None else None
    return causes.cause("learning_rate_high", "likely", evidence, fix["advice"], knob), dead


def _of_relus(layers: tuple[LayerProbe, ...]) -> list[LayerProbe]:
    return [layer for layer in layers if layer.kind == "relu"]


def _share(layer: LayerProbe) -> float:
    return layer.dead / layer.units if layer.units else 0.0
