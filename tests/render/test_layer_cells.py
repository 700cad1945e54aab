from __future__ import annotations

from tests.protocol.test_layers import row
from tui_trainer.render.layer_cells import COLUMNS, Scale, cells, kernel_text, titles, total_cells

SCALE = Scale(budget=20_000, multiply_adds=2_000, batch_size=128)
CONV = row(
    "conv1",
    "conv",
    5_000,
    input_shape=(28, 28, 8),
    kernel_size=(3, 3),
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    multiply_adds=1_500,
    receptive_field=(5, 5),
    jump=(1, 1),
    start=(0.0, 0.5),
)


def test_a_row_has_a_cell_for_each_column() -> None:
    assert cells(CONV, SCALE) == (
        *("conv1", "conv", "3×3 pad 1", "28×28×8", "28×28×16", "5,000", "25.0 %"),
        *("1,500", "75.0 %", "6.4 MB", "5×5", "1", "0×0.5"),
    )
    assert len(cells(CONV, SCALE)) == len(COLUMNS) == len(titles(SCALE))
    assert len(total_cells([CONV], SCALE)) == len(COLUMNS)


def test_what_an_older_version_recorded_is_shown() -> None:
    text = cells(row("conv1", "conv", 144, kernel="3×3"), Scale(20_000, 0, 1))

    assert text[2:5] == ("3×3", "·", "28×28×16")
    assert text[7] == "·"
    assert text[10:] == ("—", "—", "—")


def test_the_default_kernel_is_described_briefly() -> None:
    usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}

    def kernel(kind: str, **more: object) -> str:
        return kernel_text(row("x", kind, **{"kernel_size": (3, 3), **usual, **more}))  # type: ignore[arg-type]

    assert kernel("conv") == "3×3"
    assert kernel("conv", stride=(2, 2), padding=(1, 0)) == "3×3 /2 pad 1×0"
    assert kernel("conv", dilation=(2, 2), groups=4) == "3×3 dilated 2 groups 4"
    assert kernel("depthwise", groups=8) == "3×3"
    assert kernel("max pool", stride=(3, 3)) == "3×3"
    assert kernel("max pool", kernel_size=(2, 2), stride=(1, 1)) == "2×2 /1"


def test_the_last_row_has_the_totals() -> None:
    text = total_cells([CONV, CONV], Scale(20_000, 3_000, 1))

    assert text[5:9] == ("10,000", "50.0 %", "3,000", "100.0 %")
