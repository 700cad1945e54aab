"""Limits on the process of a submission, tried with small programs in place of the real one."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tui_trainer.grading.limits import kill_all
from tui_trainer.grading.process import Ended, Limits, SubmissionProcess
from tui_trainer.protocol.errors import InputError

PATIENCE = 120.0
"""How long a test waits for what takes a moment on a quiet machine."""

START = """
import json, os, subprocess, sys, time
from pathlib import Path
job = Path(sys.argv[1])
def end(**more):
    job.with_name("result.json").write_text(json.dumps({"is_complete": True, **more}))
"""


@contextmanager
def started(
    code: str, tmp_path: Path, *, seconds: float = PATIENCE, memory: float = 1e9
) -> Iterator[SubmissionProcess]:
    program = tmp_path / "program.py"
    program.write_text(START + code)
    process = SubmissionProcess(
        [sys.executable, str(program)], {"job": 1}, Limits(seconds, int(memory)), {"GIVEN": "yes"}
    )
    try:
        yield process
    finally:
        process.kill()
        process.remove()


def end_of(process: SubmissionProcess) -> Ended:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if (ended := process.poll()) is not None:
            return ended
        time.sleep(0.01)
    raise AssertionError("it has not ended")


def ended(code: str, tmp_path: Path, *, seconds: float = PATIENCE, memory: float = 1e9) -> Ended:
    with started(code, tmp_path, seconds=seconds, memory=memory) as process:
        return end_of(process)


def is_running(pid: int) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return words[0] not in "ZX"
    return False


def test_a_result_is_read(tmp_path: Path) -> None:
    found = ended("end(figure=3, given=os.environ['GIVEN']); print('done')", tmp_path)

    assert (found.limit, found.problem) == ("", "")
    assert found.result == {"is_complete": True, "figure": 3, "given": "yes"}
    assert found.output == "done\n"


def test_its_folder_is_removed(tmp_path: Path) -> None:
    with started("end(at=str(job)); time.sleep(0)", tmp_path) as process:
        folder = Path(end_of(process).result["at"]).parent
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("sys.exit(3)", "its process ended with exit code 3 before it had a result"),
        ("os._exit(0)", "its process ended with exit code 0 before it had a result"),
        ("os.abort()", "its process was killed by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "its process was killed by SIGSEGV"),
        (f"os.kill(os.getpid(), {int(signal.SIGTERM)})", "its process was killed by SIGTERM"),
    ],
)
def test_an_end_without_a_result_has_a_reason(code: str, problem: str, tmp_path: Path) -> None:
    found = ended(code, tmp_path)

    assert (found.limit, found.problem) == ("", problem)


@pytest.mark.parametrize(
    "text", ["''", "'{'", "'[]'", "'null'", "'[' * 100_000", "'x' * 3_000_000", "'{\"a\": 1}'"]
)
def test_an_invalid_result_is_none(text: str, tmp_path: Path) -> None:
    found = ended(f"job.with_name('result.json').write_text({text})", tmp_path)

    assert found.problem == "its process ended with exit code 0 before it had a result"


def test_a_result_that_is_no_file(tmp_path: Path) -> None:
    assert ended("os.mkfifo(job.with_name('result.json'))", tmp_path).result == {}


def test_the_time_limit_ends_it(tmp_path: Path) -> None:
    found = ended(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        tmp_path,
        seconds=0.5,
    )
    assert (found.limit, found.problem) == ("time", "took longer than 0.5 s")


def test_what_it_reported_before_the_limit_is_kept(tmp_path: Path) -> None:
    code = "job.with_name('result.json').write_text('{\"figure\": 3}')\nprint('x', flush=True)\n"
    with started(f"{code}time.sleep(600)", tmp_path) as process:
        until = time.monotonic() + PATIENCE
        while process.poll() is None and not process._output and time.monotonic() < until:
            time.sleep(0.01)
        process._limits = Limits(0.0, 10**9)
        assert end_of(process).result == {"figure": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_limit_ends_it(tmp_path: Path) -> None:
    code = "x = []\nwhile True:\n    x.append(b'x' * 2_000_000)\n    time.sleep(0.001)"
    found = ended(code, tmp_path, memory=100e6)

    assert (found.limit, found.problem) == ("memory", "used more than 0.1 GB of memory")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_of_its_children_counts(tmp_path: Path) -> None:
    child = "import time; x = b'x' * 60_000_000; time.sleep(600)"
    code = f"c = [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in range(3)]\n"
    found = ended(f"{code}time.sleep(600)", tmp_path, memory=150e6)

    assert found.limit == "memory"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_that_is_shared_counts_once(tmp_path: Path) -> None:
    code = (
        "x = b'x' * 100_000_000\n"
        "children = [os.fork() for _ in range(2)]\n"
        "time.sleep(1.5)\n"
        "if all(children): end()"
    )
    assert ended(code, tmp_path, memory=250e6).limit == ""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_many_processes_end_it(tmp_path: Path) -> None:
    code = "for _ in range(8): os.fork()\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    found = ended(code, tmp_path)

    assert found.problem == "started more than 64 processes"
    assert not any(map(is_running, map(int, found.output.split())))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("is_limit", [True, False])
def test_no_child_outlives_it(is_limit: bool, tmp_path: Path) -> None:
    code = (
        "for new in (False, True):\n"
        "    c = subprocess.Popen(['sleep', '600'], start_new_session=new)\n"
        "    print(c.pid, flush=True)\n"
    )
    with started(f"{code}{'time.sleep(600)' if is_limit else 'end()'}", tmp_path) as process:
        until = time.monotonic() + PATIENCE
        while process._output.count(b"\n") < 2 and time.monotonic() < until:
            process._read()
            time.sleep(0.01)
        if is_limit:
            process._limits = Limits(0.0, 10**9)
        found = end_of(process)
    children = [*map(int, found.output.split())]
    assert len(children) == 2
    assert not any(map(is_running, children))


def test_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    code = "for _ in range(100): print('x' * 100_000)\nprint('last')\nend()"
    found = ended(code, tmp_path)

    assert found.result
    assert found.output.endswith("last\n")
    assert len(found.output) == 1 << 16


def test_there_is_nothing_to_read_and_a_folder_to_write_to(tmp_path: Path) -> None:
    code = "import tempfile; end(read=sys.stdin.read(), temporary=tempfile.gettempdir())"
    with started(code, tmp_path) as process:
        found = end_of(process).result
        assert found["read"] == ""
        assert found["temporary"] == str(process._folder / "scratch")


def test_progress_is_one_short_line(tmp_path: Path) -> None:
    with started("time.sleep(600)", tmp_path) as process:
        assert process.progress == ""
        (process._folder / "progress").write_bytes(b"seed 0\n\x1b[31m\xff" + b"x" * 1_000)
        assert process.progress.startswith("seed 0 [31m")
        assert len(process.progress) <= 80


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot start: No such file"):
        SubmissionProcess([str(tmp_path / "none")], {}, Limits(1, 1), {})


def test_killing_ends_at_once_without_processes() -> None:
    before = os.getpid()
    kill_all(2**22 + 1, "no such mark")
    assert os.getpid() == before
