from __future__ import annotations

from tui_trainer.run.events import LayerRow
from tui_trainer.run.layers import BUDGET, stages

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


def test_everything_else_is_a_stage_of_its_own() -> None:
    rows = [
        row("conv1", "conv", 144, kernel="3×3 /2"),
        row("pool", "max pool", kernel="2×2"),
        row("relu", "relu"),
        row("flat", "flatten", output_shape=(1, 1, 160)),
        row("out", "linear", 1_610, output_shape=(1, 1, 10)),
    ]
    folded = stages(rows)
    assert [stage.what for stage in folded] == ["conv 3×3 /2", "max pool 2×2", "flatten", "linear"]
    assert folded[0].companions == ("relu",)  # a pool between them takes nothing over
    assert folded[-1].shape_text == "1×1×10"
    assert sum(stage.parameters for stage in folded) == sum(row.parameters for row in rows)


def test_a_companion_at_the_start_stands_alone() -> None:
    folded = stages([row("bn", "batch norm", 2), row("relu", "relu"), row("conv", "conv", 9)])
    assert [stage.name for stage in folded] == ["bn", "conv"]
    assert folded[0].companions == ("relu",)
    assert folded[0].parameters == 2


def test_no_rows_no_stages() -> None:
    assert stages([]) == []


def test_the_budget_is_the_course_one() -> None:
    assert BUDGET == 20_000
