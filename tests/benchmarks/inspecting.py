"""The cost of an open screen for the training: ``python -m tests.benchmarks.inspecting``.

The window shows a view of Inspect that follows the training, and no key is pressed. Its images per
second are compared with those of the bare loop, in turn, as in ``speed.py``. The number of answers
shown per minute is printed too: a view that never updates costs nothing. ``--views runs`` shows the
Runs screen, with the curves of the live run and of 20 recorded ones (``--runs FOLDER``).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.benchmarks import contenders, speed
from tests.benchmarks.comparisons import Entry
from tests.benchmarks.contender_runner import ContenderRunner
from tests.benchmarks.measure import Figure, Pair, paired, write_figures
from tests.benchmarks.meter import Meter, Report
from tests.benchmarks.options import Parser, above_zero, output_file, whole
from tests.benchmarks.processes import end_on_terminate, wait
from tests.benchmarks.terminal import terminal
from tui_trainer.cli.starts import Job, Start
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import MODELS, RunConfig
from tui_trainer.protocol.events import Event, RunStarted
from tui_trainer.protocol.inspection import NAMES
from tui_trainer.recording.folder import RUNS, list_runs
from tui_trainer.recording.recorder import Recorder

VIEWS = ("confusion", "maps", "histograms")
GOAL = 0.95
VALIDATION = 5_000
"""Images in the views of errors: as many as a run holds out by default."""

WINDOW = "--window"
TRAIN = "train"
"""The screen of the run, for comparison: the share of the cost of any window."""

RUNS_SCREEN = "runs"
OVERLAID = 20
"""The number of recorded runs whose curves the Runs screen draws."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the views, and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [WINDOW]:  # the measured process
        show(given[1:])
    parser = made_parser()
    options = parser.parse_args(given)
    if RUNS_SCREEN in options.views and len(list_runs(options.runs)) < OVERLAID:
        parser.error(f"{options.runs}: fewer than {OVERLAID} runs; name another folder with --runs")
    end_on_terminate()
    with tempfile.TemporaryDirectory(prefix="mnist-tui-inspecting-") as folder:
        runner = ContenderRunner(
            options.seconds, Path(folder), speed.report_progress, options.threads
        )
        results = measure(runner, Path(folder), options)
        print("\n".join([*speed.table(results), "", speed.machine(runner, load())]))
    if options.json is not None:
        write_figures(options.json, [figure for _, figure in results])
    return 0


def made_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("inspecting", "Measure the cost of an open screen for the training.")
    parser.add_argument("model", nargs="?", choices=MODELS, default="era-s6")
    parser.add_argument("--views", nargs="*", choices=(TRAIN, RUNS_SCREEN, *NAMES), default=VIEWS)
    parser.add_argument("--runs", type=Path, default=RUNS, help="recorded runs, for runs (runs)")
    parser.add_argument("--seconds", type=above_zero, default=20.0, help="seconds of a slice (20)")
    parser.add_argument("--rounds", type=whole, default=3, help="number of rounds (3)")
    parser.add_argument("--threads", type=whole, help="threads of torch; default: by a trial")
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write the figures there"
    )
    return parser


def load() -> str:
    """Return the load of the machine."""
    return f"load {os.getloadavg()[0]:.1f} at the end"


def measure(
    runner: ContenderRunner, folder: Path, options: Namespace
) -> list[tuple[Entry, Figure]]:
    """Run the bare loop and the window in turn, and return a figure for each view."""
    views, rounds, recorded = options.views, options.rounds, options.runs.resolve()
    pairs: dict[str, list[Pair]] = {view: [] for view in views}
    answers: dict[str, list[float]] = {view: [] for view in views}
    settings = (
        "--model",
        options.model,
        "--batch-size",
        "128",
        "--augment",
        "light",
        *runner.threads,
    )
    for number in range(rounds):
        for view in views:
            speed.report_progress(f"{view}: round {number + 1} of {rounds}")
            ours, shown = window(runner.seconds, folder, (view, str(recorded)), settings)
            bare = runner.train("bare", *settings)
            pairs[view].append((ours.images_per_second, bare.images_per_second))
            answers[view].append(shown)
    for view, shown_each in answers.items():
        speed.report_progress(f"{view}: {statistics.median(shown_each):.0f} answers per minute")
    entry = partial(Entry, unit="images/s", goal=f"≥ {GOAL}", met=lambda f: f.ratio >= GOAL)
    return [
        (entry(f"{view}/bare"), paired(f"{view}/bare", pairs[view], "images/s")) for view in views
    ]


