"""Parameters that are used only in training mode are not reported as unused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.anatomy.networks import SHAPE
from tui_trainer.anatomy.review import review
from tui_trainer.anatomy.table import layer_table
from tui_trainer.models.torchvision_compat import import_torchvision
from tui_trainer.protocol.layers import LayerRow, totals


class Heads(nn.Module):
    """A head, an auxiliary head for training only, and an unused head."""

    def __init__(self, *, helps: bool = True, spare: bool = False) -> None:
        super().__init__()
        self.low = nn.Conv2d(1, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.early, self.main = nn.Linear(4, 10), nn.Linear(4, 10)
        if spare:
            self.spare = nn.Linear(7, 7)
        self.helps = helps

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        low = self.norm(self.low(x)).relu().mean((2, 3))
        main: Tensor = self.main(low)
        return (main, self.early(low)) if self.training and self.helps else main


def without_layers(rows: tuple[LayerRow, ...]) -> list[tuple[str, str, int]]:
    return [(r.name, r.kind, r.parameters) for r in rows[1:] if not r.is_layer]


def test_an_auxiliary_head_has_a_training_only_row() -> None:
    model = Heads()
    state = {name: value.clone() for name, value in model.state_dict().items()}

    rows = layer_table(model, SHAPE)

    assert without_layers(rows) == [("used only in training mode", "training only", 50)]
    assert totals(rows).receptive_field == (27, 27)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    (kinds,) = (verdict for verdict in review(rows) if verdict.code == "unused-parameters")
    assert kinds.severity == "ok"
    assert "50 of them only in training mode" in kinds.evidence


def test_unused_parameters_are_separate_from_training_only_ones() -> None:
    assert without_layers(layer_table(Heads(spare=True), SHAPE)) == [
        ("used only in training mode", "training only", 50),
        ("not used in the forward pass", "unused", 56),
    ]
    unused = layer_table(Heads(helps=False), SHAPE)
    assert without_layers(unused) == [("not used in the forward pass", "unused", 50)]
    (kinds,) = (verdict for verdict in review(unused) if verdict.code == "unused-parameters")
    assert kinds.severity == "note"


def test_a_model_that_fails_in_training_mode_has_a_table() -> None:
    class NoTraining(Heads):
        def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            if self.training:
                raise RuntimeError("not with two images")
            return super().forward(x)

    rows = layer_table(NoTraining(), SHAPE)

    assert without_layers(rows) == [("not used in the forward pass", "unused", 50)]


def test_noise_weights_and_stochastic_branches_of_training_are_used() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Linear(784, 10)
            self.deviation = nn.Parameter(torch.ones(10))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.mean(x.flatten(1))
            return found + torch.randn(10) * self.deviation if self.training else found

    model = Noisy()
    rng = torch.get_rng_state()

    rows = layer_table(model, SHAPE)

    assert without_layers(rows) == [("used only in training mode", "training only", 10)]
    assert torch.equal(torch.get_rng_state(), rng)


def test_parameters_whose_dtype_alone_is_read_are_unused() -> None:
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.idle = nn.Linear(784, 10), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.main(x.flatten(1).to(self.idle.weight.dtype))
            return logits

    assert without_layers(layer_table(Asks(), SHAPE)) == [
        ("not used in the forward pass", "unused", 12)
    ]


@pytest.mark.slow
def test_googlenets_heads_are_for_training() -> None:
    model = import_torchvision().models.googlenet(weights=None, init_weights=False)

    (found,) = without_layers(layer_table(model, (224, 224, 3)))

    assert found[:2] == ("used only in training mode", "training only")
