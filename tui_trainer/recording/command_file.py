"""``commands.jsonl``: the commands of other processes for the trainer of a run.

Each line is a JSON object: ``command`` (a class of :mod:`tui_trainer.protocol.commands`), its
fields, ``by``, ``request`` and ``schema``. The permissions of the file are the access control: a
user with write access can steer the run. ``by`` is the sender's own statement.
"""

from __future__ import annotations

import dataclasses
import errno
import getpass
import json
import os
import platform
import signal
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from tui_trainer.protocol import commands
from tui_trainer.protocol.commands import Command, Unusable
from tui_trainer.protocol.schema import SCHEMA
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.journal import record_of
from tui_trainer.recording.lock import ATTEMPTS, PAUSE, acquire
from tui_trainer.text.fmt import clip, one_line, printable

INTERVAL = 0.05
"""Seconds between two polls of the file: one ``stat`` each."""

LONGEST_LINE = 4_096
"""Bytes of a line; a longer one is no command."""

PART = 1 << 16
"""Bytes that one poll reads at most."""

FLOOD = 1 << 20
"""Unread bytes beyond which only the last part is read."""

MOST = 20
"""Commands that one poll passes on at most, 400 a second: each is recorded."""

UNREAD = -1
"""In place of the size of a file that has more to read."""

LONGEST_NAME = 64
"""Characters of a sender, an id and a name of a command that are kept."""

ACCEPTED = {
    kind.__name__: kind
    for kind in (
        *(commands.SetBaseLr, commands.SetBatchSize, commands.SetAugmentation),
        *(commands.SetDropout, commands.SetEpochs, commands.Pause, commands.Resume),
        *(commands.RunStep, commands.RunEpoch, commands.EvaluateTest, commands.Rewind),
        commands.Stop,
    )
}
"""The commands that other processes may send: all but questions, which they answer themselves."""

OPEN = os.O_RDWR | sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "BINARY"))
"""Neither a symbolic link, which may lead anywhere, nor a pipe, which would block, is opened."""


def sender() -> str:
    """Return this process's user and host: ``ada@lab-3``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without an entry for its user
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return clip(printable(f"{user}@{platform.node() or 'unknown'}"), LONGEST_NAME)


def to_line(command: Command) -> str:
    """Return the line of a command."""
    record = {"command": type(command).__name__, **dataclasses.asdict(command), "schema": SCHEMA}
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def from_line(line: bytes) -> Command:
    """Return the command of a line; :class:`Unusable` if it is none that can be applied."""
    try:
        # Checked first, because an error of the parser costs more than all the rest.
        record = json.loads(line) if line.lstrip().startswith(b"{") else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return Unusable("a line is no command; it is ignored, and so are further ones")
    sent = {name: _short(record.get(name)) for name in ("by", "request")}
    name, schema = record.get("command"), record.get("schema", SCHEMA)
    if type(schema) is not int or schema > SCHEMA:
        problem = f"was sent by a newer mnist-tui (schema {_short(schema)}; this trainer reads"
        return Unusable(f"{problem} {SCHEMA}); update the trainer", name=_short(name), **sent)
    if not isinstance(name, str) or name not in ACCEPTED:
        return Unusable("no command that a trainer takes", name=_short(name), **sent)
    try:
        command: Command = record_of({**record, **sent}, ACCEPTED[name])
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        return Unusable(clip(one_line(str(error)), 200), name=name, **sent)
    if isinstance(command, commands.Stop):
        # The reason is part of the record of the run: no text of a sender gets there.
        return dataclasses.replace(command, reason="stopped")
    return command


def _short(value: Any) -> str:
    return "" if value is None else clip(printable(str(value)), LONGEST_NAME)


def create(path: Path) -> None:
    """Create an empty file of commands, unless there is one.

    Raises:
        OSError: If it cannot be created.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def append(path: Path, command: Command) -> None:
    """Append a command.

    Raises:
        OSError: If it cannot be written; the file then has no part of it.
    """
    with FileIO(os.open(path, OPEN | os.O_APPEND), "r+") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "not a file")
        _lock(file)
        size = file.seek(0, os.SEEK_END)
        content = f"{to_line(command)}\n".encode()
        if size and _read_at(file, size - 1, 1) != b"\n":
            content = b"\n" + content  # a process that died has left half a line
        if (file.write(content) or 0) < len(content):
            with suppress(OSError):
                file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read_at(file: FileIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length) or b""


def _lock(file: FileIO) -> None:
    """Lock the file until it is closed, if the file system can: two senders then take turns."""
    for _ in range(ATTEMPTS):
        try:
            acquire(file, shared=False)
        except OSError:
            time.sleep(PAUSE)
        else:
            return


