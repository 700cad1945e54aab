"""Commands of hooks that do anything."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tui_trainer.headless.hook_command import run_command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands are for a POSIX shell")

LONG = 60.0
SHORT = 0.3


def is_gone(process: int) -> bool:
    """Whether a process has ended, or ends soon; init may have to reap it."""
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").exists():
            status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            if status == "Z":
                return True
        time.sleep(0.05)
    return False


def test_a_command_reads_the_text(tmp_path: Path) -> None:
    assert run_command(f"cat > {tmp_path}/in", '{"é": 1}', limit=LONG) == ""
    assert (tmp_path / "in").read_text("utf-8") == '{"é": 1}'


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("exit 3", "exit code 3"),
        ("echo first >&2; echo 'the last' >&2; echo >&2; exit 3", "exit code 3: the last"),
        ("printf 'a\\033[2Jb\\377' >&2; false", "exit code 1: a [2Jb\N{REPLACEMENT CHARACTER}"),
        ("kill -TERM $$", "killed by SIGTERM"),
        ("exec <&-; exit 0", ""),
        ("true", ""),
        ("", ""),
        ("yes | head -c 10000000; yes | head -c 10000000 >&2", ""),
    ],
)
def test_what_a_command_does_is_reported(command: str, problem: str) -> None:
    assert run_command(command, "{}" * 100_000, limit=LONG) == problem


def test_a_command_that_does_not_exist() -> None:
    problem = run_command("no-such-command-here", "{}", limit=LONG)
    assert problem.startswith("exit code 127: ")
    assert "no-such-command-here" in problem


def test_a_null_character() -> None:
    assert run_command("true\0", "{}", limit=LONG) == "cannot start: embedded null byte"


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def popen(*arguments: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    assert run_command("true", "{}", limit=LONG) == (
        "cannot start: Resource temporarily unavailable"
    )
    after = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    assert len(before) == len(after)


def test_a_command_that_never_ends_is_killed_with_its_children(tmp_path: Path) -> None:
    command = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; echo late >&2; sleep 1000"
    assert run_command(command, "{}", limit=SHORT) == "killed after 0.3 seconds"
    assert is_gone(int((tmp_path / "child").read_text()))


def test_a_command_that_prints_forever_is_killed() -> None:
    assert run_command("yes; yes >&2", "{}", limit=SHORT) == "killed after 0.3 seconds"
    assert run_command("yes >&2", "{}", limit=SHORT) == "killed after 0.3 seconds"


def test_a_process_that_a_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    """It keeps standard error open: without a limit, its end would be waited for."""
    command = f"sleep 1000 & echo $! > {tmp_path}/child; echo reason >&2; exit 4"
    assert run_command(command, "{}", limit=LONG) == "exit code 4: reason"
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)  # the user has put it in the background: it goes on
    os.kill(child, signal.SIGKILL)


def test_a_canceled_command_is_killed(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = f"echo $$ > {started}.new; mv {started}.new {started}; exec sleep 1000"
    problem = run_command(command, "{}", limit=LONG, is_canceled=started.exists)
    assert problem == "killed before its end"
    assert is_gone(int(started.read_text()))


def test_a_command_cannot_write_to_the_terminal() -> None:
    """It has no controlling terminal, so it cannot draw over the window."""
    assert "exit code" in run_command("echo drawn > /dev/tty", "{}", limit=LONG)
