"""The slices that comparisons are made of: each runs one contender and returns what it measured."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.benchmarks import keys, screen
from tests.benchmarks.meter import Report
from tests.benchmarks.processes import PATIENCE, ContenderError, SkippedError, finish, wait
from tests.benchmarks.terminal import terminal

TRIAL = 3.0
"""Seconds of a trial that only chooses between two settings, at most."""

LAUNCHES = 5
SCRIPT = ("--model", "era-s6", "--batch-size", "512")
ERA = ("--model", "era-s6", "--batch-size", "128", "--augment", "light")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the window did on the screen: changes a second of its numbers and of its curves."""

    numbers: float
    curves: float


@dataclass(frozen=True, slots=True)
class Waits:
    """A round of keys: percentiles in milliseconds, the screen's empty without pyte.

    Attributes:
        training: From a key to the screen, while the network trains.
        paused: The same while it is paused.
        answer: From a key to the engine's answer, while it trains.
        step: The median duration of a step.
    """

    training: dict[int, float]
    paused: dict[int, float]
    answer: dict[int, float]
    step: float


class ContenderRunner:
    """Runs contenders, one at a time.

    Attributes:
        seconds: How long a slice is measured.
        threads_seen: The numbers of torch threads that contenders have told of.
    """

    def __init__(
        self,
        seconds: float,
        folder: Path,
        report_progress: Callable[[str], None],
        threads: int | None = None,
    ) -> None:
        self.seconds = seconds
        self.threads_seen: set[int] = set()
        self._folder = folder
        self._report_progress = report_progress
        self._threads = threads
        self._waits: dict[int, Waits] = {}

    @cached_property
    def threads(self) -> tuple[str, ...]:
        """The option for the threads of both: as given, or those of the fastest bare loop.

        By a short trial of one and of every core.
        """
        if self._threads is not None:
            return ("--threads", str(self._threads))
        return ("--threads", self._faster("bare", ERA, "--threads", (1, cores())))

    @cached_property
    def workers(self) -> tuple[str, ...]:
        """The option for as many loader workers as make the course's script fastest: 0 or 2."""
        return ("--workers", self._faster("script", SCRIPT, "--workers", (0, 2)))

    @cached_property
    def has_pyte(self) -> bool:
        """Whether screens can be read; says so once if not."""
        found = importlib.util.find_spec("pyte") is not None
        if not found:
            self._report_progress(
                "pyte is not installed: the figures of what is on the screen are left out"
            )
        return found

    def train(self, name: str, *options: str, seconds: float | None = None) -> Report:
        """Run a contender without a window.

        Raises:
            ContenderError: If it crashes or hangs.
        """
        seconds = self.seconds if seconds is None else seconds
        command = self._command(name, options, seconds)
        finish(command, seconds, self._folder)
        return self._report()

    def window(self, *options: str) -> tuple[Report, Shown | None]:
        """Run the app in a terminal; what was on the screen is None without pyte.

        Raises:
            ContenderError: If it crashes or hangs.
        """
        with terminal(self._command("app", options, self.seconds)) as view:
            wait(view.process, self.seconds, view.written)
        report = self._report()
        if not self.has_pyte:
            return report, None
        story = screen.read_screen([chunk for chunk in view.chunks if chunk[0] <= report.ended])
        span = report.began, report.ended
        return report, Shown(screen.number_frames(story, *span), screen.curve_frames(story, *span))

    def first_step(self, name: str, *options: str) -> float:
        """Return the seconds from a contender's start until its first step is done.

        Raises:
            ContenderError: If it crashes or hangs.
        """
        command = self._command(name, options, 0.0)
        if name == "app":
            with terminal(command) as view:
                wait(view.process, 0.0, view.written)
            return self._report().first_step - view.started
        started = time.monotonic()
        finish(command, 0.0, self._folder)
        return self._report().first_step - started

    def first_frame(self, *command: str) -> float:
        """Return the seconds from a program's start until its name or a panel is on the screen.

        Raises:
            ContenderError: If that never comes.
        """
        with terminal((sys.executable, *command)) as view:
            return view.wait_for((b"mnist-tui", b"accuracy"), PATIENCE) - view.started

    def launch(self, *command: str) -> float:
        """Return the seconds that a Python command takes, the median of a few.

        Raises:
            ContenderError: If it fails.
        """
        times = []
        for _ in range(LAUNCHES):
            started = time.monotonic()
            finish((sys.executable, *command), 0.0, self._folder)
            times.append(time.monotonic() - started)
        return statistics.median(times)

    def waits(self, number: int) -> Waits:
        """Press keys in the app, first while it trains and then while it is paused.

        A round is measured once, whichever comparisons ask for it.

        Raises:
            ContenderError: If the app crashes, or fewer than nine keys in ten have an effect.
        """
        if number not in self._waits:
            self._waits[number] = self._press(number)
        return self._waits[number]

    def _press(self, number: int) -> Waits:
        first, second = keys.plan(2 * number), keys.plan(2 * number + 1)
        seconds = keys.duration(first) + keys.duration(second)
        marker = self._folder / f"warm-{number}"
        options = (*ERA, *self.threads, "--lr", str(keys.FIRST_LR), "--marker", str(marker))
        with terminal(self._command("app", options, seconds)) as view:
            keys.wait_until_warm(view, marker)
            training = keys.press_all(view, first)
            view.press(" ")
            paused = keys.press_all(view, second)
            view.press(" ")
            wait(view.process, seconds, view.written)
        report = self._report()
        shown = screen.lrs_shown(screen.read_screen(view.chunks)) if self.has_pyte else None
        answers = keys.answer_seconds(training, report.changes)
        return Waits(
            training=self._on_screen("training", training, shown),
            paused=self._on_screen("paused", paused, shown),
            answer=self._percentiles("an answer of the engine", answers),
            step=1_000 * report.step_seconds,
        )

    def _on_screen(
        self, when: str, pressed: Sequence[keys.Press], shown: list[tuple[float, str]] | None
    ) -> dict[int, float]:
        if shown is None:
            return {}
        seconds = screen.effect_seconds([press.shown for press in pressed], shown)
        return self._percentiles(f"an effect on the screen while {when}", seconds)

    def _percentiles(self, what: str, seconds: Sequence[float]) -> dict[int, float]:
        """Return the percentiles of waits, if nearly every key had one."""
        if len(seconds) < 0.9 * keys.COUNT:
            raise ContenderError(f"only {len(seconds)} of {keys.COUNT} keys had {what}")
        if len(seconds) < keys.COUNT:
            self._report_progress(
                f"{keys.COUNT - len(seconds)} of {keys.COUNT} keys without {what}: left out"
            )
        return keys.milliseconds(seconds)

    def _faster(
        self, name: str, options: Sequence[str], option: str, choices: tuple[int, int]
    ) -> str:
        """Return the choice with which a contender trains faster, by one short trial of each."""
        speeds: dict[int, float] = {}
        for value in dict.fromkeys(choices) if choices[0] != choices[1] else ():
            self._report_progress(f"trial: {name} {option} {value}")
            seconds = min(self.seconds, TRIAL)
            report = self.train(name, *options, option, str(value), seconds=seconds)
            speeds[value] = report.images_per_second
        best = max(speeds, key=lambda value: speeds[value], default=choices[0])
        speeds_text = ", ".join(f"{value}: {speed:,.0f} img/s" for value, speed in speeds.items())
        self._report_progress(
            f"{name} {option} {best}" + (f" ({speeds_text})" if speeds_text else "")
        )
        return str(best)

    def _command(self, name: str, options: Sequence[str], seconds: float) -> tuple[str, ...]:
        self._path.unlink(missing_ok=True)
        more = ("--report", str(self._path), "--seconds", str(seconds), *options)
        return (sys.executable, "-m", "tests.benchmarks.contenders", name, *more)

    @property
    def _path(self) -> Path:
        return self._folder / "report.json"

    def _report(self) -> Report:
        report = Report.read(self._path)
        self.threads_seen.add(report.threads)
        return report


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def need_lightning() -> None:
    """Make sure that there is a Lightning to compare with.

    Raises:
        SkippedError: If there is not.
    """
    if not any(importlib.util.find_spec(name) for name in ("lightning", "pytorch_lightning")):
        raise SkippedError("neither lightning nor pytorch_lightning is installed")


def torch_version() -> str:
    """Return torch's version, without loading it into this process."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
