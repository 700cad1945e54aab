"""Lessons 1 to 5 on a custom model: small images, few classes, a shortcut, groups."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from tests.lab.conftest import Contexts
from tui_trainer.anatomy.table import layer_table
from tui_trainer.data.dataset import Split
from tui_trainer.lab.ask import experiment
from tui_trainer.lab.context import Context
from tui_trainer.protocol.exhibit import Choices, Table


class Shortcut(nn.Module):
    """A 5×5 convolution of stride 2, a block with a shortcut, and a 1×1 in two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 5, stride=2, padding=2)
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.mix = nn.Conv2d(6, 6, 1, groups=2)
        self.logits = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images).relu()
        maps = torch.relu(maps + self.block(maps))
        logits: Tensor = self.logits(self.mix(maps).mean(dim=(2, 3)))
        return logits


def custom_context(context: Context) -> Context:
    """Return a context with this model and 14×14 images of three classes."""

    def halved(split: Split) -> Split:
        return Split(split.images[:, ::2, ::2].contiguous(), split.labels % 3)

    data = dataclasses.replace(
        context.data,
        image_size=14,
        classes=3,
        train=halved(context.data.train),
        val=halved(context.data.val),
    )
    model = Shortcut()
    rows = layer_table(model, (14, 14, 1))
    return dataclasses.replace(context, data=data, model=model.train(), layers=rows)


@pytest.mark.parametrize(
    "slug", ["layers", "max-pooling", "1x1-convolutions", "3x3-convolutions", "receptive-field"]
)
def test_any_model_and_any_choice_is_shown(context_of: Contexts, slug: str) -> None:
    context = custom_context(context_of("tiny"))
    wild: list[Choices] = [
        {},
        {"layer": "nowhere", "kernel": 1e9, "row": 99.0, "window": -3.0, "digit": 5.0},
        {"kernel": "own 1", "channel": "red", "layer": 2.0, "column": 13.0},
    ]
    before = {name: value.clone() for name, value in context.model.state_dict().items()}
    for choices in wild:
        (exhibit,) = experiment(slug)(context, choices, False)
        assert 2 <= len(exhibit.controls) <= 4
        for table in (block for block in exhibit.blocks if isinstance(block, Table)):
            widths = [
                max(map(len, column)) for column in zip(table.heads, *table.rows, strict=True)
            ]
            assert sum(widths) + 2 * (len(widths) - 1) <= 74
    assert context.model.training
    for name, value in context.model.state_dict().items():
        assert torch.equal(value, before[name])
