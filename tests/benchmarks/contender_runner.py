"""Runs one contender for a slice of time, and returns its measurements."""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.benchmarks import attached, contenders, keys, screen
from tests.benchmarks.meter import Report
from tests.benchmarks.processes import (
    PATIENCE,
    ContenderError,
    SkippedError,
    finish,
    logged,
    wait,
)
from tests.benchmarks.terminal import terminal

TRIAL = 3.0
"""Maximum seconds of a trial between two settings."""

LAUNCHES = 5
SCRIPT = ("--model", "era-s6", "--batch-size", "512")
ERA = ("--model", "era-s6", "--batch-size", "128", "--augment", "light")


@dataclass(frozen=True, slots=True)
class Shown:
    """How often the screen changed: updates per second of the numbers and of the curves."""

    numbers: float
    curves: float


@dataclass(frozen=True, slots=True)
class Waits:
    """The latencies of a round of keys: percentiles in milliseconds, no screen without pyte.

    Attributes:
        training: From a key to the screen, while training.
        paused: From a key to the screen, while paused.
        answer: From a key to the engine's response, while training.
        step: The median duration of a step.
    """

    training: dict[int, float]
    paused: dict[int, float]
    answer: dict[int, float]
    step: float


class ContenderRunner:
    """Runs contenders, one at a time.

    Attributes:
        seconds: The duration of a slice.
        threads_seen: The numbers of torch threads that contenders reported.
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
        """The thread option of both contenders: as given, or the fastest for the bare loop.

        Chosen by a short trial of one thread and of all cores.
        """
        if self._threads is not None:
            return ("--threads", str(self._threads))
        return ("--threads", self._faster("bare", ERA, "--threads", (1, cores())))

    @cached_property
    def workers(self) -> tuple[str, ...]:
        """The number of loader workers that is fastest for the course's script: 0 or 2."""
        return ("--workers", self._faster("script", SCRIPT, "--workers", (0, 2)))

    @cached_property
    def has_pyte(self) -> bool:
        """Whether the screen can be read; reports once if not."""
        found = importlib.util.find_spec("pyte") is not None
        if not found:
            self._report_progress("pyte is not installed: the figures of the screen are left out")
        return found

    def train(
        self, name: str, *options: str, seconds: float | None = None, core: int | None = None
    ) -> Report:
        """Run a contender without the window, on one core if it is given.

        Raises:
            ContenderError: If it crashes or hangs.
        """
        seconds = self.seconds if seconds is None else seconds
        command = self._command(name, options, seconds)
        finish(command, seconds, self._folder, core=core)
        return self._report()

    def watched(self, *options: str, pinned: tuple[int, int] | None = None) -> Report:
        """Run the engine, and an attached window in another process that shows it.

        Args:
            *options: The options of the engine.
            pinned: The core of the engine and that of the window; all cores for both if None.

        Raises:
            ContenderError: If one of them crashes or hangs.
        """
        engine_core, window_core = pinned or (None, None)
        gate = self._folder / "gate"
        gate.unlink(missing_ok=True)
        command = self._command("engine", (*options, "--gate", str(gate)), self.seconds)
        with logged(command, self._folder, core=engine_core) as (engine, written):
            run = contenders.run_folder(self._path, engine.pid)
            attached.wait_for_steps(run, engine, written)
            with attached.window(run, core=window_core) as view:
                time.sleep(attached.STARTUP)
                spent, began = attached.cpu_seconds(view.process.pid), time.monotonic()
                gate.touch()
                wait(engine, self.seconds, written)
                spent = attached.cpu_seconds(view.process.pid) - spent
        share = 100 * spent / (time.monotonic() - began)
        self._report_progress(f"the attached window took {share:.1f} % of a core")
        return self._report()

    def window(self, *options: str) -> tuple[Report, Shown | None]:
        """Run the app in a terminal; the screen updates are None without pyte.

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
        """Return the seconds from a contender's start to the end of its first step.

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
        """Return the seconds from a program's start to its name or a panel on the screen.

        Raises:
            ContenderError: If neither appears.
        """
        with terminal((sys.executable, *command)) as view:
            return view.wait_for((b"mnist-tui", b"accuracy"), PATIENCE) - view.started

    def launch(self, *command: str) -> float:
        """Return the median duration of a few launches of a Python command, in seconds.

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
        """Press keys in the app, first while it trains, then while it is paused.

        Each round is measured once, for all comparisons.

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
            answer=self._percentiles("a response of the engine", answers),
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
        """Return the percentiles of latencies, if nearly every key has one."""
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
        """Return the faster choice for a contender, by a short trial of each."""
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
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def two_cores() -> tuple[int, int]:
    """Return two of the cores available to this process.

    Raises:
        SkippedError: If there is only one, or a process cannot be pinned to a core here.
    """
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(available) < 2:
        raise SkippedError("it needs two cores, and a system that pins a process to a core")
    return available[0], available[1]


def need_lightning() -> None:
    """Check that Lightning is installed.

    Raises:
        SkippedError: If it is not.
    """
    if not any(importlib.util.find_spec(name) for name in ("lightning", "pytorch_lightning")):
        raise SkippedError("neither lightning nor pytorch_lightning is installed")


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def torch_version() -> str:
    """Return torch's version without loading it in this process."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
