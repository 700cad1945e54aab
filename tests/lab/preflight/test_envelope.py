"""The healthy runs: their content, and which of them a run is compared with."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.benchmarks import envelope as made
from tui_trainer.models import zoo
from tui_trainer.protocol.config import OPTIMIZERS
from tui_trainer.stats.envelope import (
    Asked,
    HealthyRun,
    Reached,
    alike,
    all_runs,
    healthy_runs,
    most_expected,
)

ASKED = Asked(
    dataset="mnist",
    train_size=55_000,
    classes=10,
    parameters=19_568,
    has_norm=True,
    optimizer="sgd",
    base_lr=0.1,
    schedule="one-cycle",
    batch_size=128,
)


def healthy(loss: float) -> HealthyRun:
    reached = Reached(train_loss=loss, val_loss=loss, val_accuracy=0.5)
    return replace(healthy_runs()[0], first_steps=reached)


def test_the_healthy_runs_are_those_of_the_benchmark() -> None:
    planned = {
        (c.model, c.optimizer, c.schedule, c.seed, c.batch_size, c.base_lr)
        for c in made.runs(made.MODELS, 1)
    }

    measured = {
        (r.model, r.optimizer, r.schedule, r.seed, r.batch_size, r.base_lr) for r in all_runs()
    }

    assert measured <= planned
    assert {(model, optimizer) for model, optimizer, *_ in measured} == {
        (model, optimizer) for model in made.MODELS for optimizer in made.OPTIMIZERS
    }


def test_the_healthy_runs_are_of_zoo_models_that_learned() -> None:
    assert 0 < len(all_runs()) - len(healthy_runs()) <= len(all_runs()) // 8
    for run in healthy_runs():
        assert run.model in zoo.REGISTRY
        assert 0 < run.first_steps.val_accuracy < 1
        assert 0 < run.first_epoch.train_loss < run.first_steps.train_loss < 2.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("has_norm", [True, False])
def test_the_default_run_has_a_reference(optimizer: str, has_norm: bool) -> None:
    lr = 0.1 if optimizer == "sgd" else 0.003
    asked = replace(ASKED, optimizer=optimizer, base_lr=lr, has_norm=has_norm)
    found, why_not = alike(asked, healthy_runs())

    assert len(found) >= 3
    assert why_not == ""
    assert {run.has_norm for run in found} == {has_norm}
    assert {run.schedule for run in found} == {"one-cycle"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "kmnist"}, "no reference for kmnist"),
        ({"classes": 5}, "no reference for mnist"),
        ({"train_size": 500}, "not 500"),
        ({"batch_size": 512}, "batch size"),
        ({"base_lr": 1.0}, "learning rate"),
        ({"parameters": 11_000_000}, "size"),
    ],
)
def test_a_missing_reference_has_a_reason(changes: dict[str, object], words: str) -> None:
    found, why_not = alike(replace(ASKED, **changes), healthy_runs())  # type: ignore[arg-type]

    assert found == []
    assert words in why_not


def test_another_healthy_run_rarely_exceeds_the_limit() -> None:
    some = [healthy(loss) for loss in (2.2, 2.1, 1.9)]
    many = [healthy(loss) for loss in (2.2, 2.1, 1.9) * 4]

    assert 2.2 < most_expected(many) < most_expected(some) < math.log(10)
    # By hand: below guessing by 0.1026, 0.2026, 0.4026; logarithms -2.277, -1.597, -0.910; their
    # mean -1.594, their std 0.6836; t of two degrees 4.303, times the root of 4/3.
    assert math.log(10) - most_expected(some) == pytest.approx(math.exp(-1.594 - 3.397), abs=1e-3)
