"""The learning rate finder as plain text or as one JSON object."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout

from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.events import Event, RunStarted, StateChanged
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.render.plain_exhibit import INDENT, page, page_width, plain_lines
from tui_trainer.text.fmt import Cell, count, one_line, plural


def print_lr(
    events: Iterable[Event],
    command: str,
    *,
    run: str,
    as_json: bool,
    clock: Callable[[], float] = time.monotonic,
) -> ExitCode:
    """Wait for the range tests, and write what they suggest to stdout.

    The progress is shown on stderr; the output of a custom model goes there too.

    Args:
        events: The events while the question is answered.
        command: The command that trains, without its learning rate; empty if none does.
        run: The name of the recorded run; empty for a new model.
        as_json: Whether to write one JSON object.
        clock: A monotonic clock, in seconds.

    Returns:
        ``NO_SUGGESTION`` if no learning rate can be suggested.

    Raises:
        OutputError: If stdout cannot be written to.
        ValueError: If the tests have shown nothing.
    """
    console = Console(sys.stderr, clock)
    out = standard_output(console)
    started: RunStarted | None = None
    exhibit: Exhibit | None = None
    step = 0
    try:
        with redirect_stdout(sys.stderr):
            for event in events:
                match event:
                    case StateChanged():
                        console.draw([Cell(one_line(event.detail))])
                    case RunStarted():
                        started = event
                    case Answered(content=Exhibit() as shown):
                        exhibit, step = shown, event.step
                        if shown.progress is not None and console.due():
                            done = f"range tests: {100 * shown.progress:.0f} % done"
                            console.draw([Cell(done)])
    finally:
        console.clear()
    if exhibit is None or started is None or not exhibit.figures:
        raise ValueError("the range tests have shown nothing")
    base_lr = exhibit.figures["base_lr"]
    line = f"{command} --lr {base_lr:g}" if command and isinstance(base_lr, float) else ""
    if as_json:
        model = {"model": started.model, "optimizer": started.optimizer, "run": run or None}
        out.record({**model, **exhibit.figures, "command": line or None})
    else:
        for text in _lines(exhibit, _about(started, run, step), line, page_width(out.width)):
            out.row(text)
    has_lr = exhibit.figures["lr"] is not None
    return ExitCode.FINISHED if has_lr else ExitCode.NO_SUGGESTION


def _about(started: RunStarted, run: str, step: int) -> str:
    model = f"{started.model}, {plural(started.parameters, 'parameter')}, {started.optimizer}"
    return f"run {run} ({model}), step {count(step)}" if run else f"{model}, untrained"


def _lines(exhibit: Exhibit, about: str, command: str, width: int) -> Iterator[str]:
    """Yield the page: the curves with their table, the result, the command."""
    parts = [("range tests", plain_lines(exhibit, width - len(INDENT)))]
    if command:
        parts.append(("train with it", [command]))
    yield from page("Learning rate finder", [about], parts)
