"""Record the runs that the window's tests show: real runs on MNIST.

    python -m tests.ui.record [NAME ...]

Each recording has a run's events as gzipped JSON lines. Snapshots depend on them, so record again
only if the events themselves change. The measured receptive fields of the model are in another
file, ``NAME-fields.jsonl.gz``.
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
    """Releases each planned command at its step, and any other command at once."""

    def __init__(self, plan: Mapping[int, Command]) -> None:
        super().__init__()
        self._plan = dict(plan)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        due = [self._plan.pop(due) for due in sorted(self._plan) if due <= step]
        return [*due, *super().take(step)]


@dataclass(frozen=True)
class Script:
    """A run, its planned commands, and the event at which the recording ends.

    With ``asks`` two features of every layer are measured at the end: the center one, and the one
    above it to the left.
    """

    config: RunConfig
    plan: Mapping[int, Command] = field(default_factory=dict)
    last: Callable[[Event], bool] = lambda _: False
    asks: bool = False


def _paused(event: Event) -> bool:
    return isinstance(event, StateChanged) and event.state == "paused"


SCRIPTS = {
    "mid-run": Script(
        RunConfig(epochs=5, threads=1),
        {300: SetBaseLr(0.05), 900: SetBatchSize(256)},
        lambda event: isinstance(event, StepDone) and event.step == 1_150,
    ),
    "paused": Script(
        RunConfig(model="small", epochs=2, threads=1),
        {200: SetBaseLr(0.2), 300: Pause()},
        _paused,
    ),
    "overfitting": Script(
        RunConfig(
            train_size=500, augment="none", schedule="constant", lr=0.05, epochs=40, threads=1
        ),
        {90: EvaluateTest()},
        lambda event: isinstance(event, StepDone) and event.step == 106,
    ),
    "diverged": Script(RunConfig(lr=1_000.0, epochs=2, threads=1)),
    "network": Script(
        RunConfig(epochs=2, train_size=2_560, threads=1),
        last=lambda event: isinstance(event, StepDone) and event.step == 30,
        asks=True,
    ),
    "other-network": Script(
        RunConfig(model="small", epochs=1, train_size=128, threads=1),
        last=lambda event: isinstance(event, RunStarted),
    ),
    "finished": Script(RunConfig(model="small", epochs=2, train_size=20_000, threads=1)),
}


def record(script: Script) -> Iterator[Event]:
    """Train and yield the events up to the last one of the script, then the answers."""
    from tests.training import train

    inbox = TimedInbox(script.plan)
    events = with_findings(train(script.config, inbox))
    started: RunStarted | None = None
    for event in events:
        yield event
        if isinstance(event, RunStarted):
            started = event
        if script.last(event):
            break
    if started is None or not script.asks:
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
    """Record the runs of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or SCRIPTS:
        events = list(record(SCRIPTS[name]))
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
