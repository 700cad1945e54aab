from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.protocol import facts
from tests.protocol.facts import changed, epoch_done, finished, started, step
from tui_trainer.findings import with_findings
from tui_trainer.findings.learning_rates import BURN_IN_IMAGES
from tui_trainer.findings.rule import CHECK_EVERY
from tui_trainer.protocol.events import (
    Diverged,
    EpochDone,
    Event,
    FindingCleared,
    FindingRaised,
    RunStarted,
    StateChanged,
    StepDone,
)

CODES = ("overfitting", "memorizing", "divergence")
ERROR = 0.001
FALLING = [0.50, 0.30, 0.20, 0.15, 0.12, 0.10, 0.08, 0.07, 0.06, 0.05, 0.04, 0.035, 0.03, 0.027]
RISING = [0.40, 0.25, 0.18, 0.15, 0.14, 0.141, 0.15, 0.158, 0.166, 0.175, 0.183, 0.19, 0.20, 0.21]
BEST = 5


def epochs(
    val: Sequence[float | None], train: Sequence[float] = FALLING, *, error: float = ERROR
) -> list[EpochDone]:
    return facts.epochs(val, train, error=error)


def findings(events: Sequence[Event]) -> list[FindingRaised | FindingCleared]:
    return facts.findings(events, CODES)


def raised(events: Sequence[Event]) -> list[FindingRaised]:
    return [event for event in findings(events) if isinstance(event, FindingRaised)]


def overfit(start: RunStarted | None = None, **more: Any) -> FindingRaised:
    """Return the one finding of a run that plainly overfits."""
    (found,) = raised([start or started(), *epochs(RISING, **more)])
    return found


# Overfitting


def test_a_persistent_rise_with_falling_training_loss_is_overfitting() -> None:
    found = overfit()
    assert (found.code, found.severity, found.lesson) == ("overfitting", "warning", 15)
    assert found.title == f"overfitting since epoch {BEST}"
    assert found.step == epoch_done(BEST).step


def test_the_evidence_has_the_numbers_it_rests_on() -> None:
    run = epochs(RISING)
    events_out = list(with_findings(iter([started(), *run])))
    place = next(i for i, event in enumerate(events_out) if getattr(event, "code", "") == CODES[0])
    now = next(event for event in reversed(events_out[:place]) if isinstance(event, EpochDone))
    found, then = events_out[place], run[BEST - 1]
    assert isinstance(found, FindingRaised)
    assert now.val_loss_rise is not None
    assert f"validation loss {then.val_loss:.4f} → {now.val_loss:.4f}" in found.evidence
    assert f"up {now.val_loss_rise:.4f}" in found.evidence
    assert f"({now.val_loss_rise / ERROR:.1f} standard errors" in found.evidence
    assert f"training loss fell {then.train_loss:.4f} → {now.train_loss:.4f}" in found.evidence


def test_it_is_raised_once_and_not_every_epoch() -> None:
    assert len(findings([started(), *epochs(RISING)])) == 1


def test_it_takes_three_epochs() -> None:
    for count in range(1, BEST + 3):
        assert not raised([started(), *epochs(RISING[:count])])
    assert raised([started(), *epochs([1.0, 1.1, 1.2, 1.3], [4.0, 3.0, 2.0, 1.0])])


def test_a_single_bad_epoch_is_none() -> None:
    healthy = [0.40, 0.25, 0.18, 0.15, 0.14, 0.139, 0.138, 0.137, 0.1365, 0.136, 0.1355, 0.135]
    for bad in range(1, len(healthy)):
        losses = [2.5 if i == bad else loss for i, loss in enumerate(healthy)]
        assert not findings([started(), *epochs(losses)])


def test_two_bad_epochs_in_a_row_are_none() -> None:
    losses = [*RISING[:BEST], 0.3, 0.31, 0.13, 0.129, 0.128]
    assert not findings([started(), *epochs(losses)])


def test_a_rising_training_loss_is_no_overfitting() -> None:
    worse = [*FALLING[:BEST], *(FALLING[BEST - 1] * (1 + n / 10) for n in range(1, 10))]
    assert not findings([started(), *epochs(RISING, worse)])


def test_none_of_the_last_three_may_have_trained_worse() -> None:
    first = next(n for n in range(len(RISING)) if raised([started(), *epochs(RISING[:n])]))
    for place in (first - 3, first - 2, first - 1):
        train = [*FALLING]
        train[place] = train[BEST - 1]
        assert not raised([started(), *epochs(RISING[:first], train)])


def test_a_rise_within_the_sampling_noise_is_none() -> None:
    assert not findings([started(), *epochs(RISING, error=0.1)])
    assert not findings([started(), *epochs(RISING, error=0.0)])  # a single validation image


@pytest.mark.parametrize(("errors", "fires"), [(2.9, False), (3.1, True)])
def test_the_last_epoch_decides_at_three_standard_errors(errors: float, fires: bool) -> None:
    error = (RISING[-1] - RISING[BEST - 1]) / errors
    assert bool(raised([started(), *epochs(RISING, error=error)])) == fires