def window(
    seconds: float, folder: Path, view: Sequence[str], settings: Sequence[str]
) -> tuple[Report, float]:
    """Train in the window with a view open; return the report and the answers per minute.

    Args:
        seconds: The seconds that are measured.
        folder: Where to write.
        view: The view, and the folder of recorded runs.
        settings: Options of the training.

    Raises:
        ContenderError: If it crashes or hangs.
    """
    path = folder / "window.json"
    path.unlink(missing_ok=True)
    report_options = ("--report", str(path), "--seconds", str(seconds))
    module = "tests.benchmarks.inspecting"
    with terminal(
        [sys.executable, "-m", module, WINDOW, *view, "app", *report_options, *settings]
    ) as shown:
        wait(shown.process, seconds, shown.written)
    report = Report.read(path)
    count = float(path.with_suffix(".answers").read_text(encoding="utf-8"))
    return report, 60 * count / (report.ended - report.began)


def show(arguments: Sequence[str]) -> None:
    """Train in the window with a view open, and exit: the contender itself."""
    view, recorded, *rest = arguments
    options = contenders.parser().parse_args(rest)
    meter = Meter(options.seconds)
    # The live run is listed with the recorded ones.
    runs = options.report.with_suffix(f".{os.getpid()}.runs")
    runs.mkdir()
    if view == RUNS_SCREEN:
        for run in list_runs(Path(recorded))[:OVERLAID]:
            (runs / run.folder.path.name).symlink_to(run.folder.path)
    config = replace(contenders.config_of(options), val_size=VALIDATION)
    answered = train_shown(view, runs, config, meter)
    meter.write(options.report)
    shown = sum(at >= meter.report().began for at in answered)
    options.report.with_suffix(".answers").write_text(str(shown), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)


def train_shown(view: str, runs: Path, config: RunConfig, meter: Meter) -> list[float]:
    """Train in the window until the meter's time is up; return the times of the answers.

    The measurement starts after the first answer, or when the recorded runs are read: the user
    waits for that, and it may cost more.
    """
    from tui_trainer.ui.app import MnistTui
    from tui_trainer.ui.screens.inspect_screen import InspectScreen
    from tui_trainer.ui.screens.runs_screen import RunsScreen

    class Opened(MnistTui):
        """The app, opened at the view."""

        DEFAULT_MODE = view if view in (TRAIN, RUNS_SCREEN) else "inspect"

        def on_mount(self) -> None:
            self.call_after_refresh(self.open_view)

        def open_view(self) -> None:
            if isinstance(self.front, InspectScreen):
                self.front.open(view)
            if isinstance(self.front, RunsScreen):
                self.marking = self.set_interval(0.5, self.mark)

        def mark(self) -> None:
            """Mark the runs once they are listed, below the live one."""
            screen = self.front
            if isinstance(screen, RunsScreen) and len(screen.listing.rows) > OVERLAID:
                self.marking.stop()
                for row in screen.listing.rows[: OVERLAID + 1]:
                    screen.listing.toggle_mark(row)
                screen.show_marks()

        @property
        def is_drawn(self) -> bool:
            """Whether the screen draws what it is measured with."""
            screen = self.front
            if view == RUNS_SCREEN:
                return isinstance(screen, RunsScreen) and len(screen.curves.runs) > OVERLAID
            return bool(answered) or view == TRAIN

    answered: list[float] = []

    def begin(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        job = Job(Recorder.create(runs / "live", config.resolved()))
        events = noted(Start(job)(config, inbox), answered, meter)
        try:
            for event in events:
                yield event
                if app.is_drawn:
                    break
            yield from contenders.measured(events, inbox, meter)
        finally:
            app.call_later(app.exit)

    app = Opened(begin, config, runs=runs)
    app.run()
    failure = app.live_run.history.failure
    if failure is not None:
        print(failure.traceback, file=sys.stderr)
    return answered


def noted(events: Iterator[Event], answered: list[float], meter: Meter) -> Iterator[Event]:
    """Pass on a run's events, and record the times of complete answers."""
    for event in events:
        if isinstance(event, RunStarted):
            meter.threads = event.threads
        if isinstance(event, Answered) and event.is_last:
            answered.append(time.monotonic())
        yield event


if __name__ == "__main__":
    sys.exit(main())
