from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.made import SPACE, sweep_of
from tui_trainer.protocol.config_file import compose, read_config
from tui_trainer.recording.folder import RunFolder
from tui_trainer.stats.selection import expected_maximum
from tui_trainer.sweeps.advice import advice_on, commands_of, importance_gap, optimism_of
from tui_trainer.sweeps.best_settings import best_config, write_best
from tui_trainer.sweeps.spec import Range
from tui_trainer.sweeps.state import Importance, SweepState

IMPORTANT = (
    Importance(setting="lr", share=0.6, low=0.3, high=0.8),
    Importance(setting="model", share=0.1, low=0.0, high=0.2),
    Importance(setting="batch_size", share=0.0, low=0.0, high=0.1),
    Importance(setting="label_smoothing", share=0.0, low=0.0, high=0.1),
)


def words(state: SweepState) -> str:
    return "\n".join(sentence.text for sentence in advice_on(state))


def with_best(state: SweepState, **settings: Any) -> SweepState:
    """Return a sweep whose best trial has other settings."""
    best = state.best
    assert best is not None
    trials = [
        replace(trial, settings={**trial.settings, **settings}) if trial is best else trial
        for trial in state.trials
    ]
    return replace(state, trials=tuple(trials), importance=IMPORTANT)


def test_what_mattered_and_what_did_not() -> None:
    text = words(replace(sweep_of(40), importance=IMPORTANT))
    assert "What mattered: lr explains 60 % [30, 80] of the differences" in text
    assert (
        "Not shown to matter: model, batch_size, label_smoothing; each may explain nothing, "
        in (text)
    )
    assert "at most 20 %" in text


def test_a_wide_interval_leaves_the_question_open() -> None:
    wide = (IMPORTANT[0], replace(IMPORTANT[1], high=0.7))
    text = words(replace(sweep_of(40), importance=wide))
    assert "Not shown to matter: model. That does not say that they do not" in text
    assert "from 0 to 70 %" in text


def test_too_few_trials_are_counted() -> None:
    gap = importance_gap(sweep_of(10, failed=0.0))
    assert gap == "importance needs 24 completed or pruned trials for 4 settings; 10 are there"
    assert "What mattered" not in words(sweep_of(10))


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (0.98, "The best lr, 0.98, is at the edge of its range: raise high from 1 to 3.2."),
        (
            0.0101,
            "The best lr, 0.0101, is at the edge of its range: lower low from 0.01 to 0.0032.",
        ),
        (0.2, ""),
    ],
)
def test_a_best_value_at_the_edge_of_its_range(value: float, advice: str) -> None:
    text = words(with_best(sweep_of(40), lr=value))
    assert (advice in text) if advice else ("edge" not in text)


def test_the_edge_of_a_setting_that_is_not_shown_to_matter_is_ignored() -> None:
    assert "edge" not in words(with_best(sweep_of(40), lr=0.2, label_smoothing=0.2))


def test_with_few_trials_an_edge_is_unsure() -> None:
    few = replace(with_best(sweep_of(10), lr=0.99), importance=())
    assert "if that is not chance: there are few trials" in words(few)


@pytest.mark.parametrize(
    ("name", "dimension", "value"),
    [
        ("label_smoothing", Range(0.0, 0.2), 0.0),
        ("dropout", Range(0.5, 0.95), 0.95),
        ("epochs", Range(1, 5, is_integer=True), 1),
    ],
)
def test_a_range_is_not_widened_beyond_the_values_of_the_setting(
    name: str, dimension: Range, value: float
) -> None:
    state = sweep_of(40, {"lr": SPACE["lr"], name: dimension})
    shown = (Importance(setting=name, share=0.6, low=0.3, high=0.8),)
    assert name not in words(replace(with_best(state, **{name: value}), importance=shown)).replace(
        f"What mattered: {name}", ""
    )


def test_the_edge_of_integers_moves_by_whole_steps() -> None:
    space = {"lr": SPACE["lr"], "batch_size": Range(64, 256, step=64, is_integer=True)}
    shown = (Importance(setting="batch_size", share=0.6, low=0.3, high=0.8),)
    state = replace(with_best(sweep_of(40, space), batch_size=256), importance=shown)
    assert "raise high from 256 to 320" in words(state)


