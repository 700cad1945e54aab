from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from tests.lab.views.conftest import Contexts, Seen
from tui_trainer.data.ink import thickness
from tui_trainer.lab.ask import view_named
from tui_trainer.lab.predictions import Predictions
from tui_trainer.lab.views import robustness
from tui_trainer.lab.views.perturbations import PERTURBATIONS, kinds, moved, noisy, thickened
from tui_trainer.protocol.exhibit import Curves, Pictures, Table, Words
from tui_trainer.stats.intervals import wilson


@pytest.fixture(scope="module")
def digits(context_of: Contexts) -> Tensor:
    return context_of("tiny").split("validation").images[:30].float()


# --- the perturbations


def test_a_shift_by_whole_pixels_is_a_roll(digits: Tensor) -> None:
    shifted = moved(digits, right=3, down=-2)

    assert torch.allclose(shifted[:, :-2, 3:], digits[:, 2:, :-3], atol=0.05)
    assert float(shifted[:, :, :3].max()) < 0.05


@pytest.mark.parametrize("angle", [17.0, -40.0])
def test_rotation_matches_scipy(digits: Tensor, angle: float) -> None:
    # With y downwards, scipy rotates counterclockwise for positive angles.
    turned = ndimage.rotate(digits[0].numpy(), -angle, reshape=False, order=1)

    assert torch.allclose(moved(digits[:1], turn=angle)[0], torch.from_numpy(turned), atol=0.5)


def test_rotation_to_the_right_is_clockwise() -> None:
    upright = torch.zeros(1, 28, 28)
    upright[0, 2:12, 13:15] = 255

    turned = moved(upright, turn=90)[0]

    rows, columns = torch.nonzero(turned > 100).T
    assert int(columns.min()) > 14
    assert int(rows.min()) >= 12


@pytest.mark.parametrize("zoom", [0.5, 0.8, 1.3])
def test_ink_grows_with_the_square_of_the_scale(digits: Tensor, zoom: float) -> None:
    soft = torch.nn.functional.avg_pool2d(digits, 3, 1, 1)[:10]

    assert float(moved(soft, zoom=zoom).sum() / soft.sum()) == pytest.approx(zoom**2, rel=0.05)


@pytest.mark.parametrize("strength", [-1.0, -0.5, 1.0, 3.0])
def test_strokes_change_by_the_given_width(strength: float) -> None:
    line = torch.zeros(1, 28, 28)
    line[0, 4:24, 11:15] = 255

    changed = thickened(line, strength)

    assert float(changed[0, 14].sum()) / 255 == pytest.approx(4 + strength, abs=0.3)
    assert thickness(changed[0]) == pytest.approx(thickness(line[0]) + strength, rel=0.25)
    assert torch.equal(thickened(line, 0.0), line)


def test_noise_has_the_given_std_and_is_reproducible() -> None:
    gray = torch.full((20, 28, 28), 127.5)
    one = noisy(gray, 10, 1)

    assert float(one.std()) == pytest.approx(25.5, rel=0.05)
    assert torch.equal(one, noisy(gray, 10, 1))
    assert not torch.equal(one, noisy(gray, 10, 2))
    assert float(noisy(gray, 60, 1).min()) >= 0
    assert float(noisy(gray, 60, 1).max()) <= 255


@pytest.mark.parametrize("side", [8, 14, 32])
def test_every_perturbation_works_on_other_image_sizes(side: int) -> None:
    grays = torch.rand(3, side, side) * 255
    for perturbation in PERTURBATIONS:
        for strength in perturbation.strengths:
            assert perturbation.apply(grays, strength, 1).shape == grays.shape


# --- the view


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "MOST", robustness.LEAST)


def table_of(shown: Any) -> Table:
    return next(block for block in shown.blocks if isinstance(block, Table))


