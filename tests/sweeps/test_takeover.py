"""A worker on another machine that dies, hangs or wakes up: its trial counts once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState as RecordState

from tests.protocol.facts import epoch_done, finished
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock, this_process
from tui_trainer.sweeps import record_store
from tui_trainer.sweeps import worker as worker_module
from tui_trainer.sweeps.errors import TakenOverError
from tui_trainer.sweeps.liveness import GRACE, Liveness
from tui_trainer.sweeps.patience import StorageAwayError
from tui_trainer.sweeps.study import Claim, Study
from tui_trainer.sweeps.sweep_file import parse_sweep
from tui_trainer.sweeps.worker import TrialStarted, WorkEnded, Worker

TEXT = """
model = "pico"
epochs = 3
[space]
lr = { low = 0.01, high = 1.0 }
[sweep]
sampler = "random"
pruning = "none"
trials = 1
"""

ELSEWHERE = {**this_process(), "machine": "another", "host": "another", "pid": 7, "began": "1"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Observer:
    """A process that looks at a sweep again and again."""

    def __init__(self, folder: Path) -> None:
        self.study = Study.open(folder)
        self._clock = Clock()
        self.study.liveness = Liveness(clock=self._clock)
        self.study.records()

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 10)):
            self._clock.now += 10
            self.study.records()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(worker_module, "POLL", 0.05)
    Study.create(parse_sweep(TEXT, "sweep.toml"), tmp_path / "sweep")
    return tmp_path / "sweep"


@pytest.fixture
def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Claim]:
    """A worker on another machine, with its trial after one epoch."""
    study = Study.open(folder)
    with monkeypatch.context() as patch:
        patch.setattr(record_store, "this_process", lambda: ELSEWHERE)
        claim = study.next_trial("another:7")
    assert claim is not None
    study.report(claim, 1, 0.5)
    return study, claim


def test_a_silent_worker_elsewhere_loses_its_trial_after_the_grace(
    folder: Path, elsewhere: tuple[Study, Claim]
) -> None:
    study, former = elsewhere
    observer = Observer(folder)
    observer.wait(GRACE - 20)
    assert observer.study.next_trial("here:1") is None
    assert observer.study.state().trials[0].phase == "running"
    observer.wait(30)
    assert observer.study.state().trials[0].phase == "waiting"
    claim = observer.study.next_trial("here:1")
    assert claim is not None
    assert (claim.number, claim.settings, claim.curve) == (1, former.settings, {1: 0.5})

    # The former worker wakes up: all its reports are dropped.
    reports: list[Callable[[], object]] = [
        lambda: study.report(former, 2, 0.9),
        lambda: study.heartbeat(former),
        lambda: study.complete(former),
        lambda: study.prune(former, "late"),
        lambda: study.release(former),
    ]
    former.values = [0.9]
    for report in reports:
        with pytest.raises(TakenOverError):
            report()
    claim.values = [0.6]
    observer.study.complete(claim)
    (trial,) = study.state().trials
    assert (trial.value, trial.worker) == (0.6, "here:1")
    assert study.state().is_over


def test_a_worker_with_heartbeats_keeps_its_trial(
    folder: Path, elsewhere: tuple[Study, Claim]
) -> None:
    study, claim = elsewhere
    observer = Observer(folder)
    for _ in range(5):
        observer.wait(GRACE - 30)
        study.heartbeat(claim)
    assert observer.study.next_trial("here:1") is None


def test_the_folder_of_a_worker_that_hangs_is_left_to_it(
    folder: Path, elsewhere: tuple[Study, Claim]
) -> None:
    run = folder / "trial-001"
    run.mkdir()
    lock = Lock(RunFolder(run).lock)
    observer = Observer(folder)
    observer.wait(GRACE + 10)
    claim = observer.study.next_trial("here:1")
    assert claim is not None
    assert claim.copy == 1
    lock.release()


def test_of_several_workers_one_takes_a_trial_over(
    folder: Path, elsewhere: tuple[Study, Claim]
) -> None:
    observers = [Observer(folder) for _ in range(2)]
    for observer in observers:
        observer.wait(GRACE + 10)
    released = [observer.study.take_over() for observer in observers]
    assert released == [1, 0]
    claims = [observer.study.next_trial(f"here:{n}") for n, observer in enumerate(observers)]
    assert [claim is None for claim in claims] == [False, True]


class FakeRun:
    """A run whose epochs end when the test says so.

    Args:
        after: Called after each epoch.
    """

    def __init__(self, after: Callable[[int], object] = lambda epoch: None) -> None:
        self.stops: list[Stop] = []
        self._after = after

    def __call__(self, config: RunConfig, folder: RunFolder, inbox: Inbox) -> Iterator[Event]:
        for number in range(1, config.epochs + 1):
            yield epoch_done(number)
            self._after(number)
            for command in inbox.take(number):
                if isinstance(command, Stop):
                    self.stops.append(command)
                    yield finished(reason=command.reason)
                    return
        yield finished(reason="completed")


def test_a_worker_whose_trial_is_taken_over_ends_its_run_and_drops_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(folder)
    study.liveness.beat = 0.01
    beaten = threading.Event()
    study_heartbeat = study.heartbeat

    def heartbeat(claim: Claim) -> None:
        try:
            study_heartbeat(claim)
        except TakenOverError:
            beaten.set()
            raise

    monkeypatch.setattr(study, "heartbeat", heartbeat)

    def take_over(number: int) -> None:
        if number == 1:
            Study.open(folder).storage.set_trial_state_values(0, RecordState.FAIL)
            assert beaten.wait(10)

    run = FakeRun(take_over)
    worker = Worker(study, run)
    events = worker.work()
    assert isinstance(next(events), TrialStarted)
    list(zip(events, range(2), strict=False))
    assert [stop.reason for stop in run.stops] == ["interrupted"]


def test_a_worker_ends_its_run_in_order_when_the_storage_is_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.open(folder)
    report = study.report

    def away(claim: Claim, number: int, *rest: Any) -> None:
        if number == 2:
            raise StorageAwayError("database: away for 5:00")
        report(claim, number, *rest)

    monkeypatch.setattr(study, "report", away)
    run = FakeRun()
    with pytest.raises(StorageAwayError, match="away for 5:00"):
        list(Worker(study, run).work())
    assert [stop.reason for stop in run.stops] == ["interrupted"]
    assert Study.open(folder).state().trials[0].phase == "waiting"


def test_a_worker_waits_while_others_train_the_last_trials(
    folder: Path, elsewhere: tuple[Study, Claim]
) -> None:
    study, claim = elsewhere
    events: list[object] = []
    worker = Worker(Study.open(folder), FakeRun())
    thread = threading.Thread(target=lambda: events.extend(worker.work()))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    claim.values = [0.7]
    study.complete(claim)
    thread.join(30)
    assert events == [WorkEnded("spent", "1 trial")]


def test_a_waiting_worker_can_be_interrupted(folder: Path, elsewhere: tuple[Study, Claim]) -> None:
    events: list[object] = []
    worker = Worker(Study.open(folder), FakeRun())
    thread = threading.Thread(target=lambda: events.extend(worker.work()))
    thread.start()
    worker.send(Stop(reason="interrupted", test=False))
    thread.join(30)
    assert events == [WorkEnded("interrupted", "interrupted")]
