"""The behavior of a model in evaluation mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.models.behavior import behavior_of, fingerprint, same_logits

IMAGES = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A linear layer; a subclass changes its output."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 4)
        self.seen = 0.0

    def end(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.head(x.flatten(1)))


class BatchSoftmax(Net):
    def end(self, x: Tensor) -> Tensor:
        return x.log_softmax(dim=0)


class BatchMean(Net):
    def end(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class NoStatistics(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4, track_running_stats=False)

    def end(self, x: Tensor) -> Tensor:
        return self.norm(x) if len(x) > 1 else x


class Dropped(Net):
    def end(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)


class Noisy(Net):
    def end(self, x: Tensor) -> Tensor:
        return x + torch.from_numpy(np.random.randn(*x.shape)).float()


class Remembers(Net):
    def end(self, x: Tensor) -> Tensor:
        self.seen = 0.5 * self.seen + float(x.sum())
        return x * (1 + self.seen)


class Constant(Net):
    def end(self, x: Tensor) -> Tensor:
        return x * 0 + 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Net, set()),
        (BatchSoftmax, {"depends_on_batch"}),
        (BatchMean, {"depends_on_batch"}),
        (NoStatistics, {"depends_on_batch"}),
        (Dropped, {"is_random"}),
        (Noisy, {"is_random"}),
        (Constant, {"is_constant"}),
    ],
)
def test_each_behavior_is_detected(model: type[Net], expected: set[str]) -> None:
    torch.manual_seed(1)
    net = model()
    modes = [m.training for m in net.modules()]
    state = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["pos"]
    images = IMAGES.clone()
    seen = behavior_of(net, images)
    names = ("depends_on_batch", "is_random", "keeps_state", "is_constant")
    assert {name for name in names if getattr(seen, name)} == expected
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state(legacy=False)["state"]["pos"]
    assert torch.equal(images, IMAGES)


def test_state_is_distinguished_from_randomness() -> None:
    torch.manual_seed(1)
    seen = behavior_of(Remembers(), IMAGES)
    assert seen.keeps_state
    assert not seen.is_random


def test_a_fingerprint_identifies_a_model_and_is_reproducible() -> None:
    torch.manual_seed(1)
    one, other = Dropped(), Dropped()
    print_ = fingerprint(one, 8)
    assert same_logits(print_, fingerprint(one, 8))
    assert not same_logits(print_, fingerprint(other, 8))
    assert same_logits(print_, print_ * (1 + 1e-5))
    assert not same_logits(print_, print_[:2])


def test_non_finite_weights_have_a_fingerprint_too() -> None:
    broken = Net()
    with torch.no_grad():
        broken.head.weight[0] = float("nan")
    assert same_logits(fingerprint(broken, 8), fingerprint(broken, 8))
    assert not same_logits(fingerprint(broken, 8), fingerprint(Net(), 8))
