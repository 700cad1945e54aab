"""Backpropagation's views against torch, and a step of the first layer against a plain one."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.engine.experiments.conftest import Benches
from tui_trainer.engine.experiments.backpropagation import (
    COLUMN,
    ETA,
    ITERATION,
    LENGTH,
    STEP,
    VIEW,
    automatic_gradients,
    show,
)
from tui_trainer.engine.experiments.backpropagation_numbers import EDITS, network_of
from tui_trainer.engine.experiments.backpropagation_walk import walk
from tui_trainer.engine.experiments.bench import Bench
from tui_trainer.lessons.backpropagation import (
    COLUMNS,
    ETAS,
    START,
    Network,
    error_curve,
    gradients,
    table,
    updated,
)
from tui_trainer.run.exhibit import Curves, Exhibit, Pictures, Table, Value, Words

B = TypeVar("B")
WIDEST = 74


def shown(bench: Bench, **choices: Value) -> Exhibit:
    (exhibit,) = show(bench, choices, False)
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
    """The numbers in the text are multiplied here, with the parentheses as they stand."""
    found = {}
    for step in walk(START, 1.0):
        if match := re.search(r"∂E/∂(w\d),", step.title):
            numbers, result = step.lines[-3:-1] if "parentheses" in step.title else step.lines[-2:]
            told = numbers.split("=")[1].replace("·", "*").replace("−", "-")
            assert eval(told) == pytest.approx(float(result.split("=")[1]), rel=1e-4)
            found[match[1]] = float(result.split("=")[1])
    assert list(found) == ["w5", "w6", "w7", "w8", "w1", "w2", "w3", "w4"]
    expected = automatic_gradients(START)
    for number in range(1, 9):
        assert found[f"w{number}"] == pytest.approx(expected[number - 1], rel=1e-5)


def test_values_appear_in_the_drawing_one_by_one(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    unknown = [words_of(shown(bench, step=float(place))).count("     ·") for place in range(12)]
    # The ten cells; E_total stands after them.
    assert unknown == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert "0.4325" in words_of(shown(bench, step=5.0))


def test_the_drawing_marks_where_the_walk_is(bench_of: Benches) -> None:
    marked = re.findall(r"\[(\w+)", words_of(shown(bench_of("tiny"), step=14.0)))
    assert sorted(marked) == ["E1", "a_o1", "o1", "w5"]


def test_the_last_step_goes_forward_with_the_new_weights(bench_of: Benches) -> None:
    after = updated(updated(START, 0.8), 0.8)
    text = words_of(shown(bench_of("tiny"), step=34.0, iteration=1.0, eta=0.8))
    assert f"w5 {after.weights[4]:.4f}" in text
    assert f"{error_curve(START, 0.8, 2)[2]:.6g}" in text


@pytest.mark.parametrize("value", [-100.0, -1.2345678, 1e-9, 12.345678, 100.0])
def test_no_line_of_the_walk_is_too_wide(value: float) -> None:
    choices = {control.name: value * (-1) ** place for place, control in enumerate(EDITS)}
    for network in (START, network_of(choices), network_of({c.name: value for c in EDITS})):
        for step in walk(network, 1_000.0):
            lines = (step.title, *step.lines, *step.drawing().split("\n"))
            assert max(map(len, lines)) <= WIDEST


# --- the gradients


@pytest.mark.parametrize("iteration", [0.0, 7.0])
def test_each_gradient_stands_beside_torchs_and_a_finite_difference(
    bench_of: Benches, iteration: float
) -> None:
    exhibit = shown(bench_of("tiny"), view="gradients", iteration=iteration, eta=2.0)
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
    network = Network(
        inputs=(1.5, -3.0), targets=(0.9, -1.0), weights=(1, -2, 3, -4, 0.5, 6, -7, 0.8)
    )
    assert automatic_gradients(network) == pytest.approx(gradients(network), abs=1e-12)


# --- the curves and the table


@pytest.mark.parametrize("eta", [1.0, 3.5])
def test_all_rates_stand_in_one_plot_and_the_readers_own_too(bench_of: Benches, eta: float) -> None:
    exhibit = shown(bench_of("tiny"), view="curves", eta=eta, length=50.0)
    curves = {curve.name: curve for curve in block_of(exhibit, Curves).curves}
    assert set(curves) == {f"η {rate:g}" for rate in {*ETAS, eta}}
    for rate in {*ETAS, eta}:
        assert curves[f"η {rate:g}"].y == error_curve(START, rate, 50)
    assert {curve.y[0] for curve in curves.values()} == {error_curve(START, 1.0, 0)[0]}
    marked = block_of(exhibit, Table)
    assert marked.marked is not None
    assert marked.rows[marked.marked][0] == f"{eta:g}"


def test_the_curves_table_counts_the_iterations_to_a_tenth(bench_of: Benches) -> None:
    exhibit = shown(bench_of("tiny"), view="curves", length=60.0)
    errors = error_curve(START, 1.0, 60)
    row = next(row for row in block_of(exhibit, Table).rows if row[0] == "1")
    below = int(row[3])
    assert errors[below] <= errors[0] / 10 < errors[below - 1]
    assert row[4] == "not yet"
    assert errors[60] > errors[0] / 100


@pytest.mark.parametrize("columns", COLUMN.steps)
@pytest.mark.parametrize("iteration", [0.0, 3.0, 200.0])
def test_the_table_of_iterations_has_the_rows_around_the_chosen_one(
    bench_of: Benches, columns: str, iteration: float
) -> None:
    exhibit = shown(bench_of("tiny"), view="iterations", iteration=iteration, columns=columns)
    shown_table = block_of(exhibit, Table)
    assert shown_table.marked is not None
    assert shown_table.rows[shown_table.marked][0] == f"{iteration:g}"
    rows = list(table(START, 1.0, 220))
    for cells in shown_table.rows:
        row = dict(zip(COLUMNS, rows[int(cells[0])], strict=True))
        for head, cell in zip(shown_table.heads[1:], cells[1:], strict=True):
            assert float(cell) == pytest.approx(row[head.replace("∂E/∂", "dE_d")], abs=1e-8)
    assert width_of(shown_table) <= WIDEST


def test_every_column_of_the_iterations_can_be_seen(bench_of: Benches) -> None:
    seen = {
        head.replace("∂E/∂", "dE_d")
        for columns in COLUMN.steps
        for head in block_of(
            shown(bench_of("tiny"), view="iterations", columns=columns), Table
        ).heads
    }
    assert seen == set(COLUMNS)


# --- edited numbers


def test_edited_numbers_hold_in_every_view(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    own = Network(inputs=(0.05, -0.3), targets=(0.9, 0.5), weights=(*START.weights[:7], -1.5))
    edits: dict[str, Value] = {"i2": -0.3, "t1": 0.9, "w8": -1.5}
    assert network_of(edits) == own
    error = error_curve(own, 1.0, 0)[0]
    for view in ("walk", "gradients", "curves", "iterations", "edit"):
        assert "w8 -1.5 (was 0.55)" in words_of(shown(bench, view=view, **edits))
    curves = block_of(shown(bench, view="curves", **edits), Curves).curves
    assert {curve.y[0] for curve in curves} == {error}
    assert f"{error:.6g}" in shown(bench, view="edit", **edits).result
    slopes = block_of(shown(bench, view="gradients", **edits), Table).rows
    assert [float(row[2]) for row in slopes] == pytest.approx(automatic_gradients(own), rel=1e-5)


def test_the_twelve_numbers_are_controls_of_the_edit_view_alone(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    for view in VIEW.steps:
        names = [control.name for control in shown(bench, view=view).controls]
        assert names[0] == "view"
        assert len(names) == (13 if view == "edit" else len(names)) <= 13
        assert ("w1" in names) == (view == "edit")
        assert view == "edit" or len(names) <= 4


@pytest.mark.parametrize("view", [str(view) for view in VIEW.steps[:5]])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extreme_choices_are_shown(bench_of: Benches, view: str, sign: float) -> None:
    choices: dict[str, Value] = {control.name: sign * 1e9 for control in EDITS}
    choices |= {ETA.name: 1e9, LENGTH.name: 20.0, ITERATION.name: 30.0, STEP.name: 1e9}
    exhibit = shown(bench_of("tiny"), view=view, **choices)
    assert exhibit.result
    assert "nan" not in exhibit.result
    for block in exhibit.blocks:
        if isinstance(block, Table):
            assert width_of(block) <= WIDEST


# --- the first layer


def plain_step(
    bench: Bench, name: str, kernel: int, rate: float
) -> tuple[Tensor, Tensor, float, float]:
    """Return kernel, gradient, and loss before and after, by an optimizer of torch."""
    network = copy.deepcopy(bench.network).double().train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    train = bench.data.train
    images, labels = bench.data.prepare(train.images[:8]).double(), train.labels[:8]
    layer = network.get_submodule(name)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    before = layer.weight.detach()[kernel].clone()
    loss = functional.cross_entropy(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert layer.weight.grad is not None
    gradient = layer.weight.grad[kernel].clone()
    only = torch.zeros_like(layer.weight.grad)
    only[kernel] = gradient
    layer.weight.grad = only
    torch.optim.SGD([layer.weight], lr=rate).step()
    after = functional.cross_entropy(network(images), labels)
    return before, gradient, loss.item(), after.item()


@pytest.mark.parametrize(("model", "name"), [("tiny", "conv1"), ("mlp", "hidden")])
def test_a_kernels_step_is_that_of_torchs_gradient_descent(
    bench_of: Benches, model: str, name: str
) -> None:
    bench = bench_of(model)
    exhibit = shown(bench, view="first layer", kernel=3.0, rate=0.5)
    before, gradient, loss, later = plain_step(bench, name, 3, 0.5)
    side = 3 if model == "tiny" else 28
    before, gradient = before.view(side, side), gradient.view(side, side)
    shown_table = block_of(exhibit, Table)
    assert len(shown_table.rows) == 9
    for row in shown_table.rows:
        down, across = (int(part) - 1 for part in row[0].split(","))
        weight, slope = float(before[down, across]), float(gradient[down, across])
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [weight, slope, -0.5 * slope, weight - 0.5 * slope], abs=1e-6
        )
    assert f"from {loss:.6f} to {later:.6f}" in exhibit.result
    assert later < loss
    assert f"{-0.5 * float((gradient**2).sum()):+.2e}" in exhibit.result
    assert shown_table.marked is not None
    steepest = float(shown_table.rows[shown_table.marked][2])
    assert abs(steepest) == pytest.approx(float(gradient.abs().max()), abs=1e-6)
    finite = float(re.findall(r"difference is (\S+);", exhibit.certainty)[0])
    assert finite == pytest.approx(steepest, abs=1e-6)


@pytest.mark.parametrize("model", ["tiny", "mlp"])
def test_the_kernel_is_drawn_four_times(bench_of: Benches, model: str) -> None:
    pictures = block_of(shown(bench_of(model), view="first layer"), Pictures).items
    assert [picture.caption for picture in pictures] == [
        "before",
        "gradient",
        "−η·gradient",
        "after",
    ]
    before, gradient, update, after = pictures
    assert all(picture.is_signed and picture.width <= 28 for picture in pictures)
    assert (before.low, before.high) == (after.low, after.high)
    rate = bench_of(model).config.learning_rate
    assert [-rate * value for value in gradient.values] == pytest.approx(update.values, abs=1e-6)
    sums = [a + b for a, b in zip(before.values, update.values, strict=True)]
    assert sums == pytest.approx(after.values, abs=1e-6)


def test_the_run_is_left_as_it_is(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    before = copy.deepcopy(bench.network.state_dict())
    mode = bench.network.training
    shown(bench, view="first layer", rate=100.0)
    assert bench.network.training is mode
    for name, value in bench.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in bench.network.parameters())


def test_dropout_leaves_out_the_same_features_before_and_after(bench_of: Benches) -> None:
    """Without that the finite difference would be of another function."""
    bench = bench_of("tiny")
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.Dropout(0.5), nn.Linear(20, 10))
    exhibit = shown(dataclasses.replace(bench, network=network), view="first layer")
    differs = float(re.findall(r"differs by (\S+)\.", exhibit.certainty)[0])
    assert differs < 1e-6
    still = shown(dataclasses.replace(bench, network=network), view="first layer", rate=0.0)
    assert "+0.00e+00, where" in still.result


def test_a_network_that_diverged_is_said_to_be_lost(bench_of: Benches) -> None:
    bench = bench_of("tiny")
    network = bench.copy()
    for parameter in network.parameters():
        parameter.data.fill_(math.nan)
    exhibit = shown(dataclasses.replace(bench, network=network), view="first layer")
    assert "no number" in exhibit.result
    assert not any(isinstance(block, Pictures) for block in exhibit.blocks)


class Mean(nn.Module):
    """A network with neither a convolution nor a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.arange(10.0))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * self.scores


