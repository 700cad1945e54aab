"""``mnist-tui attach``: the window on a run that another process trains."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Annotated

import typer

from tui_trainer.cli.detach import Trainer, release_folder, resume_in_background
from tui_trainer.cli.moved_paths import (
    DataPath,
    ModelPath,
    MovedPaths,
    check_data_path,
    check_model_path,
    with_changes,
    with_current_paths,
)
from tui_trainer.cli.options import Notify, OnEnd, OnFinding, Theme, option
from tui_trainer.cli.saved import (
    SavedRun,
    check_resumable,
    check_script_files,
    checkpoint_of,
)
from tui_trainer.headless.hooks import Hooks
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError, path_error
from tui_trainer.protocol.events import CommandRejected, Event, RecordRead, RunStarted
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.checkpoint_head import read_metadata
from tui_trainer.recording.folder import RUNS, RunFolder, find_run, list_runs
from tui_trainer.recording.follower import Follower, StartedTrainer
from tui_trainer.recording.lock import Lock
from tui_trainer.text.fmt import one_line, printable

START_SECONDS = 30.0
"""How long a script waits for a trainer to start; a download can take longer."""

WAIT_SECONDS = 60.0
"""Seconds between two wakings of a thread without a question."""


def attach(
    run: Annotated[
        str | None,
        typer.Argument(
            help="Run name or folder; default: the latest run that is trained now",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[bool, option("Only watch: no key changes the run", "--read-only")] = False,
    model: ModelPath = None,
    data_dir: DataPath = None,
    theme: Theme = None,
    notify: Notify = None,
    on_end: OnEnd = None,
    on_finding: OnFinding = None,
) -> None:
    """Open the window on a run that another process trains; quitting leaves it alone."""
    from tui_trainer.cli.front_ends import check_terminal, check_user_files, run_attached

    check_user_files(theme)
    check_terminal("use mnist-tui runs")
    folder = trained_run() if run is None else find_run(run)
    moved = MovedPaths(model, data_dir)
    settings = with_current_paths(folder.read_config(), folder, moved)
    folder.check_lock()
    # Without permission to steer, no key should promise it.
    read_only = read_only or not os.access(folder.commands, os.W_OK)
    hooks = Hooks(on_end, on_finding)
    attachment = Attached(folder, moved=moved, hooks=hooks)
    code = run_attached(
        attachment, settings, theme=theme, notify=notify, read_only=read_only, hooks=hooks
    )
    raise typer.Exit(code)


def trained_run() -> RunFolder:
    """Return the latest run that a process trains now.

    Raises:
        InputError: If there is none.
    """
    for run in list_runs(RUNS):
        if Lock.is_held(run.folder.lock):
            return run.folder
    raise path_error(
        RUNS, "no run is being trained; start one with `mnist-tui --detach`, or name a run"
    )


class Attached:
    """The connection of a window to a run that another process trains.

    Args:
        folder: The folder of the run.
        trainer: Its trainer, if this process has started it.
        moved: New paths of its model and data, for questions about the model.
        hooks: The commands that the end and the findings of the run start in this process.
    """

    def __init__(
        self,
        folder: RunFolder,
        trainer: StartedTrainer | None = None,
        *,
        moved: MovedPaths | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.folder = folder
        self._moved = moved or MovedPaths()
        self._hooks = hooks or Hooks()
        self._follower = Follower(folder, trainer)

    @property
    def name(self) -> str:
        """The folder of the run, for commands that the user can type."""
        return printable(self.folder.path)

    @property
    def checkpoint(self) -> object:
        """A value that changes when the trainer saves another checkpoint."""
        return self._follower.checkpoint

    def follow(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Yield the events of the run; send the commands of the inbox to its trainer."""
        return self._hooks.watch(self._follower.events(inbox))

    def answer(self, config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        """Answer the questions of the inbox from the last checkpoint, until a ``Stop``.

        A question that cannot be answered, for example because the data are on another machine, is
        rejected; the next one is another attempt.
        """
        # At the usual priority: with a low one, an answer disturbs a trainer on the same cores four
        # times as long and costs it more steps, because its threads wait for each other.
        while True:
            while inbox.is_empty:
                inbox.wait(WAIT_SECONDS)
            try:
                for event in self._answers(inbox):
                    if isinstance(event, Answered | CommandRejected):
                        yield event
                return
            except Exception as error:
                if type(error).__name__ == "InputsChangedError":  # torch loads before its module
                    continue
                # Also of a custom model: the window continues to follow the run.
                problem = one_line(str(error) or type(error).__name__)
            for command in inbox.take(0):
                if isinstance(command, Stop):
                    return
                if isinstance(command, Ask):
                    yield CommandRejected(command=command.topic, reason=problem, step=0)

    def _answers(self, inbox: Inbox) -> Iterator[Event]:
        # Not a SavedRun: a long record, which the follower has read already, takes 2 GB at once.
        config = with_current_paths(self.folder.read_config(), self.folder, self._moved)
        path = checkpoint_of(self.folder, "last")
        check_script_files(read_metadata(path), self.folder)
        check_model_path(config)
        check_data_path(config)

        from tui_trainer.engine.resuming import Resumption
        from tui_trainer.lab.standalone import inspect_run
        from tui_trainer.models.checkpoints import read_checkpoint

        # One thread of the CPU: the trainer needs the others, and the accelerator.
        config = with_changes(config, threads=1, device="cpu", target_accuracy=None)
        resume = Resumption(read_checkpoint(path), path)
        yield from inspect_run(config, inbox, self.folder, resume, is_trained=True)

    def resume(self, lr: float | None) -> None:
        """Continue the run in the background from its last checkpoint.

        Args:
            lr: Another base learning rate, for a diverged run.

        Raises:
            InputError: If another process trains it, the process cannot be started, or the run is
                of a script.
        """
        check_resumable(read_metadata(checkpoint_of(self.folder, "last")), self.folder)
        trainer = self._follower.trainer
        if trainer is not None and trainer.is_running:
            raise InputError(f"{self.name}: its trainer is starting or ending; try again soon")
        self._follower.trainer = resume_in_background(
            self.folder, {**dataclasses.asdict(self._moved), "lr": lr}
        )

    def announce(self, *, is_resumed: bool) -> int:
        """Wait until the trainer has started, then print the folder of the run."""
        inbox = Inbox()
        timer = Timer(START_SECONDS, inbox.send, [Stop()])
        timer.daemon = True  # a trainer that fails, or ctrl+c, ends this process at once
        timer.start()
        try:
            self._wait_for_start(inbox, is_resumed=is_resumed)
        except KeyboardInterrupt:
            self._print_hint()  # the trainer is in another session: it continues
            raise
        self._print_hint()
        standard_output().line(str(self.folder.path))
        return ExitCode.FINISHED

    def _wait_for_start(self, inbox: Inbox, *, is_resumed: bool) -> None:
        reads = 0
        with closing(self._follower.events(inbox)) as events:  # type: ignore[type-var]
            for event in events:
                reads += isinstance(event, RecordRead) and not event.continues
                parts = event.events if isinstance(event, RecordRead) else (event,)
                # The record of a resumed run is read again when the trainer continues it.
                if reads > is_resumed and any(isinstance(part, RunStarted) for part in parts):
                    return

    def _print_hint(self) -> None:
        Console(sys.stderr, time.monotonic).print(
            f"the training is in the background; watch it with: mnist-tui attach {self.name}"
        )


def watch_new(
    folder: RunFolder,
    new: list[Path],
    arguments: list[str],
    settings: RunConfig,
    *,
    theme: str | None,
    notify: str | None,
    no_ui: bool,
) -> int:
    """Start a new run in the background and attach to it.

    If it fails before its start, the ``new`` folders are removed.
    """
    from tui_trainer.cli.front_ends import run_attached

    trainer: Trainer | None = None
    try:
        trainer = Trainer(folder, arguments)
        attachment = Attached(folder, trainer)
        if no_ui:
            return attachment.announce(is_resumed=False)
        return run_attached(attachment, settings, theme=theme, notify=notify)
    finally:
        # A window that is closed early leaves a trainer that is starting.
        if trainer is None or not trainer.is_running:
            release_folder(folder, new)


def watch_resumed(
    saved: SavedRun,
    options: Mapping[str, object],
    moved: MovedPaths,
    *,
    theme: str | None,
    notify: str | None,
    no_ui: bool,
) -> int:
    """Resume a run in the background and attach to it."""
    from tui_trainer.cli.front_ends import run_attached

    trainer = resume_in_background(saved.folder, {**dataclasses.asdict(moved), **options})
    attachment = Attached(saved.folder, trainer, moved=moved)
    if no_ui:
        return attachment.announce(is_resumed=True)
    return run_attached(attachment, saved.config, theme=theme, notify=notify)
