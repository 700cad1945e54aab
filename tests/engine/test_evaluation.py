from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.engine.runs import tiny_config
from tui_trainer.data.dataset import Data, HeldOutTest, Split
from tui_trainer.data.loading import load
from tui_trainer.engine import evaluation
from tui_trainer.engine.evaluation import EVAL_PIXELS, Evaluation, evaluate
from tui_trainer.models import zoo


@pytest.fixture
def data(tiny: Path) -> Data:
    with pytest.raises(StopIteration) as end:
        next(load(tiny_config(tiny), torch.device("cpu")))
    loaded = end.value.value
    assert isinstance(loaded, Data)
    return loaded


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return zoo.build("era-s6-dropout", image_size=8, classes=10, dropout=0.5)


def evaluation_of(losses: list[float], is_correct: list[bool], labels: list[int]) -> Evaluation:
    return Evaluation(torch.tensor(losses), torch.tensor(is_correct), torch.tensor(labels))


# --- evaluate a model on a split


def test_losses_and_predictions_agree_with_numpy(model: nn.Module, data: Data) -> None:
    result = evaluate(model, data, data.train)

    model.eval()
    with torch.no_grad():
        logits = model(data.prepare(data.train.images)).double().numpy()
    labels = data.train.labels.numpy()
    wanted = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(110), labels]
    np.testing.assert_allclose(result.losses.numpy(), wanted, atol=1e-5)
    assert result.is_correct.tolist() == (logits.argmax(axis=1) == labels).tolist()
    assert result.loss == pytest.approx(float(wanted.mean()), abs=1e-6)
    assert (result.correct, result.total) == (int((logits.argmax(axis=1) == labels).sum()), 110)


def test_uneven_passes_evaluate_every_image_once(
    model: nn.Module, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(model, data, data.train)
    monkeypatch.setattr(evaluation, "EVAL_PIXELS", 16 * 64)

    parts = evaluate(model, data, data.train)

    assert parts.total == 110
    assert torch.equal(parts.labels, data.train.labels)
    assert torch.allclose(parts.losses, whole.losses, atol=1e-6)


@pytest.mark.parametrize("size", [8, 28, 128])
def test_a_pass_takes_fewer_images_where_they_are_larger(size: int) -> None:
    """A thousand images of 128×128 pixels would fill gigabytes with one layer's maps."""
    images = torch.zeros(2_100, size, size, dtype=torch.uint8)
    seen: list[Tensor] = []

    class Notes(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(pixels)
            return pixels.new_zeros(len(pixels), 2)

    split = Split(images, torch.zeros(2_100, dtype=torch.int64))
    box = Data("d", 2, size, split, split, HeldOutTest(split), (0.0,), (1.0,))

    assert evaluate(Notes(), box, split).total == 2_100
    assert sum(map(len, seen)) == 2_100
    assert max(pixels.numel() for pixels in seen) <= EVAL_PIXELS


def test_evaluate_changes_nothing_and_restores_the_mode(model: nn.Module, data: Data) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.get_rng_state()

    first, second = (evaluate(model, data, data.val) for _ in range(2))

    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(first.losses, second.losses)  # without dropout, which is random
    assert all(module.training for module in model.modules())


# --- figures


def test_class_accuracy_is_none_for_a_class_without_images() -> None:
    result = evaluation_of([0.0] * 5, [True, False, True, True, False], [0, 0, 2, 2, 3])

    assert result.class_accuracy(5) == (0.5, None, 1.0, 0.0, None)


def test_the_mean_loss_is_summed_in_double_precision() -> None:
    losses = torch.full((1_000_000,), 0.1)
    result = Evaluation(losses, losses > 1, torch.zeros(1_000_000, dtype=torch.int64))

    assert result.loss == pytest.approx(float(np.float32(0.1)), abs=1e-12)


def test_rise_over_is_a_paired_difference_with_standard_error() -> None:
    best = evaluation_of([1.0, 2.0, 3.0, 10.0], [True] * 4, [0, 1, 2, 3])
    now = evaluation_of([1.5, 2.0, 4.0, 10.5], [True] * 4, [0, 1, 2, 3])

    rise, error = now.rise_over(best)

    differences = [0.5, 0.0, 1.0, 0.5]
    assert rise == pytest.approx(0.5)
    assert error == pytest.approx(float(np.std(differences, ddof=1)) / 2)


def test_the_best_epoch_has_no_rise_over_itself() -> None:
    result = evaluation_of([0.3, 0.7], [True, True], [0, 1])

    assert result.rise_over(result) == (0.0, 0.0)


def test_a_single_image_has_no_standard_error() -> None:
    now, best = evaluation_of([0.75], [True], [0]), evaluation_of([0.5], [True], [0])
    assert now.rise_over(best) == (0.25, 0.0)
