"""The measured process: ``python -m tests.benchmarks.contenders NAME --report FILE …``.

It trains one contender through a warm-up and for a number of seconds, and writes a report. torch
is imported by the contender itself: the app shows its first frame before that, as in normal use.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.meter import Meter
from tui_trainer.models.allocator import use_huge_pages, use_one_heap
from tui_trainer.protocol.commands import Inbox, Stop
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event, RunStarted, SettingChanged, StepDone

NAMES = ("script", "plain", "bare", "engine", "unsaved", "app", "loop", "loop-watched", "lightning")
SETTINGS = {
    **{"model": str, "batch_size": int, "augment": str, "threads": int, "lr": float},
    "precision": str,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one contender and write its report."""
    options = parser().parse_args(arguments)
    meter = Meter(options.seconds, options.marker, gate=options.gate)
    config = config_of(options)
    folder = run_folder(options.report, os.getpid())
    match options.name:
        case "engine":
            engine(config, meter, folder)
        case "unsaved":
            engine(config, meter, None)
        case "app":
            app(config, meter, folder)
        case "bare":
            # As the engine does: the ratio of the two is to show what the engine adds.
            use_huge_pages()
            from tests.benchmarks import peers

            peers.bare(config, meter)
        case "loop-watched":
            from tests.benchmarks import peers

            peers.loop(config, meter, folder)
        case name:
            from tests.benchmarks import peers

            train = getattr(peers, name)
            more = (options.workers,) if name in ("script", "plain") else ()
            train(config, meter, *more)
    meter.write(options.report)
    # At once: a loader or a thread that is still busy must not delay the next slice.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def run_folder(report: Path, process: int) -> Path:
    """Return the folder of the run that a process saves.

    Args:
        report: The path of its report.
        process: Its id.
    """
    return report.with_suffix(f".{process}.run")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the contender's options."""
    made = argparse.ArgumentParser(description="Train one contender for a while.")
    made.add_argument("name", choices=NAMES)
    made.add_argument("--report", type=Path, required=True, help="path of the report")
    made.add_argument(
        "--seconds", type=float, default=8.0, help="measured seconds after the warm-up"
    )
    made.add_argument("--marker", type=Path, help="file to create when the warm-up ends")
    made.add_argument("--gate", type=Path, help="file without which the warm-up does not end")
    made.add_argument(
        "--workers", type=int, default=0, help="workers of the loader in script and plain"
    )
    made.add_argument("--preset", help="a preset for the settings that are not given")
    for name, kind in SETTINGS.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=kind)
    return made


def config_of(options: argparse.Namespace) -> RunConfig:
    """Return the run for these options, on all 60,000 images."""
    from tui_trainer.protocol.config_file import Source, compose, read_preset

    given: dict[str, Any] = {name: getattr(options, name) for name in SETTINGS}
    # Long enough for any slice. The window's curves span all epochs: with too many, the drawn part
    # would shrink into one column.
    epochs = max(10, math.ceil(options.seconds)) if options.name == "app" else 10_000
    # In so long a run, a slice would never leave the warm-up of the learning rate, and a run that
    # learns nothing tries other learning rates for seconds; nor would it leave the smaller images.
    given |= {"schedule": "constant", "lr": given["lr"] or 0.1, "resize_until": 0.0}
    given |= {"device": "cpu", "val_size": 0, "epochs": epochs}
    sources = [read_preset(options.preset)] if options.preset else []
    return compose(*sources, Source({k: v for k, v in given.items() if v is not None}))


def measured(events: Iterator[Event], inbox: Inbox, meter: Meter) -> Iterator[Event]:
    """Pass on a run's events, record the time of each step, and stop the run when time is up."""
    for event in events:
        if isinstance(event, StepDone):
            if meter.step(event.batch_size):
                inbox.send(Stop(test=False))
        elif isinstance(event, SettingChanged):
            if event.setting == "base_lr":
                meter.changes.append((time.monotonic(), float(event.new)))
        elif isinstance(event, RunStarted):
            meter.threads = event.threads
        yield event


def start(config: RunConfig, inbox: Inbox, meter: Meter, folder: Path | None) -> Iterator[Event]:
    """Start a run as the command line does, with the meter; save it if there is a folder."""
    from tui_trainer.cli.starts import Job, Start
    from tui_trainer.recording.recorder import Recorder

    job = Job(None if folder is None else Recorder.create(folder, config.resolved()))
    return measured(Start(job)(config, inbox), inbox, meter)


def engine(config: RunConfig, meter: Meter, folder: Path | None) -> None:
    """Train without the window; discard data, print messages to stderr, where crashes are read."""
    from tui_trainer.headless.runner import run_headless

    inbox = Inbox()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        events = start(config, inbox, meter, folder)
        run_headless(events, inbox, debug=True, stdout=nowhere, stderr=sys.stderr)


def app(config: RunConfig, meter: Meter, folder: Path) -> None:
    """Train in the real window, in the terminal of this process, as the command line does."""
    gc.disable()
    from tui_trainer.cli.loading import preload_libraries
    from tui_trainer.ui.app import MnistTui

    use_one_heap()
    preload_libraries()

    def begin(config: RunConfig, inbox: Inbox) -> Iterator[Event]:
        try:
            yield from start(config, inbox, meter, folder)
        finally:
            window.call_later(window.exit)

    window = MnistTui(begin, config)
    window.run()
    failure = window.live_run.history.failure
    if failure is not None:
        print(failure.traceback, file=sys.stderr)


if __name__ == "__main__":
    main()
