"""A fake engine without torch: it yields given events, and answers commands."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.protocol.questions import CHECK
from tui_trainer.history.run_state import RunState
from tui_trainer.protocol import commands
from tui_trainer.protocol.answers import Answered, Content, MeasuredField, ModelDescription
from tui_trainer.protocol.commands import Ask, Command, Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import (
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
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.journal import from_json
from tui_trainer.recording.summary import summary_of
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.pacing import Governor

Tries = Callable[[Ask], Iterable[Exhibit]]
"""The exhibits of an experiment."""

Views = Callable[[Ask], Iterable[Exhibit]]
"""The exhibits of a view; a ``ValueError`` is a rejection with its reason."""

RECORDINGS = Path(__file__).parent / "recordings"


def recording(name: str) -> list[Event]:
    """Return the events of a real run, recorded by ``python -m tests.ui.record``."""
    return list(_recording(name))


@cache
def _recording(name: str) -> tuple[Event, ...]:
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(map(from_json, lines))


def recorded_fields(name: str) -> list[MeasuredField]:
    """Return the measured fields of some features of each layer at the end of a recording."""
    with gzip.open(RECORDINGS / f"{name}-fields.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [_field_measured(json.loads(line)) for line in lines]


def _field_measured(record: dict[str, Any]) -> MeasuredField:
    del record["event"], record["step"]
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return MeasuredField(**fields)


def described(name: str) -> ModelDescription:
    """Return the description of a recording's model."""
    started = next(event for event in recording(name) if isinstance(event, RunStarted))
    return ModelDescription(
        model=started.model, about=started.about, layers=started.layers, review=started.review
    )


