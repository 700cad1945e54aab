"""Runs of several seeds without the window, one after the other, and their results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from tui_trainer.headless.runner import run_headless
from tui_trainer.headless.streams import Console, DataOut, data_stream
from tui_trainer.history.seed_results import SeedResults
from tui_trainer.history.seed_table import result_lines
from tui_trainer.protocol.commands import Inbox
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exit_codes import ExitCode
from tui_trainer.recording.seed_group import SeedGroup
from tui_trainer.text.fmt import plural, printable
from tui_trainer.text.lines import UNWRAPPED, plain

StartSeed = Callable[[RunConfig, Inbox], Iterator[Event]]
"""Starts, or resumes, the run of the seed of a configuration."""

_GO_ON = (ExitCode.FINISHED, ExitCode.DIVERGED, ExitCode.UNSAVED)
"""The exit codes of a run after which the next seed is trained."""


def run_seeds(
    group: SeedGroup,
    start: StartSeed,
    *,
    json_lines: bool = False,
    debug: bool = False,
    notify: str = "off",
) -> ExitCode:
    """Train the seeds of a group that have no result yet; print the results of all of them.

    A diverged run is a result; the next seed follows. An interrupted or failed one ends the group,
    which can be resumed.

    Args:
        group: The group, locked by this process.
        start: Starts the run of a seed.
        json_lines: Whether stdout gets the events of all runs, then one line with the results.
        debug: Whether to print tracebacks.
        notify: How to notify the user of the end.
    """
    console = Console(sys.stderr, time.monotonic)
    data = DataOut(data_stream(), console)
    left, unsaved = group.left, False
    if done := len(group.seeds) - len(left):
        console.print(f"{group.name}: {done} of {plural(len(group.seeds), 'seed')} trained already")
    for seed in left:
        number = group.seeds.index(seed) + 1
        if not json_lines:
            data.line(f"seed {seed} ({number} of {len(group.seeds)})")
        inbox, resuming = Inbox(), group.is_begun(seed)
        code = run_headless(
            start(group.config_of(seed), inbox),
            inbox,
            json_lines=json_lines,
            debug=debug,
            resuming=resuming,
            is_part=True,
        )
        unsaved = unsaved or code == ExitCode.UNSAVED
        if code not in _GO_ON or not group.is_done(seed):
            if group.folder(seed).is_run or done:
                console.print(group.resume_line)
            return code
        done += 1
    results = group.results
    print_results(results, group, data, console, json_lines=json_lines)
    console.notify(f"{group.name}: {plural(len(group.seeds), 'seed')} trained", notify)
    return ExitCode.UNSAVED if unsaved else results.exit_code


def print_results(
    results: SeedResults, group: SeedGroup, data: DataOut, console: Console, *, json_lines: bool
) -> None:
    """Print the table, its notes and the verdict.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    if json_lines:
        data.json_line({"event": "SeedsDone", "folder": str(group.path), **results.record()})
    else:
        for line in ("", *plain(result_lines(results, UNWRAPPED))):
            data.line(line)
    console.print(f"recorded in {printable(group.path)}")
