"""Activation maximization: top images have the highest activations; ascent improves on noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.lab.views.conftest import Contexts, Seen
from tests.lab.views.custom_models import write_odd
from tui_trainer.lab.views.gradient_ascent import ActivatingImage, Unit, activations, generated
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Words


def pictures(exhibit: Exhibit) -> list[Pictures]:
    return [block for block in exhibit.blocks if isinstance(block, Pictures)]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with unusual custom models."""
    return write_odd(tmp_path_factory.mktemp("odd"))


def test_the_top_images_have_the_highest_activations(context_of: Contexts, seen: Seen) -> None:
    context = context_of("era-s6")
    exhibit = seen(context, "activation", layer="conv3", unit=5.0)
    searched = context.split("validation").sample(int(str(exhibit.figures["searched"])))
    found: list[torch.Tensor] = []
    model = context.copy()
    dict(model.named_modules())["conv3_norm"].register_forward_hook(
        lambda m, i, o: found.append(o[:, 5].clone())
    )
    with torch.no_grad():
        model(context.data.prepare(searched.images))
    values = found[0].flatten(1).amax(dim=1)
    best = values.argsort(descending=True)[:8]
    reported = exhibit.figures["best"]
    assert isinstance(reported, list)
    assert [one["value"] for one in reported] == pytest.approx(values[best].tolist(), rel=1e-3)
    assert reported[0]["true"] == int(searched.labels[best[0]])
    # The first image is framed at the maximum of its map, clipped to the image.
    down, along = divmod(int(found[0][best[0]].argmax()), 14)
    box = next(row for row in context.layers if row.name == "conv3").box(down, along)
    assert box is not None
    assert reported[0]["receptive_field"][:2] == pytest.approx((box.top, box.left), abs=0.5)
    cuts, whole = pictures(exhibit)
    assert {(p.height, p.width) for p in cuts.items} == {(10, 10)}
    assert all(p.frame is not None for p in whole.items)


def test_a_logit_has_whole_images(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    exhibit = seen(context, "activation", unit=3.0)
    (block,) = pictures(exhibit)
    assert {(p.height, p.width) for p in block.items} == {(28, 28)}
    made_ones, best = exhibit.figures["generated"], exhibit.figures["best"]
    assert isinstance(made_ones, list)
    assert isinstance(best, list)
    assert len(made_ones) == 2
    assert max(one["value"] for one in made_ones) > best[0]["value"]
    means = exhibit.figures["mean_by_class"]
    assert isinstance(means, dict)
    assert set(means) == set(map(str, range(10)))


def test_generated_images_are_reproducible(context_of: Contexts) -> None:
    context = context_of("small")
    model = context.copy().requires_grad_(False)
    unit, start = Unit(None, 2), torch.full((1, 1, 28, 28), 0.4)

    def ascent() -> list[torch.Tensor]:
        torch.manual_seed(3)
        return list(
            generated(
                model,
                context.layers,
                unit,
                start,
                black=-0.4,
                white=2.8,
                scale=1e-4,
                is_moved=True,
                part=20,
            )
        )

    first, again = ascent(), ascent()
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in first)
    values = [
        activations(model, context.layers, unit, -0.4 + 3.2 * image) for image in (start, *first)
    ]
    climbed = [float(value) for value in values if value is not None]
    real = activations(
        model, context.layers, unit, context.data.prepare(context.split("validation").images)
    )
    assert real is not None
    assert climbed[-1] > max(climbed[0], float(real.max()))


def test_every_layer_of_an_odd_model_is_reached(
    odd: Path, context_of: Contexts, seen: Seen
) -> None:
    context = context_of(f"{odd}:Odd")
    layers = seen(context, "activation").controls[1].steps
    assert len(layers) == 5  # the logits, a function, one module twice, the last
    for layer in layers[1::2]:
        exhibit = seen(context, "activation", layer=layer, unit=1.0)
        assert exhibit.figures["layer"] == layer
        assert exhibit.figures["best"]
        assert exhibit.figures["generated"]


def test_without_a_gradient_no_image_is_generated(
    odd: Path, context_of: Contexts, seen: Seen
) -> None:
    context = context_of(f"{odd}:Closed")
    exhibit = seen(context, "activation")
    assert exhibit.figures["best"]
    assert exhibit.figures["generated"] == []


def test_non_finite_weights_are_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("small")
    model = context.copy().requires_grad_(False)
    next(model.parameters()).fill_(float("nan"))
    diverged = replace(context, model=model)
    exhibit = seen(diverged, "activation")
    assert any(isinstance(block, Words) and block.tone == "error" for block in exhibit.blocks)


def test_the_receptive_field_is_black_beyond_the_image() -> None:
    pixels = torch.arange(1.0, 17.0).view(4, 4)
    cut = ActivatingImage(pixels, 1, 0.0, (-1, 2, 3, 3)).cut
    assert cut.tolist() == [[0, 0, 0], [3, 4, 0], [7, 8, 0]]
    assert ActivatingImage(pixels, 1, 0.0, (-1, -1, 6, 6)).is_whole
