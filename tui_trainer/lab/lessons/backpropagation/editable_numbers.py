"""The numbers of the 2-2-2 example that the reader can edit."""

from __future__ import annotations

from tui_trainer.lab.controls import Controls, number_control
from tui_trainer.lab.lessons.backpropagation.arithmetic import START, WEIGHTS, TwoLayerNet
from tui_trainer.protocol.exhibit import Words

_DEFAULTS = dict(zip(WEIGHTS, START.weights, strict=True)) | dict(
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
    for name, value in _DEFAULTS.items()
)
"""The controls of the numbers; they apply to every view but the first layer."""


def edited_net(controls: Controls) -> TwoLayerNet:
    """Return the example with the reader's numbers."""
    numbers = {each.name: controls.number(each, is_shown=False) for each in EDITS}
    return TwoLayerNet(
        inputs=(numbers["i1"], numbers["i2"]),
        targets=(numbers["t1"], numbers["t2"]),
        weights=tuple(numbers[name] for name in WEIGHTS),
    )


def edited_note(net: TwoLayerNet) -> tuple[Words, ...]:
    """Return a line with the changed numbers; nothing if none was changed."""
    now = (*net.weights, *net.inputs, *net.targets)
    pairs = zip(_DEFAULTS.items(), now, strict=True)
    changed = [
        f"{name} {value:g} (was {given:g})" for (name, given), value in pairs if value != given
    ]
    return (Words(text=f"Your numbers: {', '.join(changed)}.", tone="warning"),) if changed else ()
