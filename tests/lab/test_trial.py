"""Trainings side by side: equal conditions, a time budget, and significance."""

from __future__ import annotations

import math

import pytest
import torch

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.lab.compare import distinguishable, score
from tui_trainer.lab.context import Context
from tui_trainer.lab.trial import Arm, race
from tui_trainer.stats.intervals import wilson


def arms_of(context: Context, *rates: float) -> list[Arm]:
    model = context.fresh()
    return [Arm(f"{lr:g}", context.trial(model, lr=lr)) for lr in rates]


def test_every_arm_sees_the_same_images_in_the_same_order(context_of: Contexts) -> None:
    arms = arms_of(context_of("tiny"), 0.02, 0.05, 0.02)
    shares = list(race(arms, images=200, clock=Ticking(), seconds=1e9))

    assert {arm.trial.images for arm in arms} == {arms[0].trial.images}
    assert arms[0].trial.images >= 200
    assert arms[0].losses == arms[2].losses != arms[1].losses
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


def test_arms_stop_in_time_and_are_equally_far(context_of: Contexts) -> None:
    arms = arms_of(context_of("tiny"), 0.02, 0.05)
    shares = list(race(arms, images=10**9, clock=Ticking(0.2), seconds=10.0))

    seen = [arm.trial.images for arm in arms]
    assert max(seen) - min(seen) <= 32
    assert 10 < sum(seen) / 32 < 50
    assert shares[-1] > 0.9


def test_with_equal_time_a_slower_arm_sees_fewer_images(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.fresh()
    arms = [Arm(str(size), context.trial(model, batch_size=size)) for size in (8, 64)]
    list(race(arms, images=10**9, clock=Ticking(0.2), seconds=20.0, by_time=True))

    # Each step takes one tick of this clock, for any batch size.
    assert arms[1].trial.images > 6 * arms[0].trial.images


def test_a_diverged_arm_stops_and_the_others_continue(context_of: Contexts) -> None:
    arms = arms_of(context_of("tiny"), 0.02, 0.05)
    with torch.no_grad():
        next(arms[1].trial.model.parameters()).fill_(math.nan)
    list(race(arms, images=200, clock=Ticking(), seconds=1e9))

    assert [arm.is_nonfinite for arm in arms] == [False, True]
    assert arms[1].losses == []
    assert arms[0].trial.images >= 200


def test_an_arm_is_evaluated_in_evaluation_mode(context_of: Contexts) -> None:
    context = context_of("tiny")
    trial = context.trial(context.fresh())
    split = context.sample(100)
    reported = score(trial, split)
    with torch.no_grad():
        evaluations = trial.model.eval()(context.data.prepare(split.images))

    assert reported.total == 100
    assert reported.correct == int((evaluations.argmax(1) == split.labels).sum())
    low, high = wilson(reported.correct, reported.total)
    assert low < reported.accuracy < high


def evaluation_of(correct_count: list[bool]) -> Evaluation:
    """An evaluation with these correct predictions."""
    count = len(correct_count)
    return Evaluation(torch.full((count,), 0.1), torch.tensor(correct_count), torch.zeros(count))


def judged(*right: int) -> Evaluation:
    """An evaluation of 1,000 images; correct are ``right[0]`` up to ``right[1]``, and so on."""
    spans = list(zip(right[::2], right[1::2], strict=True))
    return evaluation_of([any(a <= n < b for a, b in spans) for n in range(1_000)])


@pytest.mark.parametrize(
    ("other", "is_significant"),
    [
        # Of 970: 30 more wrong, and none correct that the first has wrong.
        (judged(30, 970), True),
        # As few correct, but on other images: 55 against 25, then 45 against 35.
        (judged(55, 995), True),
        (judged(0, 925, 970, 1_000), False),
        # Ten fewer, a subset of those of the first.
        (judged(10, 970), True),
        # Five fewer: 0 of 5 is no rarer than 1 in 16.
        (judged(5, 970), False),
        (judged(0, 970), False),
    ],
)
def test_only_significant_differences_count(other: Evaluation, is_significant: bool) -> None:
    evaluations = {"b": other, "a": judged(0, 970)}

    assert distinguishable(evaluations) == ([("a", "b")] if is_significant else [])


def test_many_pairs_need_smaller_p_values() -> None:
    # 7 against 0: a p value of 1 in 64, enough for one pair and too much for one of six.
    one, other = judged(0, 970), judged(7, 970)
    assert distinguishable({"a": one, "b": other}) == [("a", "b")]
    more = {"a": one, "b": other, "c": judged(0, 968), "d": judged(2, 970)}
    assert distinguishable(more) == []


def test_equal_arms_rarely_differ_significantly() -> None:
    rng = torch.Generator().manual_seed(7)
    reported = 0
    for _ in range(200):
        correct_count = torch.rand(4, 300, generator=rng) < 0.9
        reported += bool(
            distinguishable(
                {str(n): evaluation_of(h) for n, h in enumerate(correct_count.tolist())}
            )
        )
    # Exact tests are conservative: at most one comparison in twenty has such a pair.
    assert reported <= 10
