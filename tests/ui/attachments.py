"""A fake connection to a run that another process trains, for the attached window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.ui.fakes import Views
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import (
    CommandRejected,
    Event,
    RecordingStarted,
    RecordRead,
    StateChanged,
)
from tui_trainer.ui.attach_app import AttachApp
from tui_trainer.ui.bridge import EventsArrived
from tui_trainer.ui.pacing import Governor

FOLDER = "runs/one"
ME, OTHER = "ada@lab-3", "bob@home"
KILLED = StateChanged(state="killed", step=0, detail="no process trains it, and it has not ended")


@dataclass
class FakeAttachment:
    """A run with a recorded past; a test yields its further events with :func:`arrive`.

    Attributes:
        record: The recorded events.
        views: The exhibits of the views; a ``ValueError`` is a rejection with its reason.
        problem: Why the run cannot be resumed.
        sent: The commands for the trainer.
        asked: The questions to the second thread.
        resumed: The learning rates with which the run was resumed.
    """

    record: Iterable[Event]
    views: Views | None = None
    problem: str = ""
    name: str = FOLDER
    checkpoint: object = 1
    sent: list[Command] = field(default_factory=list)
    asked: list[Command] = field(default_factory=list)
    resumed: list[float | None] = field(default_factory=list)

    def follow(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Yield the record, then take commands."""
        yield RecordRead(events=(RecordingStarted(folder=self.name), *self.record))
        while True:
            for command in inbox.take(0, wait=True):
                if isinstance(command, commands.Stop) and not command.by:
                    return
                self.sent.append(command)

    def answer(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Answer questions."""
        while True:
            for command in inbox.take(0, wait=True):
                if isinstance(command, commands.Stop):
                    return
                self.asked.append(command)
                if isinstance(command, Ask):
                    yield from self._answered(command)

    def _answered(self, question: Ask) -> Iterator[Event]:
        try:
            for number, exhibit in enumerate(self.views(question) if self.views else (), 1):
                yield Answered(
                    question=question, content=exhibit, step=7, done=number, total=number
                )
        except ValueError as error:
            yield CommandRejected(command=question.topic, reason=str(error), step=7)

    def resume(self, lr: float | None) -> None:
        """Continue the run."""
        if self.problem:
            raise InputError(self.problem)
        self.resumed.append(lr)


@dataclass
class FakeScript:
    """A script that was started for the window."""

    is_running: bool = True
    is_ended: bool = False
    interrupts: int = 0

    def interrupt(self) -> None:
        """Count the interrupt."""
        self.interrupts += 1


class InspectFirst(AttachApp):
    """The attached window, opened at the Inspect screen."""

    DEFAULT_MODE = "inspect"


def attached(
    record: Iterable[Event],
    *,
    kind: type[AttachApp] = AttachApp,
    read_only: bool = False,
    views: Views | None = None,
    problem: str = "",
    config: RunConfig | None = None,
    script: FakeScript | None = None,
) -> tuple[AttachApp, FakeAttachment]:
    """Return an attached window; nothing in it depends on the clock."""
    attachment = FakeAttachment(list(record), views, problem)
    app = kind(
        attachment,
        config or RunConfig(model="small", epochs=2),
        by=ME,
        read_only=read_only,
        theme="midnight",
        governor=Governor(cpu_time=lambda: 0.0),
        runs=Path("no-runs-here"),
        script=script,
    )
    return app, attachment


def arrive(app: AttachApp, *events: Event) -> None:
    """Let events arrive from the record."""
    app.post_message(EventsArrived(events, app.live_run.bridge))
