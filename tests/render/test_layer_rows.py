from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ui.fakes import described
from tui_trainer.protocol.diagnosis import Diagnosis, tally
from tui_trainer.protocol.layers import BUDGET, LayerRow, blocks, totals
from tui_trainer.render.layer_cells import (
    FIELD,
    MEMORY,
    MULTIPLY_ADDS,
    NAME,
    OUTPUT,
    PARAMETERS,
    SHARE,
    Scale,
    titles,
    total_cells,
)
from tui_trainer.render.layer_rows import (
    Layout,
    head_texts,
    layer_summary,
    layout,
    row_pieces,
    table_rows,
)
from tui_trainer.text.fmt import columns
from tui_trainer.ui.widgets.review_panel import review_lines

ROWS = described("network").layers
SCALE = Scale(BUDGET, totals(ROWS).multiply_adds, 128)
EVERY_BLOCK = range(len(blocks(ROWS)))


def old(row: LayerRow) -> LayerRow:
    """Return a row as an older version recorded it."""
    return LayerRow(
        name=row.name,
        kind=row.kind,
        kernel=row.kernel,
        output_shape=row.output_shape,
        parameters=row.parameters,
    )


def fitted(width: int, scale: Scale = SCALE) -> tuple[Layout, list[tuple[str, ...]]]:
    shown = [row.cells for row in table_rows(ROWS, scale, ())]
    texts = [titles(scale), *shown, total_cells(ROWS, scale)]
    return layout(texts, width, 2), texts


def test_a_collapsed_block_is_one_row_that_represents_its_last_layer() -> None:
    folded = table_rows(ROWS, SCALE, EVERY_BLOCK)
    assert [row.cells[NAME] for row in folded[:3]] == ["input", "▸ 28×28", "▸ 14×14"]
    assert ROWS[folded[1].index].name == "pool1"
    assert folded[1].cells[OUTPUT] == "14×14×16"
    assert folded[1].cells[FIELD] == "6×6"
    assert sum(row.share for row in folded) == pytest.approx(19_568 / BUDGET)


def test_an_open_block_has_its_layers_below_its_head() -> None:
    shown = table_rows(ROWS, SCALE, ())
    assert len(shown) == len(ROWS) + len(blocks(ROWS))
    assert [row.cells[NAME] for row in shown[1:4]] == ["▾ 28×28", "  conv1", "  conv1_norm"]
    one_folded = table_rows(ROWS, SCALE, (1,))
    assert len(one_folded) == len(shown) - len(blocks(ROWS)[1].places)


def test_a_name_inside_a_module_is_shown_without_the_module() -> None:
    rows = [replace(row, name=f"body.first.{row.name}") for row in ROWS]
    shown = table_rows(rows, SCALE, ())
    assert shown[1].cells[NAME] == "▾ body.first"
    assert shown[2].cells[NAME] == "  conv1"


def test_memory_is_that_of_the_whole_batch() -> None:
    one = Scale(BUDGET, SCALE.multiply_adds, 1)
    conv1 = 28 * 28 * 16 * 4
    assert table_rows(ROWS, one, ())[2].cells[MEMORY] == f"{conv1 / 1e3:.1f} kB"
    assert table_rows(ROWS, SCALE, ())[2].cells[MEMORY] == f"{conv1 * 128 / 1e6:.1f} MB"
    head = sum(ROWS[place].activation_bytes for place in blocks(ROWS)[0].places)
    assert table_rows(ROWS, SCALE, ())[1].cells[MEMORY] == f"{head * 128 / 1e6:.1f} MB"


@pytest.mark.parametrize("width", [55, 66, 77, 90, 117, 140, 197])
def test_all_rows_are_equally_wide_and_fit(width: int) -> None:
    fit, texts = fitted(width)
    shown = [row_pieces(row, 0.5, fit) for row in texts[1:]]
    assert len({tuple(columns("".join(c.text for c in col)) for col in row) for row in shown}) == 1
    heads = head_texts(titles(SCALE), fit)
    assert sum(columns(head) + 2 for head in heads) <= width
    assert NAME in fit.kept
    assert PARAMETERS in fit.kept
    assert FIELD in fit.kept


