"""What a person asks the engine: at most one question of a kind is on its way, the newest wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command, Mode, Withdraw
from tui_trainer.protocol.exhibit import Control, Exhibit, Value, at


class Questions:
    """Asks questions of one kind, and keeps the answer to the newest.

    While an answer is awaited, only the newest of the questions asked meanwhile is kept. A question
    in the background gives way at once, and so does one that is answered in parts or confirmed: the
    engine ends the work on it when the next arrives.

    Attributes:
        kind: The kind of question.
        answer: The latest answer; None before there is one.
        answers: How many there were.
        refusal: Why the latest question got no answer; empty where it got one.
        is_stopped: Whether a confirmed question was stopped before its end.
    """

    def __init__(self, send: Callable[[Command], None], kind: str) -> None:
        self.kind = kind
        self.answer: Answered | None = None
        self.answers = 0
        self.rejection = ""
        self.is_stopped = False
        self._send = send
        self._asked: Ask | None = None
        self._next: Ask | None = None
        self._is_pending = False

    @property
    def is_idle(self) -> bool:
        """Whether no answer is awaited at all."""
        return not self._is_pending

    @property
    def is_waiting(self) -> bool:
        """Whether a person waits for an answer."""
        return self._is_pending and not self._is("background")

    @property
    def is_running(self) -> bool:
        """Whether what enter does is under way."""
        return self._is_pending and self._is("confirmed")

    @property
    def has_result(self) -> bool:
        """Whether the answer came of what enter does, and would be lost by asking again."""
        return self._has_answer and self._is("confirmed")

    @property
    def _has_answer(self) -> bool:
        """Whether the newest question has an answer, or a part of one."""
        return self.answer is not None and self.answer.question is self._asked

    def _is(self, mode: Mode) -> bool:
        return self._asked is not None and self._asked.mode == mode

    def submit(self, question: Ask) -> None:
        """Ask a question, or keep it until the last one is answered."""
        if self._is_pending and self._is("interactive") and not self._has_answer:
            self._next = question
        else:
            self._send_now(question)

    def _send_now(self, question: Ask) -> None:
        self._asked, self._next, self._is_pending = question, None, True
        self.is_stopped = False
        if question.mode != "background":
            self.rejection = ""
        self._send(question)

    def drop_next(self) -> None:
        """Forget the question that has not been sent yet."""
        self._next = None

    def receive(self, answer: Answered) -> bool:
        """Take in an answer; return whether it counts: one to an older question does not.

        After the end a part is left out, unless it is the last of what was stopped.
        """
        awaited = self._is_pending or self.is_stopped or answer.is_last
        if answer.question is not self._asked or not awaited:
            return False
        self.answer, self.answers = answer, self.answers + 1
        if answer.is_last:
            self.is_stopped = False
            self._send_next()
        return True

    def reject(self, reason: str) -> None:
        """Take in that there is no answer, and why."""
        if self._is_pending:
            self.rejection = reason
            self._send_next()

    def _send_next(self) -> None:
        """Send the question that waited for the answer to the last."""
        question, self._next, self._is_pending = self._next, None, False
        if question is not None:
            self._send_now(question)

    def stop(self) -> None:
        """End what enter does, if it is under way."""
        if self.is_running:
            self._send(Withdraw(self.kind))
            self.end()

    def end(self) -> None:
        """Take in that nothing more will come."""
        self.is_stopped = self.is_stopped or self.is_running
        self._next, self._is_pending = None, False


class ExhibitQuestions(Questions):
    """Asks for exhibits, of one subject (view or lesson) at a time, with the reader's choices.

    Attributes:
        subject: The name of the view or lesson; empty before there is one.
        trains: What enter would do, as the subject's exhibits said before it was begun.
    """

    def __init__(self, send: Callable[[Command], None], kind: str) -> None:
        super().__init__(send, kind)
        self.subject = ""
        self.trains = ""
        self._choices: dict[str, Mapping[str, Value]] = {}

    @property
    def exhibit(self) -> Exhibit | None:
        """What the subject shows; None before there is an answer."""
        content = self.answer.content if self.answer else None
        return content if isinstance(content, Exhibit) else None

    @property
    def step(self) -> int:
        """After how many batches the weights were as they are shown."""
        return self.answer.step if self.answer else 0

    @property
    def chosen(self) -> tuple[tuple[str, Value], ...]:
        """The choices, each by its control's name."""
        return tuple(self._choices.get(self.subject, {}).items())

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls; while an answer is awaited, where they are wanted to stand."""
        if self.exhibit is None:
            return ()
        chosen = dict(self.chosen) if self.is_waiting else {}
        return tuple(at(c, chosen.get(c.name, c.value)) for c in self.exhibit.controls)

    def open(self, subject: str) -> None:
        """Choose a subject, and ask what it shows."""
        if subject != self.subject:
            self.subject, self.trains = subject, ""
            self.answer, self.rejection, self.is_stopped = None, "", False
            self._asked, self._is_pending = None, False  # what comes of it is of another subject
        self.ask()

    def prepare(self, subject: str, choices: tuple[tuple[str, Value], ...]) -> None:
        """Let the controls of a subject stand so when it is opened."""
        self._choices[subject] = dict(choices)

    def ask(self, mode: Mode = "interactive") -> None:
        """Ask what the subject shows."""
        self.submit(Ask(f"{self.kind}/{self.subject}", self.chosen, mode))

    def refresh(self) -> None:
        """Ask what the subject shows by now, if no answer is awaited."""
        if self.is_idle:
            self.ask("background")

    def confirm(self) -> None:
        """Do what enter does here: once, however often it is pressed meanwhile, for it counts."""
        if not self.is_running:
            self.ask("confirmed")

    def choose(self, choices: tuple[tuple[str, Value], ...]) -> None:
        """Make choices, and ask what is shown then."""
        self._choices[self.subject] = {**self._choices.get(self.subject, {}), **dict(choices)}
        self.ask()

    def set_control(self, control: Control) -> None:
        """Let a control stand where this one does, and ask what is shown then."""
        self.choose(((control.name, control.value),))

    def reset_controls(self) -> None:
        """Let every control stand where it began, those that are not shown now too."""
        if self._choices.pop(self.subject, None):
            self.ask()

    def receive(self, answer: Answered) -> bool:
        """Take in an answer; return whether it counts."""
        counts = super().receive(answer)
        if counts and isinstance(answer.content, Exhibit):
            self.trains = answer.content.trains or self.trains
        return counts
