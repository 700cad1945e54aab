"""A small run that is the same each time, how it is resumed, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.engine.runs import tiny_config
from tui_trainer.cli.saved import saved_run
from tui_trainer.cli.starts import Job, Start
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.commands import (
    Command,
    Inbox,
    SetAugmentation,
    SetBaseLr,
    SetBatchSize,
    SetDropout,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import (
    CLOCK_FIELDS,
    CheckpointSaved,
    Event,
    RecordingFailed,
    RecordingRestored,
    RecordingStarted,
    RunResumed,
    StateChanged,
    TestEvaluated,
    to_json,
)
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.recorder import Recorder

Commands = Mapping[int, Sequence[Command]]

COMMANDS: Commands = {
    3: [SetBaseLr(0.03)],
    8: [SetBatchSize(24), SetAugmentation(False)],
    13: [SetAugmentation(True), SetDropout(0.3)],
}
"""What is asked of the run while it trains, by the number of batches before."""

ON_THE_CLOCK = {"seconds", "epoch_began", "lines"}
TEST_EVALUATIONS = {"evaluation", "test_evaluations"}
"""A look at the test set that a kill made void has been taken all the same, and is counted."""

ABOUT_THE_PROCESS = (
    *(StateChanged, RunResumed, CheckpointSaved),
    *(RecordingStarted, RecordingFailed, RecordingRestored),
)


def small_run(data: Path, **settings: Any) -> RunConfig:
    """A run of 3 epochs and 17 steps, with :data:`COMMANDS`; augmentation and dropout take part."""
    return tiny_config(data, **{"model": "era-s6-dropout", "epochs": 3, **settings})


class CommandInbox(Inbox):
    """Releases wishes at their steps, but for those that the run has had before it was resumed.

    Args:
        wishes: The wishes.
        first: The step that the run goes on from.
        at_step: Called before each batch with the number of batches before it.
    """

    def __init__(
        self,
        commands: Commands,
        first: int = 0,
        at_step: Callable[[int], object] = lambda step: None,
    ) -> None:
        super().__init__()
        self._script = {step: list(asked) for step, asked in commands.items() if step >= first}
        self._at_step = at_step

    def take(self, step: int, *, wait: bool = False) -> list[Command]:
        """Return what is wished at this step, then what has been sent."""
        self._at_step(step)
        due = self._script.pop(step, [])
        return due + super().take(step, wait=wait and not due)


def save_each_step() -> None:
    """Save after each step from now on: what the clock does every 15 seconds."""
    assert CheckpointStore.__init__.__kwdefaults__ is not None
    CheckpointStore.__init__.__kwdefaults__["seconds"] = 0.0


def begin(path: Path, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
    """Begin the run in a folder, as the command line does."""
    return Start(Job(Recorder.create(path, config.resolved())))(config, inbox)


def resumed(
    path: Path, inbox: Callable[[int], Inbox], checkpoint: str = "last"
) -> tuple[RunConfig, Inbox, Start]:
    """Return what it takes to go on with the run in a folder, as the command line does it."""
    found = saved_run(str(path), checkpoint)
    recorder = Recorder.reopen(found.folder, found.recorded, found.past)
    job = Job(recorder, found)
    settings = replace(found.config, threads=found.metadata["threads"])
    return settings, inbox(found.metadata["step"]), Start(job)


def resume_to_end(
    path: Path, commands: Commands = COMMANDS, checkpoint: str = "last"
) -> list[Event]:
    """Go on with the run in a folder to its end; return what it told, its past included."""
    settings, inbox, start = resumed(path, lambda step: CommandInbox(commands, step), checkpoint)
    return list(start(settings, inbox))


def is_over(path: Path) -> bool:
    """Whether nothing is left to do: ``mnist-tui resume`` says so, and asks for more epochs."""
    found = saved_run(str(path))
    return found.is_complete and any(isinstance(event, TestEvaluated) for event in found.past)


@dataclass(frozen=True, slots=True)
class Left:
    """What a run leaves: its states, and what happened."""

    last: Checkpoint
    best: Checkpoint
    records: list[dict[str, Any]]


def left_by(path: Path) -> Left:
    """Read what a run has left in its folder."""
    folder = RunFolder(path)
    return Left(
        read_checkpoint(folder.checkpoint("last")),
        read_checkpoint(folder.checkpoint("best")),
        effective(folder.read_events().events),
    )


def effective(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return what is the same in every recording of the same run."""
    about_the_run = [event for event in events if not isinstance(event, ABOUT_THE_PROCESS)]
    return [_plain(event) for event in about_the_run]


def _plain(event: Event) -> dict[str, Any]:
    fields = json.loads(to_json(event))
    return {key: fields[key] for key in fields.keys() - CLOCK_FIELDS - TEST_EVALUATIONS}


def differing(one: Checkpoint, other: Checkpoint) -> int:
    """Return how many bits of two states differ, of all tensors, and how many plain numbers."""
    assert one.tensors.keys() == other.tensors.keys()
    differing = 0
    for name, tensor in one.tensors.items():
        mine, twin = _raw(tensor), _raw(other.tensors[name])
        assert len(mine) == len(twin), name
        if mine != twin:
            differing += sum((a ^ b).bit_count() for a, b in zip(mine, twin, strict=True))
    skipped = ON_THE_CLOCK | TEST_EVALUATIONS
    keys = (one.metadata.keys() | other.metadata.keys()) - skipped
    return differing + len(
        [key for key in keys if one.metadata.get(key) != other.metadata.get(key)]
    )


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).numpy().tobytes()


def assert_same(path: Path, whole: Left, *, unfinished: bool = False) -> int:
    """Make sure that a run has left what the uninterrupted one left; return the differing bits.

    Args:
        path: Its folder.
        whole: What the uninterrupted run left.
        unfinished: Whether the process was killed after the last checkpoint and before its last
            line: everything is there but ``RunFinished``.
    """
    mine = left_by(path)
    records = [
        event for event in whole.records if not (unfinished and event["event"] == "RunFinished")
    ]
    assert mine.records == records
    bits = differing(mine.last, whole.last) + differing(mine.best, whole.best)
    assert bits == 0
    return bits
