"""The results as tables, for a terminal or in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.benchmarks.findings.judge import JUDGED_BY_TRUTH, Detection, Judged, detection
from tui_trainer.stats.intervals import wilson

MAX_FALSE, MIN_DETECTED, MIN_OF_KIND, MIN_EARLY = 0.02, 0.95, 0.80, 0.50
"""The goals: false alarms on healthy runs, detection overall, of each kind, and early."""

TRUTH = (
    "Errors and warnings count as alarms, a `note` does not. On a healthy run every alarm is "
    "false, with two exceptions that the 10,000 sealed test images decide: overfitting is true if "
    "the test loss ended above its minimum by more than 2 standard errors (paired by image); "
    "memorizing is also true if at that epoch test accuracy was 2 points below training accuracy, "
    "with at least four times the errors. Intervals are Wilson's, 95 %."
)

Row = tuple[str, ...]


def with_interval(count: int, total: int) -> str:
    """Return a share with its interval: ``3/72 4.2 % [1.4, 11.5]``."""
    if not total:
        return "–"
    low, high = wilson(count, total)
    return f"{count}/{total} {100 * count / total:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


Causes = Mapping[str, tuple[str, ...]]
"""The causes of each kind of sabotage."""

_NO_CAUSES: Causes = {}


def summary(
    runs: Sequence[Judged], expected: Mapping[str, frozenset[str]], causes: Causes = _NO_CAUSES
) -> list[str]:
    """Return the totals, each with its goal."""
    healthy = [run for run in runs if run.is_healthy]
    wrong = sum(bool(run.false_codes()) for run in healthy)
    kinds = detections(runs, expected, causes)
    total = sum(kind.total for kind in kinds.values())
    found = sum(kind.found for kind in kinds.values())
    early = sum(kind.early for kind in kinds.values())
    weak = [n for n, kind in kinds.items() if kind.found < MIN_OF_KIND * kind.total]
    lines = [
        _goal(
            f"healthy runs with a false alarm: {with_interval(wrong, len(healthy))}",
            f"at most {MAX_FALSE:.0%}",
            wrong <= MAX_FALSE * len(healthy),
        ),
        _goal(
            f"sabotaged runs that are detected: {with_interval(found, total)}",
            f"at least {MIN_DETECTED:.0%}",
            found >= MIN_DETECTED * total,
        ),
        _goal(
            f"kinds detected in fewer than {MIN_OF_KIND:.0%} of their runs: "
            f"{', '.join(weak) or 'none'}",
            "none",
            not weak,
        ),
        _goal(
            f"sabotaged runs detected within the first epoch: {with_interval(early, total)}",
            f"at least {MIN_EARLY:.0%}",
            early >= MIN_EARLY * total,
        ),
    ]
    return lines + [f"excluded: {line}" for line in broken_runs(runs)]


def _goal(result: str, goal: str, is_met: bool) -> str:
    return f"{'✓' if is_met else '✗'} {result}; goal: {goal}"


def broken_runs(runs: Iterable[Judged]) -> list[str]:
    """Return the runs that cannot be judged: they failed, or were not healthy after all."""
    lines = []
    for run in sorted(runs, key=lambda run: run.name):
        if run.error:
            lines.append(f"{run.name}: {run.error}")
        elif run.is_drawn_healthy and not run.is_healthy:
            shown = "none" if run.accuracy is None else f"{100 * run.accuracy:.1f} %"
            codes = ", ".join(sorted({reported.code for reported in run.warnings()})) or "none"
            lines.append(
                f"{run.name}: accuracy {shown}, a healthy run of its kind has at least "
                f"{100 * run.sane:.0f} %; findings: {codes}"
            )
    return lines


def detections(
    runs: Sequence[Judged], expected: Mapping[str, frozenset[str]], causes: Causes = _NO_CAUSES
) -> dict[str, Detection]:
    """Return the detection of each kind of sabotage that has runs."""
    by_kind = {kind: [run for run in runs if run.kind == kind] for kind in expected}
    return {
        kind: detection(some, expected[kind], causes.get(kind, ()))
        for kind, some in by_kind.items()
        if some
    }


RULES_HEAD: Row = (
    *("rule", "false alarms on healthy runs", "true alarms there", "notes there"),
    *("found on its sabotage", "median delay, steps", "on other sabotage"),
)


def rules(runs: Sequence[Judged], expected: Mapping[str, frozenset[str]]) -> list[Row]:
    """Return a row for each finding that was raised or that a kind of sabotage expects."""
    healthy = [run for run in runs if run.is_healthy]
    reported = {finding.code for run in runs for finding in run.reported}
    codes = sorted(reported.union(*expected.values()) if expected else reported)
    rows: list[Row] = []
    for code in codes:
        wrong = sum(code in run.false_codes() for run in healthy)
        raised = sum(any(t.code == code for t in run.warnings()) for run in healthy)
        notes = sum(
            any(t.code == code and not t.is_warning for t in run.reported) for run in healthy
        )
        sabotaged = [run for run in runs if code in expected.get(run.kind, frozenset())]
        seen = detection(sabotaged, {code})
        others = [
            r for r in runs if not r.is_drawn_healthy and code not in expected.get(r.kind, ())
        ]
        elsewhere = Counter(
            run.kind for run in others if any(t.code == code for t in run.warnings())
        )
        median = seen.median()
        rows.append(
            (
                code,
                with_interval(wrong, len(healthy)),
                str(raised - wrong) if code in JUDGED_BY_TRUTH else "",
                str(notes or ""),
                with_interval(seen.found, seen.total),
                f"{median[0]:,.0f}" if median else "–",
                _counted(elsewhere),
            )
        )
    return rows


KINDS_HEAD: Row = (
    *("sabotage", "found", "median delay, steps", "epochs", "in the first epoch"),
    *("named by", "also warned of"),
)


def kinds(
    runs: Sequence[Judged], expected: Mapping[str, frozenset[str]], causes: Causes = _NO_CAUSES
) -> list[Row]:
    """Return a row for each kind of sabotage."""
    rows: list[Row] = []
    for name, seen in detections(runs, expected, causes).items():
        some = [run for run in runs if run.kind == name]
        firsts = [run.first_right(expected[name], causes.get(name, ())) for run in some]
        names = Counter(reported.code for reported in firsts if reported is not None)
        median = seen.median()
        rows.append(
            (
                name,
                f"{seen.found}/{seen.total}",
                f"{median[0]:,.0f}" if median else "–",
                f"{median[1]:.2f}" if median else "–",
                f"{seen.early}/{seen.total}",
                _counted(names),
                _counted(seen.others),
            )
        )
    return rows


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def lined_up(head: Row, rows: Sequence[Row]) -> list[str]:
    """Return a table for a terminal."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = []
    for row in (head, tuple("─" * width for width in widths), *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def markdown(head: Row, rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def story(run: Judged) -> list[str]:
    """Return the findings of one run, in order."""
    accuracy = "–" if run.val_accuracy is None else f"{100 * run.val_accuracy:.1f} %"
    lines = [f"{run.name}: {run.steps:,} steps, validation accuracy {accuracy}"]
    if run.true_codes is not None:
        right = ", ".join(sorted(run.true_codes)) or "no finding"
        lines.append(f"  confirmed by the test images: {right}")
    for reported in run.reported:
        end = "" if reported.cleared is None else f", cleared at {reported.cleared:,}"
        lines.append(
            f"  step {reported.step:,} (epoch {reported.epochs:.2f}{end}) {reported.severity} "
            f"{reported.code}: {reported.title}; {reported.evidence}"
        )
    return lines
