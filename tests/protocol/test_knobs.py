from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tui_trainer.protocol.config import MAX_EPOCHS
from tui_trainer.protocol.knobs import next_batch_size, next_dropout, next_epochs, next_lr

UP, DOWN = 1, -1


def steps_from(
    following: Callable[[float, int], float], value: float, direction: int, times: int
) -> list[float]:
    values = [value]
    for _ in range(times):
        values.append(following(values[-1], direction))
    return values


def test_learning_rates_are_round_numbers() -> None:
    assert steps_from(next_lr, 0.1, UP, 7) == [0.1, 0.2, 0.5, 1, 2, 5, 10, 10]
    down = steps_from(next_lr, 0.01, DOWN, 13)
    assert down[:4] == [0.01, 0.005, 0.002, 0.001]
    assert down[-2:] == [1e-6, 1e-6]


@pytest.mark.parametrize(
    ("lr", "above", "below"),
    [(0.03, 0.05, 0.02), (0.09999, 0.1, 0.05), (0.1001, 0.2, 0.1), (3e-4, 5e-4, 2e-4)],
)
def test_a_learning_rate_between_two_steps_moves_to_either(
    lr: float, above: float, below: float
) -> None:
    assert next_lr(lr, UP) == above
    assert next_lr(lr, DOWN) == below


def test_rounding_errors_are_no_step() -> None:
    assert next_lr(0.1 + 1e-17, UP) == 0.2
    assert next_lr(0.1 * 3 / 3, DOWN) == 0.05
    assert next_lr(0.2 * (1 + 1e-12), UP) == 0.5


def test_up_and_down_again() -> None:
    for step in (1e-5, 0.002, 0.05, 1.0):
        assert next_lr(next_lr(step, UP), DOWN) == step
    for size in (1, 2, 128, 4_096):
        assert next_batch_size(next_batch_size(size, UP), DOWN) == size
    for share in (0.0, 0.05, 0.1, 0.3, 0.45):
        assert next_dropout(next_dropout(share, UP), DOWN) == share


@pytest.mark.parametrize(
    ("size", "above", "below"),
    [
        (1, 2, 1),
        (2, 4, 1),
        (3, 4, 2),
        (100, 128, 64),
        (128, 256, 64),
        (512, 1_024, 256),
        (8_191, 8_192, 4_096),
        (8_192, 8_192, 4_096),
    ],
)
def test_batch_sizes_are_powers_of_two(size: int, above: int, below: int) -> None:
    assert next_batch_size(size, UP) == above
    assert next_batch_size(size, DOWN) == below
    assert isinstance(next_batch_size(size, UP), int)


@pytest.mark.parametrize(
    ("share", "above", "below"),
    [(0.0, 0.05, 0.0), (0.03, 0.05, 0.0), (0.05, 0.1, 0.0), (0.3, 0.35, 0.25), (0.5, 0.5, 0.45)],
)
def test_dropout_steps_are_multiples_of_0_05(share: float, above: float, below: float) -> None:
    assert next_dropout(share, UP) == above
    assert next_dropout(share, DOWN) == below


def test_dropout_visits_every_step() -> None:
    steps = [round(number * 0.05, 2) for number in range(11)]
    assert steps_from(next_dropout, 0.0, UP, 10) == steps
    assert steps_from(next_dropout, 0.5, DOWN, 10) == steps[::-1]


def test_no_key_moves_in_the_other_direction() -> None:
    """The initial value may be no step: up never decreases it, down never increases it."""
    rates = [10.0**power * m for power, m in itertools.product(range(-12, 3), (1, 1.7, 5))]
    for lr in rates:
        assert next_lr(lr, UP) >= lr >= next_lr(lr, DOWN) > 0
    for size in [*range(1, 300), 9_000, 20_000, 65_536]:
        assert next_batch_size(size, UP) >= size >= next_batch_size(size, DOWN) >= 1
    for hundredth in range(96):
        share = hundredth / 100
        assert next_dropout(share, UP) >= share >= next_dropout(share, DOWN) >= 0


def test_a_value_beyond_the_last_step_moves_back() -> None:
    assert next_lr(700.0, UP) == 700
    assert next_lr(700.0, DOWN) == 500
    assert next_lr(1e-8, DOWN) == 1e-8
    assert next_lr(1e-8, UP) == 2e-8
    assert next_batch_size(65_536, UP) == 65_536
    assert next_batch_size(65_536, DOWN) == 32_768
    assert next_dropout(0.9, UP) == 0.9
    assert next_dropout(0.9, DOWN) == 0.85


@pytest.mark.parametrize(
    ("epochs", "direction", "least", "expected"),
    [
        (20, UP, 1, 21),
        (20, DOWN, 1, 19),
        (3, DOWN, 3, 3),  # the third epoch has started
        (1, DOWN, 1, 1),
        (MAX_EPOCHS - 1, UP, 1, MAX_EPOCHS),
        (MAX_EPOCHS, UP, 1, MAX_EPOCHS),
        (3, UP, 4, 4),  # between two epochs
    ],
)
def test_epochs_go_up_and_down_by_one(
    epochs: int, direction: int, least: int, expected: int
) -> None:
    assert next_epochs(epochs, direction, least) == expected
