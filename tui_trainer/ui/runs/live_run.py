"""The run in the window: its history, and the wishes a person has sent it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from textual.message import Message

from tui_trainer.findings.rates import divergence
from tui_trainer.history.history import History
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import FieldMeasured, Inspected, ItemChecked, LessonTried
from tui_trainer.protocol.commands import (
    KNOBS,
    CheckNetwork,
    Command,
    Inbox,
    Inspect,
    LookAtField,
    TryLesson,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CommandRejected,
    Event,
    FindingRaised,
    RunFailed,
    RunFinished,
    SettingChanged,
)
from tui_trainer.protocol.knobs import next_batch_size, next_dropout, next_rate
from tui_trainer.ui.bridge import Bridge
from tui_trainer.ui.runs.check_results import Checking
from tui_trainer.ui.runs.findings_selection import Standing
from tui_trainer.ui.runs.inspect_questions import Inspecting
from tui_trainer.ui.runs.lesson_questions import Learning

Start = Callable[[RunConfig, Inbox], Iterator[Event]]
"""Begins a run: what the command line hands to a front end in place of the engine."""


class LiveRun:
    """One run as the window knows it.

    ``history`` tells what is true: it changes by events alone. ``wanted`` holds the wishes that no
    event has answered yet, so that pressing a key twice climbs two rungs. ``standing`` is what a
    person makes of the findings. ``field`` is the latest answer to what a feature sees;
    ``unanswered`` is why the latest such question got none. ``check`` is what the check of the
    first steps has told, ``learning`` the lesson that is tried, ``inspecting`` the view of what
    the network has learned.
    """

    is_live = True

    def __init__(self, config: RunConfig, start: Start, post: Callable[[Message], object]) -> None:
        self.config = config
        self.history = History()
        self.standing = Standing(self.history)
        self.inbox = Inbox()
        self.wanted: dict[str, float] = {}
        self.field: FieldMeasured | None = None
        self.unanswered = ""
        self.check = Checking()
        self.learning = Learning(self.send)
        self.inspecting = Inspecting(self.send)
        self._asked: LookAtField | None = None
        self._next: LookAtField | None = None
        self.bridge = Bridge(start(config, self.inbox), post)

    def begin(self, *, paused: bool = False, wishes: Iterable[Command] = ()) -> None:
        """Start the training thread; ``paused`` makes it wait before the first batch."""
        for wish in wishes:
            self.inbox.send(wish)
        if paused:
            self.inbox.send(commands.Pause())
        self.bridge.start()

    def apply(self, events: tuple[Event, ...]) -> None:
        """Take in what the engine says."""
        for event in events:
            self.standing.notice(event)
            self.history.apply(event)
            if isinstance(event, FieldMeasured):
                self.field = event
                self._ask_next("")
            elif isinstance(event, CommandRejected) and event.command == LookAtField.__name__:
                self._ask_next(event.reason)
            elif isinstance(event, ItemChecked):
                self.check.take(event)
            elif isinstance(event, LessonTried):
                self.learning.take(event)
            elif isinstance(event, Inspected):
                self.inspecting.take(event)
            elif isinstance(event, RunFailed | RunFinished):
                self._end(event)
            elif isinstance(event, CommandRejected) and event.command == CheckNetwork.__name__:
                self.check.refuse(event.reason)
            elif isinstance(event, CommandRejected) and event.command == TryLesson.__name__:
                self.learning.refuse(event.reason)
            elif isinstance(event, CommandRejected) and event.command == Inspect.__name__:
                self.inspecting.refuse(event.reason)
            elif isinstance(event, CommandRejected):
                self.wanted.clear()
            elif isinstance(event, SettingChanged) and self.wanted.get(event.setting) == event.new:
                del self.wanted[event.setting]

    def _end(self, event: RunFailed | RunFinished) -> None:
        """Take in that what was under way beside the run has ended with it."""
        self.learning.end()
        if isinstance(event, RunFailed):
            self.inspecting.end()
        if isinstance(event, RunFailed) and self.check.is_under_way:
            self.check.refuse("the training failed")

    @property
    def is_under_way(self) -> bool:
        """Whether there is something to lose by leaving."""
        return self.bridge.is_alive and not self.history.is_over

    @property
    def is_paused(self) -> bool:
        """Whether the engine waits between two batches."""
        return self.history.state == "paused"

    @property
    def is_probed(self) -> bool:
        """Whether gradients and activations are looked at."""
        return self.config.probes

    @property
    def is_lost(self) -> bool:
        """Whether the run has diverged, and waits to be rewound or stopped."""
        return self.history.lost is not None and not self.history.is_over

    def send(self, command: Command) -> None:
        """Send a wish."""
        self.inbox.send(command)

    def ask_for_check(self, *, again: bool = False) -> None:
        """Ask for the check of the first steps, unless it was asked for before."""
        check = self.check
        if not check.is_under_way and (again or not check.items):
            self.check = Checking(is_under_way=True)
            self.send(CheckNetwork())

    def look_at(self, question: LookAtField) -> None:
        """Ask what a feature sees; while an answer is awaited, only the newest question is kept."""
        if self._asked is not None:
            self._next = question
            return
        self._asked = question
        self.unanswered = ""
        self.send(question)

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    def ask_no_more(self) -> None:
        """Forget the question that has not been sent yet."""
        self._next = None

    def _ask_next(self, unanswered: str) -> None:
        """Send the question that waited for the answer to the last."""
        self.unanswered = unanswered
        self._asked, question, self._next = None, self._next, None
        if question is not None:
            self.look_at(question)

    def turn(self, setting: str, value: float) -> None:
        """Wish for a knob's new value."""
        self.wanted[setting] = value
        self.send(KNOBS[setting](value))

    def climb(self, setting: str, direction: int) -> None:
        """Wish for a knob's next rung, 1 up or -1 down; at an end nothing happens."""
        present = self.wanted.get(setting, self.history.settings.get(setting))
        if present is None:
            return
        match setting:
            case "learning_rate":
                value: float = next_rate(present, direction)
            case "batch_size":
                value = next_batch_size(int(present), direction)
            case "dropout":
                value = next_dropout(present, direction)
            case _:
                value = float(not present)
        if value != present:
            self.turn(setting, value)

    def fixable(self) -> FindingRaised | None:
        """Return the chosen finding if a knob can mend it, None if there is none.

        Of a run that is lost nothing but that can be mended: the finding says what to go back to.
        Of one that is only on show, nothing.
        """
        if self.history.is_on_show:
            return None
        chosen = self.standing.chosen
        if self.is_lost:
            return self.history.findings.get(divergence.__name__)
        return chosen if chosen is not None and chosen.fix_setting is not None else None

    def end(self, timeout: float = 5.0, reason: str = "stopped") -> bool:
        """Stop without a last look at the test set, and wait; return whether the thread is done."""
        self.send(commands.Stop(reason=reason, test=False))
        return self.bridge.join(timeout)
