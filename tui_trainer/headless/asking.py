"""The reader's choices of an experiment, given once and for all: the controls tell what fits."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout

from tui_trainer.headless.exhibit import choice_text
from tui_trainer.headless.streams import Console
from tui_trainer.run.answers import LessonTried
from tui_trainer.run.commands import Inbox, TryLesson
from tui_trainer.run.errors import InputError
from tui_trainer.run.events import Event, RunStarted, StateChanged
from tui_trainer.run.exhibit import Control, Exhibit, Value
from tui_trainer.run.text import Cell, printable


class Asking:
    """Asks for an experiment until all choices are made.

    Which controls there are is known from what an experiment shows; some come with another's
    choice. So it is asked again with those that fit, and at last, if it is to go, to go.

    Args:
        lesson: The lesson's name.
        chosen: The choices by the names of their controls, as they were written.
        goes: Whether to do what takes seconds.
        inbox: Where the questions go.
    """

    def __init__(self, lesson: str, chosen: Mapping[str, str], *, goes: bool, inbox: Inbox) -> None:
        self._lesson = lesson
        self._open = dict(chosen)
        self._made: dict[str, Value] = {}
        self._goes = goes
        self._inbox = inbox
        self._ask()

    def _ask(self) -> None:
        goes = self._goes and not self._open
        choices = tuple(self._made.items())
        self._inbox.send(TryLesson(lesson=self._lesson, choices=choices, goes=goes))

    def answered(self, exhibit: Exhibit) -> None:
        """Take in what is shown; ask again if there are choices that it was not asked with.

        Raises:
            InputError: If one of them cannot be made.
        """
        if not self._open:
            return
        controls = {control.name: control for control in exhibit.controls}
        fitting = [name for name in self._open if name in controls]
        if not fitting:
            name, written = next(iter(self._open.items()))
            there = f"it has {', '.join(controls)}" if controls else "it has none"
            raise InputError(
                f"--set {printable(name)}={printable(written)}: {self._lesson} has no such "
                f"control; {there}"
            )
        for name in fitting:
            self._made[name] = chosen_value(controls[name], self._open.pop(name))
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
    with redirect_stdout(sys.stderr):
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