def test_accuracies_are_those_of_the_perturbed_images(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    shown = seen(context, "robustness", perturbation="rotate")

    figures: Any = shown.figures
    reported = {(each["perturbation"], each["strength"]): each for each in figures["perturbations"]}
    total = figures["total"]
    split = context.split("validation").sample(total)
    turned = split.images.float()
    for variant, sign in ((0, 1), (1, -1)):
        turned[variant::2] = moved(turned[variant::2], turn=sign * 20)
    with torch.no_grad():
        logits = context.model(context.data.prepare(turned.round().clamp(0, 255).byte()))
    correct_count = int((logits.argmax(dim=1) == split.labels).sum())
    assert reported["rotate", 20]["correct"] == correct_count
    assert (reported["rotate", 20]["low"], reported["rotate", 20]["high"]) == wilson(
        correct_count, total
    )
    assert len(reported) == sum(len(perturbation.strengths) for perturbation in PERTURBATIONS)
    assert f"{total} validation images" in shown.evidence
    low, high = wilson(correct_count, total)
    cell = f"{100 * correct_count / total:.0f} [{100 * low:.0f}, {100 * high:.0f}]"
    table = table_of(shown)
    assert table.marked is not None
    assert table.rows[table.marked][0] == "rotate"
    assert table.rows[table.marked + 1][2] == cell


@pytest.mark.parametrize("kind", kinds(1))
def test_one_image_is_followed_through_all_strengths(context_of: Contexts, kind: str) -> None:
    context = context_of("tiny")
    parts = view_named("robustness")(context, {"perturbation": kind, "digit": 7.0}, False)
    shown = next(part for part in parts if part is not None)

    curves = next(block for block in shown.blocks if isinstance(block, Curves))
    pictures = next(block for block in shown.blocks if isinstance(block, Pictures))
    digit = context.digit(7, "validation")
    right = float(context.probabilities(digit.pixels[None])[0, digit.label])
    assert f"probability of the true class {digit.label}" in curves.caption
    for curve in curves.curves:
        assert curve.x[0] == 0
        assert curve.y[0] == pytest.approx(right, abs=1e-5)
    assert 2 <= len(pictures.items) <= 4
    assert len({picture.values for picture in pictures.items}) == len(pictures.items)


def test_it_works_in_slices(context_of: Contexts) -> None:
    parts = list(view_named("robustness")(context_of("tiny"), {}, False))
    shown = [part for part in parts if part is not None]

    assert len(parts) > 25
    shares = [each.progress for each in shown]
    assert shares[-1] is None
    assert shares[:-1] == sorted(share for share in shares if share is not None)
    assert "·" in table_of(shown[0]).rows[-1]
    assert "·" not in table_of(shown[-1]).rows[-1]


def test_significant_drops_are_reported(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    split = context.split("validation").sample(robustness.MOST)
    known = {
        bytes(image.flatten().tolist()): int(y) for image, y in zip(*_both(split), strict=True)
    }

    class Knows(torch.nn.Module):
        """Correct on the unperturbed images that it has memorized; predicts 0 for any other."""

        def forward(self, inputs: Tensor) -> Tensor:
            data = context.data
            grays = (inputs * data.std[0] + data.mean[0]).mul(255).round().byte()
            predicted = [known.get(bytes(each.flatten().tolist()), 0) for each in grays]
            return 20 * torch.nn.functional.one_hot(torch.tensor(predicted), 10).float()

    shown = seen(replace(context, model=Knows()), "robustness")

    figures: Any = shown.figures
    assert figures["unperturbed"]["accuracy"] == 1
    assert shown.result.startswith(
        "Accuracy drops significantly at: shift by 1 px, rotate by 10 °, "
    )
    assert "noise by 10 %" in shown.result


def _both(split: Any) -> tuple[Tensor, Tensor]:
    return split.images, split.labels


def test_the_test_set_stays_sealed(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny")
    shown = seen(context, "robustness", images="test")

    assert shown.figures == {"images": "test", "sealed": True}
    found = Predictions(
        "test", context.step, torch.full((1, 10), 0.1), torch.zeros(1).long(), test_evaluation=1
    )
    context.prediction_store.keep(found)
    try:
        assert "test images" in seen(context, "robustness", images="test").evidence
    finally:
        del context.prediction_store.by_split["test"]


def test_non_finite_weights_and_no_validation_split(context_of: Contexts, seen: Seen) -> None:
    context = context_of("tiny", val_size=0)
    assert "training images" in seen(context, "robustness").evidence

    logits = torch.nn.Linear(28 * 28, 10)
    torch.nn.init.constant_(logits.bias, float("nan"))
    model = torch.nn.Sequential(torch.nn.Flatten(), logits).eval()
    diverged = seen(replace(context, model=model), "robustness")
    assert isinstance(diverged.blocks[0], Words)
    assert diverged.blocks[0].tone == "error"
