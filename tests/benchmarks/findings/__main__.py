"""Measure the findings' errors: ``python -m tests.benchmarks.findings train|judge|check``.

``train`` trains the suite and records the events of each run; ``judge`` applies the current rules
to these records, as often as needed; ``check`` runs the preflight check on the public faults and on
healthy trainings. ``loops`` runs user loops that ``tui_trainer.watch`` watches, and judges them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.findings import cause_table, table
from tests.benchmarks.findings.effects import Named, compare
from tests.benchmarks.findings.files import read_meta, recorded_runs
from tests.benchmarks.findings.judge import JUDGED_BY_TRUTH, Judged, judge_files
from tests.benchmarks.findings.loops import command as loops
from tests.benchmarks.findings.suite import FIRST_SEEDS, Case, healthy_cases, is_healthy
from tests.benchmarks.options import UNUSABLE, Parser, whole

DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "mnist-tui-findings"

PUBLIC = ("public-tuning", "public-judging")
"""The halves of the public sets of faults."""

FAMILIES = ("presets", "presets-short", "healthy")
"""Healthy runs: the shipped presets, as shipped and on fewer images, and the other families."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands and return its exit code."""
    chosen = _parser().parse_args(arguments)
    command = {"train": _train, "judge": _judge, "check": _check, "loops": loops.run}[
        chosen.command
    ]
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
    check = commands.add_parser("check", parents=[shared], help="run the preflight check")
    check.add_argument("--runs", type=Path, help="folder of the recorded runs, for the effects")
    check.add_argument("--load", action="store_true", help="compare a quiet and a busy machine")
    train.add_argument(
        "--renew",
        action="store_true",
        help="only repeat what is measured before the first step of the recorded runs",
    )
    judge = commands.add_parser("judge", parents=[shared], help="apply the current rules")
    judge.add_argument("--markdown", action="store_true", help="tables for docs/findings.md")
    judge.add_argument(
        "--healthy-of",
        nargs="*",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="judge the healthy runs of these folders too",
    )
    judge.add_argument("--show", metavar="PATTERN", help="list the findings of these runs")
    judge.add_argument(
        "--values",
        nargs="?",
        const="all",
        metavar="NAME,NAME",
        help="print figures of each run, to choose thresholds; without a name, all figures",
    )
    loops.add_command(commands, DEFAULT_FOLDER)
    return parser


def cases(seeds: str, pattern: str = "*") -> list[Case]:
    """Return the runs of a set of seeds whose names match a pattern."""
    return [case for case in _every_case(seeds) if fnmatch(case.name, pattern)]


def _every_case(seeds: str) -> Iterable[Case]:
    if seeds in FAMILIES:
        from tests.benchmarks.findings.healthy import family_cases, preset_cases

        return family_cases() if seeds == "healthy" else preset_cases(short=seeds != "presets")
    if seeds in PUBLIC:
        from tests.benchmarks.findings.public.faults import public_cases

        return public_cases(seeds)
    from tests.benchmarks.findings.sabotage import sabotaged_cases

    return (*healthy_cases(seeds), *sabotaged_cases(seeds))


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _train(chosen: argparse.Namespace) -> int:
    from tests.benchmarks.findings.record import estimate, record_all, renew_starts
    from tests.benchmarks.findings.variants import is_available

    if chosen.renew:
        recorded = recorded_runs(chosen.folder / chosen.seeds, chosen.only)
        renew_starts(recorded, chosen.folder, chosen.workers)
        return 0
    every = cases(chosen.seeds, chosen.only)
    wanted = [case for case in every if is_available(case.data, chosen.folder / "data")]
    if missing := {case.data for case in every} - {case.data for case in wanted}:
        left_out = len(every) - len(wanted)
        _log(f"{left_out} runs left out: no folder {chosen.folder / 'data' / missing.pop()}")
    if chosen.estimate:
        seconds = estimate(wanted, chosen.folder, _log)
        print(f"{len(wanted)} runs, about {seconds / 60:.0f} minutes of one core")
        return 0
    folder = chosen.folder / chosen.seeds
    return int(record_all(wanted, folder, chosen.folder, chosen.workers, _log) > 0)


def _judge(chosen: argparse.Namespace) -> int:
    pattern = chosen.show or chosen.only
    folder = chosen.folder / chosen.seeds
    paths = recorded_runs(folder, pattern)
    if not paths:
        _log(f"no recorded run {pattern!r} in {folder}; train first")
        return UNUSABLE
    if chosen.values:
        return _values(paths, chosen.values, chosen.workers)
    for other in chosen.healthy_of:
        paths += [
            path for path in recorded_runs(other, pattern) if is_healthy(read_meta(path).kind)
        ]
    runs = _with_truth(paths, chosen.workers)
    if chosen.show:
        print("\n".join(line for run in runs for line in table.story(run)))
        return 0
    drawn = table.markdown if chosen.markdown else table.lined_up
    if chosen.seeds in PUBLIC:
        _print_public(runs, drawn)
    elif chosen.seeds not in FAMILIES:
        _print_tables(runs, chosen)
    _print_healthy(runs, drawn, chosen)
    return 0


