"""The time budget of an answer, with a fake clock."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from tests.protocol.questions import ask_view
from tui_trainer.lab.ask import BACKGROUND_SHARE, CREDIT, INTERACTIVE_SHARE, Job, Scheduler
from tui_trainer.lab.context import Context
from tui_trainer.lab.predictions import NO_CLASS, Predictions, PredictionStore
from tui_trainer.protocol.commands import Mode

PART = 0.05
"""Seconds that a part takes."""

BATCH = 0.2


def spent(scheduler: Scheduler, batches: int) -> float:
    """Return the seconds of the slices that the budget allowed between batches."""
    now = total = 0.0
    for _ in range(batches):
        now += BATCH
        while scheduler.may_work(now):
            now += PART
            total += PART
            scheduler.spend(PART)
    return total


def at_work(*, is_background: bool) -> Scheduler:
    return Scheduler(job("confusion", mode="background" if is_background else "interactive"))


def job(view: str, mode: Mode = "interactive") -> Job:
    """A job whose context is never read."""
    return Job(ask_view(view, mode=mode), cast(Context, None), iter(()))


@pytest.mark.parametrize(
    ("is_background", "share"), [(True, BACKGROUND_SHARE), (False, INTERACTIVE_SHARE)]
)
def test_a_view_keeps_to_its_share_of_the_time(is_background: bool, share: float) -> None:
    batches = 2_000
    total = spent(at_work(is_background=is_background), batches)
    elapsed = batches * BATCH + total
    assert total <= CREDIT + share * elapsed + PART
    assert total >= share * elapsed - PART


def test_saved_up_time_is_limited_to_one_credit() -> None:
    scheduler = at_work(is_background=True)
    assert scheduler.may_work(0.0)
    assert scheduler.may_work(10_000.0)
    scheduler.spend(CREDIT)
    assert not scheduler.may_work(10_000.0)
    # A debt is paid back before the next slice.
    scheduler.spend(1.0)
    assert not scheduler.may_work(10_000.0 + 0.9 / BACKGROUND_SHARE)
    assert scheduler.may_work(10_000.0 + 1.1 / BACKGROUND_SHARE)


def test_an_overrun_is_charged_to_the_next_view() -> None:
    scheduler = at_work(is_background=True)
    scheduler.may_work(0.0)
    scheduler.spend(CREDIT + 1.0)
    scheduler.job = job("digits", mode="background")
    assert not scheduler.may_work(1.0)


def test_only_one_answer_is_in_progress() -> None:
    scheduler = at_work(is_background=False)
    assert scheduler.is_busy
    scheduler.job = None
    assert not scheduler.is_busy


def test_the_newest_predictions_of_each_split_are_kept() -> None:
    predictions = PredictionStore()
    probabilities, labels = torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([0, 0])
    for images, step in (("validation", 1), ("test", 1), ("validation", 2)):
        predictions.keep(Predictions(images, step, probabilities, labels))
    assert {name: found.step for name, found in predictions.by_split.items()} == {
        "validation": 2,
        "test": 1,
    }
    found = predictions.by_split["test"]
    assert found.predicted.tolist() == [1, 0]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.8])
    assert found.true_probability.tolist() == pytest.approx([0.1, 0.8])


def test_non_finite_probabilities_predict_no_class() -> None:
    """If it were class 0, a diverged model would classify every 0 correctly."""
    diverged = float("nan")
    probabilities = torch.tensor([[0.9, 0.1], [diverged, diverged], [0.2, diverged]])
    predictions = Predictions("validation", 1, probabilities, torch.tensor([0, 0, 1]))
    assert predictions.predicted.tolist() == [0, NO_CLASS, NO_CLASS]
