"""Renaming, annotating and deleting recorded runs, safe against other processes.

A run is renamed or deleted with its lock held, so that nothing trains it meanwhile; the file system
decides between two processes that rename to the same name. A note may be written at any time, by
one process after the other.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tui_trainer.protocol.errors import InputError, path_error, reason
from tui_trainer.recording.about import About, read_about, write_about
from tui_trainer.recording.folder import RunFolder, is_group
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.text.fmt import one_line, printable

LONGEST_NAME = 200
"""The longest new name, in bytes: file systems allow 255, and a temporary name needs some."""

LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 2_000, 40, 50

WAITS = 50
"""How often a note waits for the process that writes another one; a wait is about 0.1 s."""


class NoTrashError(InputError):
    """A run cannot be moved to the trash; it can only be removed permanently."""


def rename(folder: Path, name: str) -> Path:
    """Rename the folder of a run, or of a group of runs, within its parent; return it.

    Raises:
        InputError: If the name cannot be used or is taken, a process trains the run, or the run is
            part of a group.
    """
    folder = Path(os.path.abspath(folder))
    check_name(name)
    if is_group(folder.parent):
        group = printable(folder.parent.name)
        raise path_error(folder, f"is part of the group {group}; rename the group instead")
    target = folder.with_name(name)
    taken = path_error(target, "already exists; choose another name")
    try:
        if target.exists() and not target.samefile(folder):
            raise taken
        with _not_trained(folder, "rename"):
            # On POSIX an empty folder of that name would be replaced, any other one refuses.
            os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise taken from None
        raise _failed(folder, "renamed", error) from None
    return target


def check_name(name: str) -> None:
    """Check the new name of a run.

    Raises:
        InputError: If it cannot be the name of a folder, or would be hidden or taken for an option.
    """
    problem = ""
    if not name.strip() or name != name.strip():
        problem = "is empty, or begins or ends with a blank"
    elif any(mark in name for mark in '/\\:*?"<>|') or not name.isprintable():
        problem = r'contains one of / \ : * ? " < > | or a control character'
    elif name.startswith((".", "-")) or name.endswith("."):
        problem = "begins with a dot or a dash, or ends with a dot"
    elif len(os.fsencode(name)) > LONGEST_NAME:
        problem = f"is longer than {LONGEST_NAME} bytes"
    if problem:
        raise InputError(f"{printable(name[:80])!s}: {problem}; choose another name")


def set_note(folder: Path, note: str) -> About:
    """Set the note of a run, in one line; an empty one removes it.

    Raises:
        InputError: If it is too long, or cannot be written.
    """
    note = one_line(note)
    if len(note) > LONGEST_NOTE:
        raise InputError(f"the note has {len(note):,} characters; use at most {LONGEST_NOTE:,}")
    return _change(folder, lambda about: About(note, about.tags))


def change_tags(folder: Path, add: Collection[str] = (), remove: Collection[str] = ()) -> About:
    """Add and remove tags of a run; the order of the others stays.

    Raises:
        InputError: If a tag cannot be used, there are too many, or they cannot be written.
    """
    for tag in add:
        if not tag or len(tag) > LONGEST_TAG or not tag.isprintable() or set(tag) & set(" ,"):
            raise InputError(
                f"tag {printable(tag[:80])}: use 1 to {LONGEST_TAG} characters, without blanks and "
                "commas"
            )

    def changed(about: About) -> About:
        removed = {tag.casefold() for tag in remove}
        tags = [tag for tag in about.tags if tag.casefold() not in removed]
        there = {tag.casefold() for tag in tags}
        for tag in add:
            if tag.casefold() not in there:
                there.add(tag.casefold())
                tags.append(tag)
        if len(tags) > MOST_TAGS:
            raise path_error(folder, f"has {MOST_TAGS} tags, the most there can be; remove some")
        return About(about.note, tuple(tags))

    return _change(folder, changed)


def _change(folder: Path, change: Callable[[About], About]) -> About:
    try:
        with _about_lock(folder):
            about = change(read_about(folder))
            write_about(folder, about)
    except OSError as error:
        raise _failed(folder, "annotated", error) from None
    return about


@contextmanager
def _about_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the note and the tags; the trainer of the run never needs it."""
    for wait in range(WAITS):
        try:
            lock = Lock(RunFolder(folder).about_lock)
            break
        except LockedError as error:
            if wait == WAITS - 1:
                raise path_error(
                    folder, f"{error.holder} is writing its note or its tags; try again"
                ) from None
    try:
        yield
    finally:
        lock.release()


def delete(folder: Path, *, permanently: bool = False) -> None:
    """Move the folder of a run, or of a group of runs, to the trash.

    Args:
        folder: The folder.
        permanently: Remove it instead.

    Raises:
        NoTrashError: If there is no trash for this folder; nothing is changed.
        InputError: If a process trains the run, or it cannot be removed.
    """
    folder = Path(os.path.abspath(folder))
    try:
        with _not_trained(folder, "delete"):
            if permanently:
                _remove(folder)
            else:
                _move_to_trash(folder)
    except OSError as error:
        raise _failed(folder, "deleted", error) from None


def _remove(folder: Path) -> None:
    # First what makes it a run: if the process is killed now, no half of a run is listed.
    for run in (folder, *runs_in(folder)):
        RunFolder(run).config.unlink(missing_ok=True)
    shutil.rmtree(folder)


def _move_to_trash(folder: Path) -> None:
    try:
        from send2trash import send2trash
    except Exception as error:  # it is installed without the parts it needs on this system
        raise _no_trash(folder, error) from None
    try:
        send2trash(str(folder))
    except OSError as error:
        if not folder.exists():
            raise
        raise _no_trash(folder, error) from None


def _no_trash(folder: Path, error: Exception) -> NoTrashError:
    return NoTrashError(
        f"{printable(folder)}: cannot be moved to the trash: {reason(error)}; "
        "add --permanently to remove it"
    )


@contextmanager
def _not_trained(folder: Path, action: str) -> Iterator[None]:
    """Hold the locks of a run, or of a group and all its runs: no process trains or annotates them.

    A note is written to a path: if another run had taken it meanwhile, its note would be lost. A
    run of a group also needs the lock of the group, whose trainer counts on its runs.

    Raises:
        InputError: If a process trains one of them, or there is no run.
        OSError: If a lock cannot be opened.
    """
    if not (RunFolder(folder).is_run or is_group(folder)):
        raise path_error(folder, "no such run; `mnist-tui runs` lists all runs")
    group = [folder.parent] if is_group(folder.parent) else []
    with ExitStack() as stack:
        for locked in (*group, folder, *runs_in(folder)):
            try:
                lock = Lock(RunFolder(locked).lock)
            except LockedError as error:
                raise path_error(
                    locked, f"{error.holder} is training it; stop it, or wait, to {action} it"
                ) from None
            stack.callback(lock.release)
            if sys.platform == "win32":  # there, a folder with an open file cannot be moved
                lock.release()
            elif RunFolder(locked).is_run:
                stack.enter_context(_about_lock(locked))
        yield


def runs_in(group: Path) -> list[Path]:
    """Return the folders of the runs of a group folder; none if it is no group."""
    if not is_group(group):
        return []
    return sorted(path for path in group.iterdir() if RunFolder(path).is_run)


def _failed(folder: Path, what: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return path_error(folder, "no such run any more; another process renamed or deleted it")
    return path_error(folder, f"cannot be {what}: {reason(error)}")
