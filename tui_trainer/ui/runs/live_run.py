"""The run in the window: its history, and the commands a person has sent it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from textual.message import Message

from tui_trainer.findings.rates import divergence
from tui_trainer.history.history import History
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import KNOBS, Command, Inbox
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
from tui_trainer.ui.runs.asking import Asking, ExhibitAsking
from tui_trainer.ui.runs.check_results import Checking
from tui_trainer.ui.runs.findings_selection import Standing

Start = Callable[[RunConfig, Inbox], Iterator[Event]]
"""Begins a run: what the command line hands to a front end in place of the engine."""


class LiveRun:
    """One run as the window knows it.

    ``history`` tells what is true: it changes by events alone. ``wanted`` holds the settings that
    no event has confirmed yet, so that pressing a key twice changes a setting twice. ``standing``
    is what a person makes of the findings. ``field`` asks what a feature sees, ``check`` for the
    check of the first steps, ``learning`` for the experiment of a lesson, ``inspecting`` for a view
    of what the network has learned.
    """

    is_live = True

    def __init__(self, config: RunConfig, start: Start, post: Callable[[Message], object]) -> None:
        self.config = config
        self.history = History()
        self.standing = Standing(self.history)
        self.inbox = Inbox()
        self.wanted: dict[str, float] = {}
        self.field = Asking(self.send, "field")
        self.check = Checking(self.send)
        self.learning = ExhibitAsking(self.send, "lesson")
        self.inspecting = ExhibitAsking(self.send, "view")
        asking = (self.field, self.check, self.learning, self.inspecting)
        self._asking: dict[str, Asking] = {each.kind: each for each in asking}
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
            match event:
                case Answered() if event.question.kind in self._asking:
                    self._asking[event.question.kind].take(event)
                case CommandRejected() if (kind := event.command.split("/")[0]) in self._asking:
                    self._asking[kind].refuse(event.reason)
                case CommandRejected():
                    self.wanted.clear()
                case SettingChanged() if self.wanted.get(event.setting) == event.new:
                    del self.wanted[event.setting]
                case RunFinished():
                    self.learning.end()
                case RunFailed():
                    self.check.refuse("the training failed")
                    for asking in self._asking.values():
                        asking.end()

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
        """Send a command."""
        self.inbox.send(command)

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
