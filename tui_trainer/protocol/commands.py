"""Wishes: what a person or a script asks of a training that runs.

Every command carries an absolute value ("0.02", not "double it"), so sending one twice is safe and
a recorded run can be replayed. A command is a wish only: what became of it is told by an event.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SetLearningRate:
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
class LookAtTest:
    """Read the sealed test set now; the look is counted."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Take a diverged run back to its last good state, with another base learning rate."""

    learning_rate: float


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run after the batch under way.

    Attributes:
        reason: What the run's ``RunFinished`` will say.
        test: Whether to read the test set for the final report; not when leaving in a hurry.
    """

    reason: str = "stopped"
    test: bool = True


@dataclass(frozen=True, slots=True)
class LookAtField:
    """Ask what one feature of the network sees of a digit; nothing is changed by it.

    Attributes:
        place: The layer, by its place in the layer table.
        row: The feature's row in the layer's map, from 0.
        column: Its column.
        digit: Which image of the validation split to draw it on, from 0; it wraps around.
    """

    place: int
    row: int
    column: int
    digit: int = 0


@dataclass(frozen=True, slots=True)
class DescribeNetwork:
    """Ask what another network is; it is built, looked at and thrown away.

    Attributes:
        model: A name of the zoo, or where a network of one's own is.
    """

    model: str


@dataclass(frozen=True, slots=True)
class CheckNetwork:
    """Ask whether this run could have begun well: its first steps are tried on a fresh network.

    It takes about twenty seconds, is answered item by item, and changes nothing of the run.
    """


@dataclass(frozen=True, slots=True)
class TryLesson:
    """Ask for the experiment of a lesson, on the network as it is now; nothing of the run changes.

    One that is under way ends when another wish of :data:`ENDS_TRYING` arrives.

    Attributes:
        lesson: The lesson's name.
        choices: The reader's choices: a control's name and its value each.
        goes: Whether to do what takes seconds, such as training; else only what is there at once.
    """

    lesson: str
    choices: tuple[tuple[str, str | float], ...] = ()
    goes: bool = False


@dataclass(frozen=True, slots=True)
class StopTrying:
    """End the experiment of a lesson that is under way; the run goes on."""


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask for a view of what the network has learned, with the weights as they are now.

    It is worked on between batches, and the run goes on. A newer one takes its place.

    Attributes:
        view: A name of :data:`tui_trainer.protocol.inspection.VIEWS`.
        choices: The reader's choices: a control's name and its value each.
        goes: Whether to do what enter does here, such as a counted look at the test set.
        follows: Whether nobody waits for it: it keeps to the probes' share of the time.
    """

    view: str
    choices: tuple[tuple[str, str | float], ...] = ()
    goes: bool = False
    follows: bool = False


Question = LookAtField | DescribeNetwork | CheckNetwork | TryLesson | StopTrying | Inspect

Command = (
    SetLearningRate
    | SetBatchSize
    | SetAugmentation
    | SetDropout
    | SetEpochs
    | Pause
    | Resume
    | RunStep
    | RunEpoch
    | LookAtTest
    | Rewind
    | Stop
    | Question
)

Knob = SetLearningRate | SetBatchSize | SetAugmentation | SetDropout | SetEpochs

ENDS_TRYING = (TryLesson, StopTrying, Stop)
"""What ends the experiment of a lesson that is under way."""

KNOBS: dict[str, Callable[[float], Knob]] = {
    "learning_rate": SetLearningRate,
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

    def awaits(self, *kinds: type[Command]) -> bool:
        """Whether a command of one of these kinds has arrived and was not taken; takes none."""
        with self._arrived:
            return any(isinstance(command, kinds) for command in self._commands)

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


def _still_wanted(wishes: list[Command]) -> list[Command]:
    """Return wishes without the experiments that a later one of them would end at once."""
    ends = [place for place, wish in enumerate(wishes) if isinstance(wish, ENDS_TRYING)]
    last = ends[-1] if ends else 0
    return [w for n, w in enumerate(wishes) if n >= last or not isinstance(w, TryLesson)]
