"""The false positive and detection rates of the overfitting rule on simulated runs."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pytest

from tests.protocol.facts import epochs, started
from tui_trainer.findings.overfitting import overfitting
from tui_trainer.history.history import History
from tui_trainer.protocol.events import EpochDone


@dataclass
class RandomRun:
    """Twenty simulated epochs, healthy or overfitting, with the noise of real runs."""

    random: random.Random
    rise: float = 0.0

    def run(self) -> list[EpochDone]:
        """Return losses that fall and then stay, or rise by ``rise`` of the floor an epoch.

        The noise from epoch to epoch is a share of the loss, from none to 40 % of it: runs at a
        constant rate of 0.1 had as much. One run in five has occasional spikes besides. The
        training loss falls all the time, so it never speaks for the run.
        """
        draw = self.random
        floor, start = draw.uniform(0.03, 0.12), draw.uniform(0.05, 0.5)
        tau, noise = draw.uniform(1, 5), draw.choice([0, 0.02, 0.05, 0.1, 0.2, 0.4])
        if self.rise:
            tau, noise = draw.uniform(0.7, 2), draw.uniform(0.01, 0.05)
        spikes = draw.random() < 0.2
        error, turn = floor * draw.uniform(0.02, 0.08), draw.uniform(2, 6)
        val, train = [], []
        for epoch in range(20):
            fall = start * math.exp(-epoch / tau)
            loss = floor + fall + self.rise * floor * max(0.0, epoch - turn)
            wide = 3 if spikes and draw.random() < 0.1 else 1
            loss *= max(0.1, 1 + noise * wide * draw.gauss(0, 1))
            val.append(max(1e-4, loss + draw.gauss(0, error / math.sqrt(2))))
            train.append(0.3 * floor + fall + 0.3 * floor * math.exp(-epoch / 20))
        return epochs(val, train, error=error)


def fires(run: list[EpochDone]) -> bool:
    history = History()
    history.apply(started())
    for done in run:
        history.apply(done)
        if overfitting(history) is not None:
            return True
    return False


def test_fewer_than_one_healthy_run_in_a_hundred_is_a_false_alarm() -> None:
    runs = RandomRun(random.Random(20_000))
    alarms = sum(fires(runs.run()) for _ in range(2_000))
    assert alarms < 20, f"{alarms} of 2,000"


@pytest.mark.parametrize(("rise", "caught"), [(0.1, 0.95), (0.2, 0.99)])
def test_a_run_that_overfits_is_detected(rise: float, caught: float) -> None:
    runs = RandomRun(random.Random(1), rise)
    assert sum(fires(runs.run()) for _ in range(200)) >= 200 * caught
