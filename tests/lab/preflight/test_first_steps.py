"""Check items of the first steps, each with a good and a bad twin."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.lab.preflight.check_contexts import (
    PLAN,
    SIDE,
    Changed,
    check_context_of,
    good,
    item,
    shuffled,
)
from tui_trainer.data.dataset import Data
from tui_trainer.lab.preflight import first_steps, items_of
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.experiments import Arm, Verdict, late
from tui_trainer.lab.preflight.first_steps import ENOUGH_STEPS, entropy, step_items
from tui_trainer.lab.preflight.overfit_one_batch import Overfit, overfit_one_batch
from tui_trainer.lab.preflight.plan import FEWEST, Plan, whole_plan, work_of
from tui_trainer.lab.preflight.shuffled_labels import shuffled_label_items
from tui_trainer.protocol.layers import LayerRow

FEW_STEPS = replace(PLAN, steps=20)


def plain() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 64), nn.ReLU(), nn.Linear(64, 10))


@pytest.fixture(scope="module")
def good_run(data: Data) -> CheckContext:
    """The check of a good run of seven epochs; its items are tried once."""
    return check_context_of(data, good(), epochs=7)


# --- overfit one batch


def test_a_good_model_overfits_one_batch(good_run: CheckContext) -> None:
    seen = item(step_items, good_run, "one-batch")

    assert (seen.severity, seen.value) == ("ok", 1.0)
    assert "32 of 32 correct" in seen.evidence


def test_a_model_without_the_image_cannot_overfit(data: Data) -> None:
    diverged = Changed(good(), lambda inside, x: inside(x * 0))
    plan = replace(FEW_STEPS, overfit_steps=60)
    seen = item(step_items, check_context_of(data, diverged, plan=plan), "one-batch")

    assert seen.severity == "error"
    assert seen.value is not None
    assert seen.value < 0.6


def test_dropout_does_not_prevent_overfitting(data: Data) -> None:
    model = good(ends_with=nn.Dropout(0.9))

    context = check_context_of(data, model, plan=FEW_STEPS)
    assert item(step_items, context, "one-batch").severity == "ok"
    assert model[-1].p == 0.9


def test_loss_and_correct_images_are_of_the_same_weights(data: Data) -> None:
    """A loss of 0.005 with 30 of 32 images correct is impossible: -ln(1/2) / 32 is 0.02 each."""
    for steps in range(2, 12, 3):
        context = check_context_of(data, plain(), plan=Plan(overfit_steps=steps))
        found = overfit_one_batch(context)
        wrong = found.total - found.correct
        assert found.last >= wrong * math.log(2) / found.total


# --- the first steps


@pytest.mark.parametrize("kind", ["relu", "batch norm", "group norm", "layer norm"])
def test_batch_norm_is_recommended_only_to_a_model_without_a_norm(kind: str) -> None:
    row = LayerRow(name="a", kind=kind, kernel="", output_shape=(4, 4, 2), parameters=0)
    context: Any = SimpleNamespace(
        layers=[row], first=SimpleNamespace(losses=[2.3] * (ENOUGH_STEPS - 1), findings=[])
    )
    memorized = Overfit(lr=0.003, steps=9, first=2.3, last=0.1, correct=32, total=32)

    severity, _, advice, _ = first_steps._learned(
        context, Verdict(), memorized, 2.3, is_below=False, is_guessing=True
    )

    assert severity == "note"
    assert ("add batch norm" in advice) is (kind == "relu")
    assert ("--epochs 1" in advice) is (kind != "relu")


def test_the_first_steps_of_a_good_run_pass(data: Data, good_run: CheckContext) -> None:
    seen = item(step_items, good_run, "first-steps")

    assert seen.severity == "ok"
    assert seen.value is not None
    assert seen.value < entropy(data.train)
    assert "±" in seen.evidence
    assert "of 300" not in seen.evidence
    assert (
        "there is no reference" in seen.evidence
        or "healthy runs are measured over" in seen.evidence
    )
    assert item(step_items, good_run, "updates").severity == "ok"


def test_a_short_run_is_tried_to_its_end(data: Data) -> None:
    """After the end of a one-cycle schedule the learning rate is 0, and nothing would change."""
    context = check_context_of(
        data, good(), plan=Plan(), epochs=1, batch_size=64, schedule="one-cycle"
    )
    steps = math.ceil(len(data.train) / 64)
    assert f" in {steps} steps" in item(step_items, context, "first-steps").evidence
    assert item(step_items, context, "updates").severity == "ok"


def test_shuffled_labels_are_an_item_of_the_data(data: Data) -> None:
    context = check_context_of(shuffled(data), good(), lr=0.01, plan=Plan())
    assert {f.code for f in context.first.findings} >= {"labels_shuffled"}


@pytest.mark.parametrize("lr", [20.0, 100.0])
def test_a_diverging_loss_fails_and_names_the_learning_rate(data: Data, lr: float) -> None:
    context = check_context_of(data, plain(), lr=lr)
    seen = item(step_items, context, "first-steps")

    assert seen.severity == "error"
    assert "learning_rate_high" in [cause.code for cause in seen.causes]
    assert "go back" not in seen.advice


def test_the_update_to_weight_ratio_is_that_of_the_sampled_updates(good_run: CheckContext) -> None:
    seen = item(step_items, good_run, "updates")
    assert [update.step for update in good_run.first.history.updates] == [2, 5, 10, 20, 40, 50]
    assert seen.value is not None
    assert 1e-4 < seen.value < 0.1


# --- an epoch


def test_the_time_of_an_epoch_is_reported(good_run: CheckContext) -> None:
    seen = item(step_items, good_run, "first-epoch")

    assert seen.severity == "ok"
    assert "1,200 images" in seen.evidence
    assert "7 of them" in seen.evidence


def test_a_slow_clock_changes_no_verdict(data: Data, good_run: CheckContext) -> None:
    ticks = itertools.count(step=60)
    slow = check_context_of(data, good(), epochs=7, clock=lambda: float(next(ticks)))

    assert item(step_items, slow, "first-epoch").severity == "ok"
    for code in ("first-steps", "learning-rate", "updates", "one-batch"):
        assert item(step_items, slow, code) == item(step_items, good_run, code)


# --- the learning rate


@pytest.mark.parametrize(
    ("settings", "severity", "cause"),
    [
        ({"lr": 0.02}, "ok", None),
        ({"lr": 20.0}, "error", "learning_rate_high"),
        ({"lr": 1e-7}, "error", "learning_rate_low"),
        ({"optimizer": "adam", "lr": 1e-7}, "error", "learning_rate_low"),
        ({"lr": 1e-4, "epochs": 1_000}, "ok", None),
    ],
)
def test_the_learning_rate_is_judged_by_what_another_one_brings(
    data: Data, settings: dict[str, Any], severity: str, cause: str | None
) -> None:
    context = check_context_of(data, plain(), **{"epochs": 3, **settings})
    seen = item(step_items, context, "learning-rate")

    assert seen.severity == severity, seen
    assert [one.code for one in seen.causes] == ([cause] if cause else [])
    if cause:
        assert seen.advice.startswith("set --lr ")
        better = float(seen.advice.removeprefix("set --lr "))
        assert (better > settings["lr"]) == (cause == "learning_rate_low")


def test_a_run_of_few_steps_is_not_a_learning_rate(data: Data) -> None:
    few = replace(data, train=data.train.take(range(128)))
    context = check_context_of(few, plain(), epochs=1, lr=0.01)
    seen = item(step_items, context, "first-steps")

    assert (seen.severity, seen.title) == ("error", "the run is too short")
    assert item(step_items, context, "learning-rate").severity == "ok"


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"optimizer": "adam", "lr": 0.003, "weight_decay": 3.0}, "weight_decay_high"),
        ({"optimizer": "adamw", "lr": 0.003, "label_smoothing": 0.9}, "label_smoothing_high"),
    ],
)
def test_another_setting_is_blamed_if_it_learns_without(
    data: Data, settings: dict[str, Any], cause: str
) -> None:
    seen = item(step_items, check_context_of(data, plain(), **settings), "first-steps")

    assert [one.code for one in seen.causes][:1] == [cause]


def test_the_last_losses_of_a_diverged_arm_are_infinite() -> None:
    assert late([2.3] * 20 + [math.nan]) == (math.inf, 0.0)
    assert late(Arm({}, (2.0,) * 30, ()).losses) == (2.0, 0.0)


def test_a_loss_that_nothing_lowers_is_no_learning_rate(data: Data) -> None:
    still = Changed(good(), lambda inside, x: inside(x) * 1e-9)
    context = check_context_of(data, still, lr=0.05)

    assert item(step_items, context, "learning-rate").severity == "ok"
    assert item(step_items, context, "first-steps").severity == "error"


# --- the control


def test_shuffled_labels_leave_a_good_model_guessing(good_run: CheckContext) -> None:
    seen = item(shuffled_label_items, good_run, "shuffled-labels")

    assert seen.severity == "ok"
    assert "[" in seen.evidence


def test_pretrained_weights_are_detected(data: Data) -> None:
    context = check_context_of(data, good())
    trial = context.trial()
    for _ in range(100):
        trial.step()
    knowing = Changed(trial.model.eval(), lambda inside, x: inside(x) * 20)
    for parameter in trial.model.parameters():
        parameter.requires_grad_(False)
    trial.model[8].bias.requires_grad_(True)  # type: ignore[index]
    seen = item(shuffled_label_items, replace(context, model=knowing), "shuffled-labels")

    assert seen.severity == "error"
    assert "class permutations" in seen.evidence
    assert "pretrained" in seen.advice


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.sampled(3)
def test_lucky_accuracy_is_not_significant(data: Data, seed: int) -> None:
    """Barely trained models of other seeds, which predict one class for whole classes."""
    torch.manual_seed(seed)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))
    context = check_context_of(data, plain, plan=replace(FEW_STEPS, shuffled_steps=2))

    assert item(shuffled_label_items, context, "shuffled-labels").severity == "ok"


def test_without_a_validation_split_there_is_no_control(data: Data) -> None:
    context = check_context_of(replace(data, val=data.val.take([])), good())

    assert item(shuffled_label_items, context, "shuffled-labels").severity == "note"
    assert item(step_items, context, "first-steps").severity == "ok"


def test_a_few_images_are_enough(data: Data) -> None:
    few = replace(data, train=data.train.take(range(20)))

    assert (
        item(shuffled_label_items, check_context_of(few, good()), "shuffled-labels").severity
        == "ok"
    )


def test_one_significant_control_is_no_error(
    good_run: CheckContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 1 in 500: the second control decides."""
    shares = iter([0.001, 0.3])
    monkeypatch.setattr(
        "tui_trainer.lab.preflight.shuffled_labels._as_good", lambda *_: next(shares)
    )
    monkeypatch.setattr("tui_trainer.lab.preflight.shuffled_labels.wilson", lambda *_: (0.9, 0.95))
    (seen,) = items_of(shuffled_label_items, good_run)

    assert seen.severity == "ok"
    assert "a second control" in seen.evidence


# --- the plan


def test_small_models_get_the_full_plan() -> None:
    assert whole_plan(128, 1e6) == Plan()


def test_large_models_and_batches_get_fewer_steps() -> None:
    steps = [whole_plan(128, work).steps for work in (1e6, 3e7, 1e8, 1e10)]

    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == FEWEST
    assert whole_plan(4_096, 1e8).steps < whole_plan(128, 1e8).steps


def test_the_work_is_counted_from_the_layers(data: Data) -> None:
    small, wide = (check_context_of(data, good(width=width)) for width in (8, 32))

    assert work_of(small.layers) < work_of(wide.layers)


def test_a_smaller_plan_is_reported(data: Data) -> None:
    context = check_context_of(data, good(), plan=replace(Plan(), steps=25))

    assert "in 25 steps (of 100" in item(step_items, context, "first-steps").evidence
