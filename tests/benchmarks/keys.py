"""Keys pressed during training, and how long each takes to have an effect."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import percentile
from tests.benchmarks.processes import PATIENCE, ContenderError, tail
from tests.benchmarks.terminal import Terminal
from tui_trainer.protocol.knobs import next_lr
from tui_trainer.text import fmt

COUNT = 48
"""The number of keys: whole cycles down and up, so that they end at the first learning rate."""

FIRST_LR = 0.1
RUN = 6
"""Keys in one direction.

Six of "-", six of "+", and so on: every key then shows a learning rate that the two keys before it
did not, so that no effect can be mistaken for another key's even if the screen is slow.
"""

MIN_PAUSE, MAX_PAUSE = 0.1, 0.4
"""Seconds between two keys, uniformly random: not in step with anything periodic."""

REST = 0.8
"""Seconds before and after the keys, so that the last effect can arrive."""

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Key:
    """A key to press after a pause, and the learning rate it sets."""

    pause: float
    key: str
    lr: float


@dataclass(frozen=True, slots=True)
class Press:
    """A pressed key: its time, and the learning rate it sets."""

    at: float
    lr: float

    @property
    def shown(self) -> tuple[float, str]:
        """The time of the key, and the learning rate as in the status line."""
        return self.at, fmt.knob("base_lr", self.lr)


def plan(seed: int, count: int = COUNT) -> list[Key]:
    """Return keys that lead down and up between the first learning rate and a hundredth of it."""
    rng = random.Random(seed)
    keys, lr = [], FIRST_LR
    for number in range(count):
        up = number // RUN % 2 == 1
        lr = next_lr(lr, 1 if up else -1)
        keys.append(Key(rng.uniform(MIN_PAUSE, MAX_PAUSE), "+" if up else "-", lr))
    return keys


def duration(keys: Sequence[Key]) -> float:
    """Return the seconds that pressing them takes, including the rests."""
    return sum(key.pause for key in keys) + 2 * REST


def press_all(window: Terminal, keys: Sequence[Key]) -> list[Press]:
    """Press the keys, with a rest before and after."""
    time.sleep(REST)
    pressed = []
    for key in keys:
        time.sleep(key.pause)
        pressed.append(Press(window.press(key.key), key.lr))
    time.sleep(REST)
    return pressed


def wait_until_warm(window: Terminal, marker: Path) -> None:
    """Wait for the file that a contender creates after its warm-up.

    Raises:
        ContenderError: If it ends before, or takes more than a minute.
    """
    until = time.monotonic() + PATIENCE
    while not marker.exists():
        if window.process.poll() is not None or time.monotonic() > until:
            raise ContenderError(f"it never trained\n{tail(window.written())}")
        time.sleep(0.05)


def answer_seconds(pressed: Sequence[Press], changes: Sequence[tuple[float, float]]) -> list[float]:
    """Return the seconds from each key to the engine's response; keys without one are left out."""
    seconds, rest = [], list(changes)
    for press in pressed:
        for number, (at, lr) in enumerate(rest):
            if at >= press.at and lr == press.lr:
                seconds.append(at - press.at)
                del rest[: number + 1]
                break
    return seconds


def milliseconds(seconds: Sequence[float]) -> dict[int, float]:
    """Return the percentiles of latencies, in milliseconds.

    Raises:
        ValueError: If there are none.
    """
    return {share: 1_000 * percentile(seconds, share / 100) for share in PERCENTILES}
