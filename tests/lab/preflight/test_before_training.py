"""Check items before the first step, each with a good and a bad twin."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.lab.preflight.check_contexts import PLAN, SIDE, Changed, darker, good, item
from tests.lab.preflight.check_contexts import check_context_of as any_context_of
from tui_trainer.data.dataset import Data
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.data_items import data_items
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.first_steps import step_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import logit_items
from tui_trainer.lab.preflight.plan import Plan

BRIEF = replace(PLAN, steps=4)
"""What is judged here comes before the first step."""


def check_context_of(
    data: Data, model: nn.Module, *, plan: Plan = BRIEF, **settings: Any
) -> CheckContext:
    """Return a check context for a given model, with few steps."""
    return any_context_of(data, model, plan=plan, **settings)


@pytest.fixture(autouse=True)
def _no_trial_of_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that have learned nothing yet are not tried with other learning rates."""

    def no_trial(_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("tui_trainer.lab.preflight.first_run.try_updates", no_trial)


# --- the input


def test_normalized_input_passes_with_its_numbers(data: Data) -> None:
    seen = item(data_items, check_context_of(data, good()), "input")

    assert seen.severity == "ok"
    assert seen.value == pytest.approx(1, abs=0.05)
    assert "training +0.0" in seen.evidence
    assert "validation" in seen.evidence


@pytest.mark.parametrize("by", [2, 4])
def test_differently_normalized_validation_images_fail(data: Data, by: int) -> None:
    seen = item(data_items, check_context_of(darker(data, "val", by), good()), "input")

    assert seen.severity == "error"
    assert "validation" in seen.title
    assert "training images" in seen.advice


def test_raw_pixels_give_a_warning(data: Data) -> None:
    raw = replace(data, mean=(0.0,), std=(1 / 255,))

    assert item(data_items, check_context_of(raw, good()), "input").severity == "warning"


def test_constant_images_fail(data: Data) -> None:
    gray = replace(data, train=replace(data.train, images=torch.zeros_like(data.train.images)))

    assert item(data_items, check_context_of(gray, good()), "input").severity == "error"


def test_without_a_validation_split_training_images_are_checked(data: Data) -> None:
    none = replace(data, val=data.val.take([]))

    assert item(data_items, check_context_of(none, good()), "input").severity == "ok"


# --- the initial logits


def test_an_untrained_model_guesses(data: Data) -> None:
    context = check_context_of(data, good())
    loss = item(logit_items, context, "initial-loss")

    assert loss.severity == "ok"
    assert loss.value == pytest.approx(math.log(10), abs=0.5)
    assert "±" in loss.evidence
    assert item(logit_items, context, "logits").severity == "ok"
    assert item(logit_items, context, "softmax").severity == "ok"


@pytest.mark.parametrize(("times", "severity"), [(7, "note"), (200, "error")])
def test_large_initial_weights_show_in_loss_and_logits(
    data: Data, times: float, severity: str
) -> None:
    model = good()
    with torch.no_grad():
        model[-1].get_parameter("weight").mul_(times)
    context = check_context_of(data, model)

    assert item(logit_items, context, "initial-loss").severity == severity
    assert item(logit_items, context, "logits").severity in ("note", "warning", "error")


@pytest.mark.parametrize(("times", "severities"), [(1, {"ok"}), (60, {"note", "warning", "error"})])
def test_two_classes_are_no_confidence(data: Data, times: float, severities: set[str]) -> None:
    """The larger of two probabilities is never below a half."""
    train, val = (replace(s, labels=s.labels % 2) for s in (data.train, data.val))
    model = nn.Sequential(*list(good())[:-1], nn.Linear(8 * (SIDE // 2) ** 2, 2))
    with torch.no_grad():
        model[-1].get_parameter("weight").mul_(times)
    context = check_context_of(replace(data, classes=2, train=train, val=val), model)

    assert item(logit_items, context, "logits").severity in severities


def test_a_loss_below_guessing_gives_a_warning(data: Data) -> None:
    context = check_context_of(data, good())
    trial = context.trial()
    for _ in range(30):
        trial.step()
    seen = item(logit_items, replace(context, model=trial.model), "initial-loss")

    assert (seen.severity, seen.title) == ("warning", "the initial loss is below guessing")


@pytest.mark.parametrize(
    ("end", "severity", "words"),
    [
        (nn.Softmax(dim=1), "error", "sum to 1"),
        (nn.Sigmoid(), "error", "below 1.46"),
        (nn.Tanh(), "error", "below 0.80"),
        (nn.ReLU(), "warning", "logits from 0 to"),
        (nn.LogSoftmax(dim=1), "ok", "changes nothing"),
        (nn.Identity(), "ok", "logits from -"),
    ],
)
def test_the_operation_before_the_loss(
    data: Data, end: nn.Module, severity: str, words: str
) -> None:
    seen = item(logit_items, check_context_of(data, good(ends_with=end)), "softmax")

    assert seen.severity == severity
    assert words in seen.evidence


# --- the gradients


def test_every_parameter_of_a_good_model_gets_a_gradient(data: Data) -> None:
    context = check_context_of(data, good())

    assert item(gradient_items, context, "gradients").severity == "ok"
    assert item(gradient_items, context, "optimizer").severity == "ok"


def test_a_frozen_layer_is_named(data: Data) -> None:
    model = good()
    model[4].weight.requires_grad_(False)
    seen = item(gradient_items, check_context_of(data, model), "gradients")

    assert (seen.severity, seen.value, seen.figure) == ("note", 0.0, "9 of 9")
    assert "4.weight" in seen.evidence


def test_a_detached_layer_is_named(data: Data) -> None:
    model = Changed(good(), lambda inside, x: inside[5:](inside[:5](x).detach()))  # type: ignore[index]
    seen = item(gradient_items, check_context_of(data, model, plan=PLAN), "gradients")

    assert seen.severity == "error"
    assert "inside.0.weight, inside.0.bias" in seen.evidence
    assert seen.causes[0].code == "no_gradient"


def test_a_zero_gradient_differs_from_none(data: Data) -> None:
    def half_nan(inside: nn.Module, x: Tensor) -> Tensor:
        diverged: Tensor = inside[7:](inside[:7](x) * 0 + x[:, :1, ::2, ::2])  # type: ignore[index]
        return diverged

    seen = item(gradient_items, check_context_of(data, Changed(good(), half_nan)), "gradients")

    assert "10 of 10 trainable parameter tensors have a gradient" in seen.evidence


class ListOfLayers(nn.Module):
    """Its last layer is in a plain list."""

    def __init__(self, image_size: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(image_size**2, 16)
        self.others = [nn.Linear(16, classes)]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.others[0](self.first(x.flatten(1)).relu())
        return logits


def test_layers_in_a_plain_list_are_not_registered(data: Data) -> None:
    model = ListOfLayers(data.image_size, data.classes)
    seen = item(gradient_items, check_context_of(data, model), "optimizer")

    assert (seen.severity, seen.causes[0].code) == ("error", "not_registered")


def test_a_learning_rate_below_rounding_is_too_low(data: Data) -> None:
    context = check_context_of(data, good(), plan=PLAN, lr=1e-30, weight_decay=0.0)

    assert "updates 0 of 10 tensors" in item(gradient_items, context, "optimizer").evidence
    seen = item(step_items, context, "learning-rate")
    assert seen.severity in ("warning", "error")
    assert seen.causes[0].code == "learning_rate_low"


# --- the units


def test_a_good_model_has_no_dead_units(data: Data) -> None:
    seen = item(unit_items, check_context_of(data, good()), "dead-units")

    assert (seen.severity, seen.value) == ("ok", 0.0)
    assert "of 16 ReLU units" in seen.evidence


@pytest.mark.parametrize(("dead", "severity"), [(1, "ok"), (5, "note"), (8, "error")])
def test_dead_units_are_counted_and_named(data: Data, dead: int, severity: str) -> None:
    model = good()
    with torch.no_grad():
        model[5].get_parameter("bias")[:dead] = -50.0
    seen = item(unit_items, check_context_of(data, model), "dead-units")

    assert seen.severity == severity
    assert seen.value == pytest.approx(dead / 16)
    assert f"{dead} of 8 in 6" in seen.evidence


def test_logits_that_do_not_depend_on_the_image_fail(data: Data) -> None:
    model = good()
    last = model[-1].get_parameter("weight")
    with torch.no_grad():
        last.zero_()
    assert item(unit_items, check_context_of(data, model), "dead-units").severity == "ok", (
        "it will move"
    )
    last.requires_grad_(False)
    seen = item(unit_items, check_context_of(data, model), "dead-units")

    assert (seen.severity, seen.title) == ("error", "the logits are the same for every image")


def test_the_sample_of_sorted_images_is_stratified(data: Data) -> None:
    order = data.train.labels.argsort()
    ordered = replace(data, train=data.train.take(order.tolist()))
    sample = check_context_of(ordered, good()).sample

    assert set(sample.labels[:64].tolist()) == set(range(10))
    assert torch.bincount(sample.labels).tolist() == pytest.approx([25.6] * 10, abs=1)


def test_the_model_is_unchanged(data: Data) -> None:
    context = check_context_of(data, good())
    before = {name: tensor.clone() for name, tensor in context.model.state_dict().items()}
    for group, name in [
        (data_items, "input"),
        (logit_items, "logits"),
        (gradient_items, "gradients"),
        (unit_items, "dead-units"),
    ]:
        item(group, context, name)

    after = context.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in context.model.parameters())
