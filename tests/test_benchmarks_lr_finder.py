"""The benchmark of the learning rate finder: its input errors, and a line for each subject."""

from __future__ import annotations

import math

import pytest

from tests.benchmarks.lr_finder import main, spread, usual_lr

QUICK = ("--seeds", "2", "--steps", "30", "--train-size", "1000")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("repeats", "alchemy:sgd"), "is no MODEL:OPTIMIZER"),
        (("repeats", "mlp"), "is no MODEL:OPTIMIZER"),
        (("trains", "mlp:lion"), "is no MODEL:OPTIMIZER"),
        (("repeats", "mlp:sgd", "--repeats", "1"), "--repeats 2 or more"),
    ],
)
def test_what_there_is_not_is_refused(
    arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    assert left.value.code == 2
    assert problem in capsys.readouterr().err


def test_repeats_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repeats", "mlp:sgd", "--repeats", "2", *QUICK]) == 0

    _, line, total = capsys.readouterr().out.splitlines()
    assert line.startswith("mlp:sgd")
    assert "of 2)" in line
    assert total.startswith("claimed 95 %; measured ")


@pytest.mark.slow
def test_trainings_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trains", "mlp:sgd", "--repeats", "2", *QUICK]) == 0

    _, line = capsys.readouterr().out.splitlines()
    assert line.count("[") == 2


def test_the_usual_rule_takes_the_steepest_descent() -> None:
    losses = [2.0] * 20 + [1.0] * 20 + [5.0] * 5
    lrs = [10 ** (place / 10) for place in range(45)]

    assert usual_lr(lrs, losses) == pytest.approx(lrs[20])
    assert math.isnan(spread([1.0]))
    assert spread([1.0, 10.0]) == pytest.approx(10 ** math.sqrt(0.5))
