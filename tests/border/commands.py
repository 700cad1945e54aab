"""Commands of mnist-tui on a custom model, each in its own process, and their results."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.border.trial import differences
from tests.faults.forks import Ended, call, command
from tui_trainer.engine.checkpoint_store import CheckpointStore
from tui_trainer.models.checkpoints import Checkpoint, read_checkpoint
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.folder import RunFolder

FOLDER = Path(__file__).parent / "cases"
PATIENCE = 900.0
"""Seconds after which a command counts as hung: exporting 784 time steps takes minutes."""

BRIEF = ("--no-ui", "--epochs", 2, "--augment", "none", "--val-size", 80, "--batch-size", 32)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the first table of ``shared/cases/README.md``, with a model of this project.

    Attributes:
        name: The model's file in ``cases``, and its class.
        options: Training options, beyond the brief ones.
        review: The exit code of the review; None for any.
        check: The exit code of the check; None for any.
    """

    name: str
    options: tuple[object, ...] = ()
    review: int | None = 0
    check: int | None = 0

    @property
    def model(self) -> str:
        """The value of ``--model``."""
        file, _, name = self.name.partition(":")
        return f"{FOLDER / file}.py:{name or 'Net'}"

    @property
    def slug(self) -> str:
        """Its name, as part of a file name."""
        return self.name.replace(":", "-")

    def __str__(self) -> str:
        return self.name


@dataclass
class Lab:
    """A folder for runs, and the data to train on.

    Attributes:
        place: The folder of runs and outputs.
        data: A folder of IDX files.
    """

    place: Path
    data: Path
    _calls: int = 0
    _trained: dict[Case, RunFolder] = field(default_factory=dict)

    def run(self, *arguments: object) -> Ended:
        """Run a command to its end, in the lab's folder."""
        return self.work(command(*arguments))

    def work(self, what: Callable[[], object]) -> Ended:
        """Call a function in its own process, in the lab's folder."""

        def there() -> object:
            os.chdir(self.place)
            return what()

        self._calls += 1
        return call(there, self.place / "said" / str(self._calls), PATIENCE)

    def options(self, case: Case, threads: int | None = 1) -> tuple[object, ...]:
        """Return the options to train the case."""
        several = () if threads is None else ("--threads", threads)
        given = ("--model", case.model, "--data-dir", self.data)
        return (*BRIEF, *several, *given, *case.options)

    def trained(self, case: Case) -> RunFolder:
        """Return a run of the case in one thread, trained once; do not change it."""
        if case not in self._trained:
            self._trained[case] = self.train(case, f"{case.slug}-whole-{len(self._trained)}")
        return self._trained[case]

    def train(self, case: Case, out: str, threads: int | None = 1) -> RunFolder:
        """Train, and assert that it succeeded."""
        ended = self.run(*self.options(case, threads), "--out", out)
        assert_fine(ended)
        folder = RunFolder(self.place / out)
        assert last_event(folder, "RunFinished")["reason"] == "completed"
        return folder

    def copied(self, folder: RunFolder) -> RunFolder:
        """Return a copy of a run, which may be changed."""
        target = self.place / f"copy-{self._calls}"
        shutil.copytree(folder.path, target)
        return RunFolder(target)


def assert_fine(ended: Ended, code: int | None = 0) -> None:
    """Assert that a command ended with this code, None for any verdict, and without a traceback."""
    assert "Traceback" not in ended.err, ended.err
    codes = (0, ExitCode.DESIGN_ERROR, ExitCode.CHECK_FAILED) if code is None else (code,)
    assert ended.signal == 0, ended.err
    assert ended.code in codes, (ended.err, ended.out[-2000:])


def refusal(ended: Ended) -> str:
    """Return the line in which a command refused its input."""
    assert (ended.code, ended.out) == (2, ""), (ended.code, ended.out, ended.err)
    lines = [line for line in ended.err.splitlines() if not line.startswith("preparing: ")]
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("mnist-tui: error: "), lines
    return lines[0].removeprefix("mnist-tui: error: ")


def killed_at(step: int, *arguments: object) -> Callable[[], object]:
    """Return a function that saves after each step, and dies of SIGKILL after a saved step."""

    def work() -> object:
        keep = CheckpointStore.keep

        def keep_and_die(
            self: CheckpointStore, state: Checkpoint, *rest: Any, **more: Any
        ) -> Iterator[Any]:
            yield from keep(self, state, *rest, **more)
            if state.metadata["step"] >= step:
                os.kill(os.getpid(), signal.SIGKILL)

        assert CheckpointStore.__init__.__kwdefaults__ is not None
        CheckpointStore.__init__.__kwdefaults__["seconds"] = 0.0
        CheckpointStore.keep = keep_and_die  # type: ignore[method-assign]
        return command(*arguments)()

    return work


def last(folder: RunFolder) -> Checkpoint:
    """Return a run's last checkpoint."""
    return read_checkpoint(folder.checkpoint("last"))


def assert_same_bits(one: RunFolder, other: RunFolder) -> None:
    """Assert that two runs ended in the same state, bit for bit."""
    assert differences(last(one), last(other)) == []


def records(ended: Ended) -> list[dict[str, Any]]:
    """Return the JSON objects that a command printed, one per line."""
    return [json.loads(line) for line in ended.out.splitlines()]


def last_event(folder: RunFolder, event: str) -> dict[str, Any]:
    """Return the last recorded event of a kind."""
    lines = folder.events.read_text(encoding="utf-8").splitlines()
    found = [record for record in map(json.loads, lines) if record["event"] == event]
    return dict(found[-1])
