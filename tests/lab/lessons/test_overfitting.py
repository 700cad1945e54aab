"""The overfitting experiment: the room there is, the run's gap, and two pupils."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.lab.conftest import Benches, Ticking
from tests.lab.lost import lost
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.overfitting import few_digits
from tui_trainer.lab.lessons.overfitting.few_digits import REMEDIES, learner, overfit
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table, Words

show = ask.experiment("overfitting")


def tables_of(exhibit: Exhibit) -> list[Table]:
    return [block for block in exhibit.blocks if isinstance(block, Table)]


@pytest.mark.parametrize("model", ["mlp", "tiny", "era-s6"])
def test_the_room_and_the_gap_are_counted(bench_of: Benches, model: str) -> None:
    bench = bench_of(model)
    (exhibit,) = show(bench, {"digits": 100.0}, False)
    room, gap = tables_of(exhibit)
    assert room.rows[0][1:] == ("50,890", "100", "509")
    own = sum(p.numel() for p in bench.network.parameters())
    assert room.rows[2] == (f"{model} in its run", f"{own:,}", "600", f"{own / 600:.3g}")
    right, _, total = gap.rows[1][1].split()
    judged = bench.sample(int(total))
    with torch.no_grad():
        scores = bench.copy()(bench.data.prepare(judged.images))
    assert int(right) == int((scores.argmax(dim=1) == judged.labels).sum())
    assert "chance" in exhibit.certainty


def test_a_diverged_network_and_a_run_without_validation_are_told(bench_of: Benches) -> None:
    (exhibit,) = show(lost(bench_of("tiny")), {}, False)
    assert "points" in exhibit.result
    bench = bench_of("tiny")
    empty = dataclasses.replace(bench.data, val=bench.data.val.take([]))
    for confirmed in (False, True):
        (exhibit,) = show(dataclasses.replace(bench, data=empty), {}, confirmed)
        assert isinstance(exhibit.blocks[-1], Words)
        assert "no validation images" in exhibit.blocks[-1].text
        assert not exhibit.trains


@pytest.mark.parametrize("remedy", REMEDIES)
def test_each_remedy_is_trained_beside_nothing(
    bench_of: Benches, monkeypatch: pytest.MonkeyPatch, remedy: str
) -> None:
    monkeypatch.setattr(few_digits, "EPOCHS", 2)
    bench = dataclasses.replace(bench_of("mlp"), clock=Ticking(0.1))
    *under_way, end = show(bench, {"remedy": remedy, "digits": 100.0}, True)
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
    assert "2 epochs; judged on 200 validation images" in end.certainty


def test_few_digits_are_learned_by_heart_and_the_gap_is_beyond_chance(
    bench_of: Benches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_digits, "EPOCHS", 12)
    bench = dataclasses.replace(bench_of("mlp"), clock=lambda: 0.0)
    *_, end = overfit(bench, "more images", 50)
    nothing, more = tables_of(end)[0].rows
    assert nothing[1] == "100.00 %"
    assert float(more[2].split()[0]) > float(nothing[2].split()[0])
    low = float(end.result.split("[")[1].split(",")[0])
    assert low > 0
    assert "more images over nothing" in end.certainty


def test_the_learner_fits_the_images(bench_of: Benches) -> None:
    bench = bench_of("mlp")
    weights = learner(bench).state_dict()
    again = learner(bench, dropout=0.5).state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights["1.weight"], learner(bench, seed=2).state_dict()["1.weight"])
