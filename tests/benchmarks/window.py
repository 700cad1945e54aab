"""What the window costs the training, part by part: ``python -m tests.benchmarks.window``.

The app trains in a terminal. Its training thread leaves out one part at a time, in slices of half a
second in random order, and trains a bare loop in between. Slices of one round are compared with
each other, so a machine that becomes slower changes little. Two more tables count the time of each
part and of each thread of the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import contenders
from tests.benchmarks.contender_runner import ERA, cores
from tests.benchmarks.measure import percentile, write_json
from tests.benchmarks.meter import Meter
from tests.benchmarks.options import Parser, above_zero, whole
from tests.benchmarks.processes import ContenderError, end_on_terminate, wait
from tests.benchmarks.terminal import terminal
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, StepDone
from tui_trainer.ui.bridge import SWITCH_INTERVAL

EVERYTHING, BARE = "everything", "bare loop"
PARTS = {
    "bridge": "no posts to the window, which stays idle",
    "painting": "posts arrive, nothing is shown",
    "curves": "only the numbers are shown",
    "findings": "no rules are evaluated",
    "recorder": "nothing is written",
    "collector": "the garbage collector is off",
    "switch": "threads switch after 5 ms, as is Python's default",
}
"""What each part is left out of, by its name."""

WARM_STEPS = 70
"""Beyond the early probe of the sample, which happens once a run."""

SLICE_STEPS = 12
DEFAULT_INTERVAL = 0.005


@dataclass
class Slices:
    """What was measured in the slices.

    Attributes:
        current: What the current slice leaves out, or ``EVERYTHING`` or ``BARE``; empty between
            two slices.
        done: What each slice left out, and its seconds.
        spent: The calls of each part, their seconds of CPU time and of the clock, with everything.
        threads: The CPU seconds of each thread, with everything.
    """

    current: str = ""
    done: list[tuple[str, float]] = field(default_factory=list)
    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * 3))
    threads: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _began: float = 0.0
    _before: dict[str, float] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Begin a slice."""
        sys.setswitchinterval(DEFAULT_INTERVAL if name == "switch" else SWITCH_INTERVAL)
        (gc.disable if name == "collector" else gc.enable)()
        self._before = thread_seconds() if name == EVERYTHING else {}
        self.current, self._began = name, time.perf_counter()

    def end(self) -> None:
        """End the slice."""
        name, self.current = self.current, ""
        self.done.append((name, time.perf_counter() - self._began))
        if name == EVERYTHING:
            for thread, seconds in thread_seconds().items():
                self.threads[thread] += seconds - self._before.get(thread, 0.0)

    def leave_out(self, owner: Any, name: str, part: str, instead: Callable[..., Any]) -> None:
        """Replace a method while its part is left out."""
        original = getattr(owner, name)

        def chosen(*args: Any, **options: Any) -> Any:
            return (instead if self.current == part else original)(*args, **options)

        setattr(owner, name, chosen)

    def time(self, owner: Any, name: str, label: str, *, yields: bool = False) -> None:
        """Count the time of a function while everything is measured; of a generator's parts too."""
        original = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            cpu, clock = time.thread_time(), time.perf_counter()
            found = original(*args, **options)
            if yields:
                found = iter(list(found))
            if self.current == EVERYTHING:
                spent = self.spent[label]
                spent[0] += 1
                spent[1] += time.thread_time() - cpu
                spent[2] += time.perf_counter() - clock
            return found

        setattr(owner, name, timed)


def install(slices: Slices) -> None:
    """Make the parts of the app replaceable and timed."""
    from tui_trainer.engine import loop
    from tui_trainer.engine.probes import Probes
    from tui_trainer.engine.run import Run
    from tui_trainer.findings import Findings
    from tui_trainer.recording.command_file import CommandFile
    from tui_trainer.recording.recorder import Recorder
    from tui_trainer.ui.app import MnistTui
    from tui_trainer.ui.bridge import Bridge
    from tui_trainer.ui.widgets.chart import Chart

    def nothing(*_: Any, **__: Any) -> Iterator[Any]:
        return iter(())

    slices.time(loop, "train_step", "training steps")
    slices.time(loop, "save", "checkpoints", yields=True)
    slices.time(os, "fsync", "fsync, in checkpoints")
    slices.time(Run, "flush", "reading the losses", yields=True)
    slices.time(Probes, "after_step", "probes, after a step", yields=True)
    for name in ("begin_step", "record_gradients", "record_update"):
        slices.time(Probes, name, "probes, within a step")
    slices.time(Findings, "after", "findings", yields=True)
    slices.time(Recorder, "write", "recorder", yields=True)
    slices.time(Bridge, "_take", "bridge, with its waits for the interpreter")
    slices.time(CommandFile, "poll", "commands, on their thread")
    slices.time(MnistTui, "on_events_arrived", "window: events and content")
    slices.time(sys.modules["textual.screen"].Screen, "_compositor_refresh", "window: painting")
    slices.leave_out(Bridge, "_take", "bridge", lambda *_: None)
    slices.leave_out(MnistTui, "_show", "painting", lambda *_: None)
    slices.leave_out(Chart, "show", "curves", lambda *_: None)
    slices.leave_out(Findings, "after", "findings", nothing)
    slices.leave_out(Recorder, "write", "recorder", nothing)


def order(draw: random.Random) -> list[str]:
    """Return what to leave out in a round, last first; the bare loop is not the last."""
    names = [EVERYTHING, *PARTS]
    draw.shuffle(names)
    names.insert(draw.randrange(1, len(names) + 1), BARE)
    return names