@dataclass
class FakeEngine:
    """Yields ``events``, then answers commands like the engine until it is stopped.

    ``fields``, ``models``, ``checks``, ``tries`` and ``views`` are what it knows to answer to
    questions. It answers them after the end of a run too.
    """

    events: Iterable[Event]
    error: Exception | None = None
    answers: bool = True
    fields: Iterable[MeasuredField] = ()
    models: Iterable[ModelDescription] = ()
    checks: Sequence[Diagnosis] = ()
    tries: Tries | None = None
    views: Views | None = None
    received: list[Command] = field(default_factory=list)
    configs: list[RunConfig] = field(default_factory=list)
    started: RunStarted | None = None
    step: StepDone | None = None

    def __call__(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Start a run; the app calls this on its training thread."""
        self.configs.append(config)
        over = False
        for event in self.events:
            if isinstance(event, RunStarted):
                self.started = event
            if isinstance(event, StepDone):
                self.step = event
            over = over or isinstance(event, RunFinished)
            over = over or (isinstance(event, StateChanged) and event.state == "viewing")
            yield event
        if self.step is not None and not over:
            # The bridge holds steps back for a moment; the next event flushes them.
            yield StateChanged(state=self._state(), step=self.step.step)
        if self.error is not None:
            raise self.error
        while True:
            for command in inbox.take(0, wait=True):
                self.received.append(command)
                is_stop = isinstance(command, commands.Stop)
                if is_stop and over:
                    return
                if self.answers:
                    yield from self._answer(command)
                if isinstance(command, commands.Stop) and not command.test:
                    return
                over = over or is_stop

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
            case commands.SetBaseLr(value):
                yield self._changed("base_lr", value)
            case commands.SetBatchSize(value):
                yield self._changed("batch_size", value)
            case commands.SetAugmentation(value):
                yield self._changed("augmentation", int(value))
            case commands.SetEpochs(value):
                yield self._changed("epochs", value)
            case Ask():
                try:
                    for number, content in enumerate(self._contents(command), 1):
                        total = len(self.checks) if command == CHECK else number
                        yield Answered(
                            question=command, content=content, step=step, done=number, total=total
                        )
                except ValueError as error:
                    yield CommandRejected(command=command.topic, reason=str(error), step=step)
            case commands.Stop():
                yield finished(reason=command.reason, step=step)

    def _contents(self, question: Ask) -> Iterable[Content]:
        choices: dict[str, Any] = dict(question.choices)
        match question.kind:
            case "field":
                return [self._field(**choices)]
            case "model":
                found = [model for model in self.models if model.model == choices["model"]]
                if not found:
                    raise ValueError(f"no model {choices['model']}")
                return found
            case "check":
                return self.checks
            case "lesson" if self.tries is None:
                raise ValueError(f"there is no lesson {question.name}")
            case "lesson" if self.tries is not None:
                return self.tries(question)
        return self.views(question) if self.views else ()

    def _field(self, place: int, row: int, column: int, digit: int) -> MeasuredField:
        """Answer with the recorded field of that feature, or of another one of the layer."""
        known = [answer for answer in self.fields if answer.place == place]
        known.sort(key=lambda answer: (answer.row, answer.column) != (row, column))
        if not known:
            raise ValueError(f"there is no layer {place}")
        return replace(known[0], row=row, column=column, digit=known[0].digit + digit)

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
    """Return the end of a run without a test evaluation."""
    return RunFinished(
        reason=reason,
        epochs=0,
        step=step,
        test_loss=None,
        test_accuracy=None,
        test_correct=None,
        test_total=None,
        test_interval=None,
        test_evaluations=0,
        val_accuracy=None,
        parameters=19_568,
        seconds=1.0,
    )


class LearnFirst(MnistTui):
    """The app, opened at the Learn screen."""

    DEFAULT_MODE = "learn"


class InspectFirst(MnistTui):
    """The app, opened at the Inspect screen."""

    DEFAULT_MODE = "inspect"


class ModelFirst(MnistTui):
    """The app, opened at the Model screen, so that a test need not wait for another screen."""

    DEFAULT_MODE = "model"


class RunsFirst(MnistTui):
    """The app, opened at the Runs screen."""

    DEFAULT_MODE = "runs"


def window(
    events: Iterable[Event] = (),
    *,
    kind: type[MnistTui] = MnistTui,
    config: RunConfig | None = None,
    theme: str = "midnight",
    error: Exception | None = None,
    pictures: Path | None = None,
    runs: Path = Path("no-runs-here"),
    fields: Iterable[MeasuredField] = (),
    models: Iterable[ModelDescription] = (),
    checks: Sequence[Diagnosis] = (),
    tries: Tries | None = None,
    views: Views | None = None,
) -> tuple[MnistTui, FakeEngine]:
    """Return an app on a fake engine; nothing in it depends on the clock."""
    engine = FakeEngine(
        list(events),
        error,
        fields=fields,
        models=models,
        checks=checks,
        tries=tries,
        views=views,
    )
    still = Governor(cpu_time=lambda: 0.0)
    app = kind(
        engine, config or RunConfig(), theme=theme, governor=still, pictures=pictures, runs=runs
    )
    return app, engine


async def wait_for_events(pilot: Pilot[None], app: MnistTui, events: Iterable[Event]) -> None:
    """Wait until the window has applied all events that the engine yields by itself."""
    expected = list(events)
    trains = any(isinstance(event, StepDone) for event in expected)

    def has_shown(app: MnistTui) -> bool:
        history = app.live_run.history
        if history.is_over or not expected or (trains and history.last_step is None):
            return history.is_over
        match expected[-1]:
            case StepDone() as step:
                return history.last_step == step
            case StateChanged() as change:
                return (history.state, history.detail) == (change.state, change.detail)
        return True

    await until(pilot, has_shown, app)


async def until(
    pilot: Pilot[None], holds: Callable[[MnistTui], bool], app: MnistTui, *, tries: int = 1_500
) -> None:
    """Wait until a condition holds, at most half a minute; then the test fails.

    It only sleeps between two checks: ``pilot.pause`` would wait for every widget of the screen.
    """
    for _ in range(tries):
        await asyncio.sleep(0.02)
        if holds(app):
            break
    else:
        pytest.fail("what the test waits for does not happen")
    await pilot.pause()


def run_folder(path: Path, events: Iterable[Event], *, state: str | None = None) -> RunFolder:
    """Write a run folder as the recorder does, and return it."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    folder.config.write_text('model = "small"\nepochs = 2\n', encoding="utf-8")
    day, hour = path.name[:10], path.name[11:13]
    changed = f"{day}T{hour}:16:00" if hour.isdigit() else "2026-11-22T20:16:00"
    run = RunState()
    with folder.events.open("w", encoding="utf-8") as lines:
        for event in events:
            run.apply(event)
            lines.write(to_json(event) + "\n")
    summary = summary_of(run, started_at="2026-11-22T20:15:00Z", updated_at=changed)
    summary.state = state or summary.state
    folder.summary.write_text(summary.to_json(), encoding="utf-8")
    return folder
