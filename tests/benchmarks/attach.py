"""The latencies and the cost of an attached window: ``python -m tests.benchmarks.attach``.

A trainer runs without the window, as the command line starts it, and another process attaches to it
in a terminal of 120×40. Times are those at which a line of the record arrived, and at which a piece
of output was read; times on the screen need pyte. The table goes to standard output.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.benchmarks import attached, screen
from tests.benchmarks.attached import RecordReader
from tests.benchmarks.measure import percentile, write_json
from tests.benchmarks.options import Parser, output_file, whole
from tests.benchmarks.processes import PATIENCE, ContenderError, end_on_terminate
from tests.benchmarks.terminal import Terminal
from tui_trainer.protocol.events import SettingChanged, StepDone, to_json
from tui_trainer.protocol.knobs import next_batch_size, next_lr
from tui_trainer.recording.folder import RunFolder
from tui_trainer.recording.lock import Lock
from tui_trainer.text import fmt

MODELS = {"small": 128, "era-s6": 512}
"""A fast and a slow model, with their batch sizes."""

FIRST_LR = 0.1
CYCLE = "----<>++++"
"""The keys: they end at the first settings."""

MIN_PAUSE, MAX_PAUSE = 0.3, 0.8
"""Seconds between two keys beyond the duration of a batch, uniformly random."""

WARM_IMAGES = 20_000
"""Images after which keys are pressed: after 8,192, a model that has learned nothing costs a trial
of many seconds, once, in which no command is applied."""

KEY_MS, SCREEN_MS = 100.0, 400.0
"""The goals: from a key to the event beyond one batch, and from the event to the screen."""

IDLE_PERCENT = 2.0
KILL_SECONDS = 5.0
LENGTHS = (10_000, 100_000, 1_000_000)
EPOCH_STEPS = 430
LAST_LR = 0.005
"""The value of the last event of a long record: on the screen it is complete."""

PHASE = 2.5
"""Seconds in which a window runs, or is stopped."""

LONGEST_LOAD = 180.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result.

    Attributes:
        name: What was measured.
        count: The number of measurements.
        p50: Their median.
        p95: Their 95th percentile.
        unit: The unit of both.
        goal: The goal of ``p95``; None without one.
        note: A remark.
    """

    name: str
    count: int
    p50: float
    p95: float
    unit: str
    goal: float | None = None
    note: str = ""


def row(
    name: str, values: Sequence[float], unit: str, goal: float | None = None, note: str = ""
) -> Row:
    """Return the line of some measurements.

    Raises:
        ContenderError: If there are none.
    """
    if not values:
        raise ContenderError(f"{name}: nothing was measured")
    return Row(
        name, len(values), percentile(values, 0.5), percentile(values, 0.95), unit, goal, note
    )


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line, and a folder for runs."""

    models: Sequence[str]
    samples: int
    seconds: int
    kills: int
    lengths: Sequence[int]
    training: Sequence[str]
    folder: Path

    def run(self, model: str, *more: str) -> tuple[str, ...]:
        """Return the options of a long training with one thread."""
        batch = ("--batch-size", str(MODELS.get(model, 128)))
        return ("--model", model, *batch, "--epochs", "1000", *self.training, *more)

    def new_folder(self, name: str) -> Path:
        """Return the path of a run that does not exist."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path


@dataclass(frozen=True, slots=True)
class Press:
    """A pressed key: its time, and the setting that it changes."""

    at: float
    setting: str
    value: float


def plan(count: int, batch_size: int) -> list[tuple[str, str, float]]:
    """Return keys, each with its setting and the value after it."""
    values: dict[str, float] = {"base_lr": FIRST_LR, "batch_size": batch_size}
    planned = []
    for number in range(count):
        key = CYCLE[number % len(CYCLE)]
        direction = 1 if key in "+>" else -1
        if key in "+-":
            setting, value = "base_lr", next_lr(values["base_lr"], direction)
        else:
            setting = "batch_size"
            value = float(next_batch_size(int(values["batch_size"]), direction))
        values[setting] = value
        planned.append((key, setting, value))
    return planned


def press_all(
    view: Terminal, keys: Sequence[tuple[str, str, float]], batch: float, rng: random.Random
) -> list[Press]:
    """Press the keys, with a pause before each."""
    pressed = []
    for key, setting, value in keys:
        time.sleep(batch + rng.uniform(MIN_PAUSE, MAX_PAUSE))
        pressed.append(Press(view.press(key), setting, value))
    time.sleep(batch + 2 * MAX_PAUSE)
    return pressed


def matched(pressed: Sequence[Press], changes: Sequence[Press]) -> list[tuple[Press, Press]]:
    """Return each key with the event that it caused; keys without one are left out."""
    pairs, rest = [], list(changes)
    for press in pressed:
        for number, change in enumerate(rest):
            same = (change.setting, change.value) == (press.setting, press.value)
            if same and change.at >= press.at:
                pairs.append((press, change))
                del rest[: number + 1]
                break
    return pairs


