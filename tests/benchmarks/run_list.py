"""How long thousands of recorded runs take: ``python -m tests.benchmarks.run_list --runs runs``.

The runs of a folder are linked under other names until there are 2,000. Measured are the list, a
filter by a result and by a setting, groups and a sort, then the Runs screen from the key to the
list; each in seconds of the clock, which on an idle machine is what a user waits.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.benchmarks.options import Parser, above_zero
from tests.ui.fakes import recording, wait_for_events, window
from tui_trainer.recording.folder import RUNS, list_runs
from tui_trainer.recording.run_query import group_runs, parse_fields, parse_filter, parse_sort
from tui_trainer.ui.screens.runs_screen import RunsScreen

Found = TypeVar("Found")


def main() -> int:
    """Print the seconds of each part."""
    parser = Parser("run_list", "Time the list of thousands of runs.")
    parser.add_argument("--runs", type=Path, default=RUNS, help="recorded runs to repeat (runs)")
    parser.add_argument("--count", type=above_zero, default=2_000, help="number of runs (2000)")
    options = parser.parse_args()
    recorded = [run.folder.path.resolve() for run in list_runs(options.runs)]
    if not recorded:
        parser.error(f"{options.runs}: contains no runs; name another folder with --runs")
    with tempfile.TemporaryDirectory(prefix="mnist-tui-list-") as name:
        root = Path(name)
        for number, path in zip(range(int(options.count)), itertools.cycle(recorded), strict=False):
            (root / f"{path.name}-{number}").symlink_to(path)
        runs = timed("list", lambda: list_runs(root))
        by_result, by_setting = parse_filter("val_acc > 90%"), parse_filter("lr > 0.01")
        timed("filter by a result", lambda: [*filter(by_result.matches, runs)])
        timed("filter by a setting, first", lambda: [*filter(by_setting.matches, runs)])
        timed("filter by a setting", lambda: [*filter(by_setting.matches, runs)])
        timed("group", lambda: group_runs(runs, parse_fields("model,lr")))
        timed("sort", lambda: parse_sort("-val_acc,name").apply(runs))
        print(f"Runs screen: {asyncio.run(screen_seconds(root, len(runs))):.3f} s")
    return 0


def timed(name: str, act: Callable[[], Found]) -> Found:
    """Do something, print its seconds, and return its result."""
    began = time.perf_counter()
    found = act()
    print(f"{name}: {time.perf_counter() - began:.3f} s")
    return found


async def screen_seconds(root: Path, count: int) -> float:
    """Return the seconds from the key of the Runs screen to the list of all runs."""
    events = recording("paused")
    app, _ = window(events, runs=root)
    async with app.run_test(size=(200, 55)) as pilot:
        await wait_for_events(pilot, app, events)
        began = time.perf_counter()
        await pilot.press("5")
        while not (isinstance(app.screen, RunsScreen) and len(app.screen.listing.rows) == count):
            await asyncio.sleep(0.005)
        await pilot.pause(0)
        return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
