"""Commands: requests of a user or a script to a training run.

Every command carries an absolute value ("0.02", not "double it"), so sending one twice is safe and
a recorded run can be replayed. Events report the effect of each command.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Base of the commands: who sent one; both fields are empty if nobody needs to know.

    Attributes:
        by: The sender, ``user@host``, as in the events that report the effect.
        request: An id; the engine confirms or rejects a command that has one.
    """

    by: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True)
class SetBaseLr(Sent):
    """Set the base learning rate, which the schedule multiplies."""

    value: float


@dataclass(frozen=True, slots=True)
class SetBatchSize(Sent):
    """Set the batch size; the next batch continues in this epoch's permutation."""

    value: int


@dataclass(frozen=True, slots=True)
class SetAugmentation(Sent):
    """Switch augmentation of the training batches on or off."""

    value: bool


@dataclass(frozen=True, slots=True)
class SetDropout(Sent):
    """Set the probability of every dropout layer, 0 to 0.95."""

    value: float


@dataclass(frozen=True, slots=True)
class SetEpochs(Sent):
    """Set the number of epochs; the schedule stretches over the new number."""

    value: int


@dataclass(frozen=True, slots=True)
class Pause(Sent):
    """Pause between two batches."""


@dataclass(frozen=True, slots=True)
class Resume(Sent):
    """Continue after a pause."""


@dataclass(frozen=True, slots=True)
class RunStep(Sent):
    """Train one batch, then pause."""


@dataclass(frozen=True, slots=True)
class RunEpoch(Sent):
    """Train to the end of this epoch, validation included, then pause."""


@dataclass(frozen=True, slots=True)
class EvaluateTest(Sent):
    """Evaluate the sealed test set now; the evaluation is counted."""


@dataclass(frozen=True, slots=True)
class Rewind(Sent):
    """Reset a diverged run to its last good checkpoint, with another base learning rate."""

    base_lr: float


@dataclass(frozen=True, slots=True)
class AdoptArm(Sent):
    """Go on with an arm of the last race, if the run is still where the race began.

    From the end of the arm, its setting and its steps are reported as if they were made now: the
    run that sets the same knob here and trains the same batches has the same bits. From here, the
    knob is set and nothing else.

    Attributes:
        arm: The number of the arm in the race's table, from 1.
        at_end: Whether to go on from the end of the arm.
    """

    arm: int
    at_end: bool = True


@dataclass(frozen=True, slots=True)
class Stop(Sent):
    """End the run after the current batch.

    Attributes:
        reason: The reason that ``RunFinished`` reports.
        test: Whether to evaluate the test set at the end; False when a signal ends the process.
    """

    reason: str = "stopped"
    test: bool = True


@dataclass(frozen=True, slots=True)
class Unusable(Sent):
    """Something that was sent, but is no command; the engine rejects it.

    Attributes:
        reason: What is wrong with it.
        name: Its name in messages.
    """

    reason: str
    name: str = "commands.jsonl"


Mode = Literal["interactive", "confirmed", "background"]
"""The user waits for the answer; has confirmed it with enter; or does not wait."""


