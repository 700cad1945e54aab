"""The repeated steps of a loop share a row, and every reader finds it."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.anatomy.networks import SHAPE, named
from tui_trainer.anatomy.folding import MIN_REPEATS, folding
from tui_trainer.anatomy.measured import effective_field, measured_field
from tui_trainer.anatomy.table import layer_table
from tui_trainer.anatomy.trace import Step, trace
from tui_trainer.models.copies import copy_model
from tui_trainer.protocol.layers import blocks, stages, totals


class PixelByPixel(nn.Module):
    """A hand-written recurrent cell, one pixel per step."""

    def __init__(self, steps: int = 784, width: int = 4) -> None:
        super().__init__()
        self.enter = nn.Linear(1, width)
        self.keep = nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, 10)
        self.steps, self.width = steps, width

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(1)
        state = x.new_zeros(len(x), self.width)
        for step in range(self.steps):
            state = torch.tanh(self.enter(pixels[:, step : step + 1]) + self.keep(state))
        logits: Tensor = self.head(state)
        return logits


class Nested(nn.Module):
    """A loop over columns in a loop over rows, followed by a loop with few repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(1, 3)
        self.mix = nn.Linear(3, 3)
        self.block = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        state = x.mean((1, 2, 3))[:, None].repeat(1, 3)
        for row in range(10):
            for column in range(12):
                state = state + self.cell(x[:, 0, row, column : column + 1])
            state = F.relu(self.mix(state))
        for _ in range(3):
            x = self.block(x)
        return state + x.mean((2, 3))


@pytest.mark.slow
def test_a_loop_of_784_steps_has_a_row_for_each_of_its_operations() -> None:
    model = PixelByPixel()
    rows = layer_table(model, SHAPE)

    by_name = {row.name: row for row in rows}
    assert len(rows) < 15
    assert (by_name["keep"].repeats, by_name["enter_2"].repeats) == (783, 783)
    assert by_name["keep"].kind_text == "fully connected × 783"
    assert by_name["head"].repeats == by_name["enter"].repeats == 1
    assert totals(rows).multiply_adds == 784 * (8 + 16) + 50
    assert totals(rows).parameters == sum(p.numel() for p in model.parameters())
    assert by_name["keep"].activation_bytes == 783 * 4 * 4


def test_every_row_reads_earlier_rows_and_the_loop_reads_the_input() -> None:
    for model in (PixelByPixel(40), Nested()):
        rows = layer_table(model, SHAPE)

        assert all(row.sources for row in rows[1:])
        assert all(max(row.sources) < place for place, row in enumerate(rows) if place)
        assert stages(rows)
        assert blocks(rows)[-1].places.stop == len(rows)


def test_loops_within_loops_are_folded_and_few_rounds_are_not() -> None:
    rows = named(Nested())

    assert (rows["cell"].repeats, rows["mix"].repeats, rows["relu"].repeats) == (120, 10, 10)
    assert [rows[name].repeats for name in ("block", "block_2", "block_3")] == [1, 1, 1]
    assert rows["block_3"].receptive_field == (7, 7)
    assert rows["cell"].multiply_adds == 120 * 6


def test_each_row_is_reported_once_and_in_order() -> None:
    for model in (PixelByPixel(60), Nested()):
        rows = layer_table(model, SHAPE)
        for traced in (model, copy_model(model)):
            seen: list[tuple[int, str]] = []

            def reached(
                position: int, step: Step, result: Tensor, seen: list[tuple[int, str]] = seen
            ) -> None:
                seen.append((position, step.call.name))

            steps = trace(traced, torch.rand(3, 1, 28, 28), reached=reached)

            assert [position for position, _ in seen] == list(range(1, len(rows)))
            assert [step.call.name for step in steps] == [name for _, name in seen]
            assert [step.repeats for step in steps] == [row.repeats for row in rows[1:]]


def test_the_last_repeat_represents_the_row() -> None:
    model = PixelByPixel(20)
    rows = layer_table(model, SHAPE)
    keep = next(place for place, row in enumerate(rows) if row.name == "keep")

    seen = measured_field(model, SHAPE, keep, 0, 0)

    assert seen.flatten().nonzero().flatten().tolist() == list(range(19))
    assert effective_field(model, torch.rand(1, 1, 28, 28), keep, 0, 0).shape == (28, 28)


def test_a_loop_whose_length_depends_on_the_images_never_misleads() -> None:
    class UntilSmall(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shrink = nn.Linear(784, 784)
            self.head = nn.Linear(784, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            for _ in range(9 if float(x.max()) < 1 else 20):
                x = self.shrink(x)
            logits: Tensor = self.head(x)
            return logits

    model = UntilSmall()
    rows = layer_table(model, SHAPE)
    reached_rows: list[tuple[int, str]] = []
    images = torch.ones(2, 1, 28, 28)
    trace(model, images, reached=lambda place, step, _: reached_rows.append((place, step.module)))

    assert [row.repeats for row in rows] == [1, 1, 1, 9, 1]
    assert all(rows[place].name == module for place, module in reached_rows if module)


def test_only_whole_blocks_that_follow_one_another_are_folded() -> None:
    n = MIN_REPEATS
    loop = [*"ab" * n]

    assert [len(row) for row in folding([*"x", *loop, *"y"]).rows] == [1, n, n, 1]
    assert [len(row) for row in folding([*"ab" * (n - 1)]).rows] == [1] * (2 * (n - 1))
    assert [len(row) for row in folding([*"aab" * n]).rows] == [n, n, n]
    assert [len(row) for row in folding([*("ab" * n + "c") * n]).rows] == [n * n, n * n, n]
    found = folding([*"x", *loop])
    assert found.row_of == (0, *([1, 2] * n))
    assert [step for step in range(2 * n + 1) if found.stands_for_its_row(step)] == [
        0,
        2 * n - 1,
        2 * n,
    ]


def test_folding_keeps_every_step_in_order() -> None:
    rng = random.Random(1)
    for _ in range(50):
        steps = [rng.choice("abc") * rng.choice((1, 3, 20)) for _ in range(30)]
        found = folding("".join(steps))

        assert sorted(step for row in found.rows for step in row) == list(range(len(found.row_of)))
        lasts = [row[-1] for row in found.rows]
        assert lasts == sorted(lasts)
        for row, members in enumerate(found.rows):
            assert {"".join(steps)[step] for step in members} == {"".join(steps)[members[0]]}
            assert all(found.row_of[step] == row for step in members)