def to_screen(changes: Sequence[Press], story: screen.ScreenHistory) -> list[float]:
    """Return the seconds from each event to its value in the status line."""
    seconds = []
    for setting in ("base_lr", "batch_size"):
        events = [
            (each.at, fmt.knob(setting, each.value)) for each in changes if each.setting == setting
        ]
        seconds += screen.effect_seconds(events, screen.confirmed_shown(story, setting))
    return seconds


def keys_part(options: Options) -> Iterator[Row]:
    """Press keys in an attached window while the run trains, and while it is paused."""
    for number, model in enumerate(options.models):
        folder = options.new_folder(model)
        with (
            attached.trainer(folder, *options.run(model)),
            RecordReader(folder) as record,
            attached.window(folder) as view,
        ):
            steps = attached.wait_for_images(record, WARM_IMAGES)
            batch = attached.batch_seconds(steps, MODELS[model])
            keys = plan(options.samples, MODELS[model])
            training = press_all(view, keys, batch, random.Random(number))
            steps = [step for _, step in record.events("StepDone")]
            batch = attached.batch_seconds(steps, MODELS[model])
            record.wait_for("StateChanged", view.press(" "))
            paused = press_all(view, keys, 0.0, random.Random(number))
        yield row(f"{model}: one batch", [1_000 * batch], "ms", note="median of all batches")
        events = record.events("SettingChanged")
        changes = [Press(at, each["setting"], each["new"]) for at, each in events]
        story = screen.read_screen(view.chunks)
        for state, pressed, longest in (("training", training, batch), ("paused", paused, 0.0)):
            pairs = matched(pressed, changes)
            answered = [1_000 * (change.at - press.at) for press, change in pairs]
            yield row(
                f"{model}, {state}: key to event",
                answered,
                "ms",
                KEY_MS + 1_000 * longest,
                missing(len(pressed) - len(pairs)),
            )
            shown = [1_000 * wait for wait in to_screen([change for _, change in pairs], story)]
            yield row(
                f"{model}, {state}: event to screen",
                shown,
                "ms",
                SCREEN_MS,
                missing(len(pairs) - len(shown)),
            )


def missing(count: int) -> str:
    """Return a note on what was not seen."""
    return f"{count} not seen" if count else ""


def idle_part(options: Options) -> Iterator[Row]:
    """Measure the CPU time of a window that nobody uses."""
    folder = options.new_folder("finished")
    with attached.trainer(folder, *options.run("small"), "--epochs", "1", *SHORT) as process:
        process.wait(PATIENCE)
    with attached.window(folder) as view:
        yield cost("idle, the run finished", view, options.seconds)
    for model in options.models:
        folder = options.new_folder(model)
        with attached.trainer(folder, *options.run(model)), attached.window(folder) as view:
            yield cost(f"idle, {model} trains", view, options.seconds, goal=None)
            with RecordReader(folder) as record:
                record.wait_for("StateChanged", view.press(" "))
            yield cost(f"idle, {model} is paused", view, options.seconds)


SHORT = ("--train-size", "2000", "--no-probes")


def cost(name: str, view: Terminal, seconds: int, goal: float | None = IDLE_PERCENT) -> Row:
    """Return the share of a core that a window takes, with the split of its threads."""
    process = view.process.pid
    time.sleep(2 * attached.STARTUP)
    before, spent, began = (
        attached.thread_seconds(process),
        attached.cpu_seconds(process),
        time.monotonic(),
    )
    time.sleep(seconds)
    lasted = time.monotonic() - began
    share = 100 * (attached.cpu_seconds(process) - spent) / lasted
    after = attached.thread_seconds(process)
    threads = [100 * (after[each] - before.get(each, 0.0)) / lasted for each in after]
    note = f"{lasted:.0f} s; app {threads[0]:.1f} %, others " + ", ".join(
        f"{each:.1f}" for each in threads[1:]
    )
    return row(name, [share], "% core", goal, note)


def memory_part(options: Options) -> Iterator[Row]:
    """Measure the resident memory before and after the first question."""
    for model in options.models:
        folder = options.new_folder(model)
        with (
            attached.trainer(folder, *options.run(model)),
            RecordReader(folder) as record,
            attached.window(folder) as view,
        ):
            time.sleep(attached.STARTUP)
            record.wait_for("StateChanged", view.press(" "))  # it saves a checkpoint
            time.sleep(attached.STARTUP)
            process = view.process.pid
            yield row(f"memory, {model}: before a question", [attached.memory_mb(process)], "MB")
            began = view.press("3")
            answered = view.wait_for((b"confused pairs",), PATIENCE)
            time.sleep(attached.STARTUP)
            yield row(f"memory, {model}: after a question", [attached.memory_mb(process)], "MB")
            peak = attached.memory_mb(process, "VmHWM")
            yield row(f"memory, {model}: peak", [peak], "MB")
            yield row(f"first question, {model}", [answered - began], "s")


