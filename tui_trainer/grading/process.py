"""The process that runs the code of one submission, as the process that observes it sees it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.grading.limits import GB, MARK, MAX_PROCESSES, kill_all, usage_of
from tui_trainer.protocol.errors import InputError, reason
from tui_trainer.recording.atomic import read_at_most
from tui_trainer.text.fmt import clip, one_line

JOB, RESULT, PROGRESS, SCRATCH = "job.json", "result.json", "progress", "scratch"
"""The files of a job in its folder, and the folder in which the code runs."""

MAX_RESULT = 1 << 20
"""The largest result that is read, in bytes."""

KEPT_OUTPUT = 1 << 16
"""How much of the end of the output is kept, in bytes."""

_READ_AT_ONCE = 1 << 22
_PIPE = 1 << 20
_MEMORY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a submission.

    Attributes:
        seconds: Time, from its start to its end.
        memory: Resident memory of all its processes, in bytes.
    """

    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of a submission ended.

    Attributes:
        limit: The limit that it exceeded: ``time``, ``memory`` or ``processes``; empty for none.
        problem: Why it ended without a result; empty if it ended in order.
        result: What it has written; empty if nothing can be read.
        output: The end of its output.
        seconds: How long it took.
    """

    limit: str
    problem: str
    result: Mapping[str, Any]
    output: str
    seconds: float


class SubmissionProcess:
    """Runs a job in a new session, in an empty folder, and ends it at its limits.

    Args:
        command: The program and its arguments; the path of the job file follows.
        job: What it has to do, as JSON.
        limits: Its limits.
        variables: What its environment has in addition to that of this process.

    Raises:
        InputError: If it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        job: Mapping[str, Any],
        limits: Limits,
        variables: Mapping[str, str],
    ) -> None:
        self._limits = limits
        self._mark = secrets.token_hex(16)
        self._output = b""
        self._limit = ""
        self._started = time.monotonic()
        self._measured = 0.0
        folder: Path | None = None
        try:
            self._folder = folder = Path(tempfile.mkdtemp(prefix="mnist-tui-verify-"))
            scratch = folder / SCRATCH
            scratch.mkdir()
            (folder / JOB).write_text(json.dumps(dict(job)), encoding="utf-8")
            self._process = subprocess.Popen(
                [*command, str(folder / JOB)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **variables, MARK: self._mark, "TMPDIR": str(scratch)},
            )
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"the process of a submission cannot start: {reason(error)}") from None
        import fcntl  # Windows has none

        os.set_blocking(self.output, False)
        with suppress(OSError, AttributeError):  # Linux; with a small pipe, printing takes long
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def output(self) -> int:
        """The file descriptor of its output, readable when it has printed or ended."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    @property
    def progress(self) -> str:
        """What it is doing, in a few words."""
        with suppress(InputError):
            raw = read_at_most(self._folder / PROGRESS, 200)
            return clip(one_line(raw.decode("utf-8", "replace")), 80)
        return ""

    def poll(self) -> Ended | None:
        """Read its output, and end it at its limits; return how it ended, None while it runs."""
        self._read()
        code = self._process.poll()
        if code is None:
            self._limit = self._exceeded()
            if not self._limit:
                return None
        self.kill()
        self._read()
        return self._ended(code)

    def kill(self) -> None:
        """End all of its processes at once."""
        kill_all(self._process.pid, self._mark)
        self._process.wait()

    def remove(self) -> None:
        """Remove its folder."""
        with suppress(OSError):
            assert self._process.stdout is not None
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _exceeded(self) -> str:
        now = time.monotonic()
        if now - self._started > self._limits.seconds:
            return "time"
        if now - self._measured < _MEMORY_SECONDS:
            return ""
        self._measured = now
        used = usage_of(self._process.pid, self._limits.memory)
        if used is not None and used.memory > self._limits.memory:
            return "memory"
        return "processes" if used is not None and used.processes > MAX_PROCESSES else ""

    def _read(self) -> None:
        """Keep the end of the output; a process that prints faster waits."""
        left = _READ_AT_ONCE
        with suppress(OSError, ValueError):
            while left > 0 and (part := os.read(self.output, KEPT_OUTPUT)):
                self._output = (self._output + part)[-KEPT_OUTPUT:]
                left -= len(part)

    def _ended(self, code: int | None) -> Ended:
        result = self._result()
        problem = ""
        if self._limit:
            problem = self._words_of_limit()
        elif code is not None and (code or not result.get("is_complete")):
            problem = _words_of_code(code)
        output = self._output.decode("utf-8", "replace")
        return Ended(self._limit, problem, result, output, time.monotonic() - self._started)

    def _words_of_limit(self) -> str:
        match self._limit:
            case "time":
                return f"took longer than {self._limits.seconds:g} s"
            case "memory":
                return f"used more than {self._limits.memory / GB:g} GB of memory"
            case _:
                return f"started more than {MAX_PROCESSES} processes"

    def _result(self) -> Mapping[str, Any]:
        """Return what it has written; the submission's code may have written there as well."""
        with suppress(InputError, ValueError, RecursionError):
            raw = read_at_most(self._folder / RESULT, MAX_RESULT)
            if len(raw) <= MAX_RESULT and isinstance(found := json.loads(raw), dict):
                return found
        return {}


def _words_of_code(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
        return f"its process was killed by {name}"
    return f"its process ended with exit code {code} before it had a result"