@dataclass(frozen=True, slots=True)
class Ask(Sent):
    """Ask a question about the current model; the run is not changed.

    The answer is a series of :class:`~tui_trainer.protocol.answers.Answered` events, which carry
    the question, or a ``CommandRejected``. The topics:

    - ``view/NAME``: a view of what the model has learned. It is computed between batches while the
      run continues; a newer view question replaces it. ``confirmed`` may evaluate the test set;
      ``background`` limits it to the time share of the probes.
    - ``lesson/NAME``: a lesson's experiment. ``confirmed`` runs its training, which takes seconds:
      the run waits, and a newer question about a lesson, ``CancelQuestion`` or ``Stop`` ends it.
    - ``find-lr``: a learning rate range test over several seeds. ``confirmed`` runs it, which takes
      seconds: the run waits, and a newer question of this topic, ``CancelQuestion`` or ``Stop``
      ends it. Choices: ``start`` (``now`` from the current weights, ``fresh`` from new ones),
      ``seeds``, ``steps``, ``from``, ``to``.
    - ``field``: the receptive field of one feature, drawn on an image. Choices: ``place`` (the
      layer's row in the layer table), ``row`` and ``column`` in the layer's feature map, ``digit``
      (an image of the validation split); all from 0, ``digit`` modulo the size of the split.
    - ``model``: another model, which is built, described and discarded. Choice: ``model``.
    - ``race``: copies of the run train the next batches with several values of a knob.
      ``confirmed`` runs the race: the run waits, and a newer question about a race,
      ``CancelQuestion`` or ``Stop`` ends it.
    - ``check``: the preflight check. It tries the first steps of this run on a fresh model, item by
      item, in about twenty seconds.

    Attributes:
        topic: The topic of the question.
        choices: The values of the topic's controls by name.
        mode: Whether the user waits for the answer.
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
        """The name of the view or lesson; empty for other topics."""
        return self.topic.partition("/")[2]


@dataclass(frozen=True, slots=True)
class CancelQuestion(Sent):
    """Cancel a question that is being answered, such as a lesson's training; the run continues.

    Attributes:
        kind: The kind of the question.
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
    | AdoptArm
    | Stop
    | Unusable
    | Question
)


def name_of(command: Command) -> str:
    """Return the name of a command for messages: its class, or a question's topic."""
    match command:
        case Ask(topic):
            return topic
        case Unusable():
            return command.name
    return type(command).__name__


Knob = SetBaseLr | SetBatchSize | SetAugmentation | SetDropout | SetEpochs

KNOBS: dict[str, Callable[[float], Knob]] = {
    "base_lr": SetBaseLr,
    "batch_size": lambda value: SetBatchSize(int(value)),
    "augmentation": lambda value: SetAugmentation(bool(value)),
    "dropout": SetDropout,
    "epochs": lambda value: SetEpochs(int(value)),
}
"""The settings that can be changed during training, with the command that sets each."""


class Inbox:
    """The queue of commands: any thread sends them, the engine takes them between two batches.

    A subclass may override :meth:`take` to release commands at known steps; a replay does so.
    """

    def __init__(self, *commands: Command) -> None:
        self._commands: deque[Command] = deque(commands)
        self._arrived = threading.Condition()

    def send(self, command: Command) -> None:
        """Add a command and wake a paused engine. Never blocks."""
        with self._arrived:
            self._commands.append(command)
            self._arrived.notify_all()

    @property
    def is_empty(self) -> bool:
        """Whether no command is waiting."""
        return not self._commands

    @property
    def is_urgent(self) -> bool:
        """Whether a command is waiting whose sender waits for its effect; takes none."""
        with self._arrived:
            return any(
                not (isinstance(command, Ask) and command.mode == "background")
                for command in self._commands
            )

    def ends(self, question: Ask) -> bool:
        """Whether a waiting command cancels the work on a question; takes none."""
        with self._arrived:
            return any(_ends(command, question) for command in self._commands)

    def wait(self, seconds: float) -> None:
        """Wait until there is a command, but not longer than this."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._commands), seconds)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Remove and return the waiting commands, oldest first.

        Args:
            step: The number of trained batches; a replaying inbox needs it.
            wait: Whether to wait until there is at least one (the engine is paused).
        """
        if not wait and not self._commands:
            return []  # the common case needs no lock: whether a deque is empty is read atomically
        with self._arrived:
            while wait and not self._commands:
                self._arrived.wait()
            # One at a time: a command that a signal handler sends in between must not be lost.
            taken = []
            while self._commands:
                taken.append(self._commands.popleft())
        return _still_wanted(taken)


def _ends(command: Command, question: Ask) -> bool:
    """Return whether a command cancels a question: a stop, or a newer question of its kind."""
    if isinstance(command, Ask | CancelQuestion):
        return command.kind == question.kind
    return isinstance(command, Stop)


def _still_wanted(commands: list[Command]) -> list[Command]:
    """Return commands without the questions whose training a later one would cancel at once."""
    return [
        command
        for place, command in enumerate(commands, 1)
        if not (
            isinstance(command, Ask)
            and command.kind in ("lesson", "race", "find-lr")
            and any(_ends(later, command) for later in commands[place:])
        )
    ]
