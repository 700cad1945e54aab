"""Importance on made functions whose truth is known."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.sweeps.made import MANY, SPACE, spec_of, sweep_of, trial_of
from tui_trainer.sweeps.advice import matters
from tui_trainer.sweeps.ended import place_of, terms, trials_needed
from tui_trainer.sweeps.importance import importance_of, with_importance
from tui_trainer.sweeps.spec import Choice, Range, SweepSpec
from tui_trainer.sweeps.state import Importance, TrialState

REPEATS = 40


def lr_alone(settings: Mapping[str, Any], rng: random.Random) -> float:
    """Nothing but the learning rate matters; the best one lies within its range."""
    return 0.99 - 0.01 * (math.log10(settings["lr"]) + 0.8) ** 2 + rng.gauss(0, 0.002)


def noise(settings: Mapping[str, Any], rng: random.Random) -> float:
    """Nothing matters."""
    return 0.99 + rng.gauss(0, 0.002)


def by_name(found: tuple[Importance, ...]) -> dict[str, Importance]:
    return {each.setting: each for each in found}


def repeats(objective: Any, count: int = 40) -> list[dict[str, Importance]]:
    return [
        by_name(sweep_of(count, seed=seed, function=objective, failed=0.0).importance)
        for seed in range(REPEATS)
    ]


def test_the_setting_that_matters_is_found() -> None:
    found = repeats(lr_alone)
    assert sum(matters(each["lr"]) for each in found) >= 0.95 * REPEATS
    assert sum(max(each.values(), key=lambda i: i.share) is each["lr"] for each in found) == REPEATS


@pytest.mark.parametrize("objective", [lr_alone, noise])
def test_a_setting_without_influence_has_an_interval_that_reaches_0(objective: Any) -> None:
    found = repeats(objective)
    for name in ("model", "batch_size", "label_smoothing"):
        assert sum(not matters(each[name]) for each in found) >= 0.93 * REPEATS


def test_where_nothing_matters_the_shares_are_small_and_do_not_add_up_to_1() -> None:
    shares = [sum(each.share for each in found.values()) for found in repeats(noise)]
    assert float(np.mean(shares)) < 0.35


def test_the_interval_contains_the_true_share() -> None:
    true = by_name(sweep_of(4_000, function=lr_alone, pruned=0.0, failed=0.0).importance)["lr"]
    found = [
        by_name(sweep_of(40, seed=seed, function=lr_alone, pruned=0.0, failed=0.0).importance)
        for seed in range(REPEATS)
    ]
    inside = [each["lr"].low <= true.share <= each["lr"].high for each in found]
    assert sum(inside) >= 0.9 * REPEATS


def test_the_same_trials_have_the_same_intervals() -> None:
    assert sweep_of(40).importance == sweep_of(40).importance


def test_too_few_trials_have_no_importance() -> None:
    needed = trials_needed(spec_of())
    state = sweep_of(needed - 1, running=0, failed=0.0)
    assert state.importance == ()
    assert len(sweep_of(needed, running=0, failed=0.0).importance) == len(SPACE)


def test_trials_that_are_equally_good_have_no_importance() -> None:
    assert sweep_of(40, function=lambda settings, rng: 0.9, pruned=0.0).importance == ()


def test_only_completed_and_pruned_trials_count() -> None:
    state = sweep_of(40, failed=0.0)
    failed = [
        replace(trial, phase="failed", values=(), finding="", number=trial.number + 100)
        for trial in state.trials[:20]
    ]
    assert importance_of(state.spec, [*state.trials, *failed]) == state.importance
    ended_by_a_finding = [replace(trial, finding="diverged") for trial in failed]
    assert importance_of(state.spec, [*state.trials, *ended_by_a_finding]) != state.importance


def test_a_minimized_objective_has_the_same_importance() -> None:
    state = sweep_of(40, failed=0.0)
    trials = [replace(t, values=tuple(1 - value for value in t.values)) for t in state.trials]
    loss = replace(state.spec, objective="val_loss")
    assert importance_of(loss, trials) == state.importance


def test_a_value_that_no_trial_has_does_no_harm() -> None:
    space = {"lr": SPACE["lr"], "model": Choice(("small", "tiny", "era-s6"))}
    spec, rng = spec_of(space), random.Random(1)
    trials = [trial_of(number, spec, rng, function=lr_alone) for number in range(1, 60)]
    trials = [trial for trial in trials if trial.settings["model"] != "era-s6"]
    found = by_name(importance_of(spec, trials))
    assert found["lr"].low > 0
    assert all(0 <= bound <= 1 for each in found.values() for bound in (each.low, each.high))


def test_importance_is_added_to_a_state() -> None:
    state = replace(sweep_of(40), importance=())
    assert with_importance(state).importance == sweep_of(40).importance


@pytest.mark.slow
def test_of_the_trials_of_tpe_too_the_setting_that_matters_is_found() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = [by_name(importance_of(*tpe_sweep(optuna, seed))) for seed in range(30)]
    # TPE soon tries hardly any bad learning rates: in a third of the sweeps what is left between
    # the good ones does not exclude chance.
    assert sum(max(each.values(), key=lambda i: i.share) is each["lr"] for each in found) >= 27
    assert sum(matters(each["lr"]) for each in found) >= 15
    for name in ("model", "batch_size", "label_smoothing"):
        assert sum(not matters(each[name]) for each in found) >= 28


def tpe_sweep(optuna: Any, seed: int) -> tuple[SweepSpec, list[TrialState]]:
    """Return 40 trials that TPE has chosen."""
    spec, rng, trials = spec_of(), random.Random(seed), list[TrialState]()
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(1, 41):
        asked = study.ask()
        settings = {
            "lr": asked.suggest_float("lr", 0.01, 1.0, log=True),
            "model": asked.suggest_categorical("model", ["small", "tiny"]),
            "batch_size": asked.suggest_int("batch_size", 32, 512, log=True),
            "label_smoothing": asked.suggest_float("label_smoothing", 0.0, 0.2),
        }
        value = lr_alone(settings, rng)
        study.tell(asked, value)
        trials.append(
            TrialState(number=number, phase="completed", settings=settings, values=(value,))
        )
    return spec, trials


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (Range(0.0, 1.0), 2),
        (Range(0.0, 1.0, step=1.0), 1),
        (Range(0, 1, is_integer=True), 1),
        (Range(0, 2, is_integer=True), 2),
        (Range(0.5, 0.5), 0),
        (Choice(("a", "b", "c")), 2),
        (Choice((True,)), 0),
    ],
)
def test_terms(dimension: Any, expected: int) -> None:
    assert terms(dimension) == expected


def test_places() -> None:
    assert place_of(Range(0.01, 1.0, log=True), 0.1) == pytest.approx(0.5)
    assert place_of(Range(0.0, 0.5), 0.5) == 1.0
    assert place_of(Choice((1, True, None)), True) == 1
    assert place_of(Choice((1, True, None)), None) == 2


def test_many_settings_need_more_trials() -> None:
    assert trials_needed(spec_of(MANY)) > trials_needed(spec_of())