def test_pruned_and_failed_trials_are_counted_with_their_reason() -> None:
    state = sweep_of(40)
    pruned = [trial for trial in state.trials if trial.phase == "pruned"]
    diverged = sum(trial.finding == "diverged" for trial in pruned)
    text = words(state)
    assert 0 < diverged < len(pruned)
    assert f"{len(pruned)} of 41 trials were pruned: {diverged} by the finding diverged" in text
    assert "trials failed: FileNotFoundError: data/train-images" in words(sweep_of(80, failed=0.3))


def test_the_winner_of_one_seed_is_optimistic_by_the_noise_of_the_validation_images() -> None:
    state = sweep_of(40)
    best, found = state.best, optimism_of(state)
    assert best is not None
    assert best.value is not None
    assert found is not None
    assert found.values == len(state.completed)
    assert found.standard_deviation == pytest.approx((best.value * (1 - best.value) / 5000) ** 0.5)
    assert found.most == pytest.approx(expected_maximum(found.values) * found.standard_deviation)
    assert "is optimistic" in words(state)
    assert "differences between seeds are not measured" in words(state)


def test_the_winner_of_several_seeds_is_optimistic_by_their_differences() -> None:
    state = sweep_of(40, seeds=3)
    found = optimism_of(state)
    assert found is not None
    assert "3 seeds" in found.source
    assert "differences between seeds are not measured" not in words(state)


def test_the_best_epoch_of_each_run_is_a_maximum_too() -> None:
    state = sweep_of(40, objective="val_loss")
    assert optimism_of(state) is None
    assert "does not say by how much" in words(state)
    best = replace(sweep_of(40), spec=replace(sweep_of(40).spec, objective="best_val_accuracy"))
    found = optimism_of(best)
    assert found is not None
    assert found.values == 4 * len(best.completed)


def test_the_commands_train_fresh_seeds() -> None:
    state = sweep_of(40, seeds=3, folder=Path("runs/a sweep"))
    again, final = [command.text for command in commands_of(state)]
    assert again == (
        "mnist-tui seeds --config 'runs/a sweep/best.toml' --seeds 5 --seed 3 --no-test"
    )
    assert final.endswith("--seed 3 --val-size 0")
    assert "--no-test" not in final


def test_a_sweep_on_a_part_of_the_images_trains_its_best_on_all(tmp_path: Path) -> None:
    state = sweep_of(40, folder=tmp_path)
    assert "other settings may be best" not in words(state)
    base = replace(state.spec.base, train_size=2_000)
    state = replace(state, spec=replace(state.spec, base=base))
    again, final = [command.text for command in commands_of(state)]
    assert again.endswith("--no-test --train-size 2000")
    assert final.endswith("--val-size 0")
    config = best_config(state)
    assert config is not None
    assert config.train_size is None
    assert "trained on 2,000 images; on all of them other settings may be best" in words(state)


def test_without_a_completed_trial_there_is_nothing_to_train(tmp_path: Path) -> None:
    state = sweep_of(0, folder=tmp_path)
    assert commands_of(state) == []
    assert write_best(state) is None
    assert not list(tmp_path.iterdir())


def test_the_best_settings_are_written_with_a_fresh_seed(tmp_path: Path) -> None:
    state = sweep_of(40, folder=tmp_path)
    path = write_best(state)
    assert path == tmp_path / "best.toml"
    assert state.best is not None
    config = compose(read_config(path))
    assert config.seed == 1
    assert config.test
    assert {name: getattr(config, name) for name in SPACE} == dict(state.best.settings)
    written = path.stat().st_mtime_ns
    write_best(state)
    assert path.stat().st_mtime_ns == written


def test_the_best_settings_are_those_of_its_run(tmp_path: Path) -> None:
    state = sweep_of(40, folder=tmp_path)
    assert state.best is not None
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.config.write_text('model = "tiny"\nepochs = 7\ntest = false\n', encoding="utf-8")
    best = replace(state.best, runs=(run.path,))
    config = best_config(replace(state, trials=(best,)))
    assert config is not None
    assert (config.model, config.epochs, config.test, config.seed) == ("tiny", 7, True, 1)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    assert write_best(sweep_of(40, folder=tmp_path / "missing")) is None
