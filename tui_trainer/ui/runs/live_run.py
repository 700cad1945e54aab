"""The live run: its history, and the commands that the user sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from textual.message import Message

from tui_trainer.findings.learning_rates import divergence
from tui_trainer.history.history import History
from tui_trainer.history.notices import notice_of
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import KNOBS, Command, Inbox, Question
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandApplied,
    CommandRejected,
    Event,
    FindingRaised,
    RecordRead,
    RunFailed,
    RunFinished,
    RunResumed,
    SettingChanged,
)
from tui_trainer.protocol.knobs import next_batch_size, next_dropout, next_epochs, next_lr
from tui_trainer.protocol.lr_range import TOPIC
from tui_trainer.ui.bridge import Bridge
from tui_trainer.ui.runs.check_results import CheckResults
from tui_trainer.ui.runs.findings_selection import FindingsSelection
from tui_trainer.ui.runs.limits import knob_limit
from tui_trainer.ui.runs.questions import ExhibitQuestions, Questions

Start = Callable[[RunConfig, Inbox], Iterator[Event]]
"""Starts a run; the command line passes it to a front end in place of the engine."""


class LiveRun:
    """One run as the window knows it; ``by`` is the user, for the record of the run.

    ``history`` is the state of the run: only events change it. ``requested`` holds settings that
    no event has confirmed yet, so that pressing a key twice changes a setting twice. ``selection``
    is which finding is chosen and which are snoozed. Each kind of question has its own channel:
    ``field`` (receptive field of a feature), ``check`` (preflight check), ``experiment`` (of a
    lesson), ``race``, ``find_lr`` and ``inspection`` (a view of the model). ``is_past`` is whether
    its events are still those from before it was resumed. ``seeds_behind`` are finished runs with
    other seeds, whose means the charts show.
    """

    is_live = True
    seeds_behind: tuple[History, ...] = ()

    def __init__(
        self,
        config: RunConfig,
        start: Start,
        post: Callable[[Message], object],
        *,
        is_past: bool = False,
        by: str = "",
    ) -> None:
        self.config = config
        self.is_past = is_past
        self.by = by
        self.history = History()
        self.selection = FindingsSelection(self.history)
        self.inbox = Inbox()
        self.requested: dict[str, float] = {}
        self.field = Questions(self.send, "field")
        self.check = CheckResults(self.send)
        self.experiment = ExhibitQuestions(self.send, "lesson")
        self.race = ExhibitQuestions(self.send, "race")
        self.find_lr = ExhibitQuestions(self.send, TOPIC)
        self.inspection = self._view_questions()
        questions = (self.field, self.check, self.experiment, self.race, self.inspection)
        self._questions: dict[str, Questions] = {
            each.kind: each for each in (*questions, self.find_lr)
        }
        self.bridge = Bridge(start(config, self.inbox), post)

    @property
    def role(self) -> str:
        """What this window is to the run; empty if it trains the run."""
        return ""

    @property
    def is_read_only(self) -> bool:
        """Whether this window sends the run no commands."""
        return False

    @property
    def preparing(self) -> str:
        """What must be done before the first answer; empty if nothing."""
        return ""

    def _view_questions(self) -> ExhibitQuestions:
        return ExhibitQuestions(self.send, "view")

    def begin(self, *, paused: bool = False, first_commands: Iterable[Command] = ()) -> None:
        """Start the training thread; ``paused`` makes it wait before the first batch."""
        for command in first_commands:
            self.inbox.send(command)
        if paused:
            self.inbox.send(commands.Pause())
        self.bridge.start()

    def apply(self, events: tuple[Event, ...]) -> list[str]:
        """Apply the engine's events, and return what to notify the user of."""
        notices = []
        for event in events:
            self.is_past = self.is_past and not isinstance(event, RunResumed)
            if not self.is_past and (notice := notice_of(event, self.history)) is not None:
                notices.append(notice)
            self.selection.observe(event)
            self.history.apply(event)
            match event:
                case Answered() if event.question.kind in self._questions:
                    self._questions[event.question.kind].receive(event)
                case CommandRejected() if (kind := event.command.split("/")[0]) in self._questions:
                    self._questions[kind].reject(event.reason)
                case CommandRejected() if not self.is_mine(event):
                    pass  # the commands of this window are still pending
                case CommandRejected() | RecordRead():
                    self.requested.clear()
                case SettingChanged() if self.requested.get(event.setting) == event.new:
                    del self.requested[event.setting]
                case RunFinished():
                    self.experiment.end()
                    self.race.end()
                    self.find_lr.end()
                case RunFailed():
                    self.check.reject("the training failed")
                    for questions in self._questions.values():
                        questions.end()
        return notices

    @property
    def is_alive(self) -> bool:
        """Whether a thread of the run is running."""
        return self.bridge.is_alive

    def is_source(self, bridge: Bridge) -> bool:
        """Whether a bridge belongs to this run."""
        return bridge is self.bridge

    def is_mine(self, event: CommandRejected | CommandApplied) -> bool:
        """Whether an event answers a command of this window."""
        return not event.request

    @property
    def is_running(self) -> bool:
        """Whether quitting would interrupt the run."""
        return self.is_alive and not self.history.is_over

    @property
    def is_paused(self) -> bool:
        """Whether the engine waits between two batches."""
        return self.history.state == "paused"

    @property
    def is_probed(self) -> bool:
        """Whether gradients and activations are sampled during training."""
        return self.config.probes

    @property
    def has_diverged(self) -> bool:
        """Whether the run has diverged, and waits for a rewind or a stop."""
        return self.history.divergence is not None and not self.history.is_over

    def send(self, command: Command) -> None:
        """Send a command to the engine."""
        is_known = self.by and not isinstance(command, Question)  # answers refer to a question
        self.inbox.send(replace(command, by=self.by) if is_known else command)

    def set_knob(self, setting: str, value: float) -> None:
        """Request a new value of a knob."""
        self.requested[setting] = value
        self.send(KNOBS[setting](value))

    def adjust(self, setting: str, direction: int) -> None:
        """Request the next value of a knob up (1) or down (-1); at its limit nothing happens."""
        current = self.requested.get(setting, self.history.knob(setting))
        if current is None:
            return
        match setting:
            case "base_lr":
                value: float = next_lr(current, direction)
            case "batch_size":
                value = next_batch_size(int(current), direction)
            case "dropout":
                value = next_dropout(current, direction)
            case "epochs":
                value = next_epochs(int(current), direction, least=max(1, self.history.epoch))
            case _:
                value = float(not current)
        if value != current:
            self.set_knob(setting, value)

    def fixable(self) -> FindingRaised | None:
        """Return the chosen finding if a knob can fix it.

        In a diverged run only the divergence can be fixed, by a rewind. In a recorded run nothing
        can.
        """
        if self.history.is_viewing:
            return None
        chosen = self.selection.chosen
        if self.has_diverged:
            return self.divergence
        knob = chosen.fix_setting if chosen is not None else None
        return chosen if knob and not knob_limit(self.history.started, knob) else None

    @property
    def divergence(self) -> FindingRaised | None:
        """The finding of a diverged run, with the learning rate to go on with."""
        return self.history.findings.get(divergence.__name__)

    def end(self, timeout: float = 5.0, reason: str = "stopped") -> bool:
        """Stop without a test evaluation, and wait; return whether the thread has ended."""
        if not self.history.has_begun:
            self.bridge.leave()
        self.send(commands.Stop(reason=reason, test=False))
        return self.bridge.join(timeout)
