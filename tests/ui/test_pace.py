from __future__ import annotations

import pytest

from tui_trainer.ui.pace import Pace


def turns(interval: float, step: float, seconds: float) -> list[float]:
    """Ask at the end of every step whether a turn is due; return when it was."""
    pace = Pace()
    moments = [step * index for index in range(round(seconds / step))]
    return [now for now in moments if pace.is_due(now, interval)]


@pytest.mark.parametrize("step", [0.01, 0.085, 0.11, 0.24])
def test_the_average_is_kept_whatever_a_step_takes(step: float) -> None:
    assert len(turns(0.25, step, 100)) == pytest.approx(400, abs=2)


def test_steps_longer_than_the_interval_are_each_a_turn() -> None:
    assert len(turns(0.25, 0.4, 40)) == 100


def test_what_was_missed_in_a_long_wait_is_not_made_up_for() -> None:
    pace = Pace()
    assert pace.is_due(0.0, 0.25)
    assert pace.is_due(60.0, 0.25)
    assert pace.is_due(60.0, 0.25)  # the one that was due meanwhile
    assert not pace.is_due(60.0, 0.25)


def test_a_turn_out_of_turn_puts_the_next_one_off() -> None:
    pace = Pace()
    pace.restart(10.0, 0.25)
    assert not pace.is_due(10.2, 0.25)
    assert pace.is_due(10.25, 0.25)
