"""Training in the background: a process in another session, its output in ``train.log``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from threading import Timer

from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import SETTINGS, RunConfig
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.protocol.events import Diverged, Event, Rewound, RunFinished
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.protocol.settings import option_of
from tui_trainer.recording.folder import RUNS, RunFolder, new_folder
from tui_trainer.recording.lock import Lock
from tui_trainer.recording.recorder import check_no_run, missing_folders, not_writable
from tui_trainer.text.fmt import one_line, printable

REWIND_SECONDS = 600.0
"""How long a diverged run in the background waits for a rewind, before it ends."""

LOG_BYTES = 4_096
"""The end of the log in which an error message is searched."""

ERROR = "mnist-tui: error: "

# -P: a file of the current folder must not replace a module of the same name.
PROGRAM = (sys.executable, "-P", "-m", "tui_trainer")
"""The command that starts this program in another process."""


class BackgroundProcess:
    """A process in another session; it outlives this one, and its output is in a log.

    Args:
        log: The path of its log, in the folder of the run, which exists.
        command: The program and its arguments.
        variables: What its environment has in addition to that of this process.
        has_input: Whether this process writes to its standard input.

    Raises:
        InputError: If the process cannot be started.
    """

    def __init__(
        self,
        log: Path,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        *,
        has_input: bool = False,
    ) -> None:
        self.log = log
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env={**os.environ, **(variables or {})},
                )
        except OSError as error:
            raise InputError(
                f"{printable(log.parent)}: the trainer cannot be started: {reason(error)}"
            ) from None

    @property
    def number(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None


class Trainer(BackgroundProcess):
    """A process that trains a run in the background.

    Args:
        folder: The folder of the run, which exists.
        arguments: The command line, without the name of the program.

    Raises:
        InputError: If the process cannot be started.
    """

    def __init__(self, folder: RunFolder, arguments: Sequence[str]) -> None:
        super().__init__(folder.train_log, [*PROGRAM, *arguments, "--detached"])

    @property
    def problem(self) -> str:
        """Why the process failed, from its log; empty while it runs, and after an orderly end."""
        code = self._process.poll()
        if code is None or (code >= 0 and code not in (ExitCode.FAILED, ExitCode.BAD_INPUT)):
            return ""
        return error_in(self.log) or (
            f"the trainer ended with exit code {code}; see {printable(self.log)}"
        )


def error_in(log: Path) -> str:
    """Return the last error message in the log of a process; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return last_error(text)


def last_error(text: str) -> str:
    """Return the last error message in the output of this program; empty if there is none."""
    for line in reversed(text.split("\n")):
        if (line := one_line(line)).startswith(ERROR):
            return line.removeprefix(ERROR)
    return ""


def resume_in_background(folder: RunFolder, options: Mapping[str, object]) -> Trainer:
    """Resume a run in the background; options that are None are not given.

    Raises:
        InputError: If another process trains it, or the process cannot be started.
    """
    if Lock.is_held(folder.lock):
        raise InputError(f"{printable(folder.path)}: in use: a process trains this run already")
    return Trainer(folder, ["resume", str(folder.path), "--no-ui", *given_options(options)])


def given_options(options: Mapping[str, object]) -> list[str]:
    """Return options as arguments, without those that are None."""
    return [f"{option_of(name)}={value}" for name, value in options.items() if value is not None]


def reserve_folder(name: str, out: Path | None) -> tuple[RunFolder, list[Path]]:
    """Return the folder of a new run for a trainer that is about to be started, and new folders.

    Args:
        name: The model or the script, for the name of a new folder.
        out: The folder; None for a new one in ``runs``.

    Raises:
        InputError: If it cannot be used.
    """
    option = printable(RUNS) if out is None else f"--out {printable(out)}"
    new = missing_folders(RUNS if out is None else out)
    try:
        if out is None:
            out = new_folder(RUNS, name, datetime.now())
            new.insert(0, out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(option, error, "choose another folder with --out DIR") from None
    folder = RunFolder(out)
    check_no_run(folder, option)
    return folder, new


def release_folder(folder: RunFolder, new: list[Path]) -> None:
    """Remove the new folders of a run that has not begun; other files in them stay."""
    if not folder.is_run:
        with suppress(OSError):
            folder.train_log.unlink(missing_ok=True)
            for path in new:
                path.rmdir()


def arguments_of(config: RunConfig) -> list[str]:
    """Return the options that give these settings."""
    arguments = []
    for name, row in SETTINGS.items():
        value = getattr(config, name)
        if value is None or value == row.default:
            continue
        if row.kind is bool:
            arguments.append(option_of(name) if value else f"--no-{name}")
        else:
            arguments.append(f"{option_of(name)}={value}")
    return arguments


def until_finished(events: Iterator[Event], inbox: Inbox) -> Iterator[Event]:
    """Yield the events of a trainer in the background until its run ends.

    A diverged run waits for a rewind, but not forever: nobody may be attached.
    """
    timer: Timer | None = None
    with closing(events):  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Diverged):
                timer = Timer(REWIND_SECONDS, inbox.send, [Stop(reason="diverged", test=False)])
                timer.daemon = True
                timer.start()
            elif timer is not None and isinstance(event, Rewound | RunFinished):
                timer.cancel()
            yield event
            if isinstance(event, RunFinished):
                return
