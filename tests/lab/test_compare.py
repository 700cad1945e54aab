"""Comparisons: equal conditions, a correct table, and tests of significance."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from tests.lab.conftest import Contexts, Ticking
from tests.lab.test_trial import evaluation_of
from tui_trainer.engine.evaluation import Evaluation
from tui_trainer.lab.compare import (
    RECIPE,
    arm,
    compare,
    differences,
    lead,
    recalibrate_trial,
    score,
)
from tui_trainer.lab.context import Context
from tui_trainer.lab.lessons.image_normalization.arithmetic import RAW, Scale
from tui_trainer.lab.lessons.image_normalization.experiment import Rescaled
from tui_trainer.lab.model_variants import POOL, Conv, stack
from tui_trainer.lab.trial import Arm
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table


def quick(context: Context) -> Context:
    return dataclasses.replace(context, clock=Ticking(0.05))


def small(classes: int = 10) -> nn.Module:
    return stack([Conv(4), POOL, Conv(6), POOL], classes)


def right(count: int, first: int = 0) -> Evaluation:
    """An evaluation of 1,000 images, ``count`` consecutive ones correct."""
    return evaluation_of([first <= place < first + count for place in range(1_000)])


def two_arms(context: Context) -> list[Arm]:
    model = context.build(small)
    return [arm(context, "steady", model), arm(context, "lost", model, lr=1e3)]


def finished(context: Context, arms: list[Arm], images: int) -> list[Exhibit]:
    return list(compare(context, arms, val_images=60, images=images))


def test_arms_see_the_same_number_of_images_and_the_table_matches(context_of: Contexts) -> None:
    context = quick(context_of("tiny"))
    model = context.build(small)
    arms = [arm(context, "one", model), arm(context, "slow", model, lr=0.001)]
    last = finished(context, arms, images=320)[-1]
    table = next(block for block in last.blocks if isinstance(block, Table))
    assert {each.trial.images for each in arms} == {320}
    for each, row in zip(arms, table.rows, strict=True):
        custom = score(each.trial, context.sample(60))
        assert row[:3] == (each.name, f"{sum(p.numel() for p in model.parameters()):,}", "320")
        assert row[3] == f"{each.losses[-1]:.4f}"
        assert row[4].startswith(f"{100 * custom.accuracy:.2f} %")
    assert "320 training images each" in last.evidence
    assert "60 validation images" in last.evidence


def test_only_the_last_exhibit_has_a_result(
    context_of: Contexts,
) -> None:
    context = quick(context_of("tiny"))
    shown = finished(context, two_arms(context), images=320)
    assert all(not one.result and one.progress is not None for one in shown[:-1])
    assert shown[-1].result
    assert shown[-1].progress is None
    assert shown[-1].evidence
    shares = [one.progress for one in shown[:-1] if one.progress is not None]
    assert shares == sorted(shares)
    curves = next(block for block in shown[-1].blocks if isinstance(block, Curves))
    assert [curve.name for curve in curves.curves] == ["steady", "lost"]


def test_a_diverged_arm_is_named_and_not_ranked(context_of: Contexts) -> None:
    context = quick(context_of("tiny"))
    broken = small()
    for parameter in broken.parameters():
        parameter.data.fill_(float("nan"))
    arms = [arm(context, "sound", context.build(small)), arm(context, "broken", broken)]
    last = finished(context, arms, images=160)[-1]
    assert "broken is not finite" in last.result
    assert last.result.index("sound") < last.result.index("broken")
    table = next(block for block in last.blocks if isinstance(block, Table))
    assert table.rows[1][3] == "diverged"


def test_arms_use_the_recipe_and_not_the_settings_of_the_run(context_of: Contexts) -> None:
    context = context_of("tiny")
    wild = dataclasses.replace(context.config, lr=9.0, optimizer="adam", label_smoothing=0.5)
    one = arm(dataclasses.replace(context, config=wild), "one", small())
    assert {name: getattr(one.trial.config, name) for name in RECIPE} == RECIPE
    assert one.trial.config.augmentation.is_none


def test_recalibrated_statistics_are_the_mean_over_training_batches(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.lab.compare.RECALIBRATED_ON", 640)
    context = context_of("tiny")
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(28 * 28, 10))
    trial = arm(context, "one", model).trial
    weights = [parameter.detach().clone() for parameter in trial.model.parameters()]
    recalibrate_trial(trial)
    norm = trial.model[0]  # type: ignore[index]
    # On normalized images: 20 batches of 32 are slightly more than all 600.
    assert float(norm.running_mean) == pytest.approx(0.0, abs=0.02)
    assert float(norm.running_var) == pytest.approx(1.0, abs=0.02)
    assert all(map(torch.equal, weights, trial.model.parameters()))
    assert trial.images == 0


def test_differences_are_tested_for_significance() -> None:
    nobody = "No difference is significant (McNemar, Holm)."
    assert differences({"a": right(900), "b": right(905, first=50)}) == nobody
    reported = differences({"a": right(500), "b": right(900), "c": right(905, first=50)})
    assert "Significant (McNemar, Holm): c over a; b over a." in reported
    assert "other differences are not significant" in reported
    assert "other" not in differences({"a": right(500), "b": right(900)})


def test_the_lead_is_in_points_with_its_significance() -> None:
    assert lead({"c": right(910, first=60), "b": right(900)}) == (
        "Highest accuracy: c, 1.00 points more than b, not significant."
    )
    assert (
        lead({"b": right(900), "a": right(700)}) == "Highest accuracy: b, 20.00 points more than a."
    )
    assert lead({"a": right(700), "d": right(700)}) == "a and d have equal accuracy."


def test_every_arm_is_recalibrated_on_the_same_number_of_images(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.lab.compare.RECALIBRATED_ON", 64)
    context = context_of("tiny")
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10), nn.BatchNorm1d(10))
    for size, batches in ((16, 4), (32, 2), (128, 1)):
        trial = arm(context, "one", model, batch_size=size).trial
        recalibrate_trial(trial)
        norm = trial.model[2]  # type: ignore[index]
        assert int(norm.num_batches_tracked) == batches
        assert norm.running_mean.any()


def test_a_rescaled_model_gets_the_stored_pixels(context_of: Contexts) -> None:
    data = context_of("tiny").data
    images = data.train.images[:4]
    raw = Rescaled(nn.Identity(), RAW, data)(data.prepare(images))
    assert torch.allclose(raw[:, 0], images.float(), atol=1e-3)
    same = Rescaled(nn.Identity(), Scale(*data.mean, *data.std), data)
    assert torch.allclose(same(data.prepare(images)), data.prepare(images), atol=1e-6)
