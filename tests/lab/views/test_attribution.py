"""Attribution: the maps match Captum, and the texts match the maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, Occlusion, Saliency
from torch import Tensor, nn

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.custom_models import write_odd
from tui_trainer.lab.context import Context
from tui_trainer.lab.views.attribution_methods import (
    PATH_STEPS,
    gradient,
    input_x_gradient,
    integrated_gradients,
    occlusion,
)
from tui_trainer.lab.views.single_image import occluder
from tui_trainer.protocol.exhibit import Pictures, Words


@pytest.fixture(scope="module")
def case(context_of: Contexts) -> tuple[nn.Module, Tensor, Tensor]:
    """An untrained model with large enough weights, a model input, and its value of black."""
    context = context_of("small")
    model = context.copy().requires_grad_(False)
    list(model.parameters())[-2].mul_(20)
    return model, context.digit(5, "validation").model_input, occluder(context)


Case = tuple[nn.Module, Tensor, Tensor]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with unusual custom models."""
    return write_odd(tmp_path_factory.mktemp("odd"))


def test_the_patch_has_the_value_of_the_background(context_of: Contexts) -> None:
    context = context_of("small")
    corner = context.digit(0, "validation").model_input[0, 0, 0, 0]
    assert occluder(context) == pytest.approx(float(corner))
    assert occluder(context) < 0


def test_the_gradient_matches_captums_saliency(case: Case) -> None:
    model, image, _ = case
    ours = gradient(model, image, 3)
    theirs = Saliency(model).attribute(image.clone().requires_grad_(True), target=3)
    assert ours is not None
    assert torch.allclose(ours.abs(), theirs[0, 0], rtol=1e-4, atol=1e-7)
    assert float(ours.abs().max()) > 0


@pytest.mark.parametrize(("patch", "stride"), [(5, 3), (4, 2), (7, 5)])
def test_occlusion_matches_captum(case: Case, patch: int, stride: int) -> None:
    model, image, black = case

    def probabilities(images: Tensor) -> Tensor:
        return model(images).softmax(dim=1)  # type: ignore[no-any-return]

    theirs = Occlusion(probabilities).attribute(
        image,
        sliding_window_shapes=(1, patch, patch),
        strides=(1, stride, stride),
        baselines=black,
        target=3,
    )
    *_, ours = occlusion(model, image, black, patch=patch, stride=stride, part=20)
    assert ours.share == 1
    assert torch.allclose(ours.drop(3), theirs[0, 0], rtol=1e-3, atol=1e-6)
    assert float(ours.drop(3).abs().max()) > 1e-4


def test_integrated_gradients_match_captum(case: Case) -> None:
    model, image, black = case
    parts = integrated_gradients(model, image, black, 3, part=10)
    while True:
        try:
            next(parts)
        except StopIteration as done:
            ours = done.value
            break
    theirs = IntegratedGradients(model).attribute(
        image, baselines=black, target=3, n_steps=PATH_STEPS, method="riemann_middle"
    )
    assert torch.allclose(ours, theirs[0, 0], rtol=1e-3, atol=1e-5)
    with torch.no_grad():
        whole = float((model(image) - model(torch.full_like(image, float(black))))[0, 3])
    assert float(ours.sum()) == pytest.approx(whole, rel=0.05)


def test_input_x_gradient_is_gradient_times_pixel(case: Case) -> None:
    model, image, black = case
    slope, ours = gradient(model, image, 3), input_x_gradient(model, image, black, 3)
    assert slope is not None
    assert ours is not None
    assert torch.allclose(ours, slope * (image[0, 0] - black))
    assert bool((ours[image[0, 0] == image.min()] == 0).all())


def test_unfinished_positions_count_as_zero(case: Case) -> None:
    model, image, black = case
    first, *_ = occlusion(model, image, black, patch=5, stride=3, part=8)
    assert 0 < first.share < 1
    assert bool((first.drop(3)[10:] == 0).all())


def test_the_frame_is_the_position_with_the_largest_drop(context_of: Contexts, seen: Seen) -> None:
    exhibit = seen(context_of("tiny"), "attribution", digit=2.0, patch=7.0)
    pictures = exhibit.blocks[0]
    assert isinstance(pictures, Pictures)
    worst = exhibit.figures["worst"]
    assert isinstance(worst, dict)
    assert pictures.items[0].frame == (worst["top"], worst["left"], 7, 7)
    context = context_of("tiny")
    digit = context.digit(2, "validation")
    covered = digit.model_input.clone()
    covered[..., worst["top"] : worst["top"] + 7, worst["left"] : worst["left"] + 7] = -1e9
    covered = covered.clamp(min=occluder(context))
    with torch.no_grad():
        shares = context.model(covered).softmax(dim=1)[0]
    assert worst["probabilities"] == pytest.approx(shares.tolist(), abs=1e-5)
    maps = exhibit.figures["maps"]
    assert isinstance(maps, dict)
    assert np.array(list(maps.values())).shape == (2, 28, 28)


@pytest.mark.parametrize(
    "method", ["occlusion", "saliency", "input × gradient", "integrated gradients"]
)
def test_odd_models_are_attributed(
    odd: Path, context_of: Contexts, seen: Seen, method: str
) -> None:
    context = context_of(f"{odd}:Odd")
    exhibit = seen(context, "attribution", method=method)
    assert exhibit.progress is None
    assert len(exhibit.figures["maps"]) == 2  # type: ignore[arg-type]


def test_a_missing_gradient_is_reported(odd: Path, context_of: Contexts, seen: Seen) -> None:
    context = context_of(f"{odd}:Closed")
    for method in ("saliency", "input × gradient", "integrated gradients"):
        exhibit = seen(context, "attribution", method=method)
        assert any(isinstance(b, Words) and "No gradient" in b.text for b in exhibit.blocks)


def test_non_finite_weights_are_reported(context_of: Contexts, seen: Seen) -> None:
    context: Context = context_of("small")
    model = context.copy().requires_grad_(False)
    next(model.parameters()).fill_(float("nan"))
    diverged = replace(context, model=model)
    for method in ("occlusion", "saliency"):
        exhibit = seen(diverged, "attribution", method=method)
        assert "not finite" in exhibit.result