def records_part(options: Options) -> Iterator[Row]:
    """Attach to records of many steps."""
    source = options.new_folder("source")
    with attached.trainer(source, *options.run("small")):
        pass
    for length in options.lengths:
        folder = RunFolder(options.new_folder(f"steps-{length}"))
        size = write_long(RunFolder(source), folder, length)
        lock = Lock(folder.lock)  # as if a trainer was there
        try:
            with attached.window(folder.path) as view:
                seconds = wait_until_shown(view) - view.started
                peak = attached.memory_mb(view.process.pid, "VmHWM")
                memory = attached.memory_mb(view.process.pid)
        finally:
            lock.release()
        note = f"{size / 1e6:.0f} MB on disk"
        yield row(f"record of {length:,} steps: to its screen", [seconds], "s", note=note)
        yield row(f"record of {length:,} steps: peak memory", [peak], "MB")
        yield row(f"record of {length:,} steps: memory", [memory], "MB")
        shutil.rmtree(folder.path)


def write_long(source: RunFolder, folder: RunFolder, length: int) -> int:
    """Write a run with many steps; return the size of its record in bytes.

    Args:
        source: A run with the same model; the events before its first step are kept.
        folder: The new run.
        length: The number of steps.
    """
    folder.path.mkdir()
    shutil.copy(source.config, folder.config)
    rng = random.Random(0)
    images = 0
    with source.events.open(encoding="utf-8") as old, folder.events.open("w") as new:
        for line in old:
            if line.encode().startswith(attached.STEP):
                break
            new.write(line)
        for step in range(1, length + 1):
            epoch, place = divmod(step - 1, EPOCH_STEPS)
            images += 128
            new.write(to_json(long_step(step, epoch + 1, place + 1, images, rng)) + "\n")
        new.write(
            to_json(
                SettingChanged(
                    setting="base_lr",
                    old=FIRST_LR,
                    new=LAST_LR,
                    step=length,
                    epoch=epoch + 1,
                    images=images,
                )
            )
            + "\n"
        )
    return folder.events.stat().st_size


def long_step(step: int, epoch: int, place: int, images: int, rng: random.Random) -> StepDone:
    """Return a step with numbers as long as real ones."""
    return StepDone(
        step=step,
        epoch=epoch,
        epoch_images=128 * place,
        images=images,
        batch_size=128,
        loss=0.3 * rng.random(),
        accuracy=rng.randint(115, 128) / 128,
        lr=0.1 * rng.random(),
        seconds=step * 0.0123456789,
    )


def wait_until_shown(view: Terminal) -> float:
    """Return the time at which the last event of a long record was on the screen.

    Raises:
        ContenderError: If it takes too long.
    """
    last = fmt.knob("base_lr", LAST_LR)
    until, seen = time.monotonic() + LONGEST_LOAD, 0
    while time.monotonic() < until:
        time.sleep(0.5)
        # The emulated terminal is slow, and would take time from the window.
        chunks = list(view.chunks)
        recent, seen = b"".join(raw for _, raw in chunks[seen:]), len(chunks)
        if last.encode() not in recent:
            continue
        for at, value in screen.confirmed_shown(screen.read_screen(chunks), "base_lr"):
            if value == last:
                return at
    raise ContenderError(f"the record was not shown in {LONGEST_LOAD:.0f} s")


def speed_part(options: Options) -> Iterator[Row]:
    """Compare the steps of one trainer while its window runs with those while it is stopped.

    Trainer and window have a core each. Phases of the same process in turn are more stable than
    processes in turn, as ``speed.py`` compares them.
    """
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        report_progress("speed: skipped: it needs two cores to which a process can be pinned")
        return
    ours, theirs = sorted(os.sched_getaffinity(0))[:2]
    for model in options.models:
        folder = options.new_folder(model)
        with (
            attached.trainer(folder, *options.run(model), "--no-probes", core=ours),
            RecordReader(folder) as record,
            attached.window(folder, core=theirs) as view,
        ):
            attached.wait_for_images(record, WARM_IMAGES)
            marks = phases(view, options.seconds)
        watched, alone = split(record.step_times(), marks)
        ratio = statistics.median(alone) / statistics.median(watched)
        mean = statistics.mean(alone) / statistics.mean(watched)
        note = f"mean {mean:.4f}; {len(watched)} and {len(alone)} steps"
        yield Row(
            f"{model}: speed watched/unwatched", len(marks), ratio, ratio, "ratio", None, note
        )


