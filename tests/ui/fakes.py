"""An engine without torch: it says what it was told to say, and answers wishes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

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
"""What an experiment shows when it is asked for."""

Views = Callable[[Ask], Iterable[Exhibit]]
"""What a view of the network shows; a ``ValueError`` says why there is nothing to show."""

RECORDINGS = Path(__file__).parent / "recordings"


def recording(name: str) -> list[Event]:
    """Return the events of a real run, recorded by ``python -m tests.ui.record``."""
    return list(_recording(name))


@cache
def _recording(name: str) -> tuple[Event, ...]:
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(map(from_json, lines))


def recorded_fields(name: str) -> list[MeasuredField]:
    """Return what the engine said of features of each layer at the end of a recording."""
    with gzip.open(RECORDINGS / f"{name}-fields.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [_field_measured(json.loads(line)) for line in lines]


def _field_measured(record: dict[str, Any]) -> MeasuredField:
    del record["event"], record["step"]
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return MeasuredField(**fields)


def described(name: str) -> ModelDescription:
    """Return the network of a recording as the engine describes it."""
    started = next(event for event in recording(name) if isinstance(event, RunStarted))
    return ModelDescription(
        model=started.model, about=started.about, layers=started.layers, review=started.review
    )


@dataclass
class FakeEngine:
    """Says ``events``, then answers commands as the engine would, until it is told to stop.

    ``fields``, ``networks``, ``checks``, ``tries`` and ``views`` are what it knows to answer to
    questions. It answers them after the end of a run too.
    """

    events: Iterable[Event]
    error: Exception | None = None
    answers: bool = True
    fields: Iterable[MeasuredField] = ()
    networks: Iterable[ModelDescription] = ()
    checks: Sequence[Diagnosis] = ()
    tries: Tries | None = None
    views: Views | None = None
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
            over = over or (isinstance(event, StateChanged) and event.state == "viewing")
            yield event
        if self.step is not None and not over:
            # The bridge keeps steps back for a moment; what follows them brings them out.
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
                found = [network for network in self.networks if network.model == choices["model"]]
                if not found:
                    raise ValueError(f"no network {choices['model']}")
                return found
            case "check":
                return self.checks
            case "lesson" if self.tries is None:
                raise ValueError(f"there is no lesson {question.name}")
            case "lesson" if self.tries is not None:
                return self.tries(question)
        return self.views(question) if self.views else ()

    def _field(self, place: int, row: int, column: int, digit: int) -> MeasuredField:
        """Answer with what was recorded of that feature, or else of another one of the layer."""
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
    """The app, opened at the Model screen: a test of that screen need not wait for the other."""

    DEFAULT_MODE = "model"


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
    networks: Iterable[ModelDescription] = (),
    checks: Sequence[Diagnosis] = (),
    tries: Tries | None = None,
    views: Views | None = None,
) -> tuple[MnistTui, FakeEngine]:
    """Return an app on a fake engine, with nothing in it that depends on the clock."""
    engine = FakeEngine(
        list(events),
        error,
        fields=fields,
        networks=networks,
        checks=checks,
        tries=tries,
        views=views,
    )
    still = Governor(cpu_time=lambda: 0.0)
    app = kind(
        engine, config or RunConfig(), theme=theme, governor=still, pictures=pictures, runs=runs
    )
    return app, engine


async def settle(pilot: Pilot[None], app: MnistTui, events: Iterable[Event]) -> None:
    """Wait until the window has taken in everything the engine says by itself."""
    told = list(events)
    trains = any(isinstance(event, StepDone) for event in told)

    def has_shown(app: MnistTui) -> bool:
        history = app.live_run.history
        if history.is_over or not told or (trains and history.last_step is None):
            return history.is_over
        match told[-1]:
            case StepDone() as step:
                return history.last_step == step
            case StateChanged() as change:
                return (history.state, history.detail) == (change.state, change.detail)
        return True

    await until(pilot, has_shown, app)


async def until(
    pilot: Pilot[None], holds: Callable[[MnistTui], bool], app: MnistTui, *, tries: int = 1_500
) -> None:
    """Wait until something holds; after half a minute a test goes on and says what is missing.

    Between two looks it sleeps and no more: a pause of the pilot asks each widget of the screen.
    """
    for _ in range(tries):
        await asyncio.sleep(0.02)
        if holds(app):
            break
    await pilot.pause()


def run_folder(path: Path, events: Iterable[Event], *, state: str | None = None) -> RunFolder:
    """Write a run as the recorder leaves it, and return its folder."""
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
