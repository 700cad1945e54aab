"""The reader's choices of an experiment, given once and for all: the controls tell what fits."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from tui_trainer.headless.streams import Console
from tui_trainer.protocol.answers import LessonTried
from tui_trainer.protocol.commands import Inbox, TryLesson
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunStarted, StateChanged
from tui_trainer.protocol.exhibit import Control, Exhibit, Value
from tui_trainer.render.plain_exhibit import choice_text
from tui_trainer.text.fmt import Cell, printable


class Choosing:
    """Choices that were written before it was known which controls there are.

    Some controls come with another's choice: they are made one after the other.

    Args:
        chosen: The choices by the names of their controls, as they were written.

    Attributes:
        made: Those that have found their control.
    """

    def __init__(self, chosen: Mapping[str, str]) -> None:
        self._open = dict(chosen)
        self.made: dict[str, Value] = {}

    @property
    def open(self) -> Mapping[str, str]:
        """Those that have not."""
        return self._open

    def fit(self, controls: Iterable[Control]) -> bool:
        """Make the choices that fit these controls; return whether there were any.

        Raises:
            InputError: If one of the controls cannot be turned to what was chosen.
        """
        fitting = [control for control in controls if control.name in self._open]
        for control in fitting:
            self.made[control.name] = chosen_value(control, self._open.pop(control.name))
        return bool(fitting)

    def misfit(self, whose: str, controls: Iterable[Control]) -> InputError:
        """Return that the first of the open choices has no control, and which there are."""
        name, written = next(iter(self._open.items()))
        names = ", ".join(dict.fromkeys(control.name for control in controls))
        there = f"it has {names}" if names else "it has none"
        return InputError(
            f"--set {printable(name)}={printable(written)}: {whose} has no such control; {there}"
        )


class Asking:
    """Asks for an experiment until all choices are made.

    Which controls there are is known from what an experiment shows. So it is asked again with the
    choices that fit, and at last, if it is to go, to go.

    Args:
        lesson: The lesson's name.
        chosen: The choices by the names of their controls, as they were written.
        goes: Whether to do what takes seconds.
        inbox: Where the questions go.
    """

    def __init__(self, lesson: str, chosen: Mapping[str, str], *, goes: bool, inbox: Inbox) -> None:
        self._lesson = lesson
        self._choosing = Choosing(chosen)
        self._goes = goes
        self._inbox = inbox
        self._ask()

    def _ask(self) -> None:
        goes = self._goes and not self._choosing.open
        choices = tuple(self._choosing.made.items())
        self._inbox.send(TryLesson(lesson=self._lesson, choices=choices, goes=goes))

    def answered(self, exhibit: Exhibit) -> None:
        """Take in what is shown; ask again if there are choices that it was not asked with.

        Raises:
            InputError: If one of them cannot be made.
        """
        if not self._choosing.open:
            return
        if not self._choosing.fit(exhibit.controls):
            raise self._choosing.misfit(self._lesson, exhibit.controls)
        self._ask()


def chosen_value(control: Control, written: str) -> Value:
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


def answer_to(
    asking: Asking, events: Iterable[Event], clock: Callable[[], float] = time.monotonic
) -> tuple[RunStarted, LessonTried]:
    """Return what an experiment shows in the end, and what was prepared for it.

    How far it is stands on stderr, if that is a terminal; what one's own network prints goes there
    as well.

    Raises:
        InputError: If a choice cannot be made.
    """
    console = Console(sys.stderr, clock)
    started: RunStarted | None = None
    tried: LessonTried | None = None
    for event in events:
        match event:
            case StateChanged():
                console.draw([Cell(event.detail)])
            case RunStarted():
                started = event
            case LessonTried():
                tried = event
                asking.answered(event.exhibit)
                if event.exhibit.progress is not None and console.due():
                    console.draw([Cell(f"trying: {100 * event.exhibit.progress:.0f} % done")])
    console.clear()
    if started is None or tried is None:
        raise ValueError("the experiment has shown nothing")
    return started, tried
