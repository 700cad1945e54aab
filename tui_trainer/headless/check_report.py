"""The preflight check, printed item by item."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from typing import Any

from tui_trainer.headless.event_text import diagnosis_lines, diagnosis_record, header
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.diagnosis import Diagnosis, counts, tally
from tui_trainer.protocol.events import Event, RunStarted, StateChanged
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.text.fmt import Cell


def print_check(
    events: Iterable[Event], *, as_json: bool, clock: Callable[[], float] = time.monotonic
) -> ExitCode:
    """Write each item to stdout when it is done, or all items as one JSON object at the end.

    The output of a custom model goes to stderr.

    Returns:
        ``CHECK_FAILED`` if an item is an error.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    console = Console(sys.stderr, clock)
    out = standard_output(console)
    began, started, checked = clock(), None, list[tuple[Diagnosis, float]]()
    with redirect_stdout(sys.stderr):
        for event in events:
            match event:
                case StateChanged():
                    console.draw([Cell(event.detail)])
                case RunStarted():
                    started = event
                    if not as_json:
                        out.line(header(event))
                        out.line("")
                case Answered(content=Diagnosis() as item):
                    checked.append((item, event.seconds))
                    if not as_json:
                        for line in diagnosis_lines(item):
                            out.line(line)
                    if event.done < event.total:
                        console.draw([Cell(f"checking: {event.done} of {event.total} done")])
    console.clear()
    seconds = clock() - began
    items = [item for item, _ in checked]
    if as_json:
        out.record(as_record(started, checked, seconds))
    else:
        out.line("")
        out.line(summary(items, seconds))
    return ExitCode.CHECK_FAILED if counts(items)["error"] else ExitCode.FINISHED


def summary(items: Sequence[Diagnosis], seconds: float) -> str:
    """Return the number of items of each severity, and the duration."""
    return f"{tally(items)}, in {seconds:.0f} s"


def as_record(
    started: RunStarted | None, checked: Sequence[tuple[Diagnosis, float]], seconds: float
) -> dict[str, Any]:
    """Return the JSON record of a check; non-finite numbers become None."""
    asked = ("model", "dataset", "parameters", "optimizer", "base_lr", "schedule")
    more = ("batch_size", "epochs", "seed", "device", "threads", "train_size", "val_size")
    return {
        **({key: getattr(started, key) for key in (*asked, *more)} if started else {}),
        "counts": counts(item for item, _ in checked),
        "items": [{**diagnosis_record(item), "seconds": took} for item, took in checked],
        "seconds": seconds,
    }