def _check(chosen: argparse.Namespace) -> int:
    from tests.benchmarks.findings import checks

    if chosen.seeds not in PUBLIC:
        _log(f"check needs --seeds {' or '.join(PUBLIC)}")
        return UNUSABLE
    wanted = [c for c in checks.check_cases(chosen.seeds) if fnmatch(c.name, chosen.only)]
    if chosen.load:
        same = {case.name: checks.same_under_load(case, chosen.folder) for case in wanted}
        print("\n".join(f"{name}  {'same' if same[name] else 'DIFFERENT'}" for name in same))
        return int(not all(same.values()))
    folder = chosen.folder / f"checks-{chosen.seeds}"
    results = checks.check_all(wanted, folder, chosen.folder, chosen.workers, _log)
    runs = (chosen.runs or chosen.folder) / chosen.seeds
    print("\n".join(checks.report(results, chosen.seeds, runs, chosen.only)))
    return 0


def _with_truth(paths: list[Path], workers: int) -> list[Judged]:
    """Judge runs; check on the test images the healthy ones that were reported to overfit."""
    runs = judge_files(paths, workers)
    places = {path.stem: path for path in paths}
    asked: dict[Path, list[Path]] = {}
    for run in runs:
        if run.is_drawn_healthy and JUDGED_BY_TRUTH & {r.code for r in run.warnings()}:
            path = places[run.name]
            asked.setdefault(path.parents[1], []).append(path)
    if not asked:
        return runs
    from tests.benchmarks.findings.truth import truths_of

    truths = {
        path.stem: truth
        for root, some in asked.items()
        for path, truth in truths_of(sorted(some), root, workers).items()
    }
    return [
        replace(run, true_codes=truths[run.name].codes(run)) if run.name in truths else run
        for run in runs
    ]


Drawn = Callable[[table.Row, Sequence[table.Row]], list[str]]


def _print_tables(runs: list[Judged], chosen: argparse.Namespace) -> None:
    from tests.benchmarks.findings.sabotage import CAUSES, EXPECTED

    drawn = table.markdown if chosen.markdown else table.lined_up
    healthy = sum(run.is_drawn_healthy for run in runs)
    print(f"{healthy} healthy runs and {len(runs) - healthy} sabotaged ones, {chosen.seeds} seeds.")
    print(f"{table.TRUTH}\n")
    mark = "- " if chosen.markdown else ""
    print("\n".join(mark + line for line in table.summary(runs, EXPECTED, CAUSES)), end="\n\n")
    print("\n".join(drawn(table.RULES_HEAD, table.rules(runs, EXPECTED))), end="\n\n")
    print("\n".join(drawn(table.KINDS_HEAD, table.kinds(runs, EXPECTED, CAUSES))), end="\n\n")
    rows = cause_table.by_sabotage(runs, CAUSES)
    print("\n".join(drawn(cause_table.SABOTAGES_HEAD, rows)), end="\n\n")


def _print_public(runs: list[Judged], drawn: Drawn) -> None:
    from tests.benchmarks.findings.public.faults import FAULTS

    faults = {name.replace("/", "."): Named(f.base, f.causes) for name, f in FAULTS.items()}
    compared, left_out = compare(runs, faults)
    effective = [one for one in compared if one.has_effect]
    others = [one for one in compared if not one.has_effect]
    print(f"{len(compared)} faulty runs, {len(effective)} with an effect.")
    print(f"{cause_table.METHOD}\n")
    for head, rows in (
        (cause_table.SUMMARY_HEAD, cause_table.summary(compared)),
        (cause_table.PUBLISHED_HEAD, cause_table.PUBLISHED),
        (cause_table.SETS_HEAD, cause_table.by_set(compared)),
        (cause_table.FAULTS_HEAD, cause_table.by_fault(effective)),
    ):
        print("\n".join(drawn(head, rows)), end="\n\n")
    if others:
        print("Without an effect:\n")
        print("\n".join(drawn(cause_table.FAULTS_HEAD, cause_table.by_fault(others))), end="\n\n")
    print("\n".join(f"excluded: {line}" for line in left_out))


def _print_healthy(runs: list[Judged], drawn: Drawn, chosen: argparse.Namespace) -> None:
    healthy = [run for run in runs if run.is_drawn_healthy]
    if not healthy:
        return
    rows = cause_table.by_family(healthy)
    print("\n".join(drawn(cause_table.HEALTHY_HEAD, rows)), end="\n\n")
    if chosen.seeds in FAMILIES:
        print(f"{table.TRUTH}\n")
        print("\n".join(f"excluded: {line}" for line in table.broken_runs(healthy)))
    print("\n".join(f"false: {line}" for line in cause_table.false_warnings(healthy)))
    print(f"notes: {cause_table.notes(healthy)}")


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
