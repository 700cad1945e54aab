"""Train in several processes, without a command line: ``torchrun -m tests.distributed.scenarios``.

One start for all scenarios: starting processes takes most of the time.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.engine.runs import tiny_config
from tests.faults.runs import COMMANDS, CommandInbox, Commands
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.engine.loop import train
from tui_trainer.engine.resuming import Resumption
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.models.device import Ranks
from tui_trainer.models.distributed import ProcessGroup
from tui_trainer.protocol.commands import (
    Ask,
    EvaluateTest,
    Inbox,
    Pause,
    Resume,
    SetBatchSize,
    Stop,
)
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, to_json
from tui_trainer.recording.checkpoint_head import SUFFIX

STOPPED_AT = 9
"""The step at which a run is stopped, in the middle of its second epoch."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One training.

    Attributes:
        name: Its name, of its folder.
        settings: Those that differ from ``tiny_config``.
        commands: The commands of the first process by step.
        resumes: The scenario whose last checkpoint it resumes.
    """

    name: str
    settings: dict[str, Any]
    commands: Commands = field(default_factory=dict)
    resumes: str = ""

    def train(
        self, out: Path, data: Path, ranks: Ranks | None = None
    ) -> tuple[list[Event], Checkpoint]:
        """Train it; the first process saves its checkpoints in a folder.

        Returns:
            The events, and the last checkpoint of this process.
        """
        resume = (ranks or Ranks()).first(lambda: self._resumption(out))
        store, assistant = CheckpointStore(), None
        if ranks is None or ranks.rank == 0:
            store, assistant = CheckpointStore(out / self.name), Laboratory()
        first = resume.state.metadata["step"] if resume is not None else 0
        inbox = CommandInbox(self.commands, first) if assistant is not None else Inbox()
        config = self.config(data)
        events = list(
            train(config, inbox, store=store, assistant=assistant, resume=resume, ranks=ranks)
        )
        assert store.last_good is not None
        return events, store.last_good

    def _resumption(self, out: Path) -> Resumption | None:
        path = out / self.resumes / f"last{SUFFIX}"
        return Resumption(read_checkpoint(path), path) if self.resumes else None

    def config(self, data: Path) -> RunConfig:
        """Return its settings."""
        return tiny_config(data, **self.settings)


PLAIN = {"model": "conv-gap", "batch_size": 36, "epochs": 5, "lr": 0.1, "augment": "light"}
"""Without batch norm and dropout; the last of four batches has two images."""

NET = f"{Path(__file__).with_name('nets.py')}:Net"

NOISY = {"model": "era-s6-dropout", "epochs": 3}
"""With batch norm, dropout and augmentation, and with commands."""

QUESTIONS: Commands = {
    2: [EvaluateTest(), Pause(), Ask("view/confusion"), Resume()],
    4: [SetBatchSize(1)],
}
"""What must change nothing, at least not in several processes."""

STOP: Commands = {STOPPED_AT: [Stop(test=False)]}

SCENARIOS = (
    Scenario("plain", PLAIN),
    Scenario("asked", PLAIN, QUESTIONS),
    Scenario("whole", NOISY, COMMANDS),
    Scenario("stopped", NOISY, {**COMMANDS, **STOP}),
    Scenario("resumed", NOISY, COMMANDS, resumes="stopped"),
    Scenario("resumed-from-one", NOISY, COMMANDS, resumes="stopped-alone"),
    Scenario("custom", {"model": NET, "epochs": 1, "batch_size": 36}),
    Scenario("diverged", {**PLAIN, "lr": 900.0}),
)


class RecordedGroup(ProcessGroup):
    """Records what each process trains on: the size of each batch, the images, their weight."""

    parts: list[tuple[int, list[int], float]]

    def share(self, count: int, key: str) -> tuple[int, slice] | None:
        """Record the share."""
        part = super().share(count, key)
        assert part is not None
        self.parts.append((count, list(range(count))[part[1]], self._share))
        return part


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of the bits of tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def main(out: Path, data: Path) -> None:
    """Train all scenarios in this process of the group."""
    group = RecordedGroup.join()
    for scenario in SCENARIOS:
        group.parts = []
        events, state = scenario.train(out, data, group)
        place = out / f"{scenario.name}-{group.rank}.json"
        lines = [json.loads(to_json(event)) for event in events]
        record = {"parts": group.parts, "events": lines, "model": digest_of(state.part("model"))}
        place.write_text(json.dumps(record), encoding="utf-8")
    group.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
