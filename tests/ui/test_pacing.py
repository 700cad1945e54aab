from __future__ import annotations

import pytest

from tests.ui.fakes import recording
from tui_trainer.protocol.events import StateChanged, StepDone
from tui_trainer.ui.bridge import Bridge, EventsArrived
from tui_trainer.ui.pacing import BUDGET, FASTEST, SLOWEST, SPAN, Governor, Pace

STEPS = [event for event in recording("paused") if isinstance(event, StepDone)]


class Costly:
    """A window whose thread uses a known share of a core."""

    def __init__(self) -> None:
        self.now = 0.0
        self.spent = 0.0
        self.governor = Governor(clock=lambda: self.now, cpu_time=lambda: self.spent)

    def live(self, seconds: float, share: float) -> Governor:
        """Let time pass in updates of a tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.governor.update()
            self.now += 0.1
            self.spent += 0.1 * share
        self.governor.update()
        return self.governor


def test_a_window_within_its_budget_updates_at_the_fastest_rate() -> None:
    governor = Costly().live(60, BUDGET * 0.9)

    assert governor.interval == FASTEST
    assert governor.cost == pytest.approx(BUDGET * 0.9)


def test_a_window_above_its_budget_slows_down_to_a_limit() -> None:
    window = Costly()
    assert window.live(SPAN + 0.1, 0.5).interval == FASTEST  # building the window is paid once
    first = window.live(SPAN, BUDGET * 2).interval

    assert FASTEST < first < SLOWEST
    assert window.live(60, BUDGET * 2).interval == SLOWEST


def test_it_converges_to_the_budget() -> None:
    """An update that takes 12 ms fits into 2 % every 0.6 seconds."""
    window = Costly()
    for _ in range(40):
        window.live(SPAN, 0.012 / window.governor.interval)

    assert window.governor.interval == pytest.approx(0.6, rel=0.05)


def test_it_recovers_once_the_cost_is_low() -> None:
    window = Costly()
    window.live(60, BUDGET * 3)

    assert window.live(60, BUDGET / 3).interval == FASTEST


def test_steps_wait_for_the_interval_and_other_events_do_not() -> None:
    now = 0.0
    posts: list[int] = []

    def engine() -> object:
        nonlocal now
        yield StateChanged(state="training", step=0)
        for step in STEPS[:50]:
            now += 0.1
            yield step
        yield StateChanged(state="paused", step=50)

    def post(message: object) -> None:
        assert isinstance(message, EventsArrived)
        posts.append(len(message.events))

    bridge = Bridge(engine(), post, interval=0.25, clock=lambda: now)  # type: ignore[arg-type]
    bridge.start()
    assert bridge.join(10)

    assert sum(posts) == 52  # nothing is lost
    assert posts[0] == 1
    assert len(posts) == pytest.approx(5 / 0.25, abs=3)  # five seconds at four a second


def turns(interval: float, step: float, seconds: float) -> list[float]:
    """Ask at the end of every step whether a turn is due; return when it was."""
    pace = Pace()
    moments = [step * index for index in range(round(seconds / step))]
    return [now for now in moments if pace.is_due(now, interval)]


@pytest.mark.parametrize("step", [0.01, 0.085, 0.11, 0.24])
def test_the_average_rate_holds_for_any_step_time(step: float) -> None:
    assert len(turns(0.25, step, 100)) == pytest.approx(400, abs=2)


def test_each_step_longer_than_the_interval_is_an_update() -> None:
    assert len(turns(0.25, 0.4, 40)) == 100


def test_updates_missed_in_a_long_wait_are_not_repeated() -> None:
    pace = Pace()
    assert pace.is_due(0.0, 0.25)
    assert pace.is_due(60.0, 0.25)
    assert pace.is_due(60.0, 0.25)  # the one that was due meanwhile
    assert not pace.is_due(60.0, 0.25)


def test_an_extra_update_delays_the_next_one() -> None:
    pace = Pace()
    pace.restart(10.0, 0.25)
    assert not pace.is_due(10.2, 0.25)
    assert pace.is_due(10.25, 0.25)
