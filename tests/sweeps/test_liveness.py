from __future__ import annotations

from tui_trainer.recording.lock import this_process
from tui_trainer.sweeps.liveness import BEAT, GRACE, Liveness

HERE = this_process()
ELSEWHERE = {**HERE, "machine": "another", "host": "another", "began": "7"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def observe(clock: Clock, seconds: float, beat: float, liveness: Liveness) -> None:
    """Observe one heartbeat again and again for some seconds."""
    for _ in range(round(seconds / BEAT)):
        clock.now += BEAT
        liveness.observe({1: beat})


def observed() -> tuple[Clock, Liveness]:
    clock = Clock()
    liveness = Liveness(clock=clock)
    liveness.observe({1: 5.0})
    return clock, liveness


def test_a_worker_elsewhere_is_dead_after_the_grace_without_a_heartbeat() -> None:
    clock, liveness = observed()
    observe(clock, GRACE - BEAT, 5.0, liveness)
    assert liveness.is_alive(1, ELSEWHERE)
    observe(clock, BEAT, 5.0, liveness)
    assert not liveness.is_alive(1, ELSEWHERE)


def test_a_heartbeat_brings_it_back_whatever_its_clock_shows() -> None:
    clock, liveness = observed()
    observe(clock, GRACE, 5.0, liveness)
    liveness.observe({1: -1e9})
    assert liveness.is_alive(1, ELSEWHERE)


def test_a_suspended_observer_does_not_count_its_sleep() -> None:
    clock, liveness = observed()
    clock.now += 100 * GRACE
    liveness.observe({1: 5.0})
    assert liveness.is_alive(1, ELSEWHERE)


def test_a_process_of_this_machine_that_has_ended_is_dead_at_once() -> None:
    _, liveness = observed()
    assert liveness.is_alive(1, HERE)
    assert not liveness.is_alive(1, {**HERE, "began": "0"})


def test_a_process_of_this_machine_that_hangs_is_dead_after_the_grace() -> None:
    clock, liveness = observed()
    observe(clock, GRACE, 5.0, liveness)
    assert not liveness.is_alive(1, HERE)


def test_a_trial_that_was_never_observed_has_the_whole_grace() -> None:
    assert Liveness().is_alive(7, ELSEWHERE)
