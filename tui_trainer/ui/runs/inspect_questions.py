"""The view of the network that is looked at: what was asked of the engine, what it has shown."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.protocol.answers import Inspected
from tui_trainer.protocol.commands import Command, Inspect
from tui_trainer.protocol.exhibit import Value
from tui_trainer.ui.runs.choosing import Choosing


class Inspecting(Choosing):
    """A view of the network, and the reader's choices.

    At most one question of the reader's is on its way; of those asked meanwhile only the newest is
    kept. One that follows the training gives way to the reader's at once.

    Attributes:
        step: After how many batches the weights were as they are shown.
        drawn: How many answers there were: who paints goes by it.
    """

    def __init__(self, send: Callable[[Command], None]) -> None:
        super().__init__(send)
        self.step = 0
        self.drawn = 0
        self._asked: Inspect | None = None
        self._next: Inspect | None = None
        self._is_partial = False

    @property
    def view(self) -> str:
        """The view that is looked at, by its name; empty before there is one."""
        return self._subject

    @property
    def is_asking(self) -> bool:
        """Whether the reader waits for an answer."""
        return self._asked is not None and not self._asked.follows

    @property
    def is_going(self) -> bool:
        """Whether what enter does is under way."""
        return self._asked is not None and self._asked.goes

    @property
    def is_free(self) -> bool:
        """Whether no answer is awaited at all."""
        return self._asked is None

    def prepare(self, view: str, choices: tuple[tuple[str, Value], ...]) -> None:
        """Let the controls of a view stand so when it is opened."""
        self._choices[view] = dict(choices)

    def open(self, view: str) -> None:
        """Choose a view, and ask what it shows."""
        if view != self.view:
            self._subject, self.exhibit, self.refusal = view, None, ""
            self._asked = self._next = None  # whatever comes of it is of another view
        self.ask()

    def follow(self) -> None:
        """Ask what the view shows by now, if no answer is awaited."""
        if self.is_free:
            self._put(Inspect(self.view, self.chosen, follows=True))

    def go(self) -> None:
        """Do what enter does here: once, however often it is pressed meanwhile, for it counts."""
        if not self.is_going:
            super().go()

    def ask(self, *, goes: bool = False) -> None:
        """Ask what the view shows; ``goes`` is whether enter was pressed."""
        question = Inspect(self.view, self.chosen, goes=goes)
        if self.is_asking and not self._is_partial:
            self._next = question
        else:
            self._put(question)

    def take(self, answer: Inspected) -> None:
        """Take in what a view shows; what was asked for before something newer is left out."""
        if answer.wish != self._asked:
            return
        self.exhibit, self.step, self.drawn = answer.exhibit, answer.step, self.drawn + 1
        self._is_partial = answer.exhibit.progress is not None
        if not self._is_partial:
            self._ask_next()

    def refuse(self, reason: str) -> None:
        """Take in that there is no answer, and why."""
        if self._asked is not None:
            self.refusal = reason
            self._ask_next()

    def end(self) -> None:
        """Take in that nothing more will come of what was asked."""
        self._asked = self._next = None

    def _put(self, question: Inspect) -> None:
        self._asked, self._next, self._is_partial = question, None, False
        if not question.follows:
            self.refusal = ""
        self._send(question)

    def _ask_next(self) -> None:
        """Send the question that waited for the answer to the last."""
        self._asked, question, self._next = None, self._next, None
        if question is not None:
            self._put(question)
