"""The processes of workers, with small scripts in place of training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui_trainer.cli import sweep_workers
from tui_trainer.cli.sweep_workers import THREADS_VARIABLE, Workers

TIMEOUT = 30.0

OBEDIENT = """
import sys, threading
from tui_trainer.cli.sweep_workers import follow_supervisor
asked = threading.Event()
def stop(why):
    print(why, flush=True)
    asked.set()
follow_supervisor(stop)
print("ready", flush=True)
asked.wait(60)
"""
"""Ends when its supervisor asks it to, and prints the reason."""

DEAF = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Workers]]:
    """A list of workers that are killed at the end of the test."""
    monkeypatch.setattr(sweep_workers, "PROGRAM", (sys.executable,))
    made: list[Workers] = []
    yield made
    for workers in made:
        workers.kill()


def logs(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("worker-*.log"))]


def until_ready(folder: Path, count: int) -> None:
    until = time.monotonic() + TIMEOUT
    while sum("ready" in text for text in logs(folder)) < count:
        assert time.monotonic() < until, logs(folder)
        time.sleep(0.02)


def test_workers_are_asked_to_end_with_the_reason(tmp_path: Path, started: list[Workers]) -> None:
    workers = Workers(["-c", OBEDIENT], 2, tmp_path)
    started.append(workers)
    assert len(set(workers.running)) == 2
    until_ready(tmp_path, 2)
    assert workers.poll() == []
    workers.stop("interrupted")
    assert workers.wait(TIMEOUT)
    assert [worker.code for worker in workers.ended] == [0, 0]
    assert workers.problems == ()
    assert logs(tmp_path) == ["ready\ninterrupted\n"] * 2


def test_a_worker_asked_before_it_listens_ends_too(tmp_path: Path, started: list[Workers]) -> None:
    workers = Workers(["-c", OBEDIENT], 1, tmp_path)
    started.append(workers)
    workers.stop("terminated")
    assert workers.wait(TIMEOUT)
    assert "terminated" in logs(tmp_path)[0]


def test_killed_workers_end_at_once(tmp_path: Path, started: list[Workers]) -> None:
    workers = Workers(["-c", DEAF], 2, tmp_path)
    started.append(workers)
    until_ready(tmp_path, 2)
    workers.kill()
    assert workers.running == ()
    assert [worker.code for worker in workers.ended] == [-signal.SIGKILL] * 2


def test_a_killed_worker_is_described(tmp_path: Path, started: list[Workers]) -> None:
    workers = Workers(["-c", DEAF], 2, tmp_path)
    started.append(workers)
    until_ready(tmp_path, 2)
    first = workers.running[0]
    os.kill(int(first.rpartition(":")[2]), signal.SIGKILL)
    while not (ended := workers.poll()):
        time.sleep(0.02)
    assert [worker.name for worker in ended] == [first]
    assert ended[0].problem == "killed by signal 9; another worker continues its trial"
    assert len(workers.running) == 1


def test_a_failed_worker_has_a_problem_and_is_not_started_again(
    tmp_path: Path, started: list[Workers]
) -> None:
    code = "import sys; print('mnist-tui: error: x.toml: no such file'); sys.exit(2)"
    workers = Workers(["-c", code], 1, tmp_path)
    started.append(workers)
    assert workers.wait(TIMEOUT)
    assert [worker.problem for worker in workers.problems] == ["x.toml: no such file"]
    assert workers.poll() == []


def test_a_crashed_worker_names_its_log(tmp_path: Path, started: list[Workers]) -> None:
    workers = Workers(["-c", "raise SystemExit(1)"], 1, tmp_path)
    started.append(workers)
    assert workers.wait(TIMEOUT)
    (ended,) = workers.problems
    assert ended.problem.startswith("ended with exit code 1; see ")
    assert ended.problem.endswith("-1.log")


@pytest.mark.parametrize(
    ("count", "threads", "cores", "expected"),
    [
        (1, None, "8", "8"),
        (2, None, "8", "4"),
        (3, None, "8", "2"),
        (3, None, "2", "1"),
        (2, 3, "8", "3"),
        (1, 3, "8", "3"),
    ],
)
def test_the_cores_are_divided(
    tmp_path: Path,
    started: list[Workers],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    threads: int | None,
    cores: str,
    expected: str,
) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, cores)
    code = f"import os; print(os.environ['{THREADS_VARIABLE}'])"
    workers = Workers(["-c", code], count, tmp_path, threads=threads)
    started.append(workers)
    assert workers.wait(TIMEOUT)
    assert logs(tmp_path) == [f"{expected}\n"] * count


def test_one_worker_keeps_the_automatic_choice(
    tmp_path: Path, started: list[Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    code = f"import os; print('{THREADS_VARIABLE}' in os.environ)"
    workers = Workers(["-c", code], 1, tmp_path)
    started.append(workers)
    assert workers.wait(TIMEOUT)
    assert logs(tmp_path) == ["False\n"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX processes")
def test_workers_end_in_order_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from tui_trainer.cli import sweep_workers
sweep_workers.PROGRAM = (sys.executable,)
workers = sweep_workers.Workers(["-c", {OBEDIENT!r}], 2, Path({str(tmp_path)!r}))
time.sleep(60)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    until_ready(tmp_path, 2)
    supervisor.kill()
    supervisor.wait()
    until = time.monotonic() + TIMEOUT
    while logs(tmp_path) != ["ready\ndisconnected\n"] * 2:
        assert time.monotonic() < until, logs(tmp_path)
        time.sleep(0.02)
