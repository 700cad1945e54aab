"""The controls of the learning rate finder, for its exhibit and for the command line."""

from __future__ import annotations

from dataclasses import replace

from tui_trainer.protocol.exhibit import Control

TOPIC = "find-lr"
"""The topic of its question."""

NOW, FRESH = STARTS = ("now", "fresh")
"""From the current weights, or from new ones for each seed."""

START = Control(name="start", label="start", value=NOW, steps=STARTS)
SEEDS = Control(name="seeds", label="seeds", value=5.0, steps=(3.0, 5.0, 10.0), low=1.0, high=50.0)
STEPS = Control(
    name="steps",
    label="updates",
    value=100.0,
    steps=(50.0, 100.0, 200.0, 500.0),
    low=20.0,
    high=10_000.0,
)
_RATES = tuple(float(f"1e{power}") for power in range(-7, 4))
FROM = Control(name="from", label="from lr", value=1e-4, steps=_RATES, low=1e-9, high=100.0)
TO = Control(name="to", label="to lr", value=10.0, steps=_RATES, low=1e-8, high=1_000.0)
CONTROLS = (SEEDS, STEPS, FROM, TO)
"""The numbers, in the order of their controls."""

_RANGES = {"sgd": (1e-4, 10.0)}
_OTHERS = (1e-6, 1.0)
"""Adam divides each gradient by its size: its rates are about a hundred times smaller."""


def range_controls(optimizer: str) -> tuple[Control, Control]:
    """Return the controls of the lowest and the highest learning rate for an optimizer."""
    low, high = _RANGES.get(optimizer, _OTHERS)
    return replace(FROM, value=low), replace(TO, value=high)
