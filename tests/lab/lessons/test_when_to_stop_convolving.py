"""Where convolving may stop, and the heads."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.data.dataset import Split
from tui_trainer.lab import ask, compare
from tui_trainer.lab.lessons.when_to_stop_convolving import experiment
from tui_trainer.lab.lessons.when_to_stop_convolving.arithmetic import HEADS
from tui_trainer.lab.lessons.when_to_stop_convolving.experiment import SHIFT, shifted
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Table, Words

show = ask.experiment("when-to-stop-convolving")


def tables(exhibit: Exhibit) -> list[Table]:
    return [block for block in exhibit.blocks if isinstance(block, Table)]


def pictures(exhibit: Exhibit) -> Pictures:
    (found,) = [block for block in exhibit.blocks if isinstance(block, Pictures)]
    return found


def test_the_head_of_the_course_is_counted_as_in_the_layer_table(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("era-s6"), {}, False)
    costs, layers = tables(exhibit)
    assert costs.caption == "from pool2, 7×7×16, to the logits"
    assert costs.rows[-1] == ("now: conv 3×3 /2", "logits", "1,440", "12,960")
    assert [row[2] for row in costs.rows[:-1]] == ["1,440", "7,840", "7,850", "170"]
    assert layers.marked is not None
    assert layers.rows[layers.marked][0] == "logits"
    assert [row[3] for row in layers.rows][:4] == ["3×3", "5×5", "5×5", "6×6"]


@pytest.mark.parametrize("head", HEADS)
def test_the_chosen_head_is_marked(context_of: Contexts, head: str) -> None:
    (exhibit,) = show(context_of("tiny"), {"head": head}, False)
    costs = tables(exhibit)[0]
    assert costs.marked is not None
    assert costs.rows[costs.marked][0] == head
    assert exhibit.controls[0].value == head


def test_the_maps_are_those_of_the_model_with_their_means(context_of: Contexts) -> None:
    context = context_of("tiny")
    (exhibit,) = show(context, {"digit": 7.0}, False)
    kept: list[torch.Tensor] = []
    model = context.copy()
    model.get_submodule("average").register_forward_hook(
        lambda module, given, output: kept.append(output.detach())
    )
    with torch.no_grad():
        model(context.digit(7).model_input)
    means = kept[0].flatten().tolist()
    digit, *shown = pictures(exhibit).items
    assert digit.height == 28
    for picture, (channel, mean) in zip(
        shown, sorted(enumerate(means), key=lambda pair: -pair[1]), strict=False
    ):
        assert picture.caption == f"{channel}: {mean:z.3f}"
        assert sum(picture.values) / len(picture.values) == pytest.approx(mean, abs=1e-5)


def test_without_a_convolution_another_model_is_shown(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    words = [block.text for block in exhibit.blocks if isinstance(block, Words)]
    assert words[0].startswith("mlp has no convolution")
    assert tables(exhibit)[0].caption == "from relu6, 7×7×20, to the logits"


def test_a_model_that_stops_too_early_gets_a_note(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("conv-fc"), {}, False)
    assert tables(exhibit)[1].marked is None
    words = [block.text for block in exhibit.blocks if isinstance(block, Words)]
    assert any("too early to stop" in text for text in words)


def test_a_diverged_model_does_not_raise(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    (exhibit,) = show(dataclasses.replace(context, model=model), {}, False)
    assert "diverged" in exhibit.result


def test_digits_are_shifted_and_the_border_is_black() -> None:
    images = torch.arange(1, 101, dtype=torch.uint8).view(1, 10, 10)
    result = shifted(Split(images, torch.tensor([4]))).images[0]
    assert result[SHIFT, SHIFT] == images[0, 0, 0]
    assert result[9, 9] == images[0, 9 - SHIFT, 9 - SHIFT]
    assert not result[:SHIFT].any()
    assert not result[:, :SHIFT].any()


def test_one_backbone_is_trained_with_three_heads(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = compare.compare
    monkeypatch.setattr(experiment, "compare", lambda *a, **k: short(*a, **{**k, "images": 192}))
    context = dataclasses.replace(context_of("tiny"), clock=Ticking())
    last = list(show(context, {}, True))[-1]
    after, elsewhere = tables(last)
    trunk = 8 * 9 + 16 + 8 * 16 * 9 + 32 + 16 * 20 * 9 + 40
    assert [(row[0], row[1]) for row in after.rows] == [
        ("global average", f"{trunk + 210:,}"),
        ("kernel 7×7", f"{trunk + 9_800:,}"),
        ("fully connected", f"{trunk + 9_810:,}"),
    ]
    assert [row[0] for row in elsewhere.rows] == [row[0] for row in after.rows]
    assert last.result
    assert "95 % Wilson" in last.evidence
