"""The tables of torchsummary and torchinfo, next to those that the packages print."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest
import torch
import torchinfo
from torch import Tensor, nn

from tests.anatomy.networks import SHAPE, Around, Inception, Residual
from tui_trainer.anatomy.description import layers_of
from tui_trainer.anatomy.module_calls import module_summary
from tui_trainer.headless.module_tables import torchinfo_lines, torchsummary_lines
from tui_trainer.models.build import build_model
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.layers import totals
from tui_trainer.protocol.module_calls import ModuleSummary


def summary(model: nn.Module) -> ModuleSummary:
    model.eval()
    return module_summary(model, SHAPE, totals(layers_of(model, SHAPE, 10)).multiply_adds)


def by_torchinfo(model: nn.Module) -> list[str]:
    text = str(torchinfo.summary(model, input_size=(1, 1, 28, 28), verbose=0, device="cpu"))
    # From Python 3.12 on, torchinfo prints the name of its enum instead of the unit.
    for name, unit in (("MEGABYTES", "M"), ("GIGABYTES", "G"), ("TERABYTES", "T")):
        text = text.replace(f"Units.{name}", unit)
    return text.splitlines()


def by_torchsummary(model: nn.Module) -> list[str]:
    package = pytest.importorskip("torchsummary")
    printed = io.StringIO()
    with redirect_stdout(printed):
        package.summary(model, (1, 28, 28), device="cpu")
    return printed.getvalue().splitlines()


def total(lines: list[str], what: str = "Total params") -> int:
    (line,) = (line for line in lines if line.startswith(what))
    return int(line.rpartition(" ")[2].replace(",", ""))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.sampled(3)
def test_every_model_of_the_zoo_is_printed_as_the_packages_do(name: str) -> None:
    model = build_model(name, image_size=28, classes=10)
    found = summary(model)

    assert torchinfo_lines(found) == by_torchinfo(model)
    ours, theirs = torchsummary_lines(found), by_torchsummary(model)
    if name == "residual":  # blocks count on top of their layers there, and in a note here
        assert ours[:-1] != theirs
        ours, theirs = ours[: len(theirs) - 6], theirs[:-6]
    assert ours == theirs


class Deep(nn.Module):
    """Blocks in blocks, a list of layers, branches, a frozen part and an unused one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU())
        self.stages = nn.ModuleList(
            [nn.Sequential(Residual(8, 8), Residual(8, 16, 2)), Inception(16)]
        )
        self.head = Around(nn.Conv2d(8, 12, 1), 12)
        self.never = nn.Linear(3, 3)
        self.stem.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.head(x)
        return logits


def test_blocks_in_blocks_are_indented_and_summed_up() -> None:
    model = Deep()
    found = summary(model)

    assert torchinfo_lines(found) == by_torchinfo(model)
    theirs, ours = by_torchsummary(model), torchsummary_lines(found)
    # Our last row has the parameters of no listed layer.
    assert ours[: len(theirs) - 10] == theirs[:-10]
    assert ours[len(theirs) - 10].split() == ["Deep-25", "[-1,", "10]", "12"]
    assert ours[-1].startswith(f"Note: torchsummary itself prints {total(theirs):,} parameters")
    assert "MB for the forward/backward pass" in ours[-1]
    assert total(ours) == total(by_torchinfo(model)) == sum(p.numel() for p in model.parameters())


class Shared(nn.Module):
    """A layer that runs twice, and one whose weight is another's."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(784, 16)
        self.body, self.other = nn.Linear(16, 16), nn.Linear(16, 16)
        self.other.weight = self.body.weight
        self.logits = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.body(self.enter(x.flatten(1))))
        logits: Tensor = self.logits(self.other(x))
        return logits


def test_what_is_shared_counts_once_and_the_packages_count_is_named() -> None:
    model = Shared()
    found = summary(model)
    whole = sum(p.numel() for p in model.parameters())

    assert found.parameters == whole == sum(call.parameters for call in found.calls)
    ours, theirs = torchinfo_lines(found), by_torchinfo(model)
    assert total(theirs) == found.torchinfo.parameters == whole + 256
    assert ours[-1] == (
        f"Note: torchinfo itself prints {whole + 256:,} parameters (shared tensors count in every "
        "layer)."
    )
    assert [line.split()[-1] for line in ours if "Linear" in line] == [
        *("12,560", "272", "(recursive)", "16", "170"),
    ]
    theirs = by_torchsummary(model)
    assert total(theirs) == found.torchsummary.parameters == whole + 272 + 256
    assert f"{total(theirs):,} parameters" in torchsummary_lines(found)[-1]


class Tokens(nn.Module):
    """An encoder layer of a transformer over the rows, and an LSTM behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(28, 28))
        self.encoder = nn.TransformerEncoderLayer(28, 4, 32, batch_first=True)
        self.reader = nn.LSTM(28, 12, batch_first=True)
        self.logits = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.reader(self.encoder(x.squeeze(1) + self.place))
        logits: Tensor = self.logits(x[:, -1])
        return logits


def test_attention_and_recurrent_layers_have_all_their_parameters() -> None:
    model = Tokens()
    found = summary(model)
    ours, theirs = torchinfo_lines(found), by_torchinfo(model)

    assert total(ours) == total(theirs) == sum(p.numel() for p in model.parameters())
    assert found.torchinfo.multiply_adds == int(
        torchinfo.summary(model, input_size=(1, 1, 28, 28), verbose=0).total_mult_adds
    )
    assert "mult-adds instead of" in ours[-1]
    with pytest.raises(AttributeError):
        by_torchsummary(model)
    lines = torchsummary_lines(found)
    assert lines[-1] == "Note: torchsummary itself fails here: a layer returns a nested tuple."
    assert "LSTM-10  [[-1, 28, 12], [-1, 1, 12], [-1, 1, 12]]           2,016" in lines[12]
    assert total(lines) == sum(p.numel() for p in model.parameters())


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.logits = nn.RNNCell(1, 6), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 6)
        for pixel in x.flatten(1).T.unsqueeze(-1):
            state = self.cell(pixel, state)
        logits: Tensor = self.logits(state)
        return logits


def test_a_loop_has_one_row_and_the_others_keep_their_numbers() -> None:
    found = summary(Loop())

    assert [line.split()[:3] for line in torchsummary_lines(found)[3:5]] == [
        ["RNNCell-1", "×", "784"],
        ["Linear-785", "[-1,", "10]"],
    ]
    assert any(line.startswith("├─Linear: 1-785 ") for line in torchinfo_lines(found))
    assert total(by_torchsummary(Loop())) == found.torchsummary.parameters


def test_the_model_stays_as_it_was() -> None:
    model = Deep().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    module_summary(model, SHAPE, 0)

    assert all(module.training for module in model.modules())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