def sliced(
    events: Iterator[Event], inbox: Inbox, slices: Slices, config: RunConfig, seconds: float
) -> Iterator[Event]:
    """Pass on a run's events; measure its steps in slices, then stop it."""
    from tests.benchmarks.peers import bare_steps

    bare = bare_steps(config)
    draw = random.Random(0)
    waiting: list[str] = []
    steps, ended = 0, 0.0
    for event in events:
        yield event
        if not isinstance(event, StepDone) or event.step < WARM_STEPS:
            continue
        if not ended:
            for _ in range(SLICE_STEPS):
                next(bare)
            ended = time.perf_counter() + seconds
        else:
            steps += 1
            if steps < SLICE_STEPS:
                continue
            slices.end()
        if not waiting and time.perf_counter() >= ended:
            break
        waiting = waiting or order(draw)
        if waiting[-1] == BARE:
            slices.begin(waiting.pop())
            for _ in range(SLICE_STEPS):
                next(bare)
            slices.end()
        slices.begin(waiting.pop())
        steps = 0
    inbox.send(Stop(test=False))
    yield from events


def thread_seconds() -> dict[str, float]:
    """Return the CPU seconds of this process's threads, by the name of the thread (Linux)."""
    names = {str(each.native_id): each.name for each in threading.enumerate()}
    found: dict[str, float] = defaultdict(float)
    for path in Path("/proc/self/task").glob("*/schedstat"):
        name = names.get(path.parent.name, "other threads of torch")
        found[name] += int(path.read_text("ascii").split()[0]) / 1e9
    return found


def train_in_window(config: RunConfig, report: Path, seconds: float) -> None:
    """Train in the real window, in the terminal of this process; write what was measured."""
    from tui_trainer.ui.app import MnistTui

    slices = Slices()

    def begin(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        install(slices)
        run = contenders.start(config, inbox, Meter(1e9), report.with_suffix(".run"))
        try:
            yield from sliced(run, inbox, slices, config, seconds)
        finally:
            window.call_later(window.exit)

    window = MnistTui(begin, config)
    window.run()
    failure = window.live_run.history.failure
    if failure is not None:
        print(failure.traceback, file=sys.stderr)
        os._exit(1)
    write_json(report, {"slices": slices.done, "spent": slices.spent, "threads": slices.threads})
    os._exit(0)


def rounds_of(slices: Sequence[tuple[str, float]]) -> list[dict[str, float]]:
    """Return the seconds of the slices, round by round; an incomplete last round is left out."""
    size = len(PARTS) + 2
    return [dict(slices[at : at + size]) for at in range(0, len(slices) - size + 1, size)]


def costs(rounds: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """Return what each part costs, as a share of the time without it: median and quartiles.

    For the bare loop, it is what everything together costs.
    """
    found = {}
    for name in (BARE, *PARTS):
        shares = [each[EVERYTHING] / each[name] - 1 for each in rounds]
        found[name] = (
            statistics.median(shares),
            percentile(shares, 0.25),
            percentile(shares, 0.75),
        )
    return found


def table(
    slices: Sequence[tuple[str, float]],
    spent: Mapping[str, Sequence[float]],
    threads: Mapping[str, float],
) -> list[str]:
    """Return the lines of the three tables."""
    rounds = rounds_of(slices)
    lines = [
        f"left out in turn, {len(rounds)} rounds of slices of {SLICE_STEPS} steps:",
        "  left out       costs   quartiles",
    ]
    for name, (middle, low, high) in costs(rounds).items():
        quartiles = f"{100 * low:5.2f} to {100 * high:5.2f} %"
        what = PARTS.get(name, "everything but the steps of a bare loop")
        lines.append(f"  {name:<12} {100 * middle:5.2f} %  {quartiles:>17}  {what}")
    total = sum(seconds for name, seconds in slices if name == EVERYTHING)
    lines += ["", f"time of each part in {total:.1f} s with everything:"]
    lines.append("   calls   CPU    clock")
    for label, (calls, cpu, clock) in sorted(spent.items(), key=lambda each: -each[1][2]):
        shares = f"{100 * cpu / total:6.2f} %  {100 * clock / total:6.2f} %"
        lines.append(f"  {calls:6.0f}  {shares}  {label}")
    lines += ["", "CPU time of each thread:"]
    for name, seconds in sorted(threads.items(), key=lambda each: -each[1]):
        lines.append(f"  {100 * seconds / total:6.2f} %  {name}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and return the exit code."""
    parser = Parser("window", "Measure what each part of the window costs the training.")
    parser.add_argument("--seconds", type=above_zero, default=100.0, help="duration (100)")
    parser.add_argument("--threads", type=whole, default=cores(), help="threads of torch (all)")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    more = (*ERA, "--threads", str(options.threads))
    if options.report is not None:
        names = ("app", "--report", str(options.report), "--seconds", str(options.seconds), *more)
        train_in_window(
            contenders.config_of(contenders.parser().parse_args(names)),
            options.report,
            options.seconds,
        )
    end_on_terminate()
    with tempfile.TemporaryDirectory(prefix="mnist-tui-window-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "tests.benchmarks.window", "--report", str(report)]
        command += ["--seconds", str(options.seconds), "--threads", str(options.threads)]
        try:
            with terminal(command) as view:
                wait(view.process, options.seconds, view.written)
        except ContenderError as error:
            print(f"the app failed: {error}", file=sys.stderr)
            return 1
        measured = json.loads(report.read_text("utf-8"))
    slices = [(name, seconds) for name, seconds in measured["slices"]]
    print("\n".join(table(slices, measured["spent"], measured["threads"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
