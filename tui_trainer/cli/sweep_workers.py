"""The worker processes of a sweep on this machine, as the process with the front end sees them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.cli.detach import PROGRAM, BackgroundProcess, error_in
from tui_trainer.protocol.exit_codes import CODES_BY_REASON, ExitCode
from tui_trainer.recording.lock import this_process
from tui_trainer.text.fmt import printable

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""The environment variable that limits the CPU threads of a process."""

SUPERVISOR_GONE = "disconnected"
"""The reason of the end of a worker whose supervisor has ended, as after SIGHUP."""

_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class EndedWorker:
    """A worker process that has ended.

    Attributes:
        name: Its name, ``host:process``.
        code: Its exit code; negative for the number of the signal that killed it.
        problem: Why it failed, in one line; empty after an orderly end.
    """

    name: str
    code: int
    problem: str = ""


class _WorkerProcess(BackgroundProcess):
    """A worker in another process, which reads on its standard input when to end."""

    def __init__(
        self, log: Path, arguments: Sequence[str], variables: Mapping[str, str] | None
    ) -> None:
        super().__init__(log, [*PROGRAM, *arguments], variables, has_input=True)
        self.name = f"{this_process()['host']}:{self.number}"

    @property
    def ended(self) -> EndedWorker | None:
        """How it has ended; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return EndedWorker(self.name, code, self._why(code))

    def _why(self, code: int) -> str:
        if code < 0:
            return f"killed by signal {-code}; another worker continues its trial"
        if code == ExitCode.FINISHED or code in CODES_BY_REASON.values():
            return ""
        return error_in(self.log) or f"ended with exit code {code}; see {printable(self.log)}"

    def stop(self, why: str) -> None:
        """Ask it to end in order, for one of the reasons of ``RunFinished``."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended already
            self._process.stdin.write(f"{why}\n".encode())
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()


class Workers:
    """Starts the workers of a sweep, and ends them.

    They end in order when this process ends, even by SIGKILL: their standard input is closed then.
    A worker that fails is not started again: what is wrong with it would be wrong again.

    Args:
        arguments: The command line of a worker, without the name of the program.
        count: How many to start.
        logs: The folder for their logs, which exists.
        variables: What their environment has in addition, such as the URL of the storage.
        threads: The CPU threads of each; None to divide those of this machine.

    Raises:
        InputError: If a worker cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        logs: Path,
        variables: Mapping[str, str] | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.is_stopping = False
        self.ended: list[EndedWorker] = []
        self._running: list[_WorkerProcess] = []
        given = {**(variables or {}), **threads_of(count, threads)}
        here = this_process()
        try:
            for index in range(count):
                log = logs / f"worker-{here['host']}-{here['pid']}-{index + 1}.log"
                self._running.append(_WorkerProcess(log, arguments, given))
        except BaseException:
            self.kill()
            raise

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the workers that run."""
        return tuple(worker.name for worker in self._running)

    def poll(self) -> list[EndedWorker]:
        """Return the workers that have ended since the last call."""
        found = []
        for worker in list(self._running):
            if (ended := worker.ended) is not None:
                self._running.remove(worker)
                found.append(ended)
        self.ended += found
        return found

    def stop(self, why: str) -> None:
        """Ask all workers to finish their batch, to save their runs and to end.

        Args:
            why: ``interrupted``, ``terminated`` or ``disconnected``.
        """
        self.is_stopping = True
        for worker in self._running:
            worker.stop(why)

    def kill(self) -> None:
        """End all workers at once; their trials continue from their last checkpoints."""
        self.is_stopping = True
        for worker in self._running:
            worker.kill()
        for worker in self._running:
            worker.wait()
        self.poll()

    def wait(self, seconds: float) -> bool:
        """Wait until all workers have ended; return whether they have within these seconds."""
        until = time.monotonic() + seconds
        while self._running and time.monotonic() < until:
            self.poll()
            time.sleep(_WAIT_SECONDS)
        return not self._running

    def close(self) -> None:
        """Wait for workers that were asked to end; end all others in order, too."""
        if self._running and not self.is_stopping:
            self.stop("interrupted")
        for worker in self._running:
            worker.wait()
        self.poll()

    @property
    def problems(self) -> tuple[EndedWorker, ...]:
        """The workers that have failed or were killed."""
        return tuple(worker for worker in self.ended if worker.problem)


def threads_of(count: int, threads: int | None) -> dict[str, str]:
    """Return the variable that limits the threads of each of ``count`` processes; none for one.

    More threads than cores slow all of them: each waits at every operation for the slowest.
    """
    if threads is None:
        if count == 1:
            return {}
        threads = max(1, _cores() // count)
    return {THREADS_VARIABLE: str(threads)}


def _cores() -> int:
    """Return the cores that this process may use."""
    with suppress(ValueError):
        if (limit := int(os.environ.get(THREADS_VARIABLE, ""))) > 0:
            return limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def follow_supervisor(stop: Callable[[str], object], descriptor: int = 0) -> None:
    """Call ``stop`` when the supervisor asks this worker to end, or has ended itself.

    Args:
        stop: Gets the reason, on another thread.
        descriptor: That of standard input.
    """

    def read() -> None:
        text = b""
        while not text.endswith(b"\n"):
            try:
                # Not through sys.stdin: Python waits at its end for a thread that reads there.
                part = os.read(descriptor, 64)
            except OSError:
                part = b""
            if not part:
                break
            text += part
        why = text.decode("ascii", "replace").strip()
        stop(why if why in CODES_BY_REASON else SUPERVISOR_GONE)

    threading.Thread(target=read, name="supervisor", daemon=True).start()
