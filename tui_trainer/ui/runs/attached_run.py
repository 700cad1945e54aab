"""A run that another process trains, as an attached window knows it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from textual.message import Message

from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Command, Inbox, Question
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import CommandApplied, CommandRejected, Event, FindingRaised
from tui_trainer.ui.bridge import Bridge
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions

SILENT = 10
"""Seconds without an event of a busy trainer after which the window shows them."""

BUSY = ("training", "validating", "testing")


class Attachment(Protocol):
    """The connection to a run that another process trains; the command line implements it."""

    @property
    def name(self) -> str:
        """The name of the run's folder, for commands that the user can type."""

    @property
    def checkpoint(self) -> object:
        """A value that changes when the trainer saves another checkpoint."""

    def follow(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Yield the events of the run; send the commands of the inbox to its trainer."""

    def answer(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Answer the questions of the inbox from the last checkpoint, until a ``Stop``."""

    def resume(self, lr: float | None) -> None:
        """Continue the run in the background from its last checkpoint.

        Args:
            lr: Another base learning rate, for a diverged run.

        Raises:
            InputError: If that is not possible.
        """


class StartedScript(Protocol):
    """A training script that was started for this window.

    Attributes:
        is_ended: Whether the window ends it; otherwise it is left running.
    """

    is_ended: bool

    @property
    def is_running(self) -> bool:
        """Whether its process is running."""

    def interrupt(self) -> None:
        """Interrupt the script, as Ctrl+C in a terminal does."""


class CheckpointQuestions(ExhibitQuestions):
    """Asks again in the background only when there is another checkpoint to ask about."""

    def __init__(self, send: Callable[[Command], None], checkpoint: Callable[[], object]) -> None:
        super().__init__(send, "view")
        self._checkpoint = checkpoint
        self._asked_about: object = None

    def refresh(self) -> None:
        """Ask for the current exhibit in the background, if the checkpoint is another one."""
        if self._checkpoint() != self._asked_about:
            super().refresh()

    def _send_now(self, question: commands.Ask) -> None:
        self._asked_about = self._checkpoint()
        super()._send_now(question)


class AttachedRun(LiveRun):
    """The run of another process.

    Commands go to its trainer, which confirms or rejects them. Questions are answered in this
    process, on a second thread that starts with the first question, so that they neither cost the
    trainer time nor delay the curves.
    """

    def __init__(
        self,
        config: RunConfig,
        attachment: Attachment,
        post: Callable[[Message], object],
        *,
        by: str,
        read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.attachment = attachment
        self.read_only = read_only
        self._clock = clock
        self._has_answered = False
        self._event_at = clock()
        self._requests: set[str] = set()
        self._questions_inbox = Inbox()
        super().__init__(config, attachment.follow, post, by=by)
        self._answering = Bridge(attachment.answer(config, self._questions_inbox), post)

    def _view_questions(self) -> ExhibitQuestions:
        return CheckpointQuestions(self.send, lambda: self.attachment.checkpoint)

    @property
    def role(self) -> str:
        """What this window is, and how long a busy trainer has recorded nothing.

        It can be in a long batch, stopped, or without disk space: the window cannot know.
        """
        role = "read-only" if self.read_only else "attached"
        seconds = int(self._clock() - self._event_at)
        is_busy = self.history.state in BUSY and not self.history.is_over
        return f"{role}, no event for {seconds} s" if is_busy and seconds >= SILENT else role

    @property
    def is_read_only(self) -> bool:
        """Whether this window sends the run no commands."""
        return self.read_only

    @property
    def preparing(self) -> str:
        """What must be done before the first answer; empty once there was one."""
        return "" if self._has_answered else "loading PyTorch and the last checkpoint …"

    def apply(self, events: tuple[Event, ...]) -> list[str]:
        """Apply the events, and return what to notify the user of."""
        are_answers = [isinstance(event, Answered) for event in events]
        self._has_answered = self._has_answered or any(are_answers)
        if not all(are_answers):
            self._event_at = self._clock()
        return super().apply(events)

    @property
    def is_alive(self) -> bool:
        """Whether a thread of the run is running."""
        return self.bridge.is_alive or self._answering.is_alive

    @property
    def can_resume(self) -> bool:
        """Whether the run has ended before its last epoch was done; only a script continues its."""
        history = self.history
        is_complete = history.finished is not None and history.finished.reason == "completed"
        return history.is_over and not (is_complete or self.read_only or self.is_of_script)

    @property
    def is_of_script(self) -> bool:
        """Whether a script trains the run with its loop."""
        started = self.history.started
        return started is not None and bool(started.script)

    def is_source(self, bridge: Bridge) -> bool:
        """Whether a bridge belongs to this run."""
        return bridge in (self.bridge, self._answering)

    def is_mine(self, event: CommandRejected | CommandApplied) -> bool:
        """Whether an event answers a command of this window."""
        return not event.request or event.request in self._requests

    def send(self, command: Command) -> None:
        """Send a command to the trainer, or a question to the second thread."""
        if isinstance(command, Question):
            self._questions_inbox.send(command)
            if not self._answering.has_started:
                self._answering.start()
        elif not self.read_only:
            command = replace(command, by=self.by, request=secrets.token_hex(8))
            self._requests.add(command.request)
            self.inbox.send(command)

    def fixable(self) -> FindingRaised | None:
        """Return the chosen finding if a knob, or resuming a diverged run, can fix it."""
        if self.read_only:
            return None
        ended = self.history.finished
        if ended is not None and ended.reason == "diverged":
            return None if self.is_of_script else self.divergence
        return None if self.history.is_over else super().fixable()

    def end(self, timeout: float = 5.0, reason: str = "stopped") -> bool:
        """End the threads of this window; the training continues."""
        for inbox in (self.inbox, self._questions_inbox):
            inbox.send(commands.Stop(reason=reason))
        return self.bridge.join(timeout) and self._answering.join(timeout)