def test_without_a_layer_of_weights_another_network_is_shown(bench_of: Benches) -> None:
    exhibit = shown(dataclasses.replace(bench_of("tiny"), network=Mean()), view="first layer")
    assert "here is tiny" in words_of(exhibit)
    assert len(block_of(exhibit, Table).rows) == 9
    assert "after step 0" in exhibit.certainty


class Single(nn.Module):
    """A network that insists on single precision, with three channels and a frozen first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5)
        self.scores = nn.Linear(4, 10)
        self.first.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images.float().expand(-1, 3, -1, -1)).relu()
        scores: Tensor = self.scores(maps.mean(dim=(2, 3)))
        return scores


def test_a_network_in_single_precision_with_a_frozen_layer_is_shown(bench_of: Benches) -> None:
    torch.manual_seed(5)
    exhibit = shown(dataclasses.replace(bench_of("tiny"), network=Single()), view="first layer")
    assert "single precision" in exhibit.certainty
    shown_table = block_of(exhibit, Table)
    assert "of 75" in shown_table.caption
    assert re.fullmatch(r"[123]: [1-5], [1-5]", shown_table.rows[0][0])
    assert shown_table.marked is not None
    slope = float(shown_table.rows[shown_table.marked][2])
    finite = float(re.findall(r"difference is (\S+);", exhibit.certainty)[0])
    assert finite == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_a_dead_first_layer_is_said_to_have_no_slope(bench_of: Benches) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10))
    nn.init.constant_(network[1].bias, -1e4)  # type: ignore[arg-type]
    exhibit = shown(dataclasses.replace(bench_of("tiny"), network=network), view="first layer")
    assert "slopes are 0" in words_of(exhibit)
