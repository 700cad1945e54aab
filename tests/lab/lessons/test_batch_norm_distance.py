"""Batch norm on the logits, against torch's batch norm."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.lab.conftest import Contexts, Ticking
from tui_trainer.lab import ask
from tui_trainer.lab.context import Context
from tui_trainer.lab.lessons.batch_norm_distance import experiment
from tui_trainer.lab.lessons.batch_norm_distance.experiment import SAMPLE_SIZE
from tui_trainer.protocol.exhibit import Bars, Curves, Exhibit, Table, Words

show = ask.experiment("batch-norm-distance")


def bars_of(exhibit: Exhibit) -> Bars:
    (bars,) = [block for block in exhibit.blocks if isinstance(block, Bars)]
    return bars


def table_of(exhibit: Exhibit) -> Table:
    (table,) = [block for block in exhibit.blocks if isinstance(block, Table)]
    return table


def outspoken(context: Context) -> Context:
    """Return a context whose untrained model has different logits for different images."""
    model = context.copy()
    model.get_parameter("logits.weight").data.mul_(30)
    return dataclasses.replace(context, model=model)


def test_with_all_other_images_there_is_only_one_batch(context_of: Contexts) -> None:
    context = outspoken(context_of("conv-fc"))
    few = dataclasses.replace(
        context.data,
        val=type(context.data.val)(context.data.val.images[:64], context.data.val.labels[:64]),
    )
    (exhibit,) = show(dataclasses.replace(context, data=few), {"digit": 5.0, "batch": 64.0}, False)
    norm = nn.BatchNorm1d(10).train()
    with torch.no_grad():
        logits = context.copy()(few.prepare(few.val.images))
        expected = norm(logits)[5].softmax(dim=0).tolist()
    shares = [bar.share for bar in bars_of(exhibit).bars]
    assert shares == pytest.approx(expected, abs=1e-4)
    marked = [bar.is_marked for bar in bars_of(exhibit).bars]
    assert marked.index(True) == int(few.val.labels[5])
    assert sum(marked) == 1
    alone = logits[5].softmax(dim=0)[int(few.val.labels[5])]
    assert f"has the probability {alone:.3f} in any batch" in exhibit.result
    assert "standard deviation 0.000" in exhibit.result


def test_probabilities_vary_more_in_small_batches(
    context_of: Contexts,
) -> None:
    context = outspoken(context_of("conv-fc"))
    spreads = []
    for size in (4.0, 128.0):
        (exhibit,) = show(context, {"batch": size}, False)
        found = re.search(r"standard deviation (\d\.\d+)", exhibit.result)
        assert found is not None
        spreads.append(float(found[1]))
    assert spreads[0] > 2 * spreads[1] > 0


def test_the_loss_after_the_norm_equals_that_of_torch(context_of: Contexts) -> None:
    context = outspoken(context_of("conv-fc"))
    (exhibit,) = show(context, {"batch": 32.0}, False)
    images, labels = context.digits.images[:SAMPLE_SIZE], context.digits.labels[:SAMPLE_SIZE]
    whole = len(labels) // 32 * 32
    with torch.no_grad():
        logits = context.copy()(context.data.prepare(images))[:whole]
        norm = nn.BatchNorm1d(10).train()
        normed = torch.cat([norm(part) for part in logits.split(32)])
    plain = functional.cross_entropy(logits, labels[:whole])
    after = functional.cross_entropy(normed, labels[:whole])
    assert f"Mean loss of {whole} images: {plain:.3f} without batch norm, {after:.3f}" in (
        exhibit.evidence
    )


def test_the_table_has_the_distances_counted_by_hand(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("era-s6"), {}, False)
    rows = [(row[0], row[3], row[4]) for row in table_of(exhibit).rows]
    assert rows == [
        ("conv1", "yes", "6"),
        ("conv2", "yes", "5"),
        ("shrink1", "yes", "4"),
        ("conv3", "yes", "3"),
        ("conv4", "yes", "2"),
        ("shrink2", "yes", "1"),
        ("logits", "—", "0"),
    ]
    words = [block.text for block in exhibit.blocks if isinstance(block, Words)]
    assert "shrink2_norm, has 1 layer with weights" in words[0]


def test_a_model_without_batch_norm_gets_a_note(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    words = [block.text for block in exhibit.blocks if isinstance(block, Words)]
    assert words == ["This network has no batch norm."]
    assert exhibit.trains


@pytest.mark.parametrize("name", ["norm-group", "norm-layer"])
def test_norms_that_do_not_read_the_batch_are_no_batch_norm(
    context_of: Contexts, name: str
) -> None:
    (exhibit,) = show(context_of(name), {}, False)
    words = " ".join(block.text for block in exhibit.blocks if isinstance(block, Words))

    assert (
        "This network has no batch norm. Its group norm uses the statistics of one image" in words
    )
    assert "The last batch norm" not in words


def test_a_diverged_model_does_not_raise(context_of: Contexts) -> None:
    context = context_of("tiny")
    model = context.copy()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    (exhibit,) = show(dataclasses.replace(context, model=model), {}, False)
    assert "not finite" in exhibit.result


def test_two_models_that_differ_only_in_this_norm_are_trained(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "TRAINED", 192)
    context = dataclasses.replace(context_of("tiny"), clock=Ticking())
    exhibits = list(show(context, {}, True))
    last = exhibits[-1]
    assert exhibits[0].progress is not None
    assert last.progress is None
    assert last.result
    assert "95 % Wilson" in last.evidence
    (after, scales) = [block for block in last.blocks if isinstance(block, Table)]
    assert [(row[0], row[1]) for row in after.rows] == [
        ("plain logits", "19,810"),
        ("normalized logits", "19,830"),
    ]
    assert len({row[2] for row in after.rows}) == 1
    assert scales.rows[0][2] == "—"
    assert 0.5 < float(scales.rows[1][2]) < 2
    (curves,) = [block for block in last.blocks if isinstance(block, Curves)]
    assert len(curves.curves) == 2
