"""Forked processes, which start quickly since torch is loaded: observed and killed.

The parent never uses more than one torch thread, so that a child has no thread pool to wait for.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import typer.main

from tui_trainer import cli

TIMEOUT = 60.0
"""Seconds after which a process counts as hanging."""


class HangError(AssertionError):
    """A process did not end."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended; ``signal`` is the signal that killed it, or 0."""

    code: int
    signal: int
    out: str
    err: str


class Child:
    """A forked process whose output goes to files."""

    def __init__(self, work: Callable[[], object], place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._out, self._err = place / "stdout", place / "stderr"
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_the_child(work)

    def _be_the_child(self, work: Callable[[], object]) -> NoReturn:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number, path in ((1, self._out), (2, self._err)):
                target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(target, number)
                os.close(target)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            result = work()
            code = result if isinstance(result, int) else 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, OSError, ValueError):
                    stream.flush()
            os._exit(code)

    def output(self) -> str:
        """Return its stderr so far."""
        return self._err.read_text(encoding="utf-8") if self._err.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; :meth:`wait` reaps it."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill_after(self, seconds: float) -> None:
        """Kill it after some seconds unless it has ended; :meth:`wait` reaps it."""
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = TIMEOUT) -> Ended:
        """Wait for its end.

        Raises:
            HangError: If it does not end; it is killed then.
        """
        until = time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise HangError(f"no end after {timeout:.0f} s\n{self.output()}")
            time.sleep(0.002)
        killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -killer
        return Ended(code, killer, self._out.read_text(), self.output())


def call(work: Callable[[], object], place: Path, timeout: float = TIMEOUT) -> Ended:
    """Run a function in a forked process, and wait for its end."""
    return Child(work, place).wait(timeout)


def program(path: Path, *arguments: str) -> Callable[[], object]:
    """Return a function that executes a script in its folder, without mnist-tui.

    In a forked process it need not load torch again, which is most of what such a script does.
    """

    def work() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tui_trainer"]:
            del sys.modules[name]
        sys.modules["tui_trainer"] = None  # type: ignore[assignment]
        sys.argv = [path.name, *arguments]
        sys.path[0] = str(path.parent)
        os.chdir(path.parent)
        runpy.run_path(path.name, run_name="__main__")

    return work


def run_code(
    words: Sequence[str], *, cwd: str | Path, **_: object
) -> subprocess.CompletedProcess[str]:
    """Take the place of ``subprocess.run`` for ``python [-B] -c CODE ARGUMENTS``."""
    code, *arguments = words[words.index("-c") + 1 :]

    def work() -> None:
        sys.argv, sys.dont_write_bytecode = ["-c", *arguments], "-B" in words
        os.chdir(cwd)
        exec(code, {"__name__": "__main__"})

    ended = call(work, Path(cwd) / "output")
    return subprocess.CompletedProcess(words, ended.code, ended.out, ended.err)


def command(*arguments: object) -> Callable[[], object]:
    """Return a function that calls the command line with these arguments."""
    typer.main.get_command(cli.app)  # cached by the tests: the child need not make it

    def work() -> None:
        sys.argv = ["mnist-tui", *map(str, arguments)]
        cli.main()

    return work
