"""The batch norm experiment against torch's statistics, and twins that differ only in it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.layer_maps import subject
from tui_trainer.lab.lessons.batch_normalization.arithmetic import updated_running
from tui_trainer.lab.lessons.batch_normalization.experiment import norm_statistics, norms_of
from tui_trainer.lab.lessons.batch_normalization.norm_twins import (
    NORMED,
    PLAIN,
    TRACKED_NORM,
    TrackedArm,
)
from tui_trainer.lab.samples import drawn
from tui_trainer.protocol.exhibit import Bars, Curves, Exhibit, Table, Words

show = ask.experiment("batch-normalization")


def table_of(exhibit: Exhibit) -> Table:
    return next(block for block in exhibit.blocks if isinstance(block, Table))


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_a_layer_before_and_after_its_norm_equals_that_of_torch(
    context_of: Contexts, mode: str
) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {"layer": "norm2", "mode": mode, "batch": 4.0}, False)
    model = context.copy().train(mode == "training")
    inspected: list[Tensor] = []
    model.get_submodule("norm2").register_forward_hook(
        lambda module, given, result: inspected.extend((given[0].clone(), result.clone()))
    )
    inputs, _ = drawn(context, 64, 0)
    with torch.no_grad():
        model(inputs[:4])
    before, after = (t.transpose(0, 1).flatten(1) for t in inspected)
    for row in table_of(exhibit).rows:
        channel, figures = int(row[0]), [float(cell) for cell in row[1:]]
        assert figures[0] == pytest.approx(float(before[channel].mean()), abs=1e-3)
        assert figures[1] == pytest.approx(float(before[channel].std(correction=0)), abs=1e-3)
        assert figures[2:4] == [0.0, 1.0]
        assert figures[4] == pytest.approx(float(after[channel].mean()), abs=1e-3)
        assert figures[5] == pytest.approx(float(after[channel].std(correction=0)), abs=1e-3)
    (words,) = [block for block in exhibit.blocks if isinstance(block, Words)]
    computed, given = words.text.split("\n")
    assert computed.split()[-1] == given.split()[-1]


def test_the_standard_error_falls_with_the_root_of_the_batch_size(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("tiny"), {}, False)
    (bars,) = [block for block in exhibit.blocks if isinstance(block, Bars)]
    for bar in bars.bars:
        measured, expected = float(bar.number.split()[0]), float(bar.number.split()[-1])
        assert measured == pytest.approx(expected, rel=0.15)


def test_training_mode_changes_only_the_running_statistics_of_a_copy(context_of: Contexts) -> None:
    context = context_of("tiny")
    inspected = subject(context)
    norm = norms_of(inspected)["norm1"]
    statistics = norm_statistics(context, inspected, norm, 16, training=True)
    assert norm.running_mean is not None
    expected = [updated_running(0.0, float(mean), norm.momentum or 0.0) for mean in statistics.mean]
    assert norm.running_mean.tolist() == pytest.approx(expected, abs=1e-5)
    original = context.model.get_submodule("norm1")
    assert isinstance(original, nn.BatchNorm2d)
    assert original.running_mean is not None
    assert not original.running_mean.any()


def test_a_model_without_batch_norm_and_a_diverged_one_get_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    first = exhibit.blocks[0]
    assert isinstance(first, Words)
    assert "mlp has no batch norm" in first.text
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    assert "nothing to normalize" in exhibit.result


def test_twins_have_the_same_initial_weights_and_a_running_mean(
    context_of: Contexts,
) -> None:
    context = dataclasses.replace(context_of("tiny"), clock=Ticking(0.8))
    plain, normed = (context.fresh(name).state_dict() for name in (PLAIN, NORMED))
    assert all(torch.equal(weights, normed[name]) for name, weights in plain.items())
    *under_way, end = show(context, {"rate": 0.1}, True)
    assert all(exhibit.progress is not None for exhibit in under_way)
    assert [row[0] for row in table_of(end).rows] == [PLAIN, NORMED]
    running_mean_curves = [block for block in end.blocks if isinstance(block, Curves)][-1]
    assert TRACKED_NORM in running_mean_curves.caption
    batch, running = (curve.y for curve in running_mean_curves.curves)
    assert running[0] == pytest.approx(0.1 * batch[0])
    for step in range(1, len(batch)):
        assert running[step] == pytest.approx(updated_running(running[step - 1], batch[step], 0.1))
    assert "One seed" in end.evidence


def test_the_shown_means_are_those_of_the_batches(context_of: Contexts) -> None:
    context = context_of("tiny")
    trial = context.trial(context.fresh("tiny"), lr=0.05, batch_size=8)
    norm = trial.model.get_submodule("norm1")
    assert isinstance(norm, nn.BatchNorm2d)
    inspected: list[Tensor] = []
    norm.register_forward_hook(
        lambda m, given, r: inspected.append(given[0].detach().mean((0, 2, 3)))
    )
    arm = TrackedArm("tiny", trial, norm=norm)
    for _ in range(3):
        arm.step()
    (running_mean_curves,) = arm.running_mean_curves()
    channel = int(running_mean_curves.caption.split("channel ")[1].split(":")[0])
    assert running_mean_curves.curves[0].y == pytest.approx(
        [float(m[channel]) for m in inspected], abs=1e-4
    )
