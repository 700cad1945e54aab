from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.schedules import WARM_UP, factor

EPOCHS = 20


def config(schedule: str, **more: object) -> RunConfig:
    return RunConfig(schedule=schedule, epochs=EPOCHS, **more)  # type: ignore[arg-type]


def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(scheduler: LRScheduler, count: int) -> list[float]:
    """Return the first learning rates of a torch scheduler with base learning rate 1."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of missing optimizer steps
        for _ in range(count):
            found.append(float(scheduler.get_last_lr()[0]))
            scheduler.step()
    return found


def test_constant_schedule() -> None:
    assert [factor(config("constant"), place / 7) for place in range(200)] == [1.0] * 200


@pytest.mark.parametrize(("step_size", "gamma"), [(15, 0.1), (3, 0.5), (1, 0.9), (20, 0.1)])
def test_step_matches_torch(step_size: int, gamma: float) -> None:
    theirs = rates(StepLR(optimizer(), step_size, gamma), EPOCHS)
    run = config("step", step_size=step_size, gamma=gamma)
    assert [factor(run, epoch) for epoch in range(EPOCHS)] == pytest.approx(theirs)
    # Constant within an epoch, for any number of batches.
    assert [factor(run, epoch + 0.999) for epoch in range(EPOCHS)] == pytest.approx(theirs)


@pytest.mark.parametrize("images", [55_000, 60_000, 7, 49_999])
def test_step_decays_at_the_first_batch_of_an_epoch(images: int) -> None:
    run = config("step", step_size=3)
    for epoch in range(1, EPOCHS):
        first = factor(run, epoch * images / images)
        assert first == pytest.approx(0.1 ** (epoch // 3))
        assert factor(run, (epoch * images - 1) / images) == pytest.approx(
            0.1 ** ((epoch - 1) // 3)
        )


def test_cosine_matches_torch() -> None:
    batches = 50
    theirs = rates(CosineAnnealingLR(optimizer(), T_max=EPOCHS * batches), EPOCHS * batches + 1)
    ours = [factor(config("cosine"), step / batches) for step in range(EPOCHS * batches + 1)]
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert ours[-1] == 0


def test_one_cycle_matches_torch() -> None:
    """The two phases of torch end one step early, so each is compared over its own length."""
    total = 1_000
    theirs = rates(OneCycleLR(optimizer(), 1.0, total, cycle_momentum=False), total)
    peak = total * WARM_UP - 1
    for step, lr in enumerate(theirs):
        if step <= peak:
            place = WARM_UP * step / peak
        else:
            place = WARM_UP + (1 - WARM_UP) * (step - peak) / (total - 1 - peak)
        assert factor(config("one-cycle"), place * EPOCHS) == pytest.approx(lr, rel=1e-6)


def test_one_cycle_by_hand() -> None:
    run = config("one-cycle")
    assert factor(run, 0) == pytest.approx(1 / 25)
    assert factor(run, 0.15 * EPOCHS) == pytest.approx((1 / 25 + 1) / 2)
    assert factor(run, 0.3 * EPOCHS) == pytest.approx(1)
    assert factor(run, 0.65 * EPOCHS) == pytest.approx(0.5, abs=1e-5)
    assert factor(run, EPOCHS) == pytest.approx(1 / 25 / 10_000)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one-cycle"])
def test_the_factor_is_between_0_and_1(schedule: str) -> None:
    run = config(schedule)
    places = [EPOCHS * number / 1_000 for number in range(1_001)] + [EPOCHS * (1 + 1e-12), 2e4]
    for place in places:
        assert 0 <= factor(run, place) <= 1
        assert math.isfinite(factor(run, place))
    if schedule != "step":
        assert factor(run, EPOCHS + 5) == factor(run, EPOCHS)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
def test_a_longer_run_has_the_same_shape(schedule: str) -> None:
    short, long = (RunConfig(schedule=schedule, epochs=epochs) for epochs in (5, 500))
    for number in range(101):
        assert factor(short, number / 20) == pytest.approx(factor(long, number * 5))
