"""The views of backpropagation against torch."""

from __future__ import annotations

import re
from typing import TypeVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.lab.conftest import Contexts
from tui_trainer.lab import ask
from tui_trainer.lab.context import Context
from tui_trainer.lab.controls import Controls
from tui_trainer.lab.lessons.backpropagation.arithmetic import (
    COLUMNS,
    ETAS,
    START,
    TwoLayerNet,
    error_curve,
    gradients,
    table,
    updated,
)
from tui_trainer.lab.lessons.backpropagation.editable_numbers import EDITS, edited_net
from tui_trainer.lab.lessons.backpropagation.experiment import (
    COLUMN,
    ETA,
    ITERATION,
    ITERATIONS,
    STEP,
    VIEW,
    automatic_gradients,
)
from tui_trainer.lab.lessons.backpropagation.walk import walk
from tui_trainer.protocol.exhibit import Curves, Exhibit, Table, Value, Words

B = TypeVar("B")
WIDEST = 74

show = ask.experiment("backpropagation")


def shown(context: Context, **choices: Value) -> Exhibit:
    (exhibit,) = show(context, choices, False)
    return exhibit


def block_of(exhibit: Exhibit, kind: type[B]) -> B:
    return next(block for block in exhibit.blocks if isinstance(block, kind))


def words_of(exhibit: Exhibit) -> str:
    return "\n".join(block.text for block in exhibit.blocks if isinstance(block, Words))


def width_of(shown: Table) -> int:
    columns = zip(shown.heads, *shown.rows, strict=True)
    return sum(max(map(len, column)) + 2 for column in columns) - 2


# --- the walk


def test_the_walk_has_a_step_for_each_value_each_derivative_and_the_update() -> None:
    steps = walk(START, 1.0)
    titles = "\n".join(step.title for step in steps)
    assert len(steps) == len(STEP.steps)
    forward = [step.title.split()[-1] for step in steps[1:12]]
    assert forward == list(COLUMNS[9:20])
    for number in range(1, 9):
        assert f"∂E/∂w{number}," in titles
    for part in ("∂E1/∂a_h1", "∂E2/∂a_h2", "∂a_h1/∂h1", "∂a_o2/∂o2", "∂E/∂a_o1", "∂E/∂a_h2"):
        assert part in titles


def test_each_gradient_of_the_walk_is_the_product_of_the_numbers_before_it() -> None:
    """The numbers in the text are multiplied here, with its parentheses."""
    found = {}
    for step in walk(START, 1.0):
        if match := re.search(r"∂E/∂(w\d),", step.title):
            numbers, result = step.lines[-3:-1] if "parentheses" in step.title else step.lines[-2:]
            product = numbers.split("=")[1].replace("·", "*").replace("−", "-")
            assert eval(product) == pytest.approx(float(result.split("=")[1]), rel=1e-4)
            found[match[1]] = float(result.split("=")[1])
    assert list(found) == ["w5", "w6", "w7", "w8", "w1", "w2", "w3", "w4"]
    expected = automatic_gradients(START)
    for number in range(1, 9):
        assert found[f"w{number}"] == pytest.approx(expected[number - 1], rel=1e-5)


def test_values_appear_in_the_drawing_one_by_one(context_of: Contexts) -> None:
    context = context_of("tiny")
    unknown = [words_of(shown(context, step=float(place))).count("     ·") for place in range(12)]
    # The ten cells; E_total follows them.
    assert unknown == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert "0.4325" in words_of(shown(context, step=5.0))


def test_the_drawing_marks_where_the_walk_is(context_of: Contexts) -> None:
    marked = re.findall(r"\[(\w+)", words_of(shown(context_of("tiny"), step=14.0)))
    assert sorted(marked) == ["E1", "a_o1", "o1", "w5"]


def test_the_last_step_is_a_forward_pass_with_the_new_weights(context_of: Contexts) -> None:
    after = updated(updated(START, 0.8), 0.8)
    text = words_of(shown(context_of("tiny"), step=34.0, iteration=1.0, eta=0.8))
    assert f"w5 {after.weights[4]:.4f}" in text
    assert f"{error_curve(START, 0.8, 2)[2]:.6g}" in text


@pytest.mark.parametrize("value", [-100.0, -1.2345678, 1e-9, 12.345678, 100.0])
def test_no_line_of_the_walk_is_too_wide(value: float) -> None:
    choices = {control.name: value * (-1) ** place for place, control in enumerate(EDITS)}
    for model in (
        START,
        edited_net(Controls(choices)),
        edited_net(Controls({c.name: value for c in EDITS})),
    ):
        for step in walk(model, 1_000.0):
            lines = (step.title, *step.lines, *step.drawing(model).split("\n"))
            assert max(map(len, lines)) <= WIDEST


# --- the gradients


@pytest.mark.parametrize("iteration", [0.0, 7.0])
def test_each_gradient_is_shown_with_torchs_and_a_finite_difference(
    context_of: Contexts, iteration: float
) -> None:
    exhibit = shown(context_of("tiny"), view="gradients", iteration=iteration, eta=2.0)
    rows = list(table(START, 2.0, int(iteration)))
    weights = torch.tensor(rows[-1][1:9], dtype=torch.float64, requires_grad=True)
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    example = torch.tensor([0.05, 0.10], dtype=torch.float64)
    hidden = functional.linear(example, weights[:4].reshape(first.weight.shape)).sigmoid()
    outputs = functional.linear(hidden, weights[4:].reshape(second.weight.shape)).sigmoid()
    (((outputs - 0.5) ** 2).sum() / 2).backward()  # type: ignore[no-untyped-call]
    assert weights.grad is not None
    shown_table = block_of(exhibit, Table)
    assert len(shown_table.rows) == 8
    for row, slope in zip(shown_table.rows, weights.grad.tolist(), strict=True):
        for cell in (row[2], row[3], row[5]):
            assert float(cell) == pytest.approx(slope, rel=1e-5)
        assert abs(float(row[4])) < 1e-15
        assert abs(float(row[6])) < 1e-10
    assert width_of(shown_table) <= WIDEST


