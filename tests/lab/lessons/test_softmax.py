"""The softmax experiment against torch's softmax and autograd."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from tests.lab.conftest import Contexts
from tui_trainer.lab import ask
from tui_trainer.protocol.exhibit import Bars, Exhibit

show = ask.experiment("softmax")


def bars_of(exhibit: Exhibit) -> Bars:
    (bars,) = [block for block in exhibit.blocks if isinstance(block, Bars)]
    return bars


@pytest.mark.parametrize("temperature", [0.5, 1.0, 5.0])
def test_probabilities_and_gradient_equal_those_of_torch(
    context_of: Contexts, temperature: float
) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {"digit": 3.0, "temperature": temperature}, False)
    digit = context.digit(3)
    logits = context.copy()(digit.model_input).detach().double().requires_grad_()
    loss = functional.cross_entropy(logits / temperature, torch.tensor([digit.label]))
    loss.backward()  # type: ignore[no-untyped-call]
    expected = torch.softmax(logits.detach()[0] / temperature, 0).tolist()
    assert [bar.share for bar in bars_of(exhibit).bars] == pytest.approx(expected, abs=1e-6)
    assert f"{loss.item():.4f}" in exhibit.result
    assert logits.grad is not None
    for bar, slope in zip(bars_of(exhibit).bars, logits.grad[0].tolist(), strict=True):
        assert float(bar.number.split()[-1]) == pytest.approx(slope, abs=1e-4)
    assert [bar.is_marked for bar in bars_of(exhibit).bars].index(True) == digit.label


def test_only_misclassified_digits_are_shown_on_request(context_of: Contexts) -> None:
    context = context_of("tiny")
    for place in range(5):
        (exhibit,) = show(context, {"digits": "wrong", "digit": float(place)}, False)
        bars = bars_of(exhibit).bars
        assert not max(bars, key=lambda bar: bar.share).is_marked


def test_nonfinite_logits_get_a_message(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    (exhibit,) = show(dataclasses.replace(context, model=model), {}, False)
    assert "not finite" in exhibit.result