def test_the_least_informative_columns_are_dropped_first() -> None:
    wide, _ = fitted(197)
    assert len(wide.kept) == len(titles(SCALE))
    narrow, _ = fitted(77)
    assert SHARE in narrow.kept
    assert MULTIPLY_ADDS not in narrow.kept
    assert narrow.bar == narrow.widths[SHARE]
    assert head_texts(titles(SCALE), narrow)[narrow.kept.index(SHARE)].strip() == "share"


def test_a_share_above_the_whole_budget_is_red() -> None:
    fit, texts = fitted(120)
    place = fit.kept.index(SHARE)
    assert row_pieces(texts[-1], 1.4, fit)[place][0].style == "error"
    assert row_pieces(texts[-1], 0.9, fit)[place][0].style == "train"


def test_what_an_older_version_did_not_record_is_a_dash() -> None:
    rows = [old(row) for row in ROWS]
    for row in table_rows(rows, Scale(BUDGET, 0, 128), ()):
        assert (row.cells[MULTIPLY_ADDS], row.cells[FIELD]) == ("–", "–")
    words = "".join(cell.text for cell in layer_summary(rows[1], BUDGET))
    assert "not recorded" in words


def test_a_layer_is_described_in_words() -> None:
    conv4 = next(row for row in ROWS if row.name == "conv4")
    words = "".join(cell.text for cell in layer_summary(conv4, BUDGET))
    assert words == (
        "conv4 · conv 3×3 from 14×14×16 to 14×14×64 · 9,216 parameters (46 % of 20,000)"
        " · receptive field 14×14 pixels, jump 2 pixels"
    )


def test_an_undefined_field_and_skipped_pixels_are_reported() -> None:
    row = replace(ROWS[1], receptive_field=None, undefined="it reads the map as one list")
    assert "it reads the map as one list" in layer_summary(row, BUDGET)[-1].text
    part = replace(ROWS[1], unused=(1, 2))
    words = "".join(cell.text for cell in layer_summary(part, BUDGET))
    assert "never reads the last row and the last 2 columns of its input" in words


def verdict(kind: str, **changes: object) -> Diagnosis:
    made = next(v for v in described("network").review if v.severity == "ok")
    return replace(made, severity=kind, **changes)  # type: ignore[arg-type]


def test_errors_come_first_with_sign_color_topic_and_advice() -> None:
    verdicts = [
        verdict("ok", title="fine", advice=""),
        verdict("error", title="too much", evidence="30,000 of 20,000", advice="less", lesson=8),
        verdict("warning", title="perhaps", advice="try"),
    ]
    lines = review_lines(verdicts, 60)
    words = ["".join(cell.text for cell in line) for line in lines]
    assert words[0].split("  ")[0] == "✗ too much"
    assert words[0].endswith("lesson 8: number of kernels")
    assert lines[0][0].style == "error bold"
    assert words[1:3] == ["  30,000 of 20,000", "  try: less"]
    starts = [line[0] for line in words if line[:1] in ("✗", "▲", "✓")]
    assert starts == ["✗", "▲", "✓"]
    assert tally(verdicts) == "1 error, 1 warning, 1 ok"
    assert tally(verdicts[:1]) == "0 errors, 0 warnings, 1 ok"


@pytest.mark.parametrize("width", [24, 40, 52, 75, 130])
def test_no_line_of_a_review_is_too_long_and_each_topic_is_shown(width: int) -> None:
    review = described("network").review
    words = ["".join(cell.text for cell in line) for line in review_lines(review, width)]
    assert all(columns(line) <= width for line in words)
    assert " ".join(" ".join(words).split()).count("lesson ") == len(review)
