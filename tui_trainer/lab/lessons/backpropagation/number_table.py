"""The numbers of the example of two, two and two that the reader can edit."""

from __future__ import annotations

from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.lessons.backpropagation.arithmetic import START, WEIGHTS, Network
from tui_trainer.protocol.exhibit import Words

_GIVEN = dict(zip(WEIGHTS, START.weights, strict=True)) | dict(
    zip(("i1", "i2", "t1", "t2"), START.inputs + START.targets, strict=True)
)
EDITS = tuple(
    number_control(
        name,
        name,
        value,
        (-10.0, -5.0, -2.0, *(k / 20 for k in range(-20, 21)), 2, 5, 10),
        -100.0,
        100.0,
    )
    for name, value in _GIVEN.items()
)
"""The numbers of the example that can be edited; they hold in every view but the first layer's."""


def network_of(controls: Controls) -> Network:
    """Return the example with the numbers that the reader has edited."""
    numbers = {each.name: controls.number(each, is_shown=False) for each in EDITS}
    return Network(
        inputs=(numbers["i1"], numbers["i2"]),
        targets=(numbers["t1"], numbers["t2"]),
        weights=tuple(numbers[name] for name in WEIGHTS),
    )


def edited(network: Network) -> tuple[Words, ...]:
    """Return the line that says which numbers are the reader's own; none if there is nothing."""
    now = (*network.weights, *network.inputs, *network.targets)
    pairs = zip(_GIVEN.items(), now, strict=True)
    own = [f"{name} {value:g} (was {given:g})" for (name, given), value in pairs if value != given]
    return (Words(text=f"Your numbers: {', '.join(own)}.", tone="warning"),) if own else ()