def test_each_of_the_three_epochs_must_be_two_standard_errors_above() -> None:
    losses = [*RISING[:BEST], 0.145, 0.15, 0.155, 0.16, 0.165, 0.17, 0.175, 0.18, 0.21]
    late = 0.07 / 3.1  # the last three are 1.5, 1.8 and 3.1 standard errors above the best
    assert not findings([started(), *epochs(losses, error=late)])
    losses[-3:-1] = [0.186, 0.187]  # 2.04, 2.08
    assert raised([started(), *epochs(losses, error=late)])


def test_without_validation_there_is_no_finding() -> None:
    assert not findings([started(), *epochs([None] * 12)])


def test_an_epoch_that_could_not_be_validated_is_left_out() -> None:
    losses = [math.inf, math.nan, *RISING]
    train = [0.9, 0.8, *FALLING]
    (found,) = raised([started(), *epochs(losses, train)])
    assert found.title == f"overfitting since epoch {BEST + 2}"


def test_it_is_cleared_when_the_evidence_is_gone() -> None:
    better = [*RISING, 0.12]
    events: list[Event] = [started(), *epochs(better, [*FALLING, 0.02])]
    first, last = findings(events)
    assert isinstance(first, FindingRaised)
    assert last == FindingCleared(code="overfitting", step=epoch_done(len(better)).step)


def test_it_comes_back_with_its_new_epoch() -> None:
    again = [*RISING, 0.12, *(0.12 + n / 50 for n in range(1, 14))]
    train = [*FALLING, *(0.02 - n / 1_000 for n in range(16))]
    events_out = findings([started(), *epochs(again, train)])
    assert [type(event) for event in events_out] == [FindingRaised, FindingCleared, FindingRaised]
    assert isinstance(events_out[-1], FindingRaised)
    assert events_out[-1].title == f"overfitting since epoch {len(RISING) + 1}"


# Its advice


def test_augmentation_is_advised_first() -> None:
    found = overfit(started(augmentation=False, dropout=0.1))
    assert (found.fix_setting, found.fix_value) == ("augmentation", 1)
    assert found.advice == "enable augmentation (--augment light)"


def test_dropout_is_advised_second() -> None:
    found = overfit(started(augmentation=True, dropout=0.05))
    assert (found.fix_setting, found.fix_value) == ("dropout", 0.15)
    assert found.advice == "raise dropout from 0.05 to 0.15 (--dropout 0.15)"
    assert overfit(started(dropout=0.45)).fix_value == 0.5


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_dropout_above_one_half_is_not_advised(share: float) -> None:
    found = overfit(started(dropout=share))
    assert (found.fix_setting, found.fix_value) == (None, None)
    assert "more images" in found.advice


def test_without_dropout_no_knob_is_advised() -> None:
    found = overfit(started(augmentation=True, dropout=None))
    assert (found.fix_setting, found.fix_value) == (None, None)
    assert "era-s6-dropout" in found.advice


def test_the_advice_changes_after_the_knob() -> None:
    run: list[Event] = [started(augmentation=False, dropout=0.0), *epochs(RISING)]
    run.insert(12, changed("augmentation", 0, 1, images=11_000))
    advice = [event.advice for event in raised(run)]
    assert advice == [
        "enable augmentation (--augment light)",
        "raise dropout from 0 to 0.1 (--dropout 0.1)",
    ]


# Divergence


def steps(losses: Iterator[float] | Sequence[float], first: int = 1) -> list[StepDone]:
    return [step(number, loss=loss) for number, loss in enumerate(losses, first)]


BURN_IN = BURN_IN_IMAGES // 100


@pytest.mark.parametrize("classes", [2, 10, 1_000])
def test_worse_than_guessing_is_divergence(classes: int) -> None:
    start = started(classes=classes)
    guessing = math.log(classes)
    assert not findings([start, *steps([guessing] * 200)])
    assert not findings([start, *steps([1.49 * guessing] * 200)])
    (found,) = raised([start, *steps([1.51 * guessing] * 200)])
    assert (found.code, found.severity, found.title) == ("divergence", "error", "diverging")
    assert f"training loss {1.51 * guessing:.2f}" in found.evidence
    assert f"{guessing:.2f} = ln {classes}" in found.evidence
    assert (found.fix_setting, found.fix_value) == ("base_lr", 0.01)
    assert found.advice == "divide the learning rate by 10 (--lr 0.01)"


def test_the_first_images_are_not_judged() -> None:
    assert not findings([started(), *steps([50.0] * BURN_IN)])
    (found,) = raised([started(), *steps([50.0] * (BURN_IN + CHECK_EVERY))])
    assert found.step > BURN_IN


def test_a_high_initial_loss_does_not_count_later() -> None:
    assert not findings([started(), *steps([1e6] * 10 + [2.0] * 200)])


def test_one_batch_with_a_huge_loss_is_no_divergence() -> None:
    assert not findings([started(), *steps([0.5] * 100 + [1e9] + [0.5] * 200)])


