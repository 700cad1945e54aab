"""``python -m tests.benchmarks.findings loops``: run the user loops and judge their findings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.benchmarks.findings import cause_table, table
from tests.benchmarks.findings.effects import Compared, effect
from tests.benchmarks.findings.files import recorded_events
from tests.benchmarks.findings.judge import Judged, judge_events
from tests.benchmarks.findings.loops.suite import (
    FIRST_SEEDS,
    SANE,
    Kind,
    LoopCase,
    Measure,
    Seeds,
    faulty_cases,
    healthy_cases,
)
from tests.benchmarks.options import whole

LEAST: Mapping[Measure, tuple[float, str]] = {
    "accuracy": (1.0, "points"),
    "waiting": (20.0, "% slower"),
    "cpu_seconds": (20.0, "% slower"),
    "memory_mb": (20.0, "MB"),
}
"""The effect from which a fault counts, and its unit."""


SMALL: Mapping[Measure, float] = {"accuracy": 5.0, "cpu_seconds": 40.0}
"""A smaller effect is measured again, with more seeds."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], folder: Path
) -> None:
    """Add the command to the parser of the findings suite."""
    parser = commands.add_parser("loops", help="run the user loops, and judge their findings")
    parser.add_argument(
        "action",
        choices=("effects", "train", "judge", "list"),
        help="effects: without watching, the faulty loops and their clean twins; train: watched",
    )
    parser.add_argument("--seeds", choices=sorted(FIRST_SEEDS), default="tuning")
    parser.add_argument("--folder", type=Path, default=folder / "loops", help="folder of the runs")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="runs, such as 'leak.*'")
    parser.add_argument("--workers", type=whole, default=2, help="loops at a time")
    parser.add_argument("--again", action="store_true", help="repeat loops that have a record")
    parser.add_argument("--twins", action="store_true", help="train: watch the clean twins, too")
    parser.add_argument("--markdown", action="store_true", help="tables for docs/error-rates.md")
    parser.add_argument("--show", action="store_true", help="list the findings of each run")


