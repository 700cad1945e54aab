"""The learning rate experiment: steps against torch, the schedule, a short training."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch.nn import functional

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.learning_rate import experiment
from tui_trainer.lab.lessons.learning_rate.experiment import losses_along
from tui_trainer.lab.samples import drawn
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table

show = ask.experiment("learning-rate")


def curves_of(exhibit: Exhibit) -> Curves:
    (curves,) = [block for block in exhibit.blocks if isinstance(block, Curves)]
    return curves


@pytest.mark.parametrize("name", ["mlp", "tiny"])
def test_a_step_equals_that_of_torchs_sgd(context_of: Contexts, name: str) -> None:
    context = context_of(name)
    line = losses_along(context, [0.0, 0.1, 0.5])
    inputs, labels = drawn(context, line.images, 0)
    for size, expected in zip(line.sizes, line.losses, strict=True):
        model = context.copy().train()
        optimizer = torch.optim.SGD(model.parameters(), lr=size)
        torch.autograd.backward(functional.cross_entropy(model(inputs), labels))
        slope = sum(float((p.grad**2).sum()) for p in model.parameters() if p.grad is not None)
        optimizer.step()
        loss = functional.cross_entropy(model(inputs), labels)
        assert loss.item() == pytest.approx(expected, rel=1e-3)
        assert line.slope == pytest.approx(slope, rel=1e-3)


def test_the_direction_of_adam_is_the_sign_of_the_gradient(context_of: Contexts) -> None:
    context = context_of("mlp")
    adam = dataclasses.replace(
        context, config=dataclasses.replace(context.config, optimizer="adam")
    )
    line = losses_along(adam, [0.0, 0.01])
    inputs, labels = drawn(context, line.images, 0)
    model = context.copy().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    torch.autograd.backward(functional.cross_entropy(model(inputs), labels))
    optimizer.step()
    loss = functional.cross_entropy(model(inputs), labels)
    assert line.losses[1] == pytest.approx(loss.item(), rel=1e-3)


def test_the_step_ends_on_the_measured_curve_and_the_run_is_unchanged(
    context_of: Contexts,
) -> None:
    context = context_of("tiny")
    before = {name: t.clone() for name, t in context.model.state_dict().items()}
    (exhibit,) = show(context, {"lr": 0.2, "factor": 3.0}, False)
    measured, predicted, step = curves_of(exhibit).curves
    place = measured.x.index(0.2)
    assert (step.x[-1], step.y[-1]) == (0.2, measured.y[place])
    assert measured.x[-1] == pytest.approx(0.6)
    assert predicted.y[0] == measured.y[0]
    assert f"→ {measured.y[place]:.4f}" in exhibit.result
    assert "0.0667, 0.2, 0.6" in exhibit.trains
    after = context.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_schedule_is_drawn_over_the_run(context_of: Contexts) -> None:
    context = dataclasses.replace(context_of("tiny"), step=19 * 3)
    (exhibit,) = show(context, {"view": "schedule"}, False)
    curve, *_ = curves_of(exhibit).curves
    assert curve.name == "one-cycle"
    assert max(curve.y) == pytest.approx(0.1, rel=1e-2)
    # 57 batches of 32 are 3.04 of 10 epochs: just past the maximum at 3, on the cosine.
    share = (1 + math.cos(math.pi * 0.04 / 7)) / 2
    assert "after 3.04 of 10 epochs" in exhibit.result
    assert f"the learning rate is {0.1 * share:.3g}" in exhibit.result


def test_a_diverged_model_gets_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    assert "no gradient" in exhibit.result


def test_confirmed_three_learning_rates_are_trained_from_the_same_start(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "STEPS", 8)
    context = dataclasses.replace(context_of("mlp"), clock=Ticking())
    *under_way, end = show(context, {"lr": 0.1, "factor": 3.0, "start": "now"}, True)
    assert all(exhibit.progress is not None and not exhibit.result for exhibit in under_way)
    (table,) = [block for block in end.blocks if isinstance(block, Table)]
    assert [row[0] for row in table.rows] == ["η 0.0333", "η 0.1", "η 0.3"]
    assert len({row[2] for row in table.rows}) == 1
    curves = curves_of(end).curves
    # The first loss is the same for all.
    assert len({curve.y[0] for curve in curves}) == 1
    assert " more than " in end.result or "equal" in end.result
    assert "200 validation images" in end.evidence
