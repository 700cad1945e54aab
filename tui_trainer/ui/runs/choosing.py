"""What a reader chooses of something that is shown on asking: a lesson's experiment, or a view."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.protocol.commands import Command
from tui_trainer.protocol.exhibit import Control, Exhibit, Value, at


class Choosing:
    """Keeps the reader's choices by what they are of, and what is shown.

    Attributes:
        exhibit: What is shown; None before there is an answer.
        refusal: Why the latest question got no answer; empty where it got one.
    """

    def __init__(self, send: Callable[[Command], None]) -> None:
        self.exhibit: Exhibit | None = None
        self.refusal = ""
        self._send = send
        self._subject = ""
        self._choices: dict[str, dict[str, Value]] = {}

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        raise NotImplementedError

    def ask(self, *, goes: bool = False) -> None:
        """Ask what is shown now; ``goes`` is whether enter was pressed."""
        raise NotImplementedError

    @property
    def chosen(self) -> tuple[tuple[str, Value], ...]:
        """The choices, each by its control's name."""
        return tuple(self._choices.get(self._subject, {}).items())

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls; while an answer is awaited, where they are wanted to stand."""
        if self.exhibit is None:
            return ()
        chosen = dict(self.chosen) if self.is_asking else {}
        return tuple(at(c, chosen.get(c.name, c.value)) for c in self.exhibit.controls)

    def turn(self, control: Control) -> None:
        """Let a control stand where this one does, and ask what is shown then."""
        self.choose(((control.name, control.value),))

    def choose(self, choices: tuple[tuple[str, Value], ...]) -> None:
        """Make choices, and ask what is shown then."""
        self._choices.setdefault(self._subject, {}).update(choices)
        self.ask()

    def put_back(self) -> None:
        """Let every control stand where it began, those that are not shown now too."""
        if self._choices.pop(self._subject, None):
            self.ask()

    def go(self) -> None:
        """Do what enter does here."""
        self.ask(goes=True)
