"""The receptive field experiment against the layer table and the measured effective field."""

from __future__ import annotations

import pytest
import torch

from tests.lab.conftest import Contexts
from tests.lab.diverged import diverged
from tui_trainer.anatomy.measured import measured_field
from tui_trainer.lab import ask
from tui_trainer.lab.lessons.receptive_field.experiment import steps_of
from tui_trainer.protocol.exhibit import Exhibit, Pictures, Table, Words

show = ask.experiment("receptive-field")


def table_of(exhibit: Exhibit) -> Table:
    (table,) = [block for block in exhibit.blocks if isinstance(block, Table)]
    return table


@pytest.mark.parametrize("model", ["tiny", "era-s6", "conv-fc"])
def test_the_formulas_match_the_layer_table(context_of: Contexts, model: str) -> None:
    steps = steps_of(context_of(model).layers)
    assert len(steps) >= 4  # two convolutions, two pools
    for step in steps:
        assert step.row.receptive_field == (step.after.size,) * 2
        assert step.row.jump == (step.after.jump,) * 2


@pytest.mark.parametrize("layer", ["conv1", "conv3", "logits"])
def test_the_frame_is_the_receptive_field(context_of: Contexts, layer: str) -> None:
    context = context_of("era-s6")
    (exhibit,) = show(context, {"layer": layer, "digit": 2.0}, False)
    pictures = next(block for block in exhibit.blocks if isinstance(block, Pictures))
    place = next(n for n, row in enumerate(context.layers) if row.name == layer)
    height, width, _ = context.layers[place].output_shape
    seen = measured_field(context.copy(), (28, 28, 1), place, height // 2, width // 2).nonzero()
    (top, left), (bottom, right) = seen.min(dim=0).values.tolist(), seen.max(dim=0).values.tolist()
    assert pictures.items[0].frame == (top, left, bottom - top + 1, right - left + 1)
    effect = torch.tensor(pictures.items[1].values).reshape(28, 28)
    inside = effect[top : bottom + 1, left : right + 1].sum()
    assert float(inside) == pytest.approx(float(effect.sum()), rel=1e-6)
    table = table_of(exhibit)
    assert table.marked is not None
    assert table.rows[table.marked][0] == layer


def test_another_layer_is_added_at_the_end(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("small"), {"kernel": 5.0, "stride": 2.0}, False)
    rows = table_of(exhibit).rows
    end = next(cells for cells in rows if cells[0] == "conv6")
    jump, field = int(end[5]), int(end[4].split("×")[0])
    assert rows[-1][0] == "conv6 + yours"
    assert rows[-1][4:] == (f"{field + 4 * jump}×{field + 4 * jump}", str(2 * jump))


def test_a_model_without_kernels_and_a_diverged_one_get_a_message(context_of: Contexts) -> None:
    (exhibit,) = show(context_of("mlp"), {}, False)
    assert isinstance(exhibit.blocks[0], Words)
    assert "mlp has no layer that slides" in exhibit.blocks[0].text
    (exhibit,) = show(diverged(context_of("tiny")), {}, False)
    texts = [block.text for block in exhibit.blocks if isinstance(block, Words)]
    assert any("the run diverged" in text for text in texts)
    assert "sees 40×40" in exhibit.result
