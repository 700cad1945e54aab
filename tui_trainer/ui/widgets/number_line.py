"""The input line for a number."""

from __future__ import annotations

import math
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from tui_trainer.protocol.exhibit import Control, at
from tui_trainer.ui.keys.keymap import NUMBER_KEYS
from tui_trainer.ui.widgets.exhibit_head import value_text


class NumberInput(Input):
    """An input that also receives keys pressed before it had the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [*NUMBER_KEYS]

    def action_add(self, sign: str) -> None:
        """Append a character to the number."""
        self.insert_text_at_cursor(sign)


class NumberLine(Horizontal):
    """Asks for the number of a control; hidden unless one is typed."""

    DEFAULT_CSS = """
    NumberLine { display: none; height: 1; background: $surface; padding: 0 1; }
    NumberLine.-open { display: block; }
    NumberLine > Static { width: auto; height: 1; color: $role-title; }
    NumberLine > Input { width: 14; margin: 0 1; }
    NumberLine > #number-note { width: 1fr; color: $role-muted; }
    NumberLine.-invalid > #number-note { color: $role-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "close", show=False)]

    class Submitted(Message):
        """A valid number was submitted; the message has the control with it."""

        def __init__(self, turned: Control) -> None:
            super().__init__()
            self.turned = turned

    class Closed(Message):
        """The line was closed."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._control: Control | None = None

    def compose(self) -> ComposeResult:
        """The label, the input, and a hint or an error."""
        yield Static(id="number-asked", markup=False)
        yield NumberInput(compact=True, select_on_focus=False)
        yield Static(id="number-note", markup=False)

    @property
    def is_open(self) -> bool:
        """Whether a number is being typed."""
        return self._control is not None

    def open(self, control: Control, start: str) -> None:
        """Open the line with the first characters of a number; the next key continues it.

        If the line is open already, append them.
        """
        if self.is_open:
            self.query_one(NumberInput).action_add(start)
            return
        self._control = control
        asked = f"{control.label}, {_range(control)}:"
        self.query_one("#number-asked", Static).update(asked)
        self._note("enter to apply, esc to cancel")
        line = self.query_one(NumberInput)
        line.value = start
        line.cursor_position = len(start)
        self.add_class("-open")
        # Not line.focus(): it would send keys that are already queued to the experiment.
        self.screen.set_focus(line)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Submit a valid number, or show an error."""
        event.stop()
        control = self._control
        if control is None:
            return
        try:
            value = number_for(control, event.value)
        except ValueError as error:
            self._note(f"✗ {error}", is_invalid=True)
            return
        self.action_close()
        self.post_message(self.Submitted(at(control, value)))

    def action_close(self) -> None:
        """Close the line."""
        self._control = None
        self.remove_class("-open")
        self.post_message(self.Closed())

    def _note(self, words: str, *, is_invalid: bool = False) -> None:
        self.query_one("#number-note", Static).update(words)
        self.set_class(is_invalid, "-invalid")


def number_for(control: Control, typed: str) -> float:
    """Parse a number for a control.

    Raises:
        ValueError: If it is not a number, or out of range.
    """
    try:
        value = float(typed.strip())
    except ValueError:
        raise ValueError(f"not a number; type for example {value_text(control.value)}") from None
    low, high = _bounds(control)
    # Also false for NaN.
    if not low <= value <= high:
        raise ValueError(f"type a number {_range(control)}")
    return value


def _bounds(control: Control) -> tuple[float, float]:
    low = -math.inf if control.low is None else control.low
    return low, math.inf if control.high is None else control.high


def _range(control: Control) -> str:
    low, high = _bounds(control)
    return f"from {value_text(low)} to {value_text(high)}"