def refusal(found: os.stat_result, owner: int) -> str:
    """Return why a trainer ignores a file of commands; empty if it reads them.

    Args:
        found: The status of ``commands.jsonl``; of a symbolic link itself.
        owner: The user id of the owner of the run's record.
    """
    if not stat.S_ISREG(found.st_mode):
        return "is not an ordinary file"
    if found.st_uid != owner:
        return "belongs to another user than the run"
    return ""


class CommandFile:
    """Sends the commands that are appended to a file from now on.

    Commands that are already there were meant for an earlier trainer of the run. The file stays
    open: a run whose folder is renamed still gets its commands.

    Args:
        folder: The folder of the run. If the file has another owner than the record of the run,
            its commands are refused.
        send: Gets each command, on the thread of :meth:`start`.
    """

    def __init__(self, folder: RunFolder, send: Callable[[Command], object]) -> None:
        self._path = folder.commands
        self._send = send
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._reported: set[str] = set()
        self._file: FileIO | None = None
        self._identity = (0, 0)
        self._owner = -1
        self._size = self._position = 0
        with suppress(OSError):
            self._owner = os.stat(folder.events).st_uid
            found = os.lstat(self._path)
            self._identity = (found.st_dev, found.st_ino)
            self._size = self._position = found.st_size
            if refusal(found, self._owner):
                self._size = UNREAD  # the first poll reports it
            else:
                self._open()

    def start(self) -> None:
        """Poll the file on a separate thread until :meth:`close`."""
        self._thread = threading.Thread(target=self._watch, name="commands", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more commands."""
        self._ended.set()
        if self._thread is None:
            self._close_file()

    def _watch(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            # Signals are for the main thread: one that this thread takes is handled late.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._ended.wait(INTERVAL):
            self.poll()
        self._close_file()

    def poll(self) -> None:
        """Send the commands that were appended since the last poll; costs one ``stat`` if none."""
        try:
            found = self._status()
        except OSError:
            return  # there is none; training continues
        if not found.st_nlink:
            self._close_file()
            self._identity, self._position = (0, 0), 0  # deleted; a new one is read from its start
            return
        if (found.st_dev, found.st_ino) != self._identity:
            self._close_file()
            self._identity = (found.st_dev, found.st_ino)
            self._size = UNREAD  # a longer file is an edited copy: its new lines are read
        if found.st_size == self._size:
            return
        self._size = found.st_size
        if problem := refusal(found, self._owner):
            self._position = found.st_size if stat.S_ISREG(found.st_mode) else 0
            self._report("file", f"{problem}; its commands are ignored")
            return
        try:
            self._read(self._file or self._open(), found.st_size)
        except OSError as error:
            self._report("file", f"cannot be read: {error.strerror or error}")

    def _status(self) -> os.stat_result:
        try:
            return os.lstat(self._path)
        except OSError:
            if self._file is None:
                raise
            return os.fstat(self._file.fileno())  # the folder was renamed

    def _open(self) -> FileIO:
        self._file = FileIO(os.open(self._path, OPEN & ~os.O_RDWR))
        return self._file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _read(self, file: FileIO, size: int) -> None:
        """Read one part; a line is complete at its line break."""
        if size < self._position:
            self._position = 0  # emptied, or created again
        if size - self._position > FLOOD:
            self._report("flood", f"more than {FLOOD:,} bytes at once; only the last are read")
            self._position = size - PART
            self._position += _read_at(file, self._position, PART).find(b"\n") + 1
        content = _read_at(file, self._position, PART)
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and len(content) > LONGEST_LINE:
            self._report("line", "a line is too long; it is ignored")
            whole = content
        sent = done = 0
        for line in whole.splitlines(keepends=True):
            if sent == MOST:
                break
            done += len(line)
            sent += bool(line.strip()) and self._pass_on(from_line(line))
        self._position += done
        if done < len(whole) or len(content) == PART:
            self._size = UNREAD  # the next poll reads on

    def _pass_on(self, command: Command) -> bool:
        """Send a command; return whether it was sent."""
        if isinstance(command, Unusable) and not command.request:
            self._report("line", command.reason)  # nobody waits for an answer
            return False
        if not self._ended.is_set():
            self._send(command)
        return True

    def _report(self, kind: str, problem: str) -> None:
        """Report a kind of problem once: a broken file must not flood the record."""
        if kind not in self._reported:
            self._reported.add(kind)
            self._send(Unusable(problem))
