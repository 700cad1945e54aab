"""Locks: those of the file system, and the replacement where it has none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.facts import epoch_done, finished, started
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, FolderNotLocked
from tui_trainer.recording import lock as lock_module
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock, LockedError
from tui_trainer.recording.recorder import Recorder

REFUSALS = ["ENOLCK", "ENOSYS", "ENOTSUP", "EIO", "EACCES", "EINVAL", "EBADF", "EPERM"]
CHILD = (
    "import sys, time; from pathlib import Path; from tests.recording.test_lock import refuse; "
    "refuse(); from tui_trainer.recording.lock import Lock; lock = Lock(Path(sys.argv[1])); "
    "print('held', flush=True); time.sleep(60)"
)


def refuse(code: str = "ENOLCK") -> Callable[..., None]:
    def acquire(file: FileIO, *, shared: bool) -> None:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    lock_module.acquire = acquire
    return acquire


@pytest.fixture(params=REFUSALS)
def without_locks(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(lock_module, "acquire", lock_module.acquire)
    refuse(request.param)
    return str(request.param)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "acquire", lock_module.acquire)
    refuse()


def test_two_processes_are_separated_without_file_locks(tmp_path: Path, without_locks: str) -> None:
    path = tmp_path / ".lock"
    first = Lock(path)
    assert first.unlocked == os.strerror(getattr(errno, without_locks))
    assert Lock.is_held(path)
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        Lock(path)
    first.release()
    assert not Lock.is_held(path)
    Lock(path).release()


def test_a_locked_folder_gives_no_warning(tmp_path: Path) -> None:
    lock = Lock(tmp_path / ".lock")
    assert lock.unlocked == ""
    assert Lock.is_held(tmp_path / ".lock")
    lock.release()
    assert not Lock.is_held(tmp_path / ".lock")


def test_is_held_takes_a_shared_lock(tmp_path: Path) -> None:
    """NFS refuses an exclusive lock on a file opened for reading only."""
    fcntl = pytest.importorskip("fcntl")
    lock = Lock(tmp_path / ".lock")
    (tmp_path / ".lock").chmod(0o444)
    asked: list[int] = []
    real = fcntl.flock

    def flock(file: FileIO, how: int) -> None:
        asked.append(how)
        real(file, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        assert Lock.is_held(tmp_path / ".lock")
    assert asked == [fcntl.LOCK_SH | fcntl.LOCK_NB]
    lock.release()


def test_is_held_does_not_block_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = lock_module.acquire, [1]

    def once(file: FileIO, *, shared: bool) -> None:
        if refused:
            refused.pop()
            raise BlockingIOError(errno.EAGAIN, "held")
        real(file, shared=shared)

    monkeypatch.setattr(lock_module, "acquire", once)
    Lock(tmp_path / ".lock").release()


@pytest.mark.parametrize("is_reaped", [True, False], ids=["gone", "zombie"])
def test_a_killed_holder_frees_the_lock(tmp_path: Path, no_locks: None, is_reaped: bool) -> None:
    path = tmp_path / ".lock"
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert Lock.is_held(path)
        child.kill()
        if is_reaped:
            child.wait()
        else:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not Lock.is_held(path)
        Lock(path).release()


def change(path: Path, **changes: object) -> None:
    record = json.loads(path.read_text())
    with path.open("r+") as file:
        file.write(json.dumps({**record, **changes}).ljust(lock_module.RECORD_BYTES))


def test_another_process_with_the_same_pid_is_not_the_holder(
    tmp_path: Path, no_locks: None
) -> None:
    path = tmp_path / ".lock"
    _keep = Lock(path)
    if not json.loads(path.read_text())["began"]:
        pytest.skip("the system does not tell when a process began")
    change(path, began="1")
    assert not Lock.is_held(path)


def test_a_holder_on_another_machine_is_alive_while_it_sends_heartbeats(
    tmp_path: Path, no_locks: None
) -> None:
    path = tmp_path / ".lock"
    _keep = Lock(path)
    change(path, machine="elsewhere", host="elsewhere", pid=1)
    assert Lock.is_held(path)
    with pytest.raises(LockedError, match="process 1 on elsewhere"):
        Lock(path)
    change(path, beat=time.time() - lock_module.STALE - 1)
    assert not Lock.is_held(path)
    change(path, beat=time.time() + 2 * lock_module.STALE)
    assert not Lock.is_held(path)


def test_the_lock_writes_heartbeats(
    tmp_path: Path, no_locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "BEAT", 0.01)
    path = tmp_path / ".lock"
    lock = Lock(path)
    before = json.loads(path.read_text())["beat"]
    deadline = time.monotonic() + 5
    while json.loads(path.read_text())["beat"] == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert json.loads(path.read_text())["beat"] > before
    lock.release()


@pytest.mark.parametrize(
    "text", ["", "123", "{", "[]", "null", '{"pid": "x"}', '{"pid": -1}', "\0" * 9, "[" * 500]
)
def test_an_invalid_record_holds_no_lock(tmp_path: Path, no_locks: None, text: str) -> None:
    path = tmp_path / ".lock"
    path.write_text(text)
    assert not Lock.is_held(path)
    Lock(path).release()


def test_a_copy_of_a_folder_is_not_locked(tmp_path: Path, no_locks: None) -> None:
    _keep = Lock(tmp_path / ".lock")
    change(tmp_path / ".lock", machine="elsewhere")
    shutil.copy(tmp_path / ".lock", tmp_path / "copy")
    assert Lock.is_held(tmp_path / ".lock")
    assert not Lock.is_held(tmp_path / "copy")


def test_python_without_fcntl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "fcntl", None)
    assert Lock(tmp_path / ".lock").unlocked == os.strerror(errno.ENOSYS)


# The run that holds the lock


def test_an_unlocked_folder_is_reported_once(tmp_path: Path, no_locks: None) -> None:
    recorder = Recorder.create(tmp_path, RunConfig())
    events: list[Event] = [started(), epoch_done(), finished()]
    seen = []
    for event in recorder.record(iter(events)):
        seen.append(event)
        if isinstance(event, type(epoch_done())):
            assert RunFolder(tmp_path).read_summary().state == "running"
    warnings = [event for event in seen if isinstance(event, FolderNotLocked)]
    assert len(warnings) == 1
    assert "No locks available" in warnings[0].warning
    assert RunFolder(tmp_path).read_events().events == tuple(events)


def test_a_killed_run_can_be_resumed(tmp_path: Path, no_locks: None) -> None:
    recorder = Recorder.create(tmp_path, RunConfig())
    events = recorder.record(iter([started(), epoch_done()]))
    for _ in range(4):
        next(events)
    change(tmp_path / ".lock", pid=1 << 22, began="1")
    folder = RunFolder(tmp_path)
    assert folder.read_summary().state == "killed"
    past = folder.read_events()
    Recorder.reopen(folder, past, past.events).close()
