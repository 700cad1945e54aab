"""Limits on a process and everything that it starts: time, memory, processes.

They protect the machine from mistakes. They are no sandbox: the code has all rights of the user.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "MNIST_TUI_SUBMISSION"
"""The environment variable by which all processes of a submission are found."""

MAX_PROCESSES = 64
"""The most processes of a submission."""

MAX_FILE = 1 << 30
"""The largest file that a submission can write, in bytes."""

GB = 10**9

_PR_SET_PDEATHSIG = 1
_KILL_ROUNDS = 50
_PROC = Path("/proc")


def apply_limits(memory: int, seconds: float, cores: int) -> None:
    """Limit this process and those that it starts; call it after importing torch.

    Args:
        memory: The bytes that it may allocate beyond what it has now.
        seconds: The time limit. The limit on CPU seconds is this for each core, and only serves if
            nobody observes the clock any more.
        cores: The cores that it may use.
    """
    import resource  # Windows has none

    limits = {
        resource.RLIMIT_FSIZE: MAX_FILE,
        resource.RLIMIT_CPU: int(seconds * (cores + 1)) + 10,
        resource.RLIMIT_CORE: 0,
    }
    if (used := _data_bytes()) is not None:
        limits[resource.RLIMIT_DATA] = used + memory
    for name, value in limits.items():
        with suppress(OSError, ValueError):  # a lower limit is set already, or not supported
            hard = resource.getrlimit(name)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (value, value))


def die_with_parent() -> None:
    """End this process when the one that started it ends, even by SIGKILL (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _data_bytes() -> int | None:
    """Return the size of the private writable memory of this process; None if it is not known."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a submission use.

    Attributes:
        processes: Their number.
        memory: Their resident memory in bytes, shared pages counted once.
    """

    processes: int
    memory: int


def usage_of(leader: int, limit: int) -> Usage | None:
    """Return what the processes of a session use; None where the system does not report it.

    Args:
        leader: The id of the session's first process.
        limit: The memory limit; shared pages are only looked for above it, which takes longer.
    """
    if not (_PROC / "self" / "stat").exists():
        return None
    members = [pid for pid, session in _sessions() if session == leader]
    page = os.sysconf("SC_PAGE_SIZE")
    memory = sum(_statm(pid) for pid in members) * page
    if memory > limit and len(members) > 1:
        shares = [_proportional(pid) for pid in members]
        if all(share is not None for share in shares):
            memory = sum(share for share in shares if share is not None)
    return Usage(len(members), memory)


def kill_all(leader: int, mark: str) -> None:
    """Kill all processes of a submission, also those that have left its session.

    Args:
        leader: The id of its first process, which leads a session and a process group.
        mark: The value of :data:`MARK` in their environment.
    """
    for _ in range(_KILL_ROUNDS):  # new processes can appear between the search and the signal
        with suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
        members = {pid for pid, session in _sessions() if session == leader} | {*_marked(mark)}
        members -= {os.getpid()}
        for pid in members:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not members:
            return


def _sessions() -> list[tuple[int, int]]:
    """Return the id and the session of each process that is no zombie."""
    found = []
    for pid in _pids():
        with suppress(OSError, ValueError, IndexError):
            # The name in parentheses may contain anything.
            words = (
                (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            if words[0] not in "ZX":
                found.append((pid, int(words[3])))
    return found


def _marked(mark: str) -> list[int]:
    """Return the processes with the mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in _pids():
        with suppress(OSError):
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def _pids() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(_PROC) if name.isdecimal()]
    return []


def _statm(pid: int) -> int:
    """Return the resident pages of a process."""
    with suppress(OSError, ValueError, IndexError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1])
    return 0


def _proportional(pid: int) -> int | None:
    """Return the resident bytes of a process, with its share of the pages that others use too."""
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None
