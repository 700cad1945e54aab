"""Make the recordings that the window's tests show: real runs on the real digits.

    python -m tests.ui.record [NAME ...]

Each is a run's events as JSON lines, gzipped. Snapshots are made from them, so record anew only
when the events themselves change.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tui_trainer.run.commands import (
    Command,
    Inbox,
    LookAtTest,
    Pause,
    SetBatchSize,
    SetLearningRate,
)
from tui_trainer.run.config import RunConfig
from tui_trainer.run.events import Event, StateChanged, StepDone, to_json
from tui_trainer.run.findings import with_findings

FOLDER = Path(__file__).parent / "recordings"


class TimedInbox(Inbox):
    """Releases each command when the run has come to its step."""

    def __init__(self, plan: Mapping[int, Command]) -> None:
        super().__init__()
        self._plan = dict(plan)

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        return [self._plan.pop(due) for due in sorted(self._plan) if due <= step]


@dataclass(frozen=True)
class Scene:
    """A run, what a person does to it, and the event at which the recording ends."""

    config: RunConfig
    plan: Mapping[int, Command] = field(default_factory=dict)
    last: Callable[[Event], bool] = lambda _: False


def _paused(event: Event) -> bool:
    return isinstance(event, StateChanged) and event.state == "paused"


SCENES = {
    "mid-run": Scene(
        RunConfig(epochs=5, threads=1),
        {300: SetLearningRate(0.05), 900: SetBatchSize(256)},
        lambda event: isinstance(event, StepDone) and event.step == 1_150,
    ),
    "paused": Scene(
        RunConfig(model="small", epochs=2, threads=1),
        {200: SetLearningRate(0.2), 300: Pause()},
        _paused,
    ),
    "overfitting": Scene(
        RunConfig(
            train_size=500, augment="none", schedule="constant", lr=0.05, epochs=40, threads=1
        ),
        {90: LookAtTest()},
        lambda event: isinstance(event, StepDone) and event.step == 106,
    ),
    "diverged": Scene(RunConfig(lr=1_000.0, epochs=2, threads=1)),
    "finished": Scene(RunConfig(model="small", epochs=2, train_size=20_000, threads=1)),
}


def record(scene: Scene) -> Iterator[Event]:
    """Train and pass the events on, up to the last one wanted."""
    from tui_trainer.engine.loop import train

    for event in with_findings(train(scene.config, TimedInbox(scene.plan))):
        yield event
        if scene.last(event):
            return


def main(names: list[str]) -> None:
    """Record the scenes of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or SCENES:
        with gzip.GzipFile(FOLDER / f"{name}.jsonl.gz", "wb", mtime=0) as file:
            for event in record(SCENES[name]):
                file.write(to_json(event).encode() + b"\n")
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
