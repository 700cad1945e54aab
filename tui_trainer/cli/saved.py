"""A recorded run, for the commands that need one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_trainer.cli.moved_paths import (
    MovedPaths,
    check_data_path,
    check_model_path,
    with_changes,
    with_current_paths,
)
from tui_trainer.cli.torchrun import processes
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RunFolder, find_run
from tui_trainer.recording.journal import Recorded
from tui_trainer.recording.lock import Lock
from tui_trainer.text.fmt import printable

if TYPE_CHECKING:
    from tui_trainer.engine.resuming import Resumption

RunName = Annotated[
    str | None,
    typer.Argument(
        help="Run name or folder; default: the last run", metavar="RUN", show_default=False
    ),
]
RunNames = Annotated[
    list[str] | None,
    typer.Argument(
        help="Run names or folders; default: the last run", metavar="RUN...", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A recorded run up to one of its checkpoints.

    Attributes:
        folder: Its folder.
        config: Its initial settings, with current paths.
        recorded: All recorded events.
        past: The events up to the checkpoint.
        checkpoint: The checkpoint file.
        metadata: The checkpoint's plain numbers.
    """

    folder: RunFolder
    config: RunConfig
    recorded: Recorded
    past: tuple[Event, ...]
    checkpoint: Path
    metadata: Mapping[str, Any]

    def settings(self, **changes: Any) -> RunConfig:
        """Return its settings with these changes, and the threads of the checkpoint.

        With another number of processes, the cores are divided again.
        The target is dropped: it belongs to the original run.

        Raises:
            InputError: If a new value cannot be used; it names the option.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        is_same = self.metadata.get("processes", 1) == processes()
        threads = self.metadata["threads"] if is_same else None
        defaults = {"threads": threads, "target_accuracy": None, "last": None}
        return with_changes(self.config, **{**defaults, **given})

    @property
    def moved(self) -> RunConfig | None:
        """The settings to record if its files moved; otherwise None."""
        recorded = self.folder.read_config()
        now = replace(recorded, model=self.config.model, data_dir=self.config.data_dir)
        return None if now == recorded else now

    def resumption(self) -> Resumption:
        """Return the state from which the engine resumes; loads torch."""
        from tui_trainer.engine.resuming import Resumption
        from tui_trainer.models.checkpoints import read_checkpoint

        return Resumption(
            read_checkpoint(self.checkpoint), self.checkpoint, self.recorded.test_evaluations
        )

    @property
    def is_of_script(self) -> bool:
        """Whether a script trained it, which :func:`tui_trainer.watch` has watched."""
        return bool(self.metadata.get("script"))

    @property
    def is_complete(self) -> bool:
        """Whether all epochs are done."""
        return bool(self.metadata["epochs_done"] >= self.metadata["epochs"])


def answers(
    config: RunConfig,
    questions: Iterable[Ask],
    saved: SavedRun | None = None,
    *,
    checks: bool = False,
) -> Iterator[Event]:
    """Answer questions about a saved or an untrained model; loads torch when iterated.

    ``checks`` says whether one is the check.
    """
    from tui_trainer.lab.standalone import answers

    resume = None if saved is None else saved.resumption()
    yield from answers(config, questions, resume=resume, checks=checks)


def saved_run(
    name: str | None,
    checkpoint: str = "last",
    *,
    moved: MovedPaths | None = None,
    to_resume: bool = False,
    checked: bool = True,
) -> SavedRun:
    """Return a run by its name or folder, up to a checkpoint.

    Args:
        name: The run; see :func:`find_run`.
        checkpoint: The name of the checkpoint.
        moved: New paths of its files; None if its model and data are not needed.
        to_resume: Whether it will be trained further.
        checked: Whether its model and data must exist.

    Raises:
        InputError: If there is no such run or checkpoint, or one of its files cannot be used.
    """
    folder = find_run(name, to_resume=to_resume)
    path = checkpoint_of(folder, checkpoint)
    metadata = read_metadata(path)
    if to_resume:
        check_resumable(metadata, folder)
    elif moved is not None and checked:
        check_script_files(metadata, folder)
    for number in ("step", "epoch", "epochs", "epochs_done", "threads"):
        if not isinstance(metadata.get(number), int):
            raise InputError(f"{printable(path)}: incomplete checkpoint, {number} is missing")
    config, recorded = (
        with_current_paths(folder.read_config(), folder, moved or MovedPaths()),
        folder.read_events(),
    )
    if moved is not None and checked:
        check_model_path(config)
        check_data_path(config)
    past = recorded.before(metadata.get("lines"))
    if not any(isinstance(event, RunStarted) for event in past):
        raise InputError(
            f"{printable(folder.events)}: incomplete record, its first event is missing"
        )
    return SavedRun(folder, config, recorded, past, path, metadata)


def check_script_files(metadata: Mapping[str, Any], folder: RunFolder) -> None:
    """Check that the model of a script's run can be built and tried without the script.

    Raises:
        InputError: If not; it says why.
    """
    if not metadata.get("script"):
        return
    if why := metadata.get("no_model"):
        raise InputError(f"{folder.name}: its model cannot be built without its script: {why}")
    if metadata.get("input") is None:
        why = metadata.get("no_inputs") or "the run ended before its first checkpoint with labels"
        raise InputError(f"{folder.name}: has no recorded inputs: {why}")


def check_resumable(metadata: Mapping[str, Any], folder: RunFolder) -> None:
    """Check that mnist-tui itself can train a run further, or again.

    Raises:
        InputError: If a script trained it; it says what to do.
    """
    if metadata.get("script"):
        script = printable(str(metadata.get("script_path", "")))
        raise InputError(
            f"{folder.name}: was trained by the loop of a script; run it again, with run.resume() "
            f"before its loop: python {script}"
        )


def checkpoint_of(folder: RunFolder, name: str) -> Path:
    """Return the file of a run's checkpoint.

    Raises:
        InputError: If it does not exist; it lists those that do.
    """
    path = folder.checkpoint(name)
    if not path.is_file():
        raise InputError(_no_checkpoint(folder, name))
    return path


def _no_checkpoint(folder: RunFolder, name: str) -> str:
    there = sorted(path.stem for path in folder.checkpoints.glob("[!.]*.safetensors"))
    if there:
        names = ", ".join(there)
        return f"--checkpoint {printable(name)}: not in {folder.name}; choose {names}"
    if Lock.is_held(folder.lock):
        return f"{folder.name}: has no checkpoint yet; its trainer saves one every 15 s: try again"
    again = f"mnist-tui --config {printable(folder.config)}"
    return f"{folder.name}: has no checkpoint yet; start it again with `{again}`"
