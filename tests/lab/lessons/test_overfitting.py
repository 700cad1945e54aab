"""The overfitting experiment: the capacity, the gap of the run, and two trainings."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.overfitting import few_digits
from tui_trainer.lab.lessons.overfitting.few_digits import REMEDIES, overfit, untrained_model
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table, Words

show = ask.experiment("overfitting")


def tables_of(exhibit: Exhibit) -> list[Table]:
    return [block for block in exhibit.blocks if isinstance(block, Table)]


@pytest.mark.parametrize("model", ["mlp", "tiny", "era-s6"])
def test_capacity_and_gap_are_counted(context_of: Contexts, model: str) -> None:
    context = context_of(model)
    (exhibit,) = show(context, {"digits": 100.0}, False)
    room, gap = tables_of(exhibit)
    assert room.rows[0][1:] == ("50,890", "100", "509")
    parameters = sum(p.numel() for p in context.model.parameters())
    assert room.rows[2] == (
        f"{model} in its run",
        f"{parameters:,}",
        "600",
        f"{parameters / 600:.3g}",
    )
    correct, _, total = gap.rows[1][1].split()
    images = context.sample(int(total))
    with torch.no_grad():
        logits = context.copy()(context.data.prepare(images.images))
    assert int(correct) == int((logits.argmax(dim=1) == images.labels).sum())
    assert "chance" in exhibit.evidence


def test_a_diverged_model_and_a_run_without_validation_get_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    assert "points" in exhibit.result
    context = context_of("tiny")
    empty = dataclasses.replace(context.data, val=context.data.val.take([]))
    for confirmed in (False, True):
        (exhibit,) = show(dataclasses.replace(context, data=empty), {}, confirmed)
        assert isinstance(exhibit.blocks[-1], Words)
        assert "no validation images" in exhibit.blocks[-1].text
        assert not exhibit.trains


@pytest.mark.parametrize("remedy", REMEDIES)
def test_each_remedy_is_trained_next_to_nothing(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch, remedy: str
) -> None:
    monkeypatch.setattr(few_digits, "EPOCHS", 2)
    context = dataclasses.replace(context_of("mlp"), clock=Ticking(0.1))
    *under_way, end = show(context, {"remedy": remedy, "digits": 100.0}, True)
    assert all(exhibit.progress is not None and not exhibit.result for exhibit in under_way)
    (table,) = tables_of(end)
    assert [row[0] for row in table.rows] == [
        "nothing",
        "other weights" if remedy == "nothing" else remedy,
    ]
    (curves,) = [block for block in end.blocks if isinstance(block, Curves)]
    assert len(curves.curves) == 4
    assert {curve.x for curve in curves.curves} == {(0.0, 1.0, 2.0)}
    first = [curve.y[0] for curve in curves.curves]
    is_same = remedy != "nothing"
    assert (first[1] == first[3]) == is_same
    assert "2 epochs; evaluated on 200 validation images" in end.evidence


def test_few_digits_are_memorized_and_the_gap_is_significant(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_digits, "EPOCHS", 12)
    context = dataclasses.replace(context_of("mlp"), clock=lambda: 0.0)
    *_, end = overfit(context, "more images", 50)
    nothing, more = tables_of(end)[0].rows
    assert nothing[1] == "100.00 %"
    assert float(more[2].split()[0]) > float(nothing[2].split()[0])
    low = float(end.result.split("[")[1].split(",")[0])
    assert low > 0
    assert "more images over nothing" in end.evidence


def test_the_model_fits_the_image_size(context_of: Contexts) -> None:
    context = context_of("mlp")
    weights = untrained_model(context).state_dict()
    again = untrained_model(context, dropout=0.5).state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(
        weights["1.weight"], untrained_model(context, seed=2).state_dict()["1.weight"]
    )
