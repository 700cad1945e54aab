"""Make the recordings that the window's tests show: real runs on the real digits.

    python -m tests.ui.record [NAME ...]

Each is a run's events as JSON lines, gzipped. Snapshots are made from them, so record anew only
when the events themselves change. What the engine answers about the network's receptive fields is
in a file of its own, ``NAME-fields.jsonl.gz``.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from tests.protocol.questions import ask_field
from tui_trainer.findings import with_findings
from tui_trainer.protocol.answers import Answered, MeasuredField
from tui_trainer.protocol.commands import (
    Ask,
    Command,
    EvaluateTest,
    Inbox,
    Pause,
    SetBaseLr,
    SetBatchSize,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunStarted, StateChanged, StepDone, to_json

FOLDER = Path(__file__).parent / "recordings"


class TimedInbox(Inbox):
    """Releases each command when the run has come to its step, and what is sent at once."""

    def __init__(self, plan: Mapping[int, Command]) -> None:
        super().__init__()
        self._plan = dict(plan)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        due = [self._plan.pop(due) for due in sorted(self._plan) if due <= step]
        return [*due, *super().take(step)]


@dataclass(frozen=True)
class Scene:
    """A run, what a person does to it, and the event at which the recording ends.

    ``asks`` is whether two features of every layer are looked at then: the middle one, and the one
    above it to its left.
    """

    config: RunConfig
    plan: Mapping[int, Command] = field(default_factory=dict)
    last: Callable[[Event], bool] = lambda _: False
    asks: bool = False


def _paused(event: Event) -> bool:
    return isinstance(event, StateChanged) and event.state == "paused"


SCENES = {
    "mid-run": Scene(
        RunConfig(epochs=5, threads=1),
        {300: SetBaseLr(0.05), 900: SetBatchSize(256)},
        lambda event: isinstance(event, StepDone) and event.step == 1_150,
    ),
    "paused": Scene(
        RunConfig(model="small", epochs=2, threads=1),
        {200: SetBaseLr(0.2), 300: Pause()},
        _paused,
    ),
    "overfitting": Scene(
        RunConfig(
            train_size=500, augment="none", schedule="constant", lr=0.05, epochs=40, threads=1
        ),
        {90: EvaluateTest()},
        lambda event: isinstance(event, StepDone) and event.step == 106,
    ),
    "diverged": Scene(RunConfig(lr=1_000.0, epochs=2, threads=1)),
    "network": Scene(
        RunConfig(epochs=2, train_size=2_560, threads=1),
        last=lambda event: isinstance(event, StepDone) and event.step == 30,
        asks=True,
    ),
    "other-network": Scene(
        RunConfig(model="small", epochs=1, train_size=128, threads=1),
        last=lambda event: isinstance(event, RunStarted),
    ),
    "finished": Scene(RunConfig(model="small", epochs=2, train_size=20_000, threads=1)),
}


def record(scene: Scene) -> Iterator[Event]:
    """Train and pass the events on, up to the last one wanted; then the answers, if any."""
    from tests.training import train

    inbox = TimedInbox(scene.plan)
    events = with_findings(train(scene.config, inbox))
    started: RunStarted | None = None
    for event in events:
        yield event
        if isinstance(event, RunStarted):
            started = event
        if scene.last(event):
            break
    if started is None or not scene.asks:
        return
    places = range(1, len(started.layers))
    questions = [question for place in places for question in _asked(started, place)]
    for question in questions:
        inbox.send(question)
    answers = (event for event in events if isinstance(event, Answered))
    yield from islice(answers, len(questions))


def _asked(started: RunStarted, place: int) -> list[Ask]:
    height, width, _ = started.layers[place].output_shape
    row, column = height // 2, width // 2
    middle = ask_field(place, row, column)
    other = ask_field(place, max(0, row - 1), max(0, column - 1))
    return [middle] if other == middle else [middle, other]


def main(names: list[str]) -> None:
    """Record the scenes of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or SCENES:
        events = list(record(SCENES[name]))
        _write(name, [to_json(event) for event in events if not isinstance(event, Answered)])
        fields = [
            json.dumps({"event": "FieldMeasured", **asdict(event.content), "step": event.step})
            for event in events
            if isinstance(event, Answered) and isinstance(event.content, MeasuredField)
        ]
        if fields:
            _write(f"{name}-fields", fields)
        print(name)


def _write(name: str, lines: Iterable[str]) -> None:
    with gzip.GzipFile(FOLDER / f"{name}.jsonl.gz", "wb", mtime=0) as file:
        for line in lines:
            file.write(line.encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