def phases(view: Terminal, seconds: float) -> list[tuple[float, bool]]:
    """Let a window run and stop in turn; return when each phase began, and whether it ran."""
    marks = []
    until = time.monotonic() + 2 * seconds
    is_running = True
    try:
        while time.monotonic() < until:
            marks.append((time.monotonic(), is_running))
            time.sleep(PHASE)
            is_running = not is_running
            view.process.send_signal(signal.SIGCONT if is_running else signal.SIGSTOP)
    finally:
        view.process.send_signal(signal.SIGCONT)
    return [*marks, (time.monotonic(), is_running)]


def split(
    steps: Sequence[tuple[float, float]], marks: Sequence[tuple[float, bool]]
) -> tuple[list[float], list[float]]:
    """Return the durations of the steps while a window ran, and while it was stopped.

    The first half second of a phase is left out: a window that runs again reads what it missed.

    Args:
        steps: The end of each step and its duration, in seconds.
        marks: As of :func:`phases`.
    """
    found: dict[bool, list[float]] = {True: [], False: []}
    for (began, runs), (ended, _) in pairwise(marks):
        found[runs] += [took for at, took in steps if began + 0.5 + took <= at <= ended]
    return found[True], found[False]


def kills_part(options: Options) -> Iterator[Row]:
    """Kill the trainer, and measure how long the window takes to report it."""
    rng = random.Random(0)
    seconds = []
    for _ in range(options.kills):
        folder = options.new_folder("killed")
        with (
            attached.trainer(folder, *options.run("small")) as process,
            attached.window(folder) as view,
        ):
            time.sleep(1.0 + rng.random())
            killed = time.monotonic()
            process.send_signal(signal.SIGKILL)
            seconds.append(view.wait_for((b"trainer is gone", b"No process"), PATIENCE) - killed)
    yield row("trainer killed: to the screen", seconds, "s", KILL_SECONDS)


PARTS: Mapping[str, Callable[[Options], Iterator[Row]]] = {
    "keys": keys_part,
    "idle": idle_part,
    "memory": memory_part,
    "records": records_part,
    "kills": kills_part,
    "speed": speed_part,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected parts, and return the exit code."""
    parser = made_parser()
    given = parser.parse_args(arguments)
    if not Path("/proc/self/stat").exists():
        parser.error("the cost of a process is read from /proc, which this system does not have")
    training = ["--threads", str(given.threads), "--device", "cpu"]
    if given.data_dir is not None:
        training += ["--data-dir", str(given.data_dir.resolve())]
    end_on_terminate()
    rows: list[Row] = []
    code = 0
    with tempfile.TemporaryDirectory(prefix="mnist-tui-attach-") as folder:
        options = Options(
            given.models,
            given.samples,
            given.seconds,
            given.kills,
            given.lengths,
            training,
            Path(folder),
        )
        for name in given.parts or PARTS:
            report_progress(f"{name}: load {os.getloadavg()[0]:.1f}")
            try:
                for each in PARTS[name](options):
                    rows.append(each)
                    report_progress(" ".join(cells(each)))
            except ContenderError as error:
                report_progress(f"{name}: failed: {error}")
                code = 1
    print("\n".join([*table(rows), "", f"load {os.getloadavg()[0]:.1f} at the end"]))
    if given.json is not None:
        write_json(given.json, [dataclasses.asdict(each) for each in rows])
    return code


def made_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("attach", "Measure the latencies and the cost of an attached window.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all")
    parser.add_argument("--models", nargs="*", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--samples", type=whole, default=40, help="keys of a round (40)")
    parser.add_argument("--seconds", type=whole, default=30, help="seconds of idling (30)")
    parser.add_argument("--kills", type=whole, default=12, help="killed trainers (12)")
    parser.add_argument("--lengths", nargs="*", type=int, default=LENGTHS, help="steps")
    parser.add_argument("--threads", type=whole, default=1, help="threads of the trainer (1)")
    parser.add_argument("--data-dir", type=Path, help="folder of IDX files; default: MNIST")
    parser.add_argument("--json", metavar="FILE", type=output_file, help="write the rows there")
    return parser


def report_progress(words: str) -> None:
    """Print a message to stderr."""
    print(words, file=sys.stderr, flush=True)


def cells(each: Row) -> tuple[str, ...]:
    """Return the cells of a line."""
    met = "–" if each.goal is None else "met" if each.p95 <= each.goal else "missed"
    goal = "–" if each.goal is None else f"≤ {each.goal:.4g}"
    return (
        each.name,
        str(each.count),
        f"{each.p50:.4g}",
        f"{each.p95:.4g}",
        each.unit,
        goal,
        met,
        each.note,
    )


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table."""
    lines = [
        ("name", "n", "median", "p95", "unit", "goal (p95)", "", ""),
        *(cells(each) for each in rows),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


if __name__ == "__main__":
    sys.exit(main())
