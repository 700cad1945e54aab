from __future__ import annotations

from dataclasses import replace

from tests.protocol.test_layers import row
from tui_trainer.protocol.layers import LayerRow
from tui_trainer.render.layer_comparison import Line, compare

CONV = row("conv1", "conv", 144, kernel="3×3", multiply_adds=1_000, receptive_field=(3, 3))
NORM = row("norm1", "batch norm", 32, multiply_adds=32)
POOL = row("pool1", "max pool", kernel="2×2", output_shape=(14, 14, 16), receptive_field=(4, 4))
LOGITS = row("logits", "fully connected", 170, output_shape=(1, 1, 10), receptive_field=(28, 28))


def names(lines: tuple[Line, ...]) -> list[tuple[str, str, bool]]:
    return [
        (line.left.name if line.left else "", line.right.name if line.right else "", line.differs)
        for line in lines
    ]


def figures(left: list[LayerRow], right: list[LayerRow]) -> dict[str, tuple[str, str, str]]:
    return {f.name: (f.left, f.right, f.better) for f in compare(left, right).figures}


def test_a_model_equals_itself() -> None:
    rows = [CONV, NORM, POOL, LOGITS]

    comparison = compare(rows, rows)

    assert names(comparison.lines) == [
        ("conv1", "conv1", False),
        ("pool1", "pool1", False),
        ("logits", "logits", False),
    ]
    assert {figure.better for figure in comparison.figures} == {""}


def test_an_additional_stage_has_no_match() -> None:
    comparison = compare([CONV, LOGITS], [CONV, POOL, LOGITS])

    assert names(comparison.lines) == [
        ("conv1", "conv1", False),
        ("", "pool1", True),
        ("logits", "logits", False),
    ]


def test_a_name_alone_makes_no_difference_but_a_companion_does() -> None:
    renamed = replace(CONV, name="first")

    assert names(compare([CONV], [renamed]).lines) == [("conv1", "first", False)]
    assert names(compare([CONV], [renamed, NORM]).lines) == [("conv1", "first", True)]


def test_a_wider_layer_matches_the_narrow_one() -> None:
    wide = replace(CONV, output_shape=(28, 28, 32), parameters=288)

    assert names(compare([CONV, LOGITS], [wide, LOGITS]).lines)[0] == ("conv1", "conv1", True)


def test_the_figures_mark_the_cheaper_model() -> None:
    text = figures([CONV, NORM, LOGITS], [CONV, LOGITS])

    assert text["parameters"] == ("346", "314", "right")
    assert text["multiply-adds"] == ("1,032", "1,000", "right")
    assert text["share of 20,000"] == ("1.7 %", "1.6 %", "")
    assert text["receptive field"] == ("28×28", "28×28", "")
    assert text["layers with weights"] == ("2", "2", "")
    assert text["activations, batch 1"] == ("100.4 kB", "50.2 kB", "right")


def test_an_empty_table_can_be_compared() -> None:
    assert compare([], []).lines == ()
    assert names(compare([], [CONV]).lines) == [("", "conv1", True)]
