"""The layer table at any width."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from tui_trainer.protocol.layers import LayerRow, stages
from tui_trainer.text.fmt import columns
from tui_trainer.text.lines import plain
from tui_trainer.ui.widgets.layers_panel import LayerPanel, layer_table


def _row(name: str, kind: str, kernel: str, side: int, channels: int, parameters: int) -> LayerRow:
    shape = (side, side, channels)
    return LayerRow(name=name, kind=kind, kernel=kernel, output_shape=shape, parameters=parameters)


ROWS = stages(
    (
        _row("conv1", "conv", "3×3", 32, 16, 432),
        _row("pool1", "max pool", "2×2", 16, 16, 0),
        _row("block1.conv1", "conv", "3×3", 16, 32, 4_608),
        _row("層層層.conv2", "conv", "3×3", 16, 32, 9_216),
    )
)


@pytest.mark.parametrize("width", [100, 62, 50, 47, 44, 40, 36, 30, 28])
def test_each_layer_is_one_line_with_its_size_and_parameters(width: int) -> None:
    lines = plain(layer_table(ROWS, 20_000, width))

    assert len(lines) == len(ROWS) + 1
    assert max(map(columns, lines)) <= width
    for row, line in zip(ROWS, lines[1:], strict=True):
        assert row.shape_text in line
        assert (f"{row.parameters:,}" if row.parameters else "·") in line


def test_a_narrow_table_omits_the_share_then_shortens_kernels_then_names() -> None:
    def line_of(width: int) -> str:
        return plain(layer_table(ROWS, 20_000, width))[3]

    assert line_of(80).endswith(" %")
    assert "block1.conv1  conv 3×3      16×16×32       4,608" in line_of(48)
    assert "block1.conv1  conv 3×3  16×16×32       4,608" in line_of(44)
    assert "block1.conv1  16×16×32       4,608" in line_of(38)
    assert "block1.…  16×16×32       4,608" in line_of(30)


class Alone(App[None]):
    """A layer table in the whole window."""

    def compose(self) -> ComposeResult:
        yield LayerPanel(id="layers")

    def get_css_variables(self) -> dict[str, str]:
        roles = {f"role-{name}": "white" for name in ("border", "title", "muted")}
        return {**super().get_css_variables(), **roles}


@pytest.mark.parametrize("height", [20, 6])
async def test_a_scrollbar_breaks_no_line(height: int) -> None:
    app = Alone()
    layers = [_row(f"block{n}.conv1", "max pool", "2×2", 16, 32, 9_216) for n in range(1, 9)]
    async with app.run_test(size=(50, height)) as pilot:
        panel = app.query_one(LayerPanel)
        panel.show(tuple(layers), 20_000)
        for _ in range(3):  # The scrollbar, then the text next to it.
            await pilot.pause()
        assert panel.show_vertical_scrollbar is (height == 6)
        assert panel.query_one(Static).size.height == len(layers) + 1
