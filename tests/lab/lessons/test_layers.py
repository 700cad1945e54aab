"""The layers experiment: maps and figures of the layer table, and a short training."""

from __future__ import annotations

import dataclasses

import pytest

from tests.lab.conftest import Contexts, Ticking
from tests.lab.diverged import diverged
from tui_trainer.lab import ask
from tui_trainer.lab.layer_maps import maps_of, subject
from tui_trainer.lab.lessons.layers import experiment
from tui_trainer.protocol.exhibit import Curves, Exhibit, Pictures, Table, Words

show = ask.experiment("layers")


def sentence(exhibit: Exhibit) -> str:
    return " ".join(block.text for block in exhibit.blocks if isinstance(block, Words))


def test_the_walk_shows_each_layer_with_its_figures(context_of: Contexts) -> None:
    context = context_of("era-s6")
    (begin,) = show(context, {}, False)
    names = [str(step) for step in begin.controls[0].steps]
    assert names[:4] == ["conv1", "conv2", "shrink1", "pool1"]
    digit = context.digit(3)
    maps = {m.row.name: m for m in maps_of(subject(context), digit.model_input, None)}
    for name in names:
        (exhibit,) = show(context, {"layer": name, "digit": 3.0}, False)
        row = next(row for row in context.layers if row.name == name)
        assert f"{row.parameters:,} parameter" in sentence(exhibit)
        assert row.shape_text in sentence(exhibit)
        pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
        expected = maps[name].values[1].flatten().tolist()
        assert list(pictures.items[2].values) == pytest.approx(expected, abs=1e-5)
        assert exhibit.trains


def test_a_model_without_maps_and_a_diverged_one_get_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    assert "mlp has no convolution" in sentence(exhibit)
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    assert "not finite" in sentence(exhibit)


def test_confirmed_the_four_models_are_trained_on_equal_images(
    context_of: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "IMAGES", 96)
    context = dataclasses.replace(context_of("tiny"), clock=Ticking())
    *under_way, end = show(context, {}, True)
    assert len(under_way) > 3
    assert all(exhibit.progress is not None and not exhibit.result for exhibit in under_way)
    (curves,) = [block for block in end.blocks if isinstance(block, Curves)]
    assert [curve.x for curve in curves.curves] == [(32.0, 64.0, 96.0)] * 4
    assert "96 training images each" in end.evidence
    assert "One seed" in end.evidence
    outcome, plan = (block for block in end.blocks if isinstance(block, Table))
    assert [row[1] for row in outcome.rows] == [row[2] for row in plan.rows]  # as many as planned
    assert all("[" in row[-1] for row in outcome.rows)
