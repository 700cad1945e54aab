"""How often a race between equal settings reports a difference, on the real digits.

python -m tests.lab.test_race_chance [RACES]     # prints the figures
pytest -m slow tests/lab/test_race_chance.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from tests.engine.runs import ScriptedInbox
from tui_trainer.engine.loop import train as train_network
from tui_trainer.lab.arms import Arm
from tui_trainer.lab.assistant import Laboratory
from tui_trainer.lab.race.results import ALPHA, compared
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask, Command, Stop
from tui_trainer.protocol.config import RunConfig

RACES = 20
"""Races between equal settings."""

POINTS = (60, 150, 240, 330)
"""The steps of each run at which it races."""

QUESTION = Ask("race", (("what", "augmentation"), ("batches", 60), ("repeats", 5)), "confirmed")
"""The repetitions are five runs from the same state with other images and random numbers."""


@dataclass(frozen=True)
class Verdict:
    """What one race between equal settings reports.

    Attributes:
        over_images: Whether McNemar's test or the paired t test alone calls a difference.
        called: Whether the race calls one.
    """

    over_images: bool
    called: bool


def verdicts(races: int) -> Iterator[Verdict]:
    """Race equal settings: a repetition takes the part of an arm, others measure chance."""
    for seed in range(-(-races // len(POINTS))):
        laboratory = Laboratory()
        plan: dict[int, Sequence[Command]] = {step: [QUESTION] for step in POINTS}
        config = RunConfig(model="tiny", threads=1, device="cpu", seed=seed, probes=False)
        inbox = ScriptedInbox({**plan, POINTS[-1] + 1: [Stop(test=False)]})
        for event in train_network(config, inbox, assistant=laboratory):
            if isinstance(event, Answered) and event.is_last:
                finished = laboratory.racing.finished
                assert finished is not None
                yield _verdict([arm for arm in finished.arms if arm.again])


def _verdict(equal: Sequence[Arm]) -> Verdict:
    current, arm, *repeated = equal
    arms = [replace(current, again=0), replace(arm, again=0), *repeated]
    pair = compared(arms, 0)[arm.name]
    return Verdict(
        over_images=min(pair.accuracy.p, pair.loss.p) <= ALPHA / 2, called=bool(pair.findings)
    )


@pytest.mark.slow
def test_equal_settings_seldom_differ() -> None:
    found = list(verdicts(RACES))
    assert len(found) == RACES
    # With P ≤ 0.05 each, four or more of 20 have a probability below 0.016.
    assert sum(each.called for each in found) <= 3


if __name__ == "__main__":
    results = list(verdicts(int(sys.argv[1]) if len(sys.argv) > 1 else RACES))
    naive, called = (sum(getattr(r, name) for r in results) for name in ("over_images", "called"))
    print(f"{len(results)} races of equal settings: {naive} differ over the images alone")
    print(f"{called} are reported as different")
