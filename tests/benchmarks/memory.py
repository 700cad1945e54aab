"""The memory growth of a long run: ``python tests/benchmarks/memory.py --minutes 60``.

The real app trains in a terminal; the resident memory of its process is read from Linux's /proc
every half minute. Its screen output is read and discarded.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.measure import slope, write_json
from tests.benchmarks.options import Parser, above_zero, output_file, whole
from tests.benchmarks.processes import ContenderError, end_on_terminate, tail
from tests.benchmarks.terminal import Terminal, terminal
from tui_trainer.protocol.config import MAX_EPOCHS, MODELS

INTERVAL = 30.0
MIN_SAMPLES = 20
"""A short run is sampled more often, so that its curve has some points too."""

KEPT = 64
"""Pieces of the app's output to keep, for the error message if it dies."""

ROWS = 25
WARM_UP_SECONDS = 600.0

Sample = tuple[float, float]
"""Seconds since the start, and resident memory in MB."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of a run's memory.

    Attributes:
        first_mb: The first sample of the second half, after the warm-up.
        last_mb: The last sample.
        peak_mb: The largest sample.
        mb_per_hour: The slope of the second half, by least squares.
    """

    first_mb: float
    last_mb: float
    peak_mb: float
    mb_per_hour: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the app, sample its memory, and return the exit code."""
    parser = Parser("memory.py", "Sample the memory of a long run of the app.")
    parser.add_argument("--minutes", type=above_zero, default=60.0, help="duration in minutes (60)")
    parser.add_argument("--model", choices=MODELS, default="small", help="model (small)")
    parser.add_argument("--threads", type=whole, default=1, help="threads of torch (1)")
    parser.add_argument("--json", metavar="FILE", type=output_file, help="write the samples there")
    options = parser.parse_args(arguments)
    if not Path("/proc/self/status").exists():
        parser.error("the memory of a process is read from /proc, which this system does not have")
    end_on_terminate()
    try:
        samples = watch(options.model, options.threads, options.minutes * 60)
    except KeyboardInterrupt:
        report_progress("interrupted")
        return 130
    except ContenderError as error:
        report_progress(f"the app failed: {error}")
        return 1
    result = growth(samples)
    print("\n".join(table(samples, result)))
    if options.json is not None:
        write_json(options.json, content(samples, result))
    return 0


def report_progress(words: str) -> None:
    """Print a message to stderr."""
    print(words, file=sys.stderr, flush=True)


def watch(model: str, threads: int, seconds: float) -> list[Sample]:
    """Run the app and return its samples, about one every 30 seconds.

    Raises:
        ContenderError: If the app ends before the time is up.
    """
    run = ("-m", "tui_trainer", "--model", model, "--epochs", str(MAX_EPOCHS), "--device", "cpu")
    interval = min(INTERVAL, seconds / MIN_SAMPLES)
    samples: list[Sample] = []
    with terminal((sys.executable, *run, "--threads", str(threads)), keep=KEPT) as view:
        while (now := time.monotonic() - view.started) < seconds:
            time.sleep(min(interval, seconds - now))
            memory = resident_mb(view)
            samples.append((time.monotonic() - view.started, memory))
            report_progress(f"{samples[-1][0] / 60:6.1f} min  {memory:7.1f} MB")
    return samples


def resident_mb(view: Terminal) -> float:
    """Return the resident memory of a terminal's program in MB (10⁶ bytes).

    Raises:
        ContenderError: If it has ended.
    """
    path = Path(f"/proc/{view.process.pid}/status")
    found = None
    if view.process.poll() is None:
        found = re.search(r"^VmRSS:\s+(\d+) kB$", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ContenderError(f"exit code {view.process.poll()}\n{tail(view.written())}")
    return int(found[1]) * 1_024 / 1e6


def growth(samples: Sequence[Sample]) -> Growth:
    """Return the growth of the second half; the first half is the warm-up."""
    later = samples[len(samples) // 2 :]
    return Growth(
        first_mb=later[0][1],
        last_mb=later[-1][1],
        peak_mb=max(memory for _, memory in samples),
        mb_per_hour=3_600 * slope(later),
    )


def table(samples: Sequence[Sample], result: Growth) -> list[str]:
    """Return the curve in about 25 rows at most, and a summary."""
    step = -(-len(samples) // ROWS)
    rows = [f"{at / 60:8.1f}  {memory:7.1f}" for at, memory in samples[::step]]
    settling = ["a run shorter than ten minutes is still warming up: ignore its slope"]
    return [
        " minutes       MB",
        *rows,
        "",
        *(settling if samples[-1][0] < WARM_UP_SECONDS else ()),
        f"second half: {result.mb_per_hour:+.1f} MB per hour, from {result.first_mb:.1f} to "
        f"{result.last_mb:.1f} MB; peak of the whole run {result.peak_mb:.1f} MB",
    ]


def content(samples: Sequence[Sample], result: Growth) -> dict[str, object]:
    """Return the result for JSON."""
    return {
        "samples": [{"seconds": at, "mb": memory} for at, memory in samples],
        "first_mb": result.first_mb,
        "last_mb": result.last_mb,
        "peak_mb": result.peak_mb,
        "mb_per_hour": result.mb_per_hour,
    }


if __name__ == "__main__":
    sys.exit(main())
