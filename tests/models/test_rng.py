"""The states of the global rngs are restored, and saved in checkpoints."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from tui_trainer.models import rng
from tui_trainer.models.rng import preserve_rng_state, rng_tensors, seed_all, set_rng_tensors


def draws() -> tuple[float, float, float]:
    return float(torch.rand(1)), float(np.random.rand()), random.random()


def test_rng_states_are_restored() -> None:
    seed_all(3)
    expected = draws()
    seed_all(3)
    with preserve_rng_state():
        draws()
        np.random.randn()
    assert draws() == expected


def test_states_go_into_tensors_and_back() -> None:
    seed_all(2**40 + 3)
    np.random.randn()  # leaves a cached number
    random.gauss(0, 1)
    states = rng_tensors()
    expected = draws(), np.random.randn(), random.gauss(0, 1)
    seed_all(0)
    set_rng_tensors(states)
    assert (draws(), np.random.randn(), random.gauss(0, 1)) == expected


def test_a_seed_gives_the_numbers_of_torch_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[object] = []
    monkeypatch.setattr(torch.cuda, "_queued_calls", kept)
    monkeypatch.setattr(rng, "_has_accelerator", lambda: False)
    torch.manual_seed(5)
    expected = torch.rand(3)
    kept.clear()
    seed_all(5)
    assert torch.equal(torch.rand(3), expected)
    assert kept == []
