"""Questions to the engine: at most one of each kind is pending, and the newest one wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, CancelQuestion, Command, Mode
from tui_trainer.protocol.exhibit import Control, Exhibit, Value, at


class Questions:
    """Asks questions of one kind, and keeps the answer to the newest.

    While a question is pending, only the newest of those asked in the meantime is kept. A new
    question replaces a pending one at once if that is in the background, confirmed or partly
    answered: the engine stops working on it when the new one arrives.

    Attributes:
        kind: The kind of question.
        answer: The latest answer, if any.
        answers: Number of answers so far.
        rejection: Why the latest question got no answer; empty if it got one.
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
        """Whether no question is pending."""
        return not self._is_pending

    @property
    def is_waiting(self) -> bool:
        """Whether the user waits: a question is pending, and not in the background."""
        return self._is_pending and not self._is("background")

    @property
    def is_running(self) -> bool:
        """Whether a confirmed question is pending: its experiment runs."""
        return self._is_pending and self._is("confirmed")

    @property
    def has_result(self) -> bool:
        """Whether the answer is the result of a confirmed question; asking again would lose it."""
        return self._has_answer and self._is("confirmed")

    @property
    def _has_answer(self) -> bool:
        """Whether the newest question is answered, at least in part."""
        return self.answer is not None and self.answer.question is self._asked

    def _is(self, mode: Mode) -> bool:
        return self._asked is not None and self._asked.mode == mode

    def submit(self, question: Ask) -> None:
        """Send a question, or keep it until the pending one is answered."""
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
        """Forget the question that was kept and not sent yet."""
        self._next = None

    def receive(self, answer: Answered) -> bool:
        """Store an answer; return False if it belongs to an older question.

        After ``end`` partial answers are dropped, except for those of a stopped question.
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
        """Record why the question gets no answer."""
        if self._is_pending:
            self.rejection = reason
            self._send_next()

    def _send_next(self) -> None:
        """Send the question that was kept."""
        question, self._next, self._is_pending = self._next, None, False
        if question is not None:
            self._send_now(question)

    def stop(self) -> None:
        """Withdraw a confirmed question, if one is pending."""
        if self.is_running:
            self._send(CancelQuestion(self.kind))
            self.end()

    def end(self) -> None:
        """Expect no more answers."""
        self.is_stopped = self.is_stopped or self.is_running
        self._next, self._is_pending = None, False


class ExhibitQuestions(Questions):
    """Asks for exhibits of one subject (view or lesson) at a time, with the user's choices.

    A kind of question without subjects has the empty one.

    Attributes:
        subject: The name of the view or lesson; empty at first.
        trains: What enter would train, according to the exhibits before it started.
    """

    def __init__(self, send: Callable[[Command], None], kind: str) -> None:
        super().__init__(send, kind)
        self.subject = ""
        self.trains = ""
        self._choices: dict[str, Mapping[str, Value]] = {}

    @property
    def exhibit(self) -> Exhibit | None:
        """The exhibit of the subject, if there is an answer."""
        content = self.answer.content if self.answer else None
        return content if isinstance(content, Exhibit) else None

    @property
    def step(self) -> int:
        """The training step of the weights that are shown."""
        return self.answer.step if self.answer else 0

    @property
    def chosen(self) -> tuple[tuple[str, Value], ...]:
        """The user's choices for the subject: names of controls and their values."""
        return tuple(self._choices.get(self.subject, {}).items())

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls; while an answer is pending, with the requested values."""
        if self.exhibit is None:
            return ()
        chosen = dict(self.chosen) if self.is_waiting else {}
        return tuple(at(c, chosen.get(c.name, c.value)) for c in self.exhibit.controls)

    def open(self, subject: str) -> None:
        """Choose a subject, and ask for its exhibit."""
        if subject != self.subject:
            self.subject, self.trains = subject, ""
            self.answer, self.rejection, self.is_stopped = None, "", False
            self._asked, self._is_pending = None, False  # its answer is of another subject
        self.ask()

    def prepare(self, subject: str, choices: tuple[tuple[str, Value], ...]) -> None:
        """Set the choices with which a subject will be opened."""
        self._choices[subject] = dict(choices)

    def ask(self, mode: Mode = "interactive") -> None:
        """Ask for the subject's exhibit."""
        topic = f"{self.kind}/{self.subject}" if self.subject else self.kind
        self.submit(Ask(topic, self.chosen, mode))

    def refresh(self) -> None:
        """Ask for the current exhibit in the background, unless a question is pending."""
        if self.is_idle:
            self.ask("background")

    def confirm(self) -> None:
        """Confirm: train, or evaluate the test set; repeated presses while it runs do nothing."""
        if not self.is_running:
            self.ask("confirmed")

    def choose(self, choices: tuple[tuple[str, Value], ...]) -> None:
        """Make choices, and ask for the exhibit with them."""
        self._choices[self.subject] = {**self._choices.get(self.subject, {}), **dict(choices)}
        self.ask()

    def set_control(self, control: Control) -> None:
        """Set a control to this one's value, and ask for the exhibit."""
        self.choose(((control.name, control.value),))

    def reset_controls(self) -> None:
        """Reset all controls of the subject to their defaults, including hidden ones."""
        if self._choices.pop(self.subject, None):
            self.ask()

    def receive(self, answer: Answered) -> bool:
        """Store an answer; return False if it belongs to an older question."""
        counts = super().receive(answer)
        if counts and isinstance(answer.content, Exhibit):
            self.trains = answer.content.trains or self.trains
        return counts
