"""The speed of the app, compared with common alternatives: ``python tests/benchmarks/speed.py``.

Every figure is a ratio of two contenders that run in turn on one machine, A B A B, which is more
stable than seconds. The table goes to standard output, the progress to standard error.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.comparisons import COMPARISONS, Comparison, Entry, select
from tests.benchmarks.contender_runner import (
    ContenderRunner,
    cores,
    processor_name,
    torch_version,
)
from tests.benchmarks.measure import Figure, Pair, paired, write_figures
from tests.benchmarks.options import Parser, above_zero, output_file, whole
from tests.benchmarks.processes import ContenderError, SkippedError, end_on_terminate

CRASHED, INTERRUPTED = 1, 130
HEADINGS = ("name", "a", "b", "unit", "ratio", "low–high", "goal", "")

Result = tuple[Entry, Figure]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected comparisons, and return the exit code."""
    parser = made_parser()
    options = parser.parse_args(arguments)
    if options.list:
        width = max(len(comparison.name) for comparison in COMPARISONS)
        for comparison in COMPARISONS:
            print(f"{comparison.name:<{width}}  {comparison.sentence}")
        return 0
    try:
        chosen = select(options.only)
    except KeyError as unknown:
        names = ", ".join(comparison.name for comparison in COMPARISONS)
        parser.error(f"--only: no comparison {unknown.args[0]!r}; choose {names}")
    end_on_terminate()
    try:
        with tempfile.TemporaryDirectory(prefix="mnist-tui-speed-") as folder:
            runner = ContenderRunner(
                options.seconds, Path(folder), report_progress, options.threads
            )
            return measure(runner, chosen, options.rounds, options.json)
    except KeyboardInterrupt:
        report_progress("interrupted")
        return INTERRUPTED


def made_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("speed.py", "Compare the app's speed with common alternatives.")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="run only this comparison"
    )
    parser.add_argument("--seconds", type=above_zero, default=8.0, help="seconds of a slice (8)")
    parser.add_argument("--rounds", type=whole, default=5, help="number of rounds (5)")
    parser.add_argument(
        "--threads", type=whole, help="threads of torch, if both contenders use the same number"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write the figures there"
    )
    parser.add_argument("--list", action="store_true", help="list the comparisons")
    return parser


def report_progress(words: str) -> None:
    """Print a message to stderr."""
    print(words, file=sys.stderr, flush=True)


def measure(
    runner: ContenderRunner, chosen: Sequence[Comparison], rounds: int, json: Path | None = None
) -> int:
    """Run comparisons one after the other; a crash of one keeps the figures of the others."""
    results: list[Result] = []
    code = 0
    load = _load()
    for comparison in chosen:
        try:
            results += compare(runner, comparison, rounds)
        except SkippedError as reason:
            report_progress(f"{comparison.name}: skipped: {reason}")
        except ContenderError as error:
            report_progress(f"{comparison.name}: a contender failed: {error}")
            code = CRASHED
    if results:
        print("\n".join([*table(results), "", machine(runner, load)]))
    if json is not None:
        write_figures(json, [figure for _, figure in results])
    return code


def compare(runner: ContenderRunner, comparison: Comparison, rounds: int) -> list[Result]:
    """Run a comparison's rounds and return its figures.

    Raises:
        ContenderError: If a contender crashes or hangs.
        SkippedError: If it is not possible here.
    """
    pairs: dict[str, list[Pair]] = {}
    for number in range(rounds):
        report_progress(f"{comparison.name}: round {number + 1} of {rounds}")
        for name, pair in comparison.measure(runner, number).items():
            pairs.setdefault(name, []).append(pair)
    return [
        (entry, paired(entry.name, pairs[entry.name], entry.unit))
        for entry in comparison.entries
        if entry.name in pairs
    ]


def table(results: Sequence[Result]) -> list[str]:
    """Return the lines of the table, numbers right-aligned."""
    rows = [HEADINGS, *(_cells(entry, figure) for entry, figure in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    numbers = {1, 2, 4, 5}
    return [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(entry: Entry, figure: Figure) -> tuple[str, ...]:
    verdict = "" if entry.met is None else "met" if entry.met(figure) else "missed"
    return (
        figure.name,
        _number(figure.a),
        _number(figure.b),
        figure.unit,
        f"{figure.ratio:.3f}",
        f"{figure.low:.3f}–{figure.high:.3f}",
        entry.goal or "–",
        verdict,
    )


def _number(value: float) -> str:
    """Return a number with about three significant digits, all of those before the point."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def machine(runner: ContenderRunner, load: str) -> str:
    """Return a line that describes the machine."""
    threads = "/".join(str(count) for count in sorted(runner.threads_seen)) or "–"
    parts = (f"{cores()} cores", processor_name(), f"torch {torch_version()}", f"threads {threads}")
    return "machine: " + ", ".join((*parts, f"Python {platform.python_version()}", load))


def _load() -> str:
    """Return the load of the machine before the measurements."""
    return f"load {os.getloadavg()[0]:.1f} at the start"


if __name__ == "__main__":
    sys.exit(main())
