"""The accuracy of a preset over several seeds, on the test set after its last epoch.

    python tests/benchmarks/presets.py fast --seeds 5
    python tests/benchmarks/presets.py tiny --seeds 10 --jobs 2 --threads 1

Each seed is one run of ``mnist-tui --no-ui --preset NAME --seed N`` in its own process, with one
test evaluation at its end. Each result is recorded at once: an interrupted series continues with
the seeds that are not recorded yet. To repeat recorded seeds, choose another folder (--records).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.contender_runner import processor_name, torch_version
from tests.benchmarks.options import Parser, from_zero, whole
from tests.benchmarks.preset_records import FOLDER, Record, append, read, settings_of
from tests.benchmarks.processes import ROOT, environment
from tui_trainer.protocol.errors import InputError
from tui_trainer.stats.means import mean_interval

FAILED, INTERRUPTED = 1, 130
LONGEST_LINE = 2**24
"""The most bytes of an event as JSON."""


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of one preset.

    Attributes:
        preset: The preset's name.
        seeds: The seeds.
        jobs: The number of runs that train at the same time.
        threads: Torch's threads of each run; None to let each find its number.
        records: The folder of the records.
    """

    preset: str
    seeds: range
    jobs: int
    threads: int | None
    records: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the preset with each seed that is not recorded, then print the mean and its interval."""
    series = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        failed = asyncio.run(record_all(series))
    except KeyboardInterrupt:
        print("interrupted: start it again to continue", file=sys.stderr)
        return INTERRUPTED
    ends = [each for each in read(series.preset, series.records) if each.seed in series.seeds]
    if ends:
        print(summary(ends))
    return FAILED if failed else 0


def parsed(arguments: Sequence[str] | None) -> Series:
    """Return the series that the command line asks for."""
    parser = Parser(prog="presets.py", description=__doc__ or "")
    parser.add_argument("preset", help="the preset's name")
    parser.add_argument("--from", dest="first", type=from_zero, default=0, help="first seed (0)")
    parser.add_argument("--seeds", type=whole, default=5, help="number of seeds (5)")
    parser.add_argument(
        "--jobs",
        type=whole,
        default=1,
        help="runs that train at the same time, 1 for times that compare (1)",
    )
    parser.add_argument("--threads", type=whole, default=None, help="CPU threads of each run")
    parser.add_argument(
        "--records", type=Path, default=FOLDER, help="folder of the records (records, next to this)"
    )
    options = parser.parse_args(arguments)
    try:
        read(options.preset, options.records)
    except (InputError, OSError) as error:
        parser.error(str(error))
    seeds = range(options.first, options.first + options.seeds)
    return Series(options.preset, seeds, options.jobs, options.threads, options.records)


async def record_all(series: Series) -> list[int]:
    """Run every seed that is not recorded yet, and return those that failed."""
    recorded = {each.seed: each for each in read(series.preset, series.records)}
    slots, failed = asyncio.Semaphore(series.jobs), list[int]()

    async def run(seed: int) -> None:
        async with slots:
            record = await trained(series, seed)
        if record is None:
            failed.append(seed)
            print(f"seed {seed}: failed, not recorded", file=sys.stderr, flush=True)
        else:
            append(record, series.records)
            print(line_of(record), flush=True)

    for seed in series.seeds:
        if seed in recorded:
            print(f"{line_of(recorded[seed])}, already recorded", flush=True)
    await asyncio.gather(*(run(seed) for seed in series.seeds if seed not in recorded))
    return failed


async def trained(series: Series, seed: int) -> Record | None:
    """Train once; return None if it failed, and then it has printed why."""
    commit, settings = commit_of_package(), settings_of(series.preset)
    with tempfile.TemporaryDirectory(prefix="mnist-tui-preset-") as folder:
        command = ["--no-ui", "--json", "--preset", series.preset, "--seed", str(seed)]
        if series.threads is not None:
            command += ["--threads", str(series.threads)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tui_trainer", *command, "--out", f"{folder}/run"),
            cwd=ROOT,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        try:
            started, end = await started_and_end(process)
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    # One test evaluation after the last epoch, and nothing else, is a result.
    if process.returncode or end.get("reason") != "completed" or end["test_evaluations"] != 1:
        return None
    return Record(
        preset=series.preset,
        settings=settings,
        seed=seed,
        jobs=series.jobs,
        torch=torch_version(),
        processor=processor_name(),
        commit=commit,
        **{name: started[name] for name in ("threads", "device")},
        **{name: end[name] for name in ("parameters", "epochs", "test_correct", "test_total")},
        seconds=round(end["seconds"], 3),
    )


async def started_and_end(
    process: asyncio.subprocess.Process,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the events of a run to their end; return those of its start and its end."""
    started, line = dict[str, Any](), b"{}"
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b'{"event": "RunStarted"'):
            started = json.loads(line)
    return started, json.loads(line)


def commit_of_package() -> str:
    """Return the commit of the checkout, with ``-changed`` if the package differs from it."""

    def git(*words: str) -> str:
        with suppress(OSError):
            done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
            return done.stdout.strip() if done.returncode == 0 else ""
        return ""

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{commit}-changed" if git("status", "--porcelain", "--", "tui_trainer") else commit


def line_of(record: Record) -> str:
    """Return a record as a line of text."""
    return (
        f"seed {record.seed}: test {record.accuracy:.2%}, {record.seconds:.1f} s of training on "
        f"{record.device} ×{record.threads}"
    )


def summary(records: Sequence[Record]) -> str:
    """Return the mean of records of one preset, and its interval, as a line of text."""
    accuracy = mean_interval([each.accuracy for each in records])
    seconds = statistics.median(each.seconds for each in records)
    return (
        f"{records[0].preset}: {records[0].parameters:,} parameters, {records[0].epochs} epochs, "
        f"mean test accuracy {accuracy.mean:.3%} [{accuracy.low:.3%}, {accuracy.high:.3%}] over "
        f"{len(records)} seeds, median {seconds:.1f} s of training"
    )


if __name__ == "__main__":
    sys.exit(main())
