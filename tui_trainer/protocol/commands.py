"""Commands: what a person or a script asks of a training that runs.

Every command carries an absolute value ("0.02", not "double it"), so sending one twice is safe and
a recorded run can be replayed. What became of a command is reported by an event.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SetBaseLr:
    """Change the base learning rate; the schedule keeps multiplying it."""

    value: float


@dataclass(frozen=True, slots=True)
class SetBatchSize:
    """Change the size of the next slice of this epoch's permutation."""

    value: int


@dataclass(frozen=True, slots=True)
class SetAugmentation:
    """Switch augmentation of the training batches on or off."""

    value: bool


@dataclass(frozen=True, slots=True)
class SetDropout:
    """Change the share of features that every dropout layer hides, 0 to 0.95."""

    value: float


@dataclass(frozen=True, slots=True)
class SetEpochs:
    """Change how many epochs the run has; the schedule is stretched over the new number."""

    value: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop between two batches and wait."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause."""


@dataclass(frozen=True, slots=True)
class RunStep:
    """Train one batch, then pause."""


@dataclass(frozen=True, slots=True)
class RunEpoch:
    """Train to the end of this epoch, validation included, then pause."""


@dataclass(frozen=True, slots=True)
class EvaluateTest:
    """Read the sealed test set now; the look is counted."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Take a diverged run back to its last good state, with another base learning rate."""

    base_lr: float


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run after the batch under way.

    Attributes:
        reason: What the run's ``RunFinished`` will say.
        test: Whether to read the test set for the final report; not when leaving in a hurry.
    """

    reason: str = "stopped"
    test: bool = True


Mode = Literal["interactive", "confirmed", "background"]
"""Somebody waits for the answer; pressed enter for it; or nobody waits."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask something about the model as it is now; nothing of the run changes.

    It is answered by :class:`~tui_trainer.protocol.answers.Answered` events, which carry it, or by
    a ``CommandRejected``. The topics:

    - ``view/NAME``: a view of what the model has learned. It is worked on between batches while
      the run goes on, and a newer one takes its place. ``confirmed`` may evaluate the test set;
      ``background`` limits it to the time share of the probes.
    - ``lesson/NAME``: a lesson's experiment. ``confirmed`` does its training, which takes seconds:
      the run waits, and a newer question about a lesson, ``CancelQuestion`` or ``Stop`` ends it.
    - ``field``: what one feature sees of a digit. Choices: ``place`` (of the layer in the layer
      table), ``row`` and ``column`` in the layer's map, and ``digit`` of the validation split, all
      from 0; digits wrap around.
    - ``model``: another model, which is built, described and thrown away. Choice: ``model``.
    - ``check``: whether this run could have begun well. Its first steps are tried on a fresh
      network, item by item, which takes about twenty seconds.

    Attributes:
        topic: What is asked.
        choices: The values of the topic's controls by their names.
        mode: Who waits for the answer.
    """

    topic: str
    choices: tuple[tuple[str, str | float], ...] = ()
    mode: Mode = "interactive"

    @property
    def kind(self) -> str:
        """The topic without the name of the view or lesson."""
        return self.topic.partition("/")[0]

    @property
    def name(self) -> str:
        """The name of the view or lesson; empty where the topic has none."""
        return self.topic.partition("/")[2]


@dataclass(frozen=True, slots=True)
class CancelQuestion:
    """End the experiment of a lesson that trains; the run goes on.

    Attributes:
        kind: The kind of question that is withdrawn.
    """

    kind: str = "lesson"


Question = Ask | CancelQuestion

Command = (
    SetBaseLr
    | SetBatchSize
    | SetAugmentation
    | SetDropout
    | SetEpochs
    | Pause
    | Resume
    | RunStep
    | RunEpoch
    | EvaluateTest
    | Rewind
    | Stop
    | Question
)


def name_of(command: Command) -> str:
    """Return what a command is rejected by: its class's name, or a question's topic."""
    return command.topic if isinstance(command, Ask) else type(command).__name__


Knob = SetBaseLr | SetBatchSize | SetAugmentation | SetDropout | SetEpochs

KNOBS: dict[str, Callable[[float], Knob]] = {
    "base_lr": SetBaseLr,
    "batch_size": lambda value: SetBatchSize(int(value)),
    "augmentation": lambda value: SetAugmentation(bool(value)),
    "dropout": SetDropout,
    "epochs": lambda value: SetEpochs(int(value)),
}
"""The settings that can change while training, and what makes the command that changes each."""


class Inbox:
    """The one way into the engine: any thread puts commands in, the engine takes them out.

    The engine calls :meth:`take` between two batches. A subclass may override it to release
    commands at known steps, which is how a recorded run is replayed.
    """

    def __init__(self, *commands: Command) -> None:
        self._commands: deque[Command] = deque(commands)
        self._arrived = threading.Condition()

    def send(self, command: Command) -> None:
        """Put a command in; wakes an engine that is paused. Never blocks."""
        with self._arrived:
            self._commands.append(command)
            self._arrived.notify_all()

    @property
    def is_empty(self) -> bool:
        """Whether every command that has arrived was taken."""
        return not self._commands

    def ends(self, question: Ask) -> bool:
        """Whether a command has arrived that ends the work on a question; takes none."""
        with self._arrived:
            return any(_ends(command, question) for command in self._commands)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Return the commands that have arrived, oldest first, and forget them.

        Args:
            step: How many batches have been trained; a replaying inbox goes by it.
            wait: Whether to wait until there is at least one (the engine is paused).
        """
        if not wait and not self._commands:
            return []  # the common case costs no lock: a deque's emptiness is read atomically
        with self._arrived:
            while wait and not self._commands:
                self._arrived.wait()
            # One at a time: what a signal handler sends in between must not be cleared unread.
            taken = []
            while self._commands:
                taken.append(self._commands.popleft())
        return _still_wanted(taken)


def _ends(command: Command, question: Ask) -> bool:
    """Return whether a command ends the work on a question: a stop, or a newer one of its kind."""
    if isinstance(command, Ask | CancelQuestion):
        return command.kind == question.kind
    return isinstance(command, Stop)


def _still_wanted(commands: list[Command]) -> list[Command]:
    """Return commands without the experiments that a later one of them would end at once."""
    return [
        command
        for place, command in enumerate(commands, 1)
        if not (
            isinstance(command, Ask)
            and command.kind == "lesson"
            and any(_ends(later, command) for later in commands[place:])
        )
    ]
