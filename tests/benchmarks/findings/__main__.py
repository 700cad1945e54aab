"""Measure the error rate of the findings: ``python -m tests.benchmarks.findings train|judge``.

``train`` trains the suite and records the events of each run; ``judge`` applies the current rules
to these records, as often as needed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.findings import table
from tests.benchmarks.findings.files import recorded_runs
from tests.benchmarks.findings.judge import JUDGED_BY_TRUTH, Judged, judge_files
from tests.benchmarks.findings.suite import FIRST_SEEDS, HEALTHY, Case, healthy_cases
from tests.benchmarks.options import UNUSABLE, Parser, whole

DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "mnist-tui-findings"

PUBLIC = ("public-tuning", "public-judging")
"""The halves of the public sets of faults."""

FAMILIES = ("presets", "presets-short")
"""The shipped presets, as shipped and on fewer images."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands and return its exit code."""
    chosen = _parser().parse_args(arguments)
    command = {"train": _train, "judge": _judge}[chosen.command]
    return command(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "findings", "Measure the false positives and the detection rate of the findings"
    )
    commands = parser.add_subparsers(
        dest="command", required=True, parser_class=argparse.ArgumentParser
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--seeds", choices=[*sorted(FIRST_SEEDS), *PUBLIC, *FAMILIES], default="tuning"
    )
    shared.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="folder of the runs")
    shared.add_argument("--only", default="*", metavar="PATTERN", help="runs, such as 'rate-x30-*'")
    shared.add_argument("--workers", type=whole, default=2, help="processes, one thread each")
    train = commands.add_parser("train", parents=[shared], help="train the runs that are missing")
    train.add_argument("--estimate", action="store_true", help="only print how long it would take")
    judge = commands.add_parser("judge", parents=[shared], help="apply the current rules")
    judge.add_argument("--markdown", action="store_true", help="tables for docs/findings.md")
    judge.add_argument("--show", metavar="PATTERN", help="list the findings of these runs")
    judge.add_argument(
        "--values",
        nargs="?",
        const="all",
        metavar="NAME,NAME",
        help="print figures of each run, to choose thresholds; without a name, all figures",
    )
    return parser


def cases(seeds: str, pattern: str = "*") -> list[Case]:
    """Return the runs of a set of seeds whose names match a pattern."""
    return [case for case in _every_case(seeds) if fnmatch(case.name, pattern)]


def _every_case(seeds: str) -> Iterable[Case]:
    if seeds in FAMILIES:
        from tests.benchmarks.findings.healthy import preset_cases

        return preset_cases(short=seeds == "presets-short")
    if seeds in PUBLIC:
        from tests.benchmarks.findings.public.faults import public_cases

        return public_cases(seeds)
    from tests.benchmarks.findings.sabotage import sabotaged_cases

    return (*healthy_cases(seeds), *sabotaged_cases(seeds))


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _train(chosen: argparse.Namespace) -> int:
    from tests.benchmarks.findings.record import estimate, record_all

    wanted = cases(chosen.seeds, chosen.only)
    if chosen.estimate:
        seconds = estimate(wanted, chosen.folder, _log)
        print(f"{len(wanted)} runs, about {seconds / 60:.0f} minutes of one core")
        return 0
    folder = chosen.folder / chosen.seeds
    return int(record_all(wanted, folder, chosen.folder, chosen.workers, _log) > 0)


def _judge(chosen: argparse.Namespace) -> int:
    pattern = chosen.show or chosen.only
    paths = recorded_runs(chosen.folder / chosen.seeds, pattern)
    if not paths:
        _log(f"no recorded run {pattern!r} in {chosen.folder / chosen.seeds}; train first")
        return UNUSABLE
    if chosen.values:
        return _values(paths, chosen.values, chosen.workers)
    runs = _with_truth(judge_files(paths, chosen.workers), chosen)
    if chosen.show:
        print("\n".join(line for run in runs for line in table.story(run)))
        return 0
    _print_tables(runs, chosen)
    return 0


def _with_truth(runs: list[Judged], chosen: argparse.Namespace) -> list[Judged]:
    """Check on the test images the healthy runs that were reported to overfit."""
    folder = chosen.folder / chosen.seeds
    asked = {
        folder / f"{run.name}.json"
        for run in runs
        if run.kind == HEALTHY and JUDGED_BY_TRUTH & {reported.code for reported in run.warnings()}
    }
    if not asked:
        return runs
    from tests.benchmarks.findings.truth import truths_of

    known = truths_of(sorted(asked), chosen.folder, chosen.workers)
    truths = {path.stem: truth for path, truth in known.items()}
    return [
        replace(run, true_codes=truths[run.name].codes(run)) if run.name in truths else run
        for run in runs
    ]


def _print_tables(runs: list[Judged], chosen: argparse.Namespace) -> None:
    from tests.benchmarks.findings.sabotage import EXPECTED

    drawn = table.markdown if chosen.markdown else table.lined_up
    healthy = sum(run.kind == HEALTHY for run in runs)
    print(f"{healthy} healthy runs and {len(runs) - healthy} sabotaged ones, {chosen.seeds} seeds.")
    print(f"{table.TRUTH}\n")
    mark = "- " if chosen.markdown else ""
    print("\n".join(mark + line for line in table.summary(runs, EXPECTED)), end="\n\n")
    print("\n".join(drawn(table.RULES_HEAD, table.rules(runs, EXPECTED))), end="\n\n")
    print("\n".join(drawn(table.KINDS_HEAD, table.kinds(runs, EXPECTED))))


def _values(paths: list[Path], wanted: str, workers: int) -> int:
    from tests.benchmarks.findings.values import FIGURES, figures

    names = list(FIGURES) if wanted == "all" else wanted.split(",")
    if unknown := [name for name in names if name not in FIGURES]:
        _log(f"unknown figure {unknown[0]!r}; choose {', '.join(FIGURES)}")
        return UNUSABLE
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        rows = list(pool.map(partial(figures, names=names), paths))
    print("\n".join(table.lined_up(("run", *names), rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
