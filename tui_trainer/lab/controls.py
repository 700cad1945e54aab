"""The controls of an exhibit, and the values that the reader chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tui_trainer.lab.context import Context
from tui_trainer.protocol.exhibit import (
    Choices,
    Control,
    Exhibit,
    Link,
    Value,
    at,
    chosen_int,
    chosen_number,
    chosen_text,
)


def word_control(name: str, steps: Iterable[str], *, label: str = "", value: str = "") -> Control:
    """Return a control of words; by default its label is its name, its value the first word."""
    words = tuple(steps)
    return Control(name=name, label=label or name, value=value or words[0], steps=words)


def number_control(
    name: str,
    label: str,
    value: float,
    steps: Iterable[float],
    low: float | None = None,
    high: float | None = None,
) -> Control:
    """Return a control of numbers; with a range, any number in it can be typed."""
    numbers = tuple(map(float, steps))
    return Control(name=name, label=label, value=float(value), steps=numbers, low=low, high=high)


def link_to(view: str, hint: str, **choices: Value) -> Link:
    """Return a link to another view, with the values of its controls."""
    values = {name: v if isinstance(v, str) else float(v) for name, v in choices.items()}
    return Link(view=view, choices=tuple(values.items()), hint=hint)


class Controls:
    """The controls of an exhibit, in the order in which they are read.

    Reading a choice adds its control; ``is_shown=False`` reads without adding. A control that is
    added again replaces the earlier one of that name.

    Attributes:
        choices: The chosen values, by control name.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self._shown: dict[str, Control] = {}

    @property
    def shown(self) -> tuple[Control, ...]:
        """The added controls with their values."""
        return tuple(self._shown.values())

    def add(self, control: Control, value: Value | None = None) -> None:
        """Add a control with a value; None keeps its own."""
        self._shown[control.name] = control if value is None else at(control, value)

    def word(self, control: Control, *, is_shown: bool = True) -> str:
        """Return the chosen word; the initial one if the choice is not valid."""
        word = chosen_text(self.choices, control)
        if is_shown:
            self.add(control, word)
        return word

    def number(self, control: Control, *, is_shown: bool = True) -> float:
        """Return the chosen number, clamped to the control's range."""
        number = chosen_number(self.choices, control)
        if is_shown:
            self.add(control, number)
        return number

    def whole(self, control: Control, *, is_shown: bool = True) -> int:
        """Return the chosen number, rounded down."""
        number = chosen_int(self.choices, control)
        if is_shown:
            self.add(control, number)
        return number


Show = Callable[[Context, Controls, bool], Iterator[Exhibit]]
"""Shows a view or a lesson; the last argument is whether enter was pressed."""


def with_controls(show: Show) -> Callable[[Context, Choices, bool], Iterator[Exhibit]]:
    """Wrap a ``show``: each exhibit gets the controls that were read so far."""

    def shown(context: Context, choices: Choices, confirmed: bool) -> Iterator[Exhibit]:
        controls = Controls(choices)
        for exhibit in show(context, controls, confirmed):
            # A view yields None after a slice without an exhibit.
            yield exhibit and replace(exhibit, controls=controls.shown)

    return shown