def test_it_is_cleared_after_recovery() -> None:
    events_out = findings([started(), *steps([9.0] * 80 + [0.5] * 100)])
    assert [type(event) for event in events_out] == [FindingRaised, FindingCleared]
    assert 80 < events_out[1].step < 120


def test_a_new_learning_rate_restarts_the_burn_in() -> None:
    change = changed("base_lr", 0.1, 0.01, images=10_000)
    run: list[Event] = [started(), *steps([9.0] * 100), change, *steps([9.0] * 100, first=101)]
    first, cleared, again = findings(run)
    assert isinstance(first, FindingRaised)
    assert isinstance(cleared, FindingCleared)
    assert isinstance(again, FindingRaised)
    assert cleared.step == 100 + CHECK_EVERY
    assert again.step == 100 + BURN_IN + CHECK_EVERY
    assert again.fix_value == 0.001


@pytest.mark.parametrize("setting", ["batch_size", "augmentation"])
def test_another_knob_does_not_restart_the_burn_in(setting: str) -> None:
    change = changed(setting, 1, 0, images=10_000)
    run: list[Event] = [started(), *steps([9.0] * 100), change, *steps([9.0] * 100, first=101)]
    assert len(findings(run)) == 1


def test_a_divergence_after_a_manual_change_advises_the_learning_rate_before_it() -> None:
    up = [changed("base_lr", 0.05, 1.0, images=200), changed("base_lr", 1.0, 10.0)]
    diverged = Diverged(step=3, epoch=1, lr=10.0, last_good_step=2)
    events: list[Event] = [started(base_lr=0.05), *steps([2.3, 2.2]), up[0]]
    events += [replace(up[1], step=2), *steps([math.nan], first=3), diverged]
    found = list(with_findings(iter(events)))[-1]
    assert isinstance(found, FindingRaised)
    assert found.advice == "go back to step 2 with learning rate 0.05"
    assert found.fix_value == 0.05


def test_a_fix_that_helps_clears_the_finding() -> None:
    """Losses from before a change of the learning rate must not count against the new one."""
    change = changed("base_lr", 0.1, 0.01, images=10_000)
    run: list[Event] = [started(), *steps([1e9] * 100), change, *steps([2.3] * 200, first=101)]
    assert [type(event) for event in findings(run)] == [FindingRaised, FindingCleared]


def test_a_non_finite_loss_is_a_divergence() -> None:
    diverged = Diverged(step=3, epoch=1, lr=0.1, last_good_step=2)
    events: list[Event] = [
        started(),
        *steps([2.3, 5.0, math.nan]),
        diverged,
        finished(reason="diverged"),
    ]
    passed = list(with_findings(iter(events)))
    found = passed[-2]
    assert isinstance(found, FindingRaised)
    assert passed[-1] == events[-1]
    assert found.title == "diverged in epoch 1"
    assert "non-finite loss (NaN or inf) at step 3" in found.evidence
    assert "the last good checkpoint is from step 2" in found.evidence
    assert found.advice == "go back to step 2 with learning rate 0.01"
    assert (found.fix_setting, found.fix_value) == ("base_lr", 0.01)


# The stream


def test_every_event_is_yielded_in_order() -> None:
    run: list[Event] = [StateChanged(state="preparing", step=0), started(augmentation=False)]
    for done in epochs(RISING):
        run += steps([9.0] * 10, first=10 * done.epoch - 9)
        run.append(done)
    run += [StateChanged(state="testing", step=140), finished()]
    passed = list(with_findings(iter(run)))
    added = [event for event in passed if isinstance(event, FindingRaised | FindingCleared)]
    assert {event.code for event in added} >= {"overfitting", "divergence"}
    assert [event for event in passed if event not in added] == run
    assert passed[-1] == run[-1]


def test_an_event_is_yielded_before_the_next_is_requested() -> None:
    asked: list[Event] = []

    def engine() -> Iterator[Event]:
        run: list[Event] = [started(), *steps([0.5] * 3)]
        for event in run:
            asked.append(event)
            yield event

    for event in with_findings(engine()):
        assert asked[-1] == event


def test_events_without_a_start_are_yielded_too() -> None:
    run: list[Event] = [*steps([9.0] * 100), *epochs(RISING), finished()]
    assert [event for event in with_findings(iter(run)) if event in run] == run


def test_a_divergence_names_the_parameters_where_it_began() -> None:
    diverged = Diverged(step=30, epoch=1, lr=9.0, last_good_step=10)
    (plain,) = raised([started(), *steps([2.0] * 29), diverged])
    assert "at step 30;" in plain.evidence
    (named,) = raised(
        [
            started(),
            *steps([2.0] * 29),
            replace(diverged, non_finite=("conv3.weight", "conv3.bias")),
        ]
    )
    assert "at step 30, first in conv3.weight, conv3.bias;" in named.evidence
    moved = (facts.parameter("a.weight"), facts.parameter("b.weight", update_norm=0.5))
    update = facts.update(20, parameters=moved)
    (events_out,) = raised([started(), *steps([2.0] * 29), update, diverged])
    assert "(update-to-weight ratio of b.weight at step 20: 50 %)" in events_out.evidence
