"""``mnist-tui rename``, ``note``, ``tag`` and ``delete``: recorded runs, kept in order."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from tui_trainer.cli.options import option
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording import manage_runs
from tui_trainer.recording.about import read_about
from tui_trainer.recording.folder import find_group, find_run
from tui_trainer.terminal.capabilities import is_terminal
from tui_trainer.text.fmt import listed, plural, printable

Run = Annotated[str, typer.Argument(help="Run name or folder", metavar="RUN", show_default=False)]
RunOrGroup = Annotated[
    str,
    typer.Argument(help="Name or folder of a run or a group", metavar="RUN", show_default=False),
]


def rename(
    run: RunOrGroup,
    name: Annotated[str, typer.Argument(help="New name", metavar="NAME", show_default=False)],
) -> None:
    """Rename a run, or a group of runs.

    A run that a process trains now is not renamed.
    """
    folder = manage_runs.rename(_folder(run), name)
    _message(f"{printable(run)} is now {printable(folder.name)}")


def note(
    run: Run,
    text: Annotated[
        str | None,
        typer.Argument(
            help='Note; without it the note is printed, "" removes it',
            metavar="TEXT",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a note about a run, or print it.

    `mnist-tui runs` lists it, and --filter finds it. The run may be training.
    """
    folder = find_run(run).path
    if text is None:
        standard_output().line(read_about(folder).note)
        return
    manage_runs.set_note(folder, text)


def tag(
    run: Run,
    tags: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tags to add; without any the tags are printed", metavar="TAG", show_default=False
        ),
    ] = None,
    remove: Annotated[bool, option("Remove these tags instead")] = False,
) -> None:
    """Add tags to a run, or print or remove them.

    `mnist-tui runs` lists them, and --filter finds them. The run may be training.
    """
    folder = find_run(run).path
    if tags:
        about = manage_runs.change_tags(folder, *(((), tags) if remove else (tags, ())))
    elif remove:
        raise InputError("--remove: name the tags to remove")
    else:
        about = read_about(folder)
    standard_output().line(" ".join(about.tags))


def delete(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Names or folders of runs or groups", metavar="RUN", show_default=False
        ),
    ],
    permanently: Annotated[bool, option("Remove them for good, where there is no trash")] = False,
    yes: Annotated[bool, option("Do not ask", "--yes")] = False,
) -> None:
    """Move runs to the trash, after asking.

    A run that a process trains now is not deleted.
    """
    # All names are checked before the first run is deleted.
    folders = [*dict.fromkeys(map(_folder, runs))]
    count = sum(len(manage_runs.runs_in(folder)) or 1 for folder in folders)
    names = listed([printable(folder.name) for folder in folders])
    action = "remove for good" if permanently else "move to the trash"
    if not yes and not _confirmed(f"{action}: {plural(count, 'run')} ({names})?"):
        _message("nothing was deleted")
        return
    for folder in folders:
        manage_runs.delete(folder, permanently=permanently)
        what = "removed" if permanently else "moved to the trash"
        _message(f"{printable(folder.name)}: {what}")


def _folder(name: str) -> Path:
    """Return the folder of a run or a group.

    Raises:
        InputError: If there is none.
    """
    return find_group(name) or find_run(name).path


def _confirmed(question: str) -> bool:
    """Return the answer of a person.

    Raises:
        InputError: If there is no terminal to ask on.
    """
    if not is_terminal(sys.stdin):
        raise InputError("there is no terminal to ask on; add --yes")
    return typer.confirm(question, err=True)


def _message(text: str) -> None:
    Console(sys.stderr, time.monotonic).print(text)
