"""The dropout experiment: masks, their mean, and the dropout layers of the model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.lab.conftest import Contexts
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.dropout.experiment import MASKS, PREDICTIONS
from tui_trainer.protocol.exhibit import Bars, Exhibit, Pictures, Words

show = ask.experiment("dropout")


def pictures_of(exhibit: Exhibit) -> Pictures:
    (pictures,) = [block for block in exhibit.blocks if isinstance(block, Pictures)]
    return pictures


def bars_of(exhibit: Exhibit) -> dict[str, float]:
    (bars,) = [block for block in exhibit.blocks if isinstance(block, Bars)]
    return {bar.label.strip(): bar.share for bar in bars.bars}


@pytest.mark.parametrize("model", ["mlp", "tiny", "era-s6", "squeeze-dropout"])
def test_kept_features_are_scaled_up_and_the_rest_is_zero(context_of: Contexts, model: str) -> None:
    (exhibit,) = show(context_of(model), {"share": 0.5, "draw": 3.0}, False)
    before, mask, after = pictures_of(exhibit).items
    kept = [value == 1.0 for value in mask.values]
    assert 0 < sum(kept) < len(kept)
    assert list(after.values) == pytest.approx(
        [2 * value if keeps else 0.0 for value, keeps in zip(before.values, kept, strict=True)]
    )
    (other,) = show(context_of(model), {"share": 0.5, "draw": 4.0}, False)
    assert pictures_of(other).items[1].values != mask.values


def test_evaluation_mode_drops_nothing(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("tiny"), {"share": 0.5, "mode": "evaluation"}, False)
    before, mask, after = pictures_of(exhibit).items
    assert set(mask.values) == {1.0}
    assert after.values == before.values


def test_the_map_is_the_input_of_the_models_dropout(context_of: Contexts) -> None:
    context = context_of("squeeze-dropout")
    (exhibit,) = show(context, {"digit": 2.0}, False)
    seen: list[Tensor] = []
    model = context.copy()
    model.get_submodule("drop1").register_forward_hook(
        lambda module, given, result: seen.append(given[0][0])
    )
    with torch.no_grad():
        model(context.digit(2).model_input)
    strongest = seen[0][seen[0].flatten(1).sum(dim=1).argmax()]
    assert pictures_of(exhibit).items[0].values == pytest.approx(strongest.flatten().tolist())
    assert exhibit.controls[0].value == 0.05


def test_the_mean_over_the_masks_is_the_sum_in_evaluation(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {"share": 0.3}, False)
    words = exhibit.result.replace(",", "").split()
    total = float(words[words.index("is") + 1])
    around = words.index("±")
    mean, error = float(words[around - 1]), float(words[around + 1])
    assert abs(mean - total) < 4 * error
    spread = float(words[words.index("deviation") + 1])
    assert error == pytest.approx(spread / math.sqrt(MASKS), rel=0.1)
    # Over all features: the root of p / (1 − p) Σ x².
    before = pictures_of(exhibit).items[0]
    times = (before.height * before.width) // 24
    square = sum(value**2 for value in before.values) / times
    assert spread == pytest.approx(math.sqrt(3 / 7 * square), rel=0.2)


def test_probabilities_vary_with_the_share_and_not_without_dropout(context_of: Contexts) -> None:
    for model in ("mlp", "squeeze-dropout"):
        (constant,) = show(context_of(model), {"share": 0.0}, False)
        found = bars_of(constant)
        assert found["lowest"] == pytest.approx(found["evaluation"], abs=1e-5)
        assert found["highest"] == pytest.approx(found["evaluation"], abs=1e-5)
        (varied,) = show(context_of(model), {"share": 0.5}, False)
        found = bars_of(varied)
        assert found["lowest"] < found["median"] < found["highest"]
        assert f"of {PREDICTIONS} masks" in varied.evidence


def test_the_probability_in_evaluation_mode_is_that_of_the_model(context_of: Contexts) -> None:
    context = context_of("squeeze-dropout")
    (exhibit,) = show(context, {"share": 0.7, "digit": 5.0}, False)
    digit = context.digit(5)
    with torch.no_grad():
        expected = context.copy()(digit.model_input).softmax(dim=1)[0, digit.label]
    assert bars_of(exhibit)["evaluation"] == pytest.approx(float(expected), abs=1e-5)


def test_a_diverged_model_gets_a_message(context_of: Contexts) -> None:
    for model in ("mlp", "squeeze-dropout"):
        (exhibit,) = show(diverged(context_of(model)), {}, False)
        (words,) = exhibit.blocks
        assert isinstance(words, Words)
        assert "not finite" in words.text
