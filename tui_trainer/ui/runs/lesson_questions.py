"""The lesson that is tried: what was asked of the engine, and what it has shown."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import Command, StopTrying, TryLesson
from tui_trainer.ui.runs.choosing import Choosing


class Learning(Choosing):
    """A lesson's experiment, and the reader's choices.

    At most one question is on its way that is answered at once; of those asked meanwhile only the
    newest is kept. An experiment that trains is ended by the next question, so that one is sent.

    Attributes:
        is_result: Whether what is shown came of a training, and would be lost by asking anew.
        is_stopped: Whether a training was stopped before its end.
    """

    def __init__(self, send: Callable[[Command], None]) -> None:
        super().__init__(send)
        self.is_result = False
        self.is_stopped = False
        self._trains = ""
        self._asked: TryLesson | None = None
        self._next: TryLesson | None = None

    @property
    def lesson(self) -> str:
        """The lesson that is tried, by its name; empty before there is one."""
        return self._subject

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    @property
    def is_under_way(self) -> bool:
        """Whether an experiment trains."""
        return self._asked is not None and self._asked.goes

    @property
    def trains(self) -> str:
        """What the lesson's experiment would train, as it told before it was begun."""
        return self._trains

    def open(self, lesson: str) -> None:
        """Choose a lesson, and ask what its experiment shows."""
        if lesson != self.lesson:
            self._subject, self.exhibit, self._trains = lesson, None, ""
            self.refusal, self.is_stopped = "", False
        self.ask()

    def stop(self) -> None:
        """End the training of the experiment."""
        if self.is_under_way:
            self._send(StopTrying())
            self.end()

    def end(self) -> None:
        """Take in that nothing more will come."""
        self.is_stopped = self.is_stopped or self.is_under_way
        self._asked = self._next = None

    def take(self, answer: LessonTried) -> None:
        """Take in what an experiment shows."""
        asked, is_partial = self._asked, answer.exhibit.progress is not None
        if asked is not None and (asked.lesson != answer.lesson or (is_partial and not asked.goes)):
            return  # the last of a training that was ended by what is asked now
        if answer.lesson == self.lesson:
            self.exhibit = answer.exhibit
            self._trains = answer.exhibit.trains or self._trains
            self.is_result = self.is_result or (asked is not None and asked.goes)
            self.is_stopped = self.is_stopped and is_partial
        if asked is not None and not is_partial:
            self._ask_next()

    def refuse(self, reason: str) -> None:
        """Take in that there is no answer, and why."""
        self.refusal = reason
        self._ask_next()

    def ask(self, *, goes: bool = False) -> None:
        """Ask what the experiment shows, or have it trained."""
        question = TryLesson(self.lesson, self.chosen, goes)
        if self._asked is not None and not self._asked.goes:
            self._next = question
            return
        self._put(question)

    def _put(self, question: TryLesson) -> None:
        self._asked = question
        self.refusal = ""
        self.is_result = self.is_stopped = False
        self._send(question)

    def _ask_next(self) -> None:
        """Send the question that waited for the answer to the last."""
        self._asked, question, self._next = None, self._next, None
        if question is not None:
            self._put(question)