def test_automatic_differentiation_agrees_with_the_chain_rule_for_edited_numbers() -> None:
    model = TwoLayerNet(
        inputs=(1.5, -3.0), targets=(0.9, -1.0), weights=(1, -2, 3, -4, 0.5, 6, -7, 0.8)
    )
    assert automatic_gradients(model) == pytest.approx(gradients(model), abs=1e-12)


# --- the curves and the table


@pytest.mark.parametrize("eta", [1.0, 3.5])
def test_all_learning_rates_share_one_plot_with_the_readers(
    context_of: Contexts, eta: float
) -> None:
    exhibit = shown(context_of("tiny"), view="curves", eta=eta, length=50.0)
    curves = {curve.name: curve for curve in block_of(exhibit, Curves).curves}
    assert set(curves) == {f"η {lr:g}" for lr in {*ETAS, eta}}
    for lr in {*ETAS, eta}:
        assert curves[f"η {lr:g}"].y == error_curve(START, lr, 50)
    assert {curve.y[0] for curve in curves.values()} == {error_curve(START, 1.0, 0)[0]}
    marked = block_of(exhibit, Table)
    assert marked.marked is not None
    assert marked.rows[marked.marked][0] == f"{eta:g}"


def test_the_curves_table_counts_the_iterations_to_a_tenth(context_of: Contexts) -> None:
    exhibit = shown(context_of("tiny"), view="curves", length=60.0)
    errors = error_curve(START, 1.0, 60)
    row = next(row for row in block_of(exhibit, Table).rows if row[0] == "1")
    below = int(row[3])
    assert errors[below] <= errors[0] / 10 < errors[below - 1]
    assert row[4] == "not yet"
    assert errors[60] > errors[0] / 100


@pytest.mark.parametrize("columns", COLUMN.steps)
@pytest.mark.parametrize("iteration", [0.0, 3.0, 200.0])
def test_the_table_of_iterations_has_the_rows_around_the_chosen_one(
    context_of: Contexts, columns: str, iteration: float
) -> None:
    exhibit = shown(context_of("tiny"), view="iterations", iteration=iteration, columns=columns)
    shown_table = block_of(exhibit, Table)
    assert shown_table.marked is not None
    assert shown_table.rows[shown_table.marked][0] == f"{iteration:g}"
    rows = list(table(START, 1.0, 220))
    for cells in shown_table.rows:
        row = dict(zip(COLUMNS, rows[int(cells[0])], strict=True))
        for head, cell in zip(shown_table.heads[1:], cells[1:], strict=True):
            assert float(cell) == pytest.approx(row[head.replace("∂E/∂", "dE_d")], abs=1e-8)
    assert width_of(shown_table) <= WIDEST


def test_every_column_of_the_iterations_can_be_seen(context_of: Contexts) -> None:
    seen = {
        head.replace("∂E/∂", "dE_d")
        for columns in COLUMN.steps
        for head in block_of(
            shown(context_of("tiny"), view="iterations", columns=columns), Table
        ).heads
    }
    assert seen == set(COLUMNS)


# --- edited numbers


def test_edited_numbers_apply_to_every_view(context_of: Contexts) -> None:
    context = context_of("tiny")
    edited = TwoLayerNet(
        inputs=(0.05, -0.3), targets=(0.9, 0.5), weights=(*START.weights[:7], -1.5)
    )
    edits: dict[str, Value] = {"i2": -0.3, "t1": 0.9, "w8": -1.5}
    assert edited_net(Controls(edits)) == edited
    error = error_curve(edited, 1.0, 0)[0]
    for view in ("walk", "gradients", "curves", "iterations", "edit"):
        assert "w8 -1.5 (was 0.55)" in words_of(shown(context, view=view, **edits))
    curves = block_of(shown(context, view="curves", **edits), Curves).curves
    assert {curve.y[0] for curve in curves} == {error}
    assert f"{error:.6g}" in shown(context, view="edit", **edits).result
    slopes = block_of(shown(context, view="gradients", **edits), Table).rows
    assert [float(row[2]) for row in slopes] == pytest.approx(automatic_gradients(edited), rel=1e-5)


def test_the_twelve_numbers_are_controls_of_the_edit_view_alone(context_of: Contexts) -> None:
    context = context_of("tiny")
    for view in VIEW.steps:
        names = [control.name for control in shown(context, view=view).controls]
        assert names[0] == "view"
        assert len(names) == (13 if view == "edit" else len(names)) <= 13
        assert ("w1" in names) == (view == "edit")
        assert view == "edit" or len(names) <= 4


@pytest.mark.parametrize("view", [str(view) for view in VIEW.steps[:5]])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extreme_choices_are_shown(context_of: Contexts, view: str, sign: float) -> None:
    choices: dict[str, Value] = {control.name: sign * 1e9 for control in EDITS}
    choices |= {ETA.name: 1e9, ITERATIONS.name: 20.0, ITERATION.name: 30.0, STEP.name: 1e9}
    exhibit = shown(context_of("tiny"), view=view, **choices)
    assert exhibit.result
    assert "nan" not in exhibit.result
    for block in exhibit.blocks:
        if isinstance(block, Table):
            assert width_of(block) <= WIDEST
