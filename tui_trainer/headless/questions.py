"""Questions to the engine, with control values given in advance as NAME=VALUE."""

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
    """Control values given before the controls are known.

    Some controls appear only after another is set, so they are resolved one after the other.

    Args:
        chosen: The values as written, by control name.

    Attributes:
        unresolved: Those whose control has not appeared yet.
        resolved: The parsed values of the others.
    """

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self.unresolved = dict(chosen)
        self.resolved: dict[str, Value] = {}

    def resolve(self, controls: Iterable[Control]) -> bool:
        """Resolve the values of these controls; return whether there were any.

        Raises:
            InputError: If a control has no such value.
        """
        fitting = [control for control in controls if control.name in self.unresolved]
        for control in fitting:
            self.resolved[control.name] = parse_choice(control, self.unresolved.pop(control.name))
        return bool(fitting)

    def unknown_control(self, whose: str, controls: Iterable[Control]) -> InputError:
        """Return the error for the first unresolved control; it lists the known ones."""
        name, written = next(iter(self.unresolved.items()))
        names = ", ".join(dict.fromkeys(control.name for control in controls))
        there = f"it has {names}" if names else "it has none"
        return InputError(
            f"--set {printable(name)}={printable(written)}: {whose} has no such control; {there}"
        )


class QuestionSequence:
    """Asks questions one after the other, and keeps the answers.

    Each of :meth:`questions` must be answered through :meth:`process` before the next is taken.

    Attributes:
        step: The step of the model that was shown.
        activity: A short description of the current work.
    """

    def __init__(self) -> None:
        self._exhibits: dict[tuple[str, Choices], Exhibit] = {}
        self.step = 0
        self.activity = ""

    def questions(self) -> Iterator[Ask]:
        """Yield the questions.

        Raises:
            InputError: If a control has no such value.
        """
        raise NotImplementedError

    def process(self, event: Event) -> None:
        """Store the answer in an event; a later answer replaces an earlier one."""
        if isinstance(event, Answered) and isinstance(event.content, Exhibit):
            self._exhibits[event.question.topic, event.question.choices] = event.content
            self.step = event.step

    def ask(self, topic: str, choices: Choices, mode: Mode = "interactive") -> AskForExhibit:
        """Ask a question, unless it was answered before; return its exhibit.

        Raises:
            ValueError: If nothing was shown.
        """
        if (topic, choices) not in self._exhibits:
            yield Ask(topic, choices, mode)
        if (topic, choices) not in self._exhibits:
            raise ValueError(f"{topic} showed nothing")
        return self._exhibits[topic, choices]

    def resolve_choices(
        self, topic: str, pending: PendingChoices
    ) -> Generator[Ask, None, list[Control]]:
        """Resolve the values of a topic's controls; return all controls that appeared."""
        controls: list[Control] = []
        fits = True
        while pending.unresolved and fits:
            exhibit = yield from self.ask(topic, tuple(pending.resolved.items()))
            controls += exhibit.controls
            fits = pending.resolve(exhibit.controls)
        return controls


class LessonQuestions(QuestionSequence):
    """The questions for a lesson's experiment.

    Args:
        lesson: The lesson's name.
        chosen: The values as written, by control name.
        mode: Whether to do the experiment's training.

    Attributes:
        exhibit: The final exhibit; None before.
    """

    def __init__(self, lesson: str, chosen: Mapping[str, str], mode: Mode) -> None:
        super().__init__()
        self._lesson, self._mode = lesson, mode
        self._choosing = PendingChoices(chosen)
        self.exhibit: Exhibit | None = None

    def questions(self) -> Iterator[Ask]:
        """Yield questions until all values are resolved, then one in the requested mode."""
        topic, pending = f"lesson/{self._lesson}", self._choosing
        controls = yield from self.resolve_choices(topic, pending)
        if pending.unresolved:
            raise pending.unknown_control(self._lesson, controls)
        self.exhibit = yield from self.ask(topic, tuple(pending.resolved.items()), self._mode)

    def process(self, event: Event) -> None:
        """Store the answer and its progress."""
        super().process(event)
        if isinstance(event, Answered) and isinstance(event.content, Exhibit):
            progress = event.content.progress
            self.activity = "" if progress is None else f"experiment: {100 * progress:.0f} % done"


def run_questions(
    events: Iterable[Event], sequence: QuestionSequence, clock: Callable[[], float] = time.monotonic
) -> RunStarted:
    """Process events until all questions are answered; return the run's first event.

    The progress is shown on stderr if that is a terminal; the output of a custom model goes there
    too.

    Args:
        events: The events while the questions of ``sequence`` are answered.
        sequence: The questions.
        clock: A monotonic clock, in seconds.

    Raises:
        InputError: If a control has no such value.
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
        raise ValueError("the run showed nothing")
    return started


def parse_choice(control: Control, written: str) -> Value:
    """Return the value of a control.

    Raises:
        InputError: If the control has no such value; it lists those it has.
    """
    for step in control.steps:
        if isinstance(step, str) and step.casefold() == written.strip().casefold():
            return step
    if (called := control.class_called(written.strip())) is not None:
        return called
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
    """Return the values written as NAME=VALUE, by name; the last one wins.

    Raises:
        InputError: If one of them is not written this way.
    """
    chosen = {}
    for each in written:
        name, sign, value = each.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise InputError(f"--set {printable(each)}: write NAME=VALUE")
        chosen[name.strip()] = value.strip()
    return chosen
