"""torchrun with the command line: one process prints, all of them end, a run can be resumed."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.distributed.processes import (
    TIMEOUT,
    Torchrun,
    as_rank,
    free_port,
    torchrun,
    until,
)
from tests.faults.forks import Child, command
from tui_trainer.cli import torchrun as environment
from tui_trainer.cli.torchrun import check_command, check_front_end, is_follower, processes
from tui_trainer.models.checkpoints import read_checkpoint
from tui_trainer.models.distributed import ProcessGroup
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock

LONG = ("--model", "small", "--epochs", "500", "--no-ui", "--threads", "1", "--device", "cpu")


def steps_of(path: Path) -> int:
    """Return how many steps a run has recorded."""
    events = RunFolder(path).events
    return events.read_bytes().count(b'{"event": "StepDone"') if events.exists() else 0


def train_long(running: Torchrun, path: Path, steps: int = 5) -> None:
    """Wait until a run has recorded some steps."""
    until(lambda: steps_of(path) >= steps, running)


@pytest.fixture
def two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the first of two processes."""
    for name in environment.VARIABLES:
        monkeypatch.setenv(name, "2" if name == "WORLD_SIZE" else "0")


@pytest.mark.slow
def test_a_signal_ends_all_processes_in_order_and_the_run_can_be_resumed(
    tmp_path: Path, tiny: Path
) -> None:
    path = tmp_path / "run"
    with torchrun(2, *LONG, "--data-dir", str(tiny), "--out", str(path), cwd=tmp_path) as running:
        train_long(running, path)
        running.process.send_signal(signal.SIGINT)
        done = running.wait()

    summary = RunFolder(path).read_summary()
    assert (summary.state, summary.processes) == ("interrupted", 2)
    assert [line for line in done.messages if line.startswith("interrupted:")] == [
        "interrupted: finishing this batch; press Ctrl+C again to exit at once"
    ]
    assert done.out.count("test not evaluated") == 1

    stopped = read_checkpoint(RunFolder(path).checkpoint("last")).metadata
    more = ("resume", str(path), "--no-ui", "--epochs", str(stopped["epoch"] + 1))
    with torchrun(2, *more, cwd=tmp_path) as running:
        done = running.wait()

    assert done.code == 0, done.err
    assert f"resumed after step {stopped['step']}" in done.err
    assert done.out.count("completed: ") == 1
    assert done.out.count(f"epoch {stopped['epoch'] + 1}") == 1
    (head,) = [line for line in done.messages if line.startswith("small · ")]
    assert head.endswith("cpu ×1 in 2 processes")
    assert "batch norm normalizes these by themselves" in done.err
    assert not Lock.is_held(RunFolder(path).lock)


def test_a_killed_process_ends_the_first_with_one_message(tmp_path: Path, tiny: Path) -> None:
    """In forked processes with the environment of torchrun, which takes long to start."""
    path = tmp_path / "run"
    work = command(*LONG, "--data-dir", tiny, "--out", path)
    port = free_port()
    children = [
        Child(partial(as_rank, rank, 2, port, work), tmp_path / f"output-{rank}") for rank in (0, 1)
    ]
    try:
        ends = time.monotonic() + TIMEOUT
        while steps_of(path) < 5 and time.monotonic() < ends and children[0].is_running:
            time.sleep(0.02)
        os.kill(children[1].pid, signal.SIGKILL)
        first = children[0].wait()
    finally:
        second = children[1].wait()

    assert first.code == 1
    errors = [line for line in first.err.splitlines() if "mnist-tui: error: " in line]
    assert len(errors) == 1
    assert (
        "another process of this training has ended without a message; was it killed?" in errors[0]
    )
    assert second.out + second.err == ""
    assert not Lock.is_held(RunFolder(path).lock)
    assert RunFolder(path).checkpoint("last").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_with_one_message(rank: int, tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "run"
    with torchrun(2, *LONG, "--data-dir", str(tiny), "--out", str(path), cwd=tmp_path) as running:
        train_long(running, path)
        other = running.rank(1 - rank)
        os.kill(running.rank(rank), signal.SIGKILL)
        done = running.wait()

    assert done.code == 1
    errors = [line for line in done.messages if "mnist-tui: error: " in line]
    assert len(errors) == 1
    assert "has ended without a message; was it killed?" in errors[0]
    assert not Path(f"/proc/{other}").exists()
    assert not Lock.is_held(RunFolder(path).lock)
    assert RunFolder(path).checkpoint("last").exists()


@pytest.mark.slow
def test_an_unusable_setting_is_one_line(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "run"
    more = ("--data-dir", str(tiny), "--out", str(path), "--batch-size", "1")
    with torchrun(2, *LONG, *more, cwd=tmp_path) as running:
        done = running.wait()

    assert done.code == 1  # of torchrun; its report has ours
    assert "exitcode  : 2 " in done.err
    errors = [line for line in done.messages if "error" in line]
    assert errors == [
        "mnist-tui: error: --batch-size 1: 2 processes train on each batch; choose at least 2"
    ]
    assert done.out == ""
    assert not path.exists()


@pytest.mark.slow
def test_the_error_of_another_process_is_reported_by_the_first(tmp_path: Path, tiny: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text(
        "import os\n"
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    calls = 0\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, 10))\n"
        "    def forward(self, images):\n"
        "        Net.calls += 1\n"
        "        if os.environ['RANK'] == '1' and Net.calls > 30:\n"
        "            raise ValueError('out of luck')\n"
        "        return super().forward(images)\n"
    )
    model = ("--model", f"{source}:Net", "--no-ui", "--epochs", "500", "--data-dir", str(tiny))
    with torchrun(2, *model, "--out", str(tmp_path / "run"), cwd=tmp_path) as running:
        done = running.wait()

    assert done.code == 1
    errors = [line for line in done.messages if "mnist-tui: error: " in line]
    assert len(errors) == 1
    assert "process 1: " in errors[0]
    assert "out of luck" in errors[0]
    assert "net.py" in errors[0]


@pytest.mark.usefixtures("two_ranks")
def test_what_does_not_train_is_refused() -> None:
    assert processes() == 2
    assert not is_follower()
    for name in ("new_run", "resume", "run"):
        check_command(name)
    with pytest.raises(InputError, match=r"^seeds: cannot be used with torchrun"):
        check_command("seeds")
    with pytest.raises(InputError, match="add --no-ui"):
        check_front_end(no_ui=False, detach=False)
    with pytest.raises(InputError, match=r"^--detach: cannot be used with torchrun"):
        check_front_end(no_ui=True, detach=True)
    check_front_end(no_ui=True, detach=False)


@pytest.mark.usefixtures("two_ranks")
def test_the_command_of_a_hook_is_none_of_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.OWNER, str(os.getppid()))
    assert processes() == 1
    check_command("send")


def test_one_process_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # left over from something else
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert processes() == 1
    assert not is_follower()
    check_command("seeds")


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_the_shares_of_a_batch_are_the_batch(world: int) -> None:
    group = [ProcessGroup(None, rank, world) for rank in range(world)]
    for count in range(1, 40):
        counted: list[int] = []
        for process in group:
            part = process.share(count, "key")
            assert part is not None
            places = list(range(count))[part[1]]
            assert places
            if process.counts:
                assert len(places) >= min(2, count)
                counted += places
        assert sorted(counted) == list(range(count))
