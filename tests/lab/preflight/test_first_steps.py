"""Check items of the first steps, each with a good and a bad twin."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.lab.preflight.check_contexts import SIDE, Changed, check_context_of, good, item, shuffled
from tui_trainer.data.dataset import Data
from tui_trainer.lab.preflight.first_steps import entropy, step_items
from tui_trainer.lab.preflight.lr_range_test import lr_items, read_range
from tui_trainer.lab.preflight.overfit_one_batch import overfit_items
from tui_trainer.lab.preflight.plan import SHARES, Plan, whole_plan
from tui_trainer.lab.preflight.shuffled_labels import shuffled_label_items

# --- overfit one batch


def test_a_good_model_overfits_one_batch(data: Data) -> None:
    seen = item(overfit_items, check_context_of(data, good(), dropout=None), "one-batch")

    assert (seen.severity, seen.value) == ("ok", 1.0)
    assert "32 of 32 correct" in seen.evidence


def test_a_model_without_the_image_cannot_overfit(data: Data) -> None:
    diverged = Changed(good(), lambda inside, x: inside(x * 0))
    seen = item(overfit_items, check_context_of(data, diverged), "one-batch")

    assert seen.severity == "error"
    assert seen.value is not None
    assert seen.value < 0.6


def test_dropout_does_not_prevent_overfitting(data: Data) -> None:
    model = good(ends_with=nn.Dropout(0.9))

    assert item(overfit_items, check_context_of(data, model), "one-batch").severity == "ok"
    assert model[-1].p == 0.9


# --- the first steps


def test_the_first_steps_of_a_good_run_pass(data: Data) -> None:
    context = check_context_of(data, good())
    seen = item(step_items, context, "first-steps")

    assert seen.severity == "ok"
    assert seen.value is not None
    assert seen.value < entropy(data.train)
    assert "±" in seen.evidence
    assert "of 300" not in seen.evidence
    assert (
        "there is no reference" in seen.evidence
        or "healthy runs are measured over" in seen.evidence
    )
    assert item(step_items, context, "updates").severity == "ok"


def test_a_short_run_is_tried_to_its_end(data: Data) -> None:
    """After the end of a one-cycle schedule the learning rate is 0, and nothing would change."""
    context = check_context_of(
        data, good(), plan=Plan(), epochs=1, batch_size=64, schedule="one-cycle"
    )
    steps = math.ceil(len(data.train) / 64)
    assert f" in {steps} steps" in item(step_items, context, "first-steps").evidence
    assert item(step_items, context, "updates").severity == "ok"


def test_shuffled_labels_are_not_learned(data: Data) -> None:
    seen = item(
        step_items, check_context_of(shuffled(data), good(), lr=0.01, plan=Plan()), "first-steps"
    )

    assert (seen.severity, seen.title) == ("error", "it learns nothing in the first steps")
    assert "labels" in seen.advice


def test_too_few_steps_give_no_error(data: Data) -> None:
    seen = item(step_items, check_context_of(shuffled(data), good(), lr=0.01), "first-steps")

    assert (seen.severity, seen.title) == ("warning", "the loss does not decrease yet")


def test_without_a_norm_a_constant_loss_gives_a_warning(data: Data) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))
    seen = item(step_items, check_context_of(shuffled(data), plain, lr=1e-3), "first-steps")

    assert seen.severity == "warning"
    assert "norm" in seen.advice


@pytest.mark.parametrize("lr", [20.0, 1_000.0])
def test_a_diverging_loss_fails(data: Data, lr: float) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 64), nn.ReLU(), nn.Linear(64, 10))
    seen = item(step_items, check_context_of(data, plain, lr=lr), "first-steps")

    assert (seen.severity, seen.title) == ("error", "the loss diverges in the first steps")


@pytest.mark.parametrize(
    ("optimizer", "lr", "severity", "words"),
    [
        ("sgd", 1e-9, "error", "too low"),
        ("sgd", 3e-6, "warning", "too low"),
        ("sgd", 0.02, "ok", "usual"),
        ("adam", 0.001, "ok", "usual"),
        ("adam", 0.5, "error", "too high"),
    ],
)
def test_the_update_to_weight_ratio_is_checked(
    data: Data, optimizer: str, lr: float, severity: str, words: str
) -> None:
    context = check_context_of(data, good(), optimizer=optimizer, lr=lr)
    seen = item(step_items, context, "updates")

    assert seen.severity == severity
    assert words in seen.title
    assert "8.weight" in seen.evidence or "0.weight" in seen.evidence


def test_an_update_without_momentum_is_lr_times_gradient(data: Data) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))
    context = check_context_of(
        data, plain, lr=1e-6, momentum=0.0, nesterov=False, weight_decay=0.0, plan=Plan(steps=1)
    )
    with context.seeded_rng():
        trial = context.trial()
        trial.step()
    (weight, _) = trial.model.parameters()
    assert weight.grad is not None
    ratio = 1e-6 * float(weight.grad.norm()) / float(weight.detach().norm())

    assert item(step_items, context, "updates").value == pytest.approx(ratio, rel=0.01)


# --- an epoch


def test_the_time_of_an_epoch_is_reported(data: Data) -> None:
    seen = item(step_items, check_context_of(data, good(), epochs=7), "first-epoch")

    assert seen.severity == "ok"
    assert "1,200 images" in seen.evidence
    assert "7 of them" in seen.evidence


def test_a_long_epoch_gives_a_warning(data: Data) -> None:
    ticks = itertools.count(step=60)
    seen = item(
        step_items, check_context_of(data, good(), clock=lambda: float(next(ticks))), "first-epoch"
    )

    # 1,200 images in batches of 32, one minute each, and one minute of validation.
    assert seen.severity == "warning"
    assert seen.value == pytest.approx(1_200 / 32 * 60 + 60)


# --- the learning rate


@pytest.mark.parametrize(
    ("lr", "severity", "words"),
    [(0.02, "ok", "useful range"), (20.0, "error", "too high"), (1e-5, "error", "too low")],
)
def test_the_learning_rate_is_checked_by_a_range_test(
    data: Data, lr: float, severity: str, words: str
) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 64), nn.ReLU(), nn.Linear(64, 10))
    seen = item(lr_items, check_context_of(data, plain, lr=lr), "learning-rate")

    assert seen.severity == severity, seen
    assert words in seen.title
    assert seen.value == lr
    if severity == "error":
        reported = float(seen.advice.removeprefix("set --lr "))
        assert 1e-3 < reported < 2


def test_a_range_is_read_from_its_losses() -> None:
    rates = [10 ** (-4 + i / 10) for i in range(50)]
    # It is flat, decreases by 2 nats between 0.01 and 0.1, and increases again from 1 on.
    losses = [
        2.3 - 2 * min(1, max(0, math.log10(r) + 2)) + 5 * max(0, math.log10(r)) for r in rates
    ]
    seen = read_range(rates, losses)

    assert seen.begins == pytest.approx(0.01, rel=0.6)
    assert 0.01 <= seen.fastest <= 0.1
    assert 0.1 <= seen.lowest <= 1
    assert seen.diverges == pytest.approx(1.6, rel=0.3)
    assert seen.fall == pytest.approx(2, abs=0.1)


def test_a_range_test_that_ends_early_has_diverged() -> None:
    rates = [10 ** (-4 + i / 10) for i in range(50)]
    seen = read_range(rates, [*[2.3] * 20, math.nan])

    assert seen.begins is None
    assert seen.diverges is not None
    assert seen.diverges <= rates[20]


def test_a_flat_range_test_is_inconclusive(data: Data) -> None:
    still = Changed(good(), lambda inside, x: inside(x) * 1e-9)
    seen = item(lr_items, check_context_of(data, still, lr=0.05), "learning-rate")

    assert seen.severity == "warning"
    assert "no learning rate lowers" in seen.title


# --- the control


def test_shuffled_labels_leave_a_good_model_guessing(data: Data) -> None:
    seen = item(shuffled_label_items, check_context_of(data, good()), "shuffled-labels")

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
def test_lucky_accuracy_is_not_significant(data: Data, seed: int) -> None:
    """Barely trained models of other seeds, which predict one class for whole classes."""
    torch.manual_seed(seed)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 10))
    context = check_context_of(data, plain, plan=Plan(shuffled_steps=2, val_sample=300))

    assert item(shuffled_label_items, context, "shuffled-labels").severity == "ok"


def test_without_a_validation_split_there_is_no_control(data: Data) -> None:
    context = check_context_of(replace(data, val=data.val.take([])), good())

    assert item(shuffled_label_items, context, "shuffled-labels").severity == "warning"
    assert item(step_items, context, "first-steps").severity == "ok"


def test_a_few_images_are_enough(data: Data) -> None:
    few = replace(data, train=data.train.take(range(20)))

    assert (
        item(shuffled_label_items, check_context_of(few, good()), "shuffled-labels").severity
        == "ok"
    )


# --- the plan


def test_fast_models_get_the_full_plan() -> None:
    assert whole_plan(128, 2_500.0) == Plan()
    assert whole_plan(128, 2_500.0).images(128) < 30_000


def test_slow_models_get_a_smaller_plan() -> None:
    shares = [whole_plan(128, speed).share for speed in (2_500, 1_000, 400, 100, 1)]

    assert shares == sorted(shares, reverse=True)
    assert shares[0] == SHARES[0]
    assert shares[-1] == SHARES[-1]
    assert whole_plan(4_096, 2_500.0).steps < 100


def test_a_smaller_plan_is_reported(data: Data) -> None:
    context = check_context_of(data, good(), plan=replace(Plan(), share=0.25, steps=25))

    assert "in 25 steps (of 100" in item(step_items, context, "first-steps").evidence
