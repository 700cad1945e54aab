from __future__ import annotations

import pytest
import torch
from torch import nn

from tui_trainer.anatomy.description import layers_of, review_of

IMAGE = (28, 28, 1)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.logits = nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.logits(self.conv(images).relu().mean((2, 3)))
        return logits


class Shy(Net):
    """Works, but not with forward hooks on its modules."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.conv._forward_pre_hooks:
            raise RuntimeError("somebody\nwatches")
        return super().forward(images)


def test_a_traceable_model_is_described_layer_by_layer() -> None:
    kinds = [row.kind for row in layers_of(Net(), IMAGE, 10)]

    assert kinds == ["input", "conv", "relu", "average pool", "fully connected"]


@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_a_model_that_cannot_be_traced_is_one_layer() -> None:
    scripted = torch.jit.script(Net())
    for model, reason in (
        (scripted, "none of its operations can be traced"),
        (Shy(), "RuntimeError: somebody watches"),
    ):
        image, whole = layers_of(model, IMAGE, 10)
        assert image.output_shape == (28, 28, 1)
        assert whole.parameters == sum(p.numel() for p in model.parameters()) == 90
        assert (whole.output_shape, whole.receptive_field) == ((1, 1, 10), None)
        assert whole.undefined == reason
        assert review_of([image, whole], 20_000)


def test_a_table_that_cannot_be_judged_has_no_verdicts() -> None:
    assert review_of(layers_of(Net(), IMAGE, 10)[:1], 20_000) == ()
