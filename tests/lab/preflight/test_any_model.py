"""The check works on any model, reports only real problems, and changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.lab.preflight.check_contexts import PLAN, SIDE, check_context_of, good, item
from tests.models import any_models as models
from tui_trainer.data.dataset import Data
from tui_trainer.lab.preflight import GROUPS
from tui_trainer.lab.preflight.check_context import CheckContext
from tui_trainer.lab.preflight.dead_units import unit_items
from tui_trainer.lab.preflight.layer_gradients import gradient_items
from tui_trainer.lab.preflight.logits import logit_items
from tui_trainer.lab.preflight.plan import Plan
from tui_trainer.models.state import state_tensors
from tui_trainer.protocol.diagnosis import Diagnosis

SHORT = Plan(steps=6, overfit_steps=3, shuffled_steps=2, sample=64, val_sample=10)
FEW_STEPS = replace(PLAN, steps=20)


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    return kind(image_size=SIDE)


@pytest.mark.parametrize("kind", models.EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.sampled(6)
def test_no_item_changes_the_model(data: Data, kind: type[nn.Module]) -> None:
    context = check_context_of(data, made(kind), plan=SHORT)
    before = {name: tensor.clone() for name, tensor in state_tensors(context.model).items()}
    modes = [module.training for module in context.model.modules()]
    drawn = str(np.random.get_state()), random.getstate()

    items = [found for group, _ in GROUPS for found in _tried(context, group)]

    assert len(items) == sum(count for _, count in GROUPS)
    after = state_tensors(context.model)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [module.training for module in context.model.modules()] == modes
    assert all(p.grad is None for p in context.model.parameters())
    assert (str(np.random.get_state()), random.getstate()) == drawn


def _tried(
    context: CheckContext, group: Callable[[CheckContext], Iterator[Diagnosis]]
) -> list[Diagnosis]:
    with context.seeded_rng():
        return list(group(context))


@pytest.mark.parametrize("kind", models.HEALTHY, ids=lambda kind: kind.__name__)
@pytest.mark.sampled(3)
def test_a_healthy_model_has_no_errors(data: Data, kind: type[nn.Module]) -> None:
    context = check_context_of(data, made(kind), plan=FEW_STEPS)
    for group, names in (
        (gradient_items, ("gradients", "optimizer")),
        (logit_items, ("initial-loss", "logits", "softmax")),
        (unit_items, ("dead-units",)),
    ):
        for name in names:
            seen = item(group, context, name)
            assert seen.severity in ("ok", "note"), seen


@pytest.mark.parametrize("kind", models.CUT_OFF, ids=lambda kind: kind.__name__)
def test_detached_parameters_fail(data: Data, kind: type[nn.Module]) -> None:
    seen = item(gradient_items, check_context_of(data, made(kind), plan=FEW_STEPS), "gradients")

    assert seen.severity == "error"
    assert [cause.code for cause in seen.causes] == ["no_gradient"]
    assert "detach" in seen.causes[0].title


@pytest.mark.parametrize(
    ("kind", "reported"),
    [
        (models.Frozen, "conv.weight, conv.bias: 40 parameters"),
        (models.UnusedLayer, "idle.weight, idle.bias: 12 parameters"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_frozen_and_unused_parameters_are_reported(
    data: Data, kind: type[nn.Module], reported: str
) -> None:
    seen = item(gradient_items, check_context_of(data, made(kind), plan=FEW_STEPS), "gradients")

    assert (seen.severity, seen.advice) == ("note", "")
    assert reported in seen.evidence


@pytest.mark.parametrize("kind", models.BATCH_BOUND, ids=lambda kind: kind.__name__)
def test_logits_that_depend_on_the_batch_fail(data: Data, kind: type[nn.Module]) -> None:
    seen = item(logit_items, check_context_of(data, made(kind), plan=FEW_STEPS), "softmax")

    assert (seen.severity, seen.causes[0].code) == ("error", "depends_on_batch")
    assert "the logits of an image alone and in a batch differ" in seen.evidence


@pytest.mark.parametrize("kind", [models.AlwaysDropped, models.DrawsEverywhere])
def test_random_logits_in_evaluation_mode_give_a_warning(data: Data, kind: type[nn.Module]) -> None:
    seen = item(logit_items, check_context_of(data, made(kind), plan=FEW_STEPS), "softmax")

    assert (seen.severity, seen.causes[0].code) == ("warning", "random_in_evaluation")


def test_constant_logits_fail(data: Data) -> None:
    model = made(models.ZeroHead)
    model.get_parameter("head.weight").requires_grad_(False)
    context = check_context_of(data, model, plan=FEW_STEPS)

    assert item(gradient_items, context, "gradients").severity in ("warning", "error")
    seen = item(unit_items, context, "dead-units")
    assert (seen.severity, seen.title) == ("error", "the logits are the same for every image")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.sampled(3)
def test_a_bias_before_batch_norm_may_stay_unchanged(data: Data, seed: int) -> None:
    torch.manual_seed(seed)
    model = good()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    context = check_context_of(data, model, plan=FEW_STEPS, lr=0.01, weight_decay=0.0)

    assert item(gradient_items, context, "optimizer").severity == "ok"
    assert item(gradient_items, context, "gradients").severity == "ok"


def test_half_precision_weights_that_a_step_cannot_change_are_counted(data: Data) -> None:
    context = check_context_of(data, made(models.HalfWeights), lr=1e-6)

    assert "of 4 tensors with a gradient" in item(gradient_items, context, "optimizer").evidence


def test_frozen_statistics_are_not_recalibrated(data: Data) -> None:
    model = made(models.FrozenNorm)
    norm = model.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    norm.running_mean.fill_(1e6)  # all units of the ReLU after it are dead

    seen = item(unit_items, check_context_of(data, model, plan=FEW_STEPS), "dead-units")

    assert seen.severity == "error"
