"""The reader's choices of an experiment, given once and for all: the controls tell what fits."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

from tui_trainer.headless.streams import Console
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Mode
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunStarted, StateChanged
from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.render.plain_exhibit import choice_text
from tui_trainer.text.fmt import Cell, one_line, printable

Choices = tuple[tuple[str, Value], ...]
AskForExhibit = Generator[Ask, None, Exhibit]


class PendingChoices:
    """Choices that were written before it was known which controls there are.

    Some controls come with another's choice: they are made one after the other.

    Args:
        chosen: The choices by the names of their controls, as they were written.

    Attributes:
        open: Those that have not found their control yet.
        made: Those that have.
    """

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self.unresolved = dict(chosen)
        self.resolved: dict[str, Value] = {}

    def resolve(self, controls: Iterable[Control]) -> bool:
        """Make the choices that fit these controls; return whether there were any.

        Raises:
            InputError: If one of the controls cannot be turned to what was chosen.
        """
        fitting = [control for control in controls if control.name in self.unresolved]
        for control in fitting:
            self.resolved[control.name] = parse_choice(control, self.unresolved.pop(control.name))
        return bool(fitting)

    def unknown_control(self, whose: str, controls: Iterable[Control]) -> InputError:
        """Return that the first of the open choices has no control, and which there are."""
        name, written = next(iter(self.unresolved.items()))
        names = ", ".join(dict.fromkeys(control.name for control in controls))
        there = f"it has {names}" if names else "it has none"
        return InputError(
            f"--set {printable(name)}={printable(written)}: {whose} has no such control; {there}"
        )


class QuestionSequence:
    """Asks one question after the other, and keeps what the answers show.

    Each of :meth:`questions` is to be answered, by :meth:`process`, before the next is taken.

    Attributes:
        step: After how many batches the model was as it is shown.
        doing: What is worked on, in a few words.
    """

    def __init__(self) -> None:
        self._exhibits: dict[tuple[str, Choices], Exhibit] = {}
        self.step = 0
        self.activity = ""

    def questions(self) -> Iterator[Ask]:
        """Yield what to ask.

        Raises:
            InputError: If a choice cannot be made.
        """
        raise NotImplementedError

    def process(self, event: Event) -> None:
        """Take in what a question has led to; the latest answer counts."""
        if isinstance(event, Answered) and isinstance(event.content, Exhibit):
            self._exhibits[event.question.topic, event.question.choices] = event.content
            self.step = event.step

    def ask(self, topic: str, choices: Choices, mode: Mode = "interactive") -> AskForExhibit:
        """Ask a question, unless it was answered before; return what it shows.

        Raises:
            ValueError: If nothing was shown.
        """
        if (topic, choices) not in self._exhibits:
            yield Ask(topic, choices, mode)
        if (topic, choices) not in self._exhibits:
            raise ValueError(f"{topic} has shown nothing")
        return self._exhibits[topic, choices]

    def resolve_choices(
        self, topic: str, pending: PendingChoices
    ) -> Generator[Ask, None, list[Control]]:
        """Make choices as far as a topic has controls for them; return all controls it showed."""
        controls: list[Control] = []
        fits = True
        while pending.unresolved and fits:
            exhibit = yield from self.ask(topic, tuple(pending.resolved.items()))
            controls += exhibit.controls
            fits = pending.resolve(exhibit.controls)
        return controls


class LessonQuestions(QuestionSequence):
    """Asks for the experiment of a lesson.

    Args:
        lesson: The lesson's name.
        chosen: The choices by the names of their controls, as they were written.
        mode: Whether to do the experiment's training.

    Attributes:
        exhibit: What it shows in the end; None before.
    """

    def __init__(self, lesson: str, chosen: Mapping[str, str], mode: Mode) -> None:
        super().__init__()
        self._lesson, self._mode = lesson, mode
        self._choosing = PendingChoices(chosen)
        self.exhibit: Exhibit | None = None

    def questions(self) -> Iterator[Ask]:
        """Yield what to ask until all choices are made; at last in the mode that is wanted."""
        topic, pending = f"lesson/{self._lesson}", self._choosing
        controls = yield from self.resolve_choices(topic, pending)
        if pending.unresolved:
            raise pending.unknown_control(self._lesson, controls)
        self.exhibit = yield from self.ask(topic, tuple(pending.resolved.items()), self._mode)

    def process(self, event: Event) -> None:
        """Take in what a question has led to, and how far it is."""
        super().process(event)
        if isinstance(event, Answered) and isinstance(event.content, Exhibit):
            progress = event.content.progress
            self.activity = "" if progress is None else f"trying: {100 * progress:.0f} % done"


def run_questions(
    events: Iterable[Event], sequence: QuestionSequence, clock: Callable[[], float] = time.monotonic
) -> RunStarted:
    """Let questions be answered, and return what was prepared for it.

    How far it is stands on stderr, if that is a terminal; what a custom model prints goes there as
    well.

    Args:
        events: What happens while the questions of ``sequence`` are answered.
        sequence: The questions.
        clock: Seconds that only go up.

    Raises:
        InputError: If a choice cannot be made.
        ValueError: If nothing was shown.
    """
    console = Console(sys.stderr, clock)
    started: RunStarted | None = None
    try:
        for event in events:
            sequence.process(event)
            match event:
                case StateChanged():
                    console.draw([Cell(one_line(event.detail))])
                case RunStarted():
                    started = event
                case Answered() if sequence.activity and console.due():
                    console.draw([Cell(sequence.activity)])
    finally:
        console.clear()
    if started is None:
        raise ValueError("the run has shown nothing")
    return started


def parse_choice(control: Control, written: str) -> Value:
    """Return what a control is turned to.

    Raises:
        InputError: If it cannot be turned to that; it names what there is.
    """
    for step in control.steps:
        if isinstance(step, str) and step.casefold() == written.strip().casefold():
            return step
    numbers = [float(step) for step in control.steps if not isinstance(step, str)]
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if control.low is not None and control.high is not None:
        fits = control.low <= number <= control.high
    else:
        fits = any(math.isclose(number, step) for step in numbers)
    if not fits:
        raise InputError(
            f"--set {control.name}={printable(written)}: choose {choice_text(control)}"
        )
    return number


def parse_choices(written: Iterable[str]) -> dict[str, str]:
    """Return choices written as NAME=VALUE by their names; of two for one control the last.

    Raises:
        InputError: If one of them is not written so.
    """
    chosen = {}
    for each in written:
        name, sign, value = each.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise InputError(f"--set {printable(each)}: write NAME=VALUE")
        chosen[name.strip()] = value.strip()
    return chosen
