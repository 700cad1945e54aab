"""Runs on a file system without locks: NFS with ``nolock``, Lustre, some FUSE mounts."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.border.commands import Lab, assert_fine, killed_at
from tests.faults.forks import command

BRIEF = ("--no-ui", "--model", "tiny", "--epochs", 1, "--val-size", 80, "--threads", 1)
CODES = ("ENOLCK", "ENOSYS", "ENOTSUP", "EBADF")


def without_locks(name: str, work: Callable[[], object]) -> Callable[[], object]:
    """Return a function that runs on a file system which refuses locks with an error.

    With EBADF only an exclusive lock on a file opened for reading is refused, as by Linux's NFS
    client.
    """

    def patched() -> object:
        code, flock = getattr(errno, name), fcntl.flock

        def refuse(file: Any, how: int) -> None:
            number = file if isinstance(file, int) else file.fileno()
            is_reader = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
            if code != errno.EBADF or (is_reader and how & fcntl.LOCK_EX):
                raise OSError(code, os.strerror(code))
            flock(file, how)

        fcntl.flock = refuse
        return work()

    return patched


@pytest.mark.slow
@pytest.mark.parametrize("name", CODES)
def test_a_run_where_there_are_no_locks(lab: Lab, name: str) -> None:
    """It trains, reports once that its folder is not locked, and can be killed and resumed."""
    runs, out = lab.place / f"runs-{name}", lab.place / f"runs-{name}" / "one"
    given = (*BRIEF, "--data-dir", lab.data)
    killed = lab.work(without_locks(name, killed_at(3, *given, "--out", out)))
    assert killed.signal == 9, killed.err

    listed = lab.work(without_locks(name, command("runs", runs, "--json")))
    assert [run["state"] for run in json.loads(listed.out)] != ["running"]

    resumed = lab.work(without_locks(name, command("resume", out, "--no-ui")))
    assert_fine(resumed)
    assert resumed.err.count("not locked") <= 1
    if name != "EBADF":
        assert "not locked" in resumed.err
    listed = lab.work(without_locks(name, command("runs", runs, "--json")))
    assert [run["state"] for run in json.loads(listed.out)] == ["completed"]
    assert_fine(lab.work(without_locks(name, command("evaluate", out, "--view", "confusion"))))
