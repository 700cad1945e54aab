from __future__ import annotations

from tui_trainer.protocol.layers import BUDGET, Box, LayerRow, blocks, stages, totals

SHAPE = (28, 28, 16)


def row(name: str, kind: str, parameters: int = 0, **more: object) -> LayerRow:
    values = {"kernel": "", "output_shape": SHAPE, **more}
    return LayerRow(name=name, kind=kind, parameters=parameters, **values)  # type: ignore[arg-type]


def test_companions_are_folded_into_the_layer_before_them() -> None:
    (stage,) = stages(
        [
            row("conv1", "conv", 144, kernel="3×3"),
            row("bn1", "batch norm", 32),
            row("relu1", "relu"),
            row("drop1", "dropout"),
        ]
    )
    assert (stage.name, stage.what) == ("conv1", "conv 3×3")
    assert stage.companions == ("batch norm", "relu", "dropout")
    assert stage.parameters == 176
    assert stage.shape_text == "28×28×16"


def test_other_layers_are_separate_stages() -> None:
    rows = [
        row("conv1", "conv", 144, kernel="3×3 /2"),
        row("pool", "max pool", kernel="2×2"),
        row("relu", "relu"),
        row("flat", "flatten", output_shape=(1, 1, 160)),
        row("out", "linear", 1_610, output_shape=(1, 1, 10)),
    ]
    folded = stages(rows)
    assert [stage.what for stage in folded] == ["conv 3×3 /2", "max pool 2×2", "flatten", "linear"]
    assert folded[0].companions == ("relu",)  # a pooling layer in between has no companions
    assert folded[-1].shape_text == "1×1×10"
    assert sum(stage.parameters for stage in folded) == sum(row.parameters for row in rows)


def test_a_companion_at_the_start_is_a_stage() -> None:
    folded = stages([row("bn", "batch norm", 2), row("relu", "relu"), row("conv", "conv", 9)])
    assert [stage.name for stage in folded] == ["bn", "conv"]
    assert folded[0].companions == ("relu",)
    assert folded[0].parameters == 2


def test_no_rows_no_stages() -> None:
    assert stages([]) == []


def test_the_budget_is_the_course_one() -> None:
    assert BUDGET == 20_000


# --- rows


def test_the_receptive_field_is_a_box_of_pixels() -> None:
    conv = row("conv", "conv", receptive_field=(5, 3), jump=(2, 1), start=(0.5, 0.0))

    assert conv.box(0, 0) == Box(-1.5, -1.0, 3.5, 2.0)
    assert conv.box(3, 2) == Box(4.5, 1.0, 9.5, 4.0)
    assert conv.box(0, 0).within(28, 28) == Box(0.0, 0.0, 3.5, 2.0)  # type: ignore[union-attr]
    assert Box(-9.0, 30.0, -3.0, 40.0).within(28, 28) == Box(0.0, 28.0, 0.0, 28.0)
    assert row("odd", "grid_sample").box(0, 0) is None


def test_a_view_takes_no_memory() -> None:
    assert row("conv", "conv").activation_bytes == 28 * 28 * 16 * 4
    assert row("flat", "flatten").activation_bytes == 0


def test_the_totals_exclude_unused_layers() -> None:
    rows = [
        row("conv", "conv", 9, multiply_adds=90, receptive_field=(3, 3)),
        row("logits", "fully connected", 10, multiply_adds=10, receptive_field=(28, 28)),
        row("not used", "unused", 5, output_shape=(0, 0, 0)),
    ]
    whole = totals(rows)

    assert (whole.parameters, whole.multiply_adds) == (24, 100)
    assert whole.receptive_field == (28, 28)
    assert totals([]).receptive_field is None


def test_a_flat_model_is_grouped_by_map_size() -> None:
    rows = [
        row("input", "input"),
        row("conv1", "conv", 9, input_shape=(28, 28, 1)),
        row("pool", "max pool", input_shape=SHAPE, output_shape=(14, 14, 16)),
        row("conv2", "conv", 20, input_shape=(14, 14, 16), output_shape=(14, 14, 8)),
        row("average", "average pool", input_shape=(14, 14, 8), output_shape=(1, 1, 8)),
        row("logits", "fully connected", 80, input_shape=(1, 1, 8), output_shape=(1, 1, 10)),
    ]
    found = [(block.name, list(block.places), block.parameters) for block in blocks(rows)]

    assert found == [("28×28", [1, 2], 9), ("14×14", [3, 4], 20), ("classifier", [5], 80)]


def test_a_convolution_without_padding_stays_in_its_block() -> None:
    rows = [
        row("input", "input"),
        row("conv1", "conv", input_shape=(28, 28, 1), output_shape=(24, 24, 4), stride=(1, 1)),
        row("pool", "max pool", input_shape=(24, 24, 4), output_shape=(12, 12, 4)),
        row("relu", "relu", input_shape=(12, 12, 4), output_shape=(12, 12, 4)),
        row("conv2", "conv", input_shape=(12, 12, 4), output_shape=(6, 6, 4), stride=(2, 2)),
        row("conv3", "conv", input_shape=(6, 6, 4), output_shape=(4, 4, 4), stride=(1, 1)),
        row("flat", "flatten", input_shape=(4, 4, 4), output_shape=(1, 1, 64)),
        row("fc1", "fully connected", input_shape=(1, 1, 64), output_shape=(1, 1, 9)),
        row("fc2", "fully connected", input_shape=(1, 1, 9), output_shape=(1, 1, 9)),
    ]
    found = [(block.name, list(block.places)) for block in blocks(rows)]

    assert found == [("28×28", [1, 2, 3]), ("12×12", [4]), ("6×6", [5, 6]), ("classifier", [7, 8])]


def test_modules_are_blocks() -> None:
    rows = [
        row("input", "input"),
        row("stem", "conv", 9, input_shape=SHAPE),
        row("layer1.0.conv1", "conv", 4),
        row("layer1.0.add", "add"),
        row("layer1.1.conv1", "conv", 4),
    ]
    assert [block.name for block in blocks(rows)] == ["28×28", "layer1.0", "layer1.1"]
    assert [list(block.places) for block in blocks(rows)] == [[1], [2, 3], [4]]
    assert blocks([]) == []


def test_unused_parameters_are_a_separate_block() -> None:
    rows = [
        row("input", "input", 0, output_shape=(28, 28, 1)),
        row("conv", "conv", 9, output_shape=(26, 26, 1)),
        row("used only in training mode", "training only", 5, output_shape=(0, 0, 0)),
        row("not used in the forward pass", "unused", 7, output_shape=(0, 0, 0)),
    ]

    assert [block.name for block in blocks(rows)] == ["26×26", "not in evaluation mode"]
    assert totals(rows).parameters == 21
