"""The verdict on the target accuracy of a run."""

from __future__ import annotations

import pytest

from tests.headless.fakes import epoch_done, finished, started
from tui_trainer.history.run_state import RunState
from tui_trainer.history.target import Target, Verdict, verdict_on
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import SettingError

LAST_3 = Target(0.994, 3)


def verdict(*correct: int | None, target: Target = LAST_3, reason: str = "completed") -> Verdict:
    """The verdict on a run with these correct predictions of 500 in its epochs."""
    epochs = [epoch_done(number, correct=count) for number, count in enumerate(correct, 1)]
    run = RunState.of([started(epochs=len(correct)), *epochs, finished(reason)])
    return verdict_on(run, target)


def test_the_target_is_reached_if_each_of_the_last_epochs_reaches_it() -> None:
    found = verdict(300, 497, 499, 498)
    assert found.is_reached
    assert found.line == (
        "target reached: validation at least 99.40 % in each of the last 3 epochs; lowest 99.40 % "
        "(epoch 2)"
    )


def test_one_epoch_below_it_misses_the_target() -> None:
    found = verdict(499, 499, 496, 498)
    assert not found.is_reached
    assert found.line == (
        "target missed: validation at least 99.40 % in 2 of the last 3 epochs; lowest 99.20 % "
        "(epoch 3), 0.20 points below"
    )
    assert found.short == "2/3 ≥ 99.40 %"


def test_epochs_before_the_last_ones_do_not_count() -> None:
    assert verdict(0, 0, 498, 498, 498).is_reached


def test_a_target_that_rounding_would_hide_has_more_digits() -> None:
    found = verdict(497, 497, 497, target=Target(0.99404, 3))
    assert "lowest 99.40000 % (epoch 1), 0.00400 points below" in found.reason


def test_the_last_epoch_alone() -> None:
    assert verdict(0, 498, target=Target(0.994, 1)).line == (
        "target reached: validation at least 99.40 % in the last epoch; lowest 99.60 % (epoch 2)"
    )
    assert verdict(498, 0, target=Target(0.994, 1)).line == (
        "target missed: validation 0.00 % in the last epoch (2), 99.40 points below 99.40 %"
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (verdict(499, 499), "only 2 epochs of the last 3 are done; the target is 99.40 %"),
        (verdict(target=Target(0.994, 1)), "no epoch is done; the target is 99.40 %"),
        (
            verdict(499, None, 499),
            "without validation images; the target is 99.40 %: add --val-size",
        ),
        (
            verdict(499, 499, 499, reason="diverged"),
            "the training diverged; the target is 99.40 %",
        ),
    ],
)
def test_what_was_not_measured_is_missed(found: Verdict, why: str) -> None:
    assert not found.is_reached
    assert found.reason == why


def test_without_last_the_test_accuracy_decides() -> None:
    assert verdict(0, target=Target(0.9931)).line == (
        "target reached: test 99.31 % reaches the target of 99.31 %"
    )
    assert not verdict(500, target=Target(0.994)).is_reached


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"last": 5}, "needs a target; add --target-accuracy 0.994"),
        (
            {"last": 5, "target_accuracy": 0.9, "val_size": 0},
            "needs validation images, and val_size is 0; add --val-size 5000",
        ),
        (
            {"last": 5, "target_accuracy": 0.9, "epochs": 4},
            "needs as many epochs, and the run has 4; add --epochs 5 or more",
        ),
    ],
)
def test_a_target_that_cannot_be_reached_is_refused(settings: dict[str, int], problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        RunConfig(**settings).check_target()  # type: ignore[arg-type]
    assert (caught.value.key, caught.value.problem) == ("last", problem)


def test_a_target_on_a_sealed_test_set_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        RunConfig(target_accuracy=0.9, test=False).check_target()
    assert caught.value.key == "target_accuracy"
    RunConfig(target_accuracy=0.9, last=2, test=False).check_target()


def test_the_target_of_a_run() -> None:
    assert Target.of(RunConfig().as_dict()) is None
    target = Target.of(RunConfig(target_accuracy=0.994, last=5).as_dict())
    assert target == Target(0.994, 5)
    assert target.words == "validation accuracy ≥ 99.40 % in each of the last 5 epochs"
    assert Target(0.994).words == "test accuracy ≥ 99.40 %"
