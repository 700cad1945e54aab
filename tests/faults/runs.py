"""A small reproducible run, how it is resumed, and what it leaves on disk."""

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
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
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
"""The commands during training, by the number of batches before them."""

ON_THE_CLOCK = {"seconds", "epoch_began", "lines"}
TEST_EVALUATIONS = {"evaluation", "test_evaluations"}
"""A test evaluation whose event a kill discarded happened all the same, and is counted."""

ABOUT_THE_PROCESS = (
    *(StateChanged, RunResumed, CheckpointSaved),
    *(RecordingStarted, RecordingFailed, RecordingRestored),
)


def small_run(data: Path, **settings: Any) -> RunConfig:
    """A run of 3 epochs and 17 steps, with :data:`COMMANDS`; augmentation and dropout take part."""
    return tiny_config(data, **{"model": "era-s6-dropout", "epochs": 3, **settings})


class CommandInbox(Inbox):
    """Releases commands at their steps, without those from before the resumption.

    Args:
        commands: The commands by step.
        first: The step from which the run resumes.
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
        """Return the commands of this step, then those that were sent."""
        self._at_step(step)
        due = self._script.pop(step, [])
        return due + super().take(step, wait=wait and not due)


def save_each_step() -> None:
    """Save after each step from now on, instead of every 15 seconds."""
    assert CheckpointStore.__init__.__kwdefaults__ is not None
    CheckpointStore.__init__.__kwdefaults__["seconds"] = 0.0


def begin(path: Path, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
    """Start the run in a folder, as the command line does."""
    return Start(Job(Recorder.create(path, config.resolved())))(config, inbox)


def resumed(
    path: Path, inbox: Callable[[int], Inbox], checkpoint: str = "last"
) -> tuple[RunConfig, Inbox, Start]:
    """Return config, inbox and start to resume the run in a folder, as the command line does."""
    found = saved_run(str(path), checkpoint)
    recorder = Recorder.reopen(found.folder, found.recorded, found.past)
    job = Job(recorder, found)
    settings = replace(found.config, threads=found.metadata["threads"])
    return settings, inbox(found.metadata["step"]), Start(job)


def resume_to_end(
    path: Path, commands: Commands = COMMANDS, checkpoint: str = "last"
) -> list[Event]:
    """Resume the run in a folder to its end; return all its events."""
    settings, inbox, start = resumed(path, lambda step: CommandInbox(commands, step), checkpoint)
    return list(start(settings, inbox))


def is_over(path: Path) -> bool:
    """Return whether the run is complete, so that ``mnist-tui resume`` asks for more epochs."""
    found = saved_run(str(path))
    return found.is_complete and any(isinstance(event, TestEvaluated) for event in found.past)


@dataclass(frozen=True, slots=True)
class Left:
    """What a run leaves: its checkpoints and its events."""

    last: Checkpoint
    best: Checkpoint
    records: list[dict[str, Any]]


def left_by(path: Path) -> Left:
    """Read the folder of a run."""
    folder = RunFolder(path)
    return Left(
        read_checkpoint(folder.checkpoint("last")),
        read_checkpoint(folder.checkpoint("best")),
        effective(folder.read_events().events),
    )


def effective(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the events without what differs between two recordings of the same run."""
    about_the_run = [event for event in events if not isinstance(event, ABOUT_THE_PROCESS)]
    return [_plain(event) for event in about_the_run]


def _plain(event: Event) -> dict[str, Any]:
    fields = json.loads(to_json(event))
    return {key: fields[key] for key in fields.keys() - CLOCK_FIELDS - TEST_EVALUATIONS}


def differing(one: Checkpoint, other: Checkpoint) -> int:
    """Return the number of differing bits of all tensors, plus that of differing plain values."""
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
    """Check that a run has left the same as the uninterrupted one; return the differing bits.

    Args:
        path: Its folder.
        whole: The result of the uninterrupted run.
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
