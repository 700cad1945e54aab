"""An engine without torch: it says what it was told to say, and answers wishes."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from textual.pilot import Pilot

from tui_trainer.run import commands
from tui_trainer.run.commands import Command, Inbox
from tui_trainer.run.config import RunConfig
from tui_trainer.run.events import (
    CommandRejected,
    Diverged,
    Event,
    RunFinished,
    RunStarted,
    SettingChanged,
    State,
    StateChanged,
    StepDone,
    to_json,
)
from tui_trainer.run.folder import RunFolder
from tui_trainer.run.journal import read_events
from tui_trainer.run.summary import Summary
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.governor import Governor

RECORDINGS = Path(__file__).parent / "recordings"


def recording(name: str) -> list[Event]:
    """Return the events of a real run, recorded by ``python -m tests.ui.record``."""
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(read_events(lines, name))


@dataclass
class FakeEngine:
    """Says ``events``, then answers commands as the engine would, until it is told to stop."""

    events: Iterable[Event]
    error: Exception | None = None
    answers: bool = True
    received: list[Command] = field(default_factory=list)
    configs: list[RunConfig] = field(default_factory=list)
    started: RunStarted | None = None
    step: StepDone | None = None

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Begin a run: what the app calls on its training thread."""
        self.configs.append(config)
        over = False
        for event in self.events:
            if isinstance(event, RunStarted):
                self.started = event
            if isinstance(event, StepDone):
                self.step = event
            over = over or isinstance(event, RunFinished)
            yield event
        if self.step is not None and not over:
            # The bridge keeps steps back for a moment; what follows them brings them out.
            yield StateChanged(state=self._state(), step=self.step.step)
        if self.error is not None:
            raise self.error
        while not over:
            for command in inbox.take(0, wait=True):
                self.received.append(command)
                if self.answers:
                    yield from self._answer(command)
                over = over or isinstance(command, commands.Stop)

    def _state(self) -> State:
        if any(isinstance(event, Diverged) for event in self.events):
            return "diverged"
        states = [event.state for event in self.events if isinstance(event, StateChanged)]
        return states[-1] if states else "training"

    def _answer(self, command: Command) -> Iterator[Event]:
        step = self.step.step if self.step else 0
        match command:
            case commands.Pause() | commands.RunStep():
                yield StateChanged(state="paused", step=step)
            case commands.Resume():
                yield StateChanged(state="training", step=step)
            case commands.SetDropout():
                yield CommandRejected(command="SetDropout", reason="no dropout layer", step=step)
            case commands.SetLearningRate(value):
                yield self._changed("learning_rate", value)
            case commands.SetBatchSize(value):
                yield self._changed("batch_size", value)
            case commands.SetAugmentation(value):
                yield self._changed("augmentation", int(value))
            case commands.Stop():
                yield finished(reason=command.reason, step=step)

    def _changed(self, setting: str, value: float) -> SettingChanged:
        step = self.step
        return SettingChanged(
            setting=setting,
            old=getattr(self.started, setting),
            new=value,
            step=step.step if step else 0,
            epoch=step.epoch if step else 1,
            images=step.images if step else 0,
        )


def finished(*, reason: str = "stopped", step: int = 0) -> RunFinished:
    """Return the end of a run that did not read the test set."""
    return RunFinished(
        reason=reason,
        epochs=0,
        step=step,
        test_loss=None,
        test_accuracy=None,
        test_correct=None,
        test_total=None,
        test_interval=None,
        test_looks=0,
        val_accuracy=None,
        parameters=19_568,
        seconds=1.0,
    )


def window(
    events: Iterable[Event] = (),
    *,
    config: RunConfig | None = None,
    theme: str = "midnight",
    error: Exception | None = None,
    pictures: Path | None = None,
    runs: Path = Path("no-runs-here"),
) -> tuple[MnistTui, FakeEngine]:
    """Return an app on a fake engine, with nothing in it that depends on the clock."""
    engine = FakeEngine(list(events), error)
    still = Governor(cpu_time=lambda: 0.0)
    app = MnistTui(
        engine,
        config or RunConfig(),
        theme=theme,
        governor=still,
        pictures=pictures,
        runs=runs,
    )
    return app, engine


async def settle(pilot: Pilot[None], app: MnistTui, events: Iterable[Event]) -> None:
    """Wait until the window has taken in everything the engine says by itself."""
    last = list(events)[-1:]
    for _ in range(500):
        await pilot.pause(0.01)
        history = app.run_now.history
        step = history.last_step
        if history.is_over or (last and step is not None and _has_shown(app, last[0])):
            break
    await pilot.pause()


def _has_shown(app: MnistTui, event: Event) -> bool:
    history = app.run_now.history
    if isinstance(event, StepDone):
        return history.last_step == event
    if isinstance(event, StateChanged):
        return history.state == event.state
    return True


def run_folder(path: Path, events: Iterable[Event], *, state: str | None = None) -> RunFolder:
    """Write a run as the recorder leaves it, and return its folder."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    folder.config.write_text('model = "small"\nepochs = 2\n', encoding="utf-8")
    summary = Summary(started_at="2026-11-22T20:15:00Z", updated_at="2026-11-22T20:16:00Z")
    with folder.events.open("w", encoding="utf-8") as lines:
        for event in events:
            summary.apply(event)
            lines.write(to_json(event) + "\n")
    summary.state = state or summary.state
    folder.summary.write_text(summary.to_json(), encoding="utf-8")
    return folder
