"""A worker and its study, with runs that train nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.fake_runs import FakeRuns, accuracy_of, finding, spec_with
from tui_trainer.protocol.commands import Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import Diverged, EpochDone, Event, RunFailed, SettingChanged
from tui_trainer.sweeps.corners import config_of
from tui_trainer.sweeps.errors import TakenOverError
from tui_trainer.sweeps.spec import Choice, SweepSpec
from tui_trainer.sweeps.state import SweepState, TrialState
from tui_trainer.sweeps.study import Study
from tui_trainer.sweeps.trial_run import FATAL
from tui_trainer.sweeps.worker import RunEvent, WorkEnded, Worker


def trained(spec: SweepSpec, folder: Path, runs: FakeRuns | None = None) -> SweepState:
    study = Study.create(spec, folder)
    for _ in Worker(study, runs or FakeRuns()).work():
        pass
    return study.state()


def what(trial: TrialState) -> tuple[Any, ...]:
    return (trial.number, trial.phase, dict(trial.settings), trial.values, trial.epoch)


def test_a_sweep_trains_its_trials_and_knows_the_best(tmp_path: Path) -> None:
    runs = FakeRuns()
    state = trained(spec_with('trials = 12\npruning = "none"'), tmp_path / "sweep", runs)
    assert (len(state.trials), state.is_over, state.ended) == (12, True, "12 trials")
    assert {trial.phase for trial in state.trials} == {"completed"}
    assert state.best is not None
    assert state.best.value == max(trial.value or 0 for trial in state.trials)
    assert runs.folders == [f"trial-{number:03d}" for number in range(1, 13)]
    assert all(not config.test for config in runs.configs)
    assert state.val_images == 500


@pytest.mark.sampled(6)
@pytest.mark.parametrize("sampler", ["tpe", "random", "sobol"])
@pytest.mark.parametrize("pruning", ["asha", "median"])
def test_an_interrupted_sweep_has_the_same_trials(
    tmp_path: Path, sampler: str, pruning: str
) -> None:
    spec = spec_with(f'trials = 16\nsampler = "{sampler}"\npruning = "{pruning}"')
    whole = trained(spec, tmp_path / "whole")
    folder = tmp_path / "parts"
    Study.create(spec, folder)
    for count in range(40):
        study = Study.open(folder)
        worker = Worker(study, FakeRuns())
        seen = 0
        events = worker.work()
        for event in events:
            if isinstance(event, RunEvent) and isinstance(event.event, EpochDone):
                seen += 1
                if seen == 1 + count % 4:
                    worker.send(Stop(reason="interrupted"))
            if isinstance(event, WorkEnded) and event.reason == "spent":
                assert list(map(what, study.state().trials)) == list(map(what, whole.trials))
                assert count > 3
                return
    pytest.fail("the sweep does not end")


def test_another_seed_gives_other_trials(tmp_path: Path) -> None:
    one = trained(spec_with("trials = 3"), tmp_path / "one")
    other = trained(spec_with("trials = 3\nseed = 1"), tmp_path / "other")
    assert [t.settings for t in one.trials] != [t.settings for t in other.trials]


def test_tpe_learns(tmp_path: Path) -> None:
    state = trained(spec_with('trials = 40\npruning = "none"'), tmp_path / "sweep")
    first, last = state.trials[:10], state.trials[-10:]

    def mean(trials: tuple[TrialState, ...]) -> float:
        return sum(trial.value or 0 for trial in trials) / len(trials)

    assert mean(last) > mean(first) + 0.02


@pytest.mark.parametrize("code", sorted(FATAL))
def test_an_error_finding_ends_a_trial_with_its_title(tmp_path: Path, code: str) -> None:
    def extra(config: RunConfig) -> list[Event]:
        return [finding(code)] if config.base_lr > 0.1 else [finding(code, "warning")]

    state = trained(
        spec_with('trials = 8\npruning = "none"'), tmp_path / "s", FakeRuns(extra=extra)
    )
    for trial in state.trials:
        if trial.settings["lr"] > 0.1:
            assert (trial.phase, trial.reason) == ("pruned", f"title of {code}")
            assert (trial.finding, trial.epoch) == (code, 0)
        else:
            assert trial.phase == "completed"
    assert len({trial.phase for trial in state.trials}) == 2


def test_errors_of_the_data_end_no_trial(tmp_path: Path) -> None:
    runs = FakeRuns(extra=lambda config: [finding("constant_labels"), finding("leak")])
    state = trained(spec_with('trials = 3\npruning = "none"'), tmp_path / "sweep", runs)
    assert {trial.phase for trial in state.trials} == {"completed"}


def test_a_diverged_run_is_a_pruned_trial(tmp_path: Path) -> None:
    def extra(config: RunConfig) -> list[Event]:
        return [Diverged(step=3, epoch=1, lr=0.1)]

    state = trained(spec_with("trials = 2"), tmp_path / "sweep", FakeRuns(extra=extra))
    assert [(t.phase, t.finding) for t in state.trials] == [("pruned", "divergence")] * 2


def test_a_trial_whose_settings_were_changed_does_not_count(tmp_path: Path) -> None:
    change = SettingChanged(setting="base_lr", old=0.1, new=0.5, step=3, epoch=1, images=192)

    def extra(config: RunConfig) -> list[Event]:
        return [change] if config.base_lr > 0.1 else []

    spec = spec_with('trials = 8\npruning = "none"')
    state = trained(spec, tmp_path / "sweep", FakeRuns(extra=extra))
    phases = {trial.settings["lr"] > 0.1: trial.phase for trial in state.trials}
    assert phases == {True: "failed", False: "completed"}
    reasons = {trial.reason for trial in state.trials if trial.phase == "failed"}
    assert reasons == {"a setting was changed in the run: lr 0.1 → 0.5"}


def test_a_trial_that_falls_behind_is_stopped_and_not_trained_further(tmp_path: Path) -> None:
    runs = FakeRuns()
    state = trained(spec_with("trials = 16", top="epochs = 9"), tmp_path / "sweep", runs)
    pruned = [trial for trial in state.trials if trial.phase == "pruned"]
    assert len(pruned) > 5
    assert {trial.epoch for trial in pruned} <= {1, 3}
    assert all(trial.reason.startswith(f"epoch {trial.epoch}: ") for trial in pruned)
    assert runs.epochs == sum(trial.epoch for trial in state.trials)


def test_the_objective_is_the_mean_over_the_seeds(tmp_path: Path) -> None:
    spec = spec_with('trials = 2\nseeds = 3\npruning = "none"', top="epochs = 2\nseed = 5")
    runs = FakeRuns()
    state = trained(spec, tmp_path / "sweep", runs)
    assert [config.seed for config in runs.configs] == [5, 6, 7] * 2
    assert runs.folders[:3] == ["trial-001-seed-5", "trial-001-seed-6", "trial-001-seed-7"]
    trial = state.trials[0]
    assert trial.mean is not None
    assert trial.value == pytest.approx(sum(trial.values) / 3)
    assert (trial.epoch, trial.epochs, len(trial.values)) == (6, 6, 3)


def test_a_clearly_worse_trial_is_not_trained_with_its_other_seeds(tmp_path: Path) -> None:
    space = "lr = [0.1, 0.09, 0.01]"
    spec = spec_with('sampler = "grid"\nseeds = 4\npruning = "median"\nseed = 5', space)
    state = trained(spec, tmp_path / "sweep")
    assert [trial.settings["lr"] for trial in state.trials][-1] == 0.01
    assert [trial.phase for trial in state.trials] == ["completed", "completed", "pruned"]
    worst = state.trials[-1]
    assert len(worst.values) == 1
    assert worst.reason.startswith("after 1 of 4 seeds: ")
    assert "clearly worse than the best trial there" in worst.reason


def test_a_grid_is_trained_once_through(tmp_path: Path) -> None:
    space = "lr = [0.1, 0.2]\nbatch_size = { low = 32, high = 96, step = 32 }"
    state = trained(spec_with('sampler = "grid"\npruning = "none"', space), tmp_path / "sweep")
    assert state.ended == "all combinations of the grid"
    assert len({tuple(trial.settings.values()) for trial in state.trials}) == 6


def test_combinations_that_exclude_each_other_fail(tmp_path: Path) -> None:
    space = "momentum = [0.0, 0.9]\nnesterov = [true, false]"
    state = trained(spec_with('sampler = "grid"\npruning = "none"', space), tmp_path / "sweep")
    failed = [trial for trial in state.trials if trial.phase == "failed"]
    assert [dict(trial.settings) for trial in failed] == [{"momentum": 0.0, "nesterov": True}]
    assert "nesterov" in failed[0].reason
    assert state.is_over


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("out of\nmemory"), "RuntimeError: out of memory"),
        (InputError("net.py:Net: has no parameters"), "net.py:Net: has no parameters"),
    ],
)
def test_a_run_that_raises_is_a_failed_trial(tmp_path: Path, error: Exception, reason: str) -> None:
    def accuracy(config: RunConfig, epoch: int) -> float:
        if config.base_lr > 0.1:
            raise error
        return accuracy_of(config, epoch)

    spec = spec_with('trials = 8\npruning = "none"')
    state = trained(spec, tmp_path / "sweep", FakeRuns(accuracy=accuracy))
    for trial in state.trials:
        is_bad = trial.settings["lr"] > 0.1
        assert (trial.phase, trial.reason) == (("failed", reason) if is_bad else ("completed", ""))


def test_a_sweep_in_which_nothing_works_ends(tmp_path: Path) -> None:
    runs = FakeRuns(extra=lambda config: [RunFailed(message="no", traceback="")])
    study = Study.create(spec_with("trials = 50"), tmp_path / "sweep")
    *_, last = Worker(study, runs).work()
    assert last == WorkEnded("failing", "5 trials in a row have failed: no")
    assert len(study.state().trials) == 5


def test_a_run_that_cannot_be_recorded_ends_the_sweep_and_its_trial_waits(tmp_path: Path) -> None:
    def start(*arguments: object) -> Any:
        raise InputError("runs: cannot be written: No space left on device")

    study = Study.create(spec_with(), tmp_path / "sweep")
    with pytest.raises(InputError, match="No space left"):
        for _ in Worker(study, start).work():
            pass
    assert [trial.phase for trial in study.state().trials] == ["waiting"]


def test_a_full_disk_under_the_journal_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.create(spec_with(), tmp_path / "sweep")
    storage: Any = study.storage
    storage._backend.patience = None  # it would wait for room

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"study\.log: cannot be used: .*No space left"):
        study.next_trial("me:1")
    monkeypatch.undo()
    assert study.state().trials == ()  # nothing of the failed attempt is left


@pytest.mark.parametrize(
    ("limit", "ended", "most"),
    [("epochs = 10", "10 epochs trained", 12), ("trials = 4", "4 trials", 12)],
)
def test_no_trial_begins_after_a_limit(tmp_path: Path, limit: str, ended: str, most: int) -> None:
    runs = FakeRuns()
    state = trained(spec_with(f'{limit}\npruning = "none"'), tmp_path / "sweep", runs)
    assert (state.ended, state.is_over) == (ended, True)
    assert runs.epochs == most


def test_minutes_are_those_in_which_a_worker_trained(tmp_path: Path) -> None:
    now = [1_000.0]
    spec = spec_with('minutes = 1\npruning = "none"')
    Study.create(spec, tmp_path / "sweep")

    def accuracy(config: RunConfig, epoch: int) -> float:
        now[0] += 10
        return 0.5

    for is_first in (True, False):
        study = Study.open(tmp_path / "sweep")
        study._clock = lambda: now[0]
        worker = Worker(study, FakeRuns(accuracy=accuracy))
        for event in worker.work():
            if is_first and isinstance(event, RunEvent) and event.number == 2:
                worker.send(Stop(reason="interrupted"))
        now[0] += 100_000  # nobody trains
    state = study.state()
    assert state.ended == "1 minute of training"
    assert 60 <= state.seconds < 120


def test_more_trials_of_a_finished_sweep(tmp_path: Path) -> None:
    first = trained(spec_with("trials = 4"), tmp_path / "sweep")
    study = Study.open(tmp_path / "sweep")
    study.set_budget(trials=6)
    for _ in Worker(study, FakeRuns()).work():
        pass
    assert list(map(what, study.state().trials))[:4] == list(map(what, first.trials))
    whole = trained(spec_with("trials = 6"), tmp_path / "whole")
    assert list(map(what, study.state().trials)) == list(map(what, whole.trials))


def test_relative_paths_lead_from_where_the_sweep_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "net.py").touch()
    monkeypatch.chdir(here)
    space = 'model = ["net.py:Net", "net:make", "tiny", "torchvision.models:alexnet"]'
    Study.create(spec_with(space=space, top='data_dir = "digits"'), tmp_path / "sweep")
    monkeypatch.chdir(there)
    spec = Study.open(tmp_path / "sweep").spec
    choice = spec.space["model"]
    assert isinstance(choice, Choice)
    configs = [config_of(spec, {"model": value}, 0) for value in choice.values]
    assert {config.data_dir for config in configs} == {f"{here}/digits"}
    assert [config.model for config in configs] == [
        f"{here}/net.py:Net",
        f"{here}/net.py:make",
        "tiny",
        "torchvision.models:alexnet",
    ]
    here.rename(tmp_path / "elsewhere")  # as on another machine
    assert config_of(spec, {"model": "net.py:Net"}, 0).model == "net.py:Net"


def damage(name: str) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        lines[3] = lines[3][:20] + b"\n"
        path.write_bytes(b"".join(lines))

    def other_schema(path: Path) -> None:
        path.write_text('{"op_code":99,"worker_id":"x"}\n' + path.read_text())

    def text(path: Path) -> None:
        path.write_text("hello\nworld\n")

    def binary(path: Path) -> None:
        path.write_bytes(bytes(range(256)) * 9)

    def empty(path: Path) -> None:
        path.write_text("")

    def foreign(path: Path) -> None:
        path.write_text(path.read_text().replace('"format":1', '"format":7'))

    return locals()[name]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["cut", "other_schema", "text", "binary", "empty", "foreign"])
def test_a_journal_that_cannot_be_used_is_one_line(tmp_path: Path, kind: str) -> None:
    trained(spec_with("trials = 2"), tmp_path / "sweep")
    damage(kind)(tmp_path / "sweep" / "study.log")
    with pytest.raises(InputError) as caught:
        Study.open(tmp_path / "sweep")
    assert "study.log: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_of_another_sweep_file_is_refused(tmp_path: Path) -> None:
    trained(spec_with("trials = 2"), tmp_path / "sweep")
    other = spec_with("trials = 2", "lr = [0.1, 0.2]")
    (tmp_path / "sweep" / "sweep.toml").write_text(other.text)
    with pytest.raises(InputError, match="belongs to another sweep file"):
        Study.open(tmp_path / "sweep")


def test_a_folder_has_one_sweep(tmp_path: Path) -> None:
    trained(spec_with("trials = 1"), tmp_path / "sweep")
    with pytest.raises(InputError, match=r"already contains sweep\.toml; .* --resume"):
        Study.create(spec_with(), tmp_path / "sweep")


def test_a_stopped_process_that_comes_back_does_not_disturb(tmp_path: Path) -> None:
    study = Study.create(spec_with(), tmp_path / "sweep")
    claim = study.next_trial("me:1")
    assert claim is not None
    study.release(claim)
    other = study.next_trial("me:2")
    assert other is not None
    assert (other.number, other.settings) == (claim.number, claim.settings)
    with pytest.raises(TakenOverError):
        study.report(claim, 1, 0.5)
    with pytest.raises(TakenOverError):
        study.prune(claim, "late")
    claim.values.append(0.5)
    with pytest.raises(TakenOverError):
        study.complete(claim)
    assert [trial.phase for trial in study.state().trials] == ["running"]