def run(chosen: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from tests.benchmarks.findings.loops.kinds import JUDGING, KINDS
    from tests.benchmarks.findings.loops.styles import styles

    seeds: Seeds = chosen.seeds
    faulty = _matching(faulty_cases(seeds, KINDS, JUDGING), chosen.only)
    healthy = _matching(healthy_cases(seeds, styles(seeds)), chosen.only)
    twins = [replace(case, faulty=False) for case in faulty]
    watched, effects = chosen.folder / seeds, chosen.folder / f"{seeds}-effects"
    if chosen.action == "list":
        print("\n".join(case.stem for case in (*faulty, *healthy)))
        return 0
    if chosen.action == "judge":
        return _judge(faulty, twins, healthy, watched, effects, chosen)
    from tests.benchmarks.findings.loops.record import REPEATS, measure_all

    if chosen.action == "train":
        cases = [*faulty, *healthy, *(twins if chosen.twins else ())]
        measure_all(cases, watched, chosen.workers, _log, watched=True, again=chosen.again)
        return 0
    cases = [*faulty, *twins]
    measure_all(cases, effects, chosen.workers, _log, watched=False, again=chosen.again)
    small = [case for case in faulty if _is_small(case, KINDS[case.kind].measure, effects)]
    cases = [*small, *(replace(case, faulty=False) for case in small)]
    more: Any = {"watched": False, "again": True, "repeats": REPEATS}
    measure_all(cases, effects, chosen.workers, _log, **more)
    return 0


def _is_small(case: LoopCase, measure: Measure, folder: Path) -> bool:
    from tests.benchmarks.findings.loops.record import REPEATS, read_cost

    cost = _effect(case, measure, folder)
    is_done = read_cost(folder / f"{case.stem}.json").repeats == REPEATS
    return not is_done and not isinstance(cost, str) and cost < SMALL.get(measure, 0.0)


def _matching(cases: Sequence[LoopCase], pattern: str) -> list[LoopCase]:
    return [case for case in cases if fnmatch(case.stem, pattern)]


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _judge(
    faulty: Sequence[LoopCase],
    twins: Sequence[LoopCase],
    healthy: Sequence[LoopCase],
    watched: Path,
    effects: Path,
    chosen: argparse.Namespace,
) -> int:
    from tests.benchmarks.findings.loops.kinds import KINDS

    drawn = table.markdown if chosen.markdown else table.lined_up
    compared, left_out = compare(faulty, KINDS, watched, effects)
    runs = [run for case in (*healthy, *twins) if (run := judged(case, watched))]
    if chosen.show:
        every = [*(one.run for one in compared), *runs]
        print("\n".join(line for run in every for line in table.story(run)))
        return 0
    if compared:
        _print_faults(compared, drawn)
    print("\n".join(f"excluded: {line}" for line in left_out))
    rows = cause_table.by_family(runs)
    print("\n".join(drawn(cause_table.HEALTHY_HEAD, rows)), end="\n\n")
    print("\n".join(f"excluded: {line}" for line in table.broken_runs(runs)))
    print("\n".join(f"false: {line}" for line in cause_table.false_warnings(runs)))
    print(f"notes: {cause_table.notes(runs)}")
    return 0


def _print_faults(
    compared: Sequence[Compared], drawn: Callable[[table.Row, Sequence[table.Row]], list[str]]
) -> None:
    effective = [one for one in compared if one.has_effect]
    others = [one for one in compared if not one.has_effect]
    print(f"{len(compared)} faulty loops, {len(effective)} with an effect.\n")
    for head, rows in (
        (cause_table.SUMMARY_HEAD, cause_table.summary(compared)),
        (cause_table.SETS_HEAD, cause_table.by_set(compared)),
        (cause_table.FAULTS_HEAD, cause_table.by_fault(effective)),
    ):
        print("\n".join(drawn(head, rows)), end="\n\n")
    if others:
        print("Without an effect:\n")
        print("\n".join(drawn(cause_table.FAULTS_HEAD, cause_table.by_fault(others))), end="\n\n")


def judged(case: LoopCase, folder: Path) -> Judged | None:
    """Apply the current rules to a recorded run; None if it has none."""
    from tests.benchmarks.findings.loops.record import read_cost

    path = folder / f"{case.stem}.json"
    if not path.exists():
        return None
    cost = read_cost(path)
    events = recorded_events(path) if path.with_suffix(".jsonl").exists() else []
    sane = 0.0 if case.faulty else SANE
    run = judge_events(events, name=case.stem, kind=case.run_kind, sane=sane)
    run = replace(run, error=cost.error, test_accuracy=cost.test_accuracy)
    is_true = not case.faulty and _has_memorized(run)
    return replace(run, true_codes=frozenset({"memorizing"})) if is_true else run


def _has_memorized(run: Judged) -> bool:
    """Return whether test images confirm it: 2 points, and four times the errors."""
    train, test = max(run.train_accuracies, default=0.0), run.test_accuracy
    return test is not None and train - test >= 0.02 and 1 - test >= 4 * (1 - train)


def compare(
    cases: Sequence[LoopCase], kinds: Mapping[str, Kind], watched: Path, effects: Path
) -> tuple[list[Compared], list[str]]:
    """Compare the faulty loops with their clean twins; return why others are left out, too."""
    compared, left_out = [], []
    for case in cases:
        run = judged(case, watched)
        if run is None or run.error:
            left_out.append(f"{case.stem}: {run.error if run else 'not trained'}")
            continue
        kind = kinds[case.kind]
        cost = _effect(case, kind.measure, effects)
        if isinstance(cost, str):
            left_out.append(f"{case.stem}: {cost}")
            continue
        least, unit = LEAST[kind.measure]
        compared.append(Compared(run, kind.causes, cost, least, unit))
    return compared, left_out


def _effect(case: LoopCase, measure: Measure, folder: Path) -> float | str:
    """Return what a fault costs, or why that is not known."""
    from tests.benchmarks.findings.loops.record import read_cost

    faulty = read_cost(folder / f"{case.stem}.json")
    twin = read_cost(folder / f"{replace(case, faulty=False).stem}.json")
    if error := faulty.error or twin.error:
        return error
    if measure == "memory_mb":
        return faulty.memory_mb - twin.memory_mb
    if measure != "accuracy":
        relative: float = getattr(faulty, measure) / getattr(twin, measure)
        return 100 * (relative - 1)
    runs = [
        Judged("", "", 0, 0, (), 0, cost.val_accuracy, 0.0, test_accuracy=cost.test_accuracy)
        for cost in (faulty, twin)
    ]
    return effect(*runs) or 0.0
