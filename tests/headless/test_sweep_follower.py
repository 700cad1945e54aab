"""A sweep of worker processes without the window: lines, the summary, the exit code."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.made import spec_of
from tui_trainer.headless.sweep_follower import SweepFollower
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.sweeps.spec import Budget
from tui_trainer.sweeps.state import SweepState, TrialPhase, TrialState


@dataclass(frozen=True)
class Ended:
    name: str
    code: int
    problem: str = ""


@dataclass
class FakeWorkers:
    """Workers that end when the test says so."""

    running: list[str] = field(default_factory=lambda: ["host:1", "host:2"])
    ended: list[Ended] = field(default_factory=list)
    problems: list[Ended] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    is_killed: bool = False

    def end(self, code: int = 0, problem: str = "") -> None:
        worker = Ended(self.running.pop(), code, problem)
        self.ended.append(worker)
        if problem:
            self.problems.append(worker)

    def poll(self) -> list[Ended]:
        found, self.ended = self.ended, []
        return found

    def stop(self, why: str) -> None:
        self.stopped.append(why)

    def kill(self) -> None:
        self.is_killed = True
        self.running.clear()


class Sweep:
    """A sweep that goes one step further whenever the follower waits.

    Args:
        steps: What happens at each wait.
    """

    def __init__(self, folder: Path, *steps: Callable[[Sweep], object]) -> None:
        spec = replace(spec_of(), budget=Budget(trials=2))
        self.state = SweepState(name="s", folder=folder, spec=spec)
        self.workers = FakeWorkers()
        self._steps = list(steps)

    def add(self, phase: TrialPhase, **changes: Any) -> None:
        trial = TrialState(
            number=len(self.state.trials) + 1,
            phase=phase,
            settings={"lr": 0.1, "model": "tiny", "batch_size": 64, "label_smoothing": 0.1},
            values=(0.97,) if phase == "completed" else (),
            **changes,
        )
        self.state = replace(self.state, trials=(*self.state.trials, trial))

    def finish(self) -> None:
        self.state = replace(self.state, is_over=True, ended="2 trials")
        while self.workers.running:
            self.workers.end()

    def step(self, seconds: float) -> None:
        if self._steps:
            self._steps.pop(0)(self)

    def follow(self, **options: Any) -> ExitCode:
        follower = SweepFollower(
            lambda: self.state,
            self.workers,
            resume="mnist-tui sweep --resume s",
            sleep=self.step,
            used=lambda: 0.0,
            **options,
        )
        return follower.run(lambda state: state)


def test_a_line_is_printed_for_each_ended_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(
        tmp_path,
        lambda sweep: sweep.add("completed"),
        lambda sweep: sweep.add("pruned", reason="behind the others"),
        lambda sweep: sweep.finish(),
    )
    assert sweep.follow() == ExitCode.FINISHED
    out, err = capsys.readouterr()
    assert [line[:7] for line in out.splitlines()[:3]] == ["trial 1", "trial 2", ""]
    assert "97.00 % (the best so far)" in out
    assert "pruned: behind the others" in out
    assert err == ""


def test_trials_that_ended_before_are_not_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(tmp_path, lambda sweep: sweep.add("completed"), lambda sweep: sweep.finish())
    sweep.add("completed")
    sweep.follow(json_lines=True)
    out, err = capsys.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["event"] for record in records] == ["TrialEnded", "SweepShown"]
    assert records[0]["trial"] == 2
    assert err == "s: 1 trial ended already\n"


def test_a_worker_that_fails_is_one_line_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(
        tmp_path,
        lambda sweep: sweep.workers.end(-9, "killed by signal 9"),
        lambda sweep: sweep.add("completed"),
        lambda sweep: sweep.finish(),
    )
    assert sweep.follow() == ExitCode.FINISHED
    assert capsys.readouterr().err == "worker host:2: killed by signal 9\n"


@pytest.mark.parametrize(("code", "expected"), [(2, ExitCode.BAD_INPUT), (1, ExitCode.FAILED)])
def test_without_workers_the_sweep_ends_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int, expected: ExitCode
) -> None:
    def fail(sweep: Sweep) -> None:
        sweep.workers.end(code, "no such file")
        sweep.workers.end(code, "no such file")

    assert Sweep(tmp_path, fail).follow() == expected
    err = capsys.readouterr().err
    assert "continue with: mnist-tui sweep --resume s" in err
    assert err.endswith("mnist-tui: error: no such file\n")


def test_a_window_that_is_closed_before_the_first_result_is_no_failure(tmp_path: Path) -> None:
    def leave(sweep: Sweep) -> None:
        sweep.workers.end()
        sweep.workers.end()

    assert Sweep(tmp_path, leave).follow(has_window=True) == ExitCode.FINISHED
    assert Sweep(tmp_path, leave).follow() == ExitCode.FAILED
    assert Sweep(tmp_path, Sweep.finish).follow(has_window=True) == ExitCode.FAILED


def interrupt(sweep: Sweep) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_asks_the_workers_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def end(sweep: Sweep) -> None:
        while sweep.workers.running:
            sweep.workers.end()

    sweep = Sweep(tmp_path, interrupt, end)
    assert sweep.follow() == ExitCode.INTERRUPTED
    assert sweep.workers.stopped == ["interrupted"]
    assert not sweep.workers.is_killed
    err = capsys.readouterr().err
    assert "interrupted: each worker finishes its batch; press Ctrl+C again" in err
    assert "continue with: mnist-tui sweep --resume s" in err


def test_a_second_ctrl_c_kills_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Sweep(tmp_path, interrupt, interrupt)
    assert sweep.follow() == ExitCode.INTERRUPTED
    assert sweep.workers.is_killed
    assert "exited at once; continue with" in capsys.readouterr().err


def test_a_sweep_that_cannot_be_read_stops_the_workers(tmp_path: Path) -> None:
    def read() -> SweepState:
        raise InputError("database: away")

    workers = FakeWorkers()
    follower = SweepFollower(read, workers, resume="x", sleep=lambda seconds: None)
    with pytest.raises(InputError, match="away"):
        follower.run(lambda state: state)
    assert workers.stopped == ["interrupted"]
