"""Several worker processes, some of them killed: each trial is trained once, with the same bits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.data.idx_files import write_dataset
from tests.faults.forked_programs import FORKING, ForkedProgram
from tests.sweeps.postgres import PASSWORD, Server
from tests.sweeps.processes import (
    check_same_weights,
    check_trained_once,
    ended,
    exists,
    kill,
    process_of,
    reader,
    running_trial,
    started,
    sweep,
    until,
    write_sweep,
)
from tui_trainer.cli.group_starts import GroupStarts
from tui_trainer.headless.hooks import Hooks
from tui_trainer.sweeps.location import PASSWORD_VARIABLE
from tui_trainer.sweeps.state import SweepState
from tui_trainer.sweeps.storage import JOURNAL
from tui_trainer.sweeps.study import Study
from tui_trainer.sweeps.sweep_file import read_sweep
from tui_trainer.sweeps.worker import Worker

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX processes")

EPOCHS, TRIALS = 16, 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), gzip=False)


@pytest.fixture(scope="module")
def file(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "sweep.toml"
    return write_sweep(path, data, trials=TRIALS, epochs=EPOCHS)


@pytest.fixture(scope="module")
def undisturbed(file: Path, tmp_path_factory: pytest.TempPathFactory) -> SweepState:
    """The sweep with one worker that nobody disturbs, in this process."""
    return alone(file, tmp_path_factory.mktemp("undisturbed") / "sweep")


def alone(file: Path, folder: Path) -> SweepState:
    """Train a sweep in this process."""
    study = Study.create(read_sweep(file), folder)
    starts = GroupStarts(Hooks(), interactive=False)
    for _ in Worker(study, starts.start).work():
        pass
    starts.leave()
    return study.state()


def until_begun(folder: Path) -> None:
    until(lambda: (folder / JOURNAL).is_file(), "the sweep does not begin")


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_workers_and_a_killed_one(
    workers: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In forked processes: they start at once, so that few short trials are enough."""
    file = write_sweep(tmp_path / "sweep.toml", data, trials=workers + 1, epochs=6)
    monkeypatch.setattr("tui_trainer.cli.detach.subprocess", FORKING)
    folder = tmp_path / "sweep"
    words = (file, "--out", folder, "--workers", workers)
    with started(*words, start=ForkedProgram) as process:
        until_begun(folder)
        read = reader(folder, folder)
        trial, worker = running_trial(read)
        kill(worker)
        code, out, err = ended(process)
    assert code == 0, err
    assert f":{worker}: killed by signal 9; another worker continues its trial" in err
    state = read()
    check_trained_once(state)
    assert state.trials[trial.number - 1].worker != trial.worker
    assert len({each.worker for each in state.trials}) >= workers - 1
    check_same_weights(state, alone(file, tmp_path / "alone"))
    assert out.count("\ntrial ") + out.startswith("trial ") >= workers + 1


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_in_order_and_resume_continues(
    file: Path, undisturbed: SweepState, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    with started(file, "--out", folder, "--workers", 2) as process:
        until_begun(folder)
        read = reader(folder, folder)
        trial, worker = running_trial(read)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
    assert code == 130, err
    assert "interrupted: each worker finishes its batch" in err
    assert f"continue with: mnist-tui sweep --resume {folder}" in err
    assert not exists(worker)
    state = read()
    assert {each.phase for each in state.trials} <= {"waiting", "completed"}
    assert state.trials[trial.number - 1].phase == "waiting"
    code, _, err = sweep("--resume", folder, "--workers", 2)
    assert code == 0, err
    check_trained_once(read())
    check_same_weights(read(), undisturbed)


@pytest.mark.slow
def test_a_killed_front_end_leaves_no_worker_and_another_one_joins(
    file: Path, undisturbed: SweepState, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    with started(file, "--out", folder, "--workers", 2) as process:
        until_begun(folder)
        read = reader(folder, folder)
        running_trial(read)
        workers = [process_of(each) for each in read().trials]
        process.kill()
        until(lambda: not any(map(exists, workers)), "a worker is left")
    assert {each.phase for each in read().trials} <= {"waiting", "completed"}
    code, _, err = sweep("--join", folder)
    assert code == 0, err
    check_trained_once(read())
    check_same_weights(read(), undisturbed)


@pytest.mark.slow
def test_two_front_ends_train_one_sweep(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with started(file, "--out", folder) as first:
        until_begun(folder)
        read = reader(folder, folder)
        running_trial(read)
        with started("--join", folder) as second:
            codes = [ended(process)[0] for process in (first, second)]
    assert codes == [0, 0]
    check_trained_once(read())
    assert len({each.worker for each in read().trials}) == 2


@pytest.fixture
def database(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database without its password, which the environment has."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return without_password(postgres.create("sweeps"))


@pytest.mark.slow
def test_three_workers_on_postgresql_and_a_killed_one(
    data: Path, database: str, undisturbed: SweepState, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.toml"
    file = write_sweep(path, data, trials=TRIALS, epochs=EPOCHS, storage=database)
    folder, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    with started(file, "--out", folder, "--workers", 2) as process:
        until(lambda: list(folder.glob("trial-*/events.jsonl")), "the sweep does not begin")
        read = reader(database, folder)
        trial, worker = running_trial(read)
        with started("--join", database, "--out", elsewhere, "--workers", 1) as joined:
            kill(worker)
            code, _, err = ended(process)
            joined_code, _, joined_err = ended(joined)
    assert (code, joined_code) == (0, 0), err + joined_err
    state = read()
    assert state.is_over
    assert [each.phase for each in state.trials] == ["completed"] * TRIALS
    assert [each.values for each in state.trials] == [each.values for each in undisturbed.trials]
    assert state.trials[trial.number - 1].worker != trial.worker
    for place in (folder, elsewhere):
        for log in (*place.glob("*.log"), place / "sweep.toml"):
            assert PASSWORD not in log.read_text()


@pytest.mark.slow
def test_a_database_that_restarts_in_the_middle(
    data: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    url = without_password(postgres.create("restarted"))
    path = tmp_path / "sweep.toml"
    file = write_sweep(path, data, trials=TRIALS, epochs=EPOCHS, storage=url)
    folder = tmp_path / "sweep"
    with started(file, "--out", folder, "--workers", 2) as process:
        until(lambda: list(folder.glob("trial-*/events.jsonl")), "the sweep does not begin")
        running_trial(reader(url, folder))
        postgres.stop()
        until(lambda: "trying again" in logs_of(folder), "no worker has noticed it")
        postgres.start()
        code, _, err = ended(process)
    assert code == 0, err
    assert ": back" in logs_of(folder)
    check_trained_once(reader(url, folder)())
    assert PASSWORD not in logs_of(folder) + err


def logs_of(folder: Path) -> str:
    """Return what the workers have printed."""
    return "".join(log.read_text() for log in folder.glob("worker-*.log"))


def without_password(url: str) -> str:
    """Return a URL without its password."""
    scheme, _, place = url.partition("://")
    return f"{scheme}://{place.partition(':')[0]}@{place.rpartition('@')[2]}"
