"""The tables of causes: public faults by set and by fault, sabotages, and healthy runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.benchmarks.findings.effects import Compared, Score, Share, score
from tests.benchmarks.findings.judge import Judged
from tests.benchmarks.findings.table import Row, with_interval

METHOD = (
    "A run is *detected* if a warning or an error is raised; a note does not count. Its cause is "
    "*right* if the first cause of the leading finding (the most severe, then the earliest) is a "
    "true one, *partly* if another of its causes is or another warning's first cause, else "
    "*wrong*. The *effect* of a fault is the test accuracy of its clean twin (same seed, same "
    "10,000 clean test images) minus its own, in points; or, if that is more, by how much its "
    "validation accuracy is false. A diverged run has no number. A fault with an effect costs a "
    "point or more, or leaves no number. Intervals are Wilson's, 95 %."
)

SUMMARY_HEAD: Row = ("faults with an effect", "measured", "wanted")


def summary(compared: Sequence[Compared]) -> list[Row]:
    """Return the totals over the faults with an effect."""
    total = score(one for one in compared if one.has_effect)
    at_first = total.of_detected("right", at_first=True)
    rows: list[Row] = [
        ("detected", with_interval(*total.detected), "90 %"),
        ("… of effects below 10 points", with_interval(*total.small), "60 %"),
        (
            "right cause, of those detected",
            with_interval(*total.of_detected("right")),
            "80 %",
        ),
        (
            "… when the finding is raised",
            with_interval(*at_first),
            "",
        ),
        ("… partly right", with_interval(*total.of_detected("partly")), ""),
        ("… wrong", with_interval(*total.of_detected("wrong")), ""),
        ("right cause, of all", with_interval(*_right_of_all(total, compared)), ""),
        ("median delay of the first warning, steps", _steps(total.delay), "20"),
        ("… of the first that gives the cause", _steps(total.naming), ""),
        ("only a note", with_interval(*total.noted), ""),
    ]
    return rows


def _right_of_all(total: Score, compared: Sequence[Compared]) -> Share:
    """Return how many faults with an effect and a known cause have it named."""
    return total.verdicts.get("right", 0), sum(
        one.has_effect and bool(one.causes) for one in compared
    )


SETS_HEAD: Row = (
    *("set", "faults with an effect", "detected", "… below 10 points"),
    *("right", "partly", "wrong", "median delay, steps"),
)


def by_set(compared: Sequence[Compared]) -> list[Row]:
    """Return a row for each set."""
    rows: list[Row] = []
    for origin in dict.fromkeys(one.origin for one in compared):
        found = score(one for one in compared if one.origin == origin and one.has_effect)
        verdicts = (found.verdicts.get(v, 0) for v in ("right", "partly", "wrong"))
        detected, small = with_interval(*found.detected), with_interval(*found.small)
        row = (
            origin,
            str(found.detected[1]),
            detected,
            small,
            *map(str, verdicts),
            _steps(found.delay),
        )
        rows.append(row)
    return rows


FAULTS_HEAD: Row = (
    *("fault", "effect, points", "detected", "causes of the leading finding", "verdict"),
    "delay, steps",
)


def by_fault(compared: Iterable[Compared]) -> list[Row]:
    """Return a row for each faulty run."""
    rows: list[Row] = []
    for one in compared:
        leading, first = one.run.leading(), one.first
        rows.append(
            (
                one.run.name,
                _effect(one),
                _shown(one.run),
                ", ".join(leading.causes) if leading else "",
                _verdict(one),
                f"{first.step:,}" if first else "–",
            )
        )
    return rows


def _effect(one: Compared) -> str:
    if one.effect is None:
        return "no number"
    return f"{one.effect:.1f}" if one.unit == "points" else f"{one.effect:.0f} {one.unit}"


def _shown(run: Judged) -> str:
    """Return the codes of a run's warnings with their first steps; without one, its notes."""
    shown = run.warnings() or list(run.reported)
    first = {reported.code: reported for reported in reversed(shown)}
    text = ", ".join(f"`{r.code}` {r.step:,}" for r in sorted(first.values(), key=lambda r: r.step))
    return text if run.warnings() or not text else f"notes: {text}"


def _verdict(one: Compared) -> str:
    if one.first is None:
        return "not detected"
    return one.verdict or "no cause known"


def _steps(step: float | None) -> str:
    return "–" if step is None else f"{step:,.0f}"


# --- the suite


SABOTAGES_HEAD: Row = (
    "sabotage",
    "warned",
    "right",
    "partly",
    "wrong",
    "causes of the leading one",
)


def by_sabotage(runs: Sequence[Judged], causes: Mapping[str, tuple[str, ...]]) -> list[Row]:
    """Return a row for each kind of sabotage, and one for all."""
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    for kind, true in causes.items():
        some = [run for run in runs if run.kind == kind]
        if not some:
            continue
        verdicts: Counter[str] = Counter(run.verdict(true) or "" for run in some)
        counts += verdicts
        leading = Counter(one.causes[0] for run in some if (one := run.leading()))
        warned = f"{len(some) - verdicts['']}/{len(some)}"
        shown = ", ".join(f"{code} {count}" for code, count in leading.most_common())
        rows.append((kind, warned, *(str(verdicts[v]) for v in _VERDICTS), shown))
    detected = sum(counts[v] for v in _VERDICTS)
    total = ("all", with_interval(detected, detected + counts[""]))
    return [*rows, (*total, *(with_interval(counts[v], detected) for v in _VERDICTS), "")]


_VERDICTS = ("right", "partly", "wrong")


# --- healthy runs


FAMILIES: Mapping[str, str] = {
    "": "the suite's own",
    "preset": "the presets as shipped",
    "short": "the presets on fewer images",
    "lesson": "the lessons' trainings",
    "student": "student networks",
    "custom": "custom models of every kind",
    "fashion": "Fashion-MNIST",
    "twin": "clean twins",
    "loop": "user loops",
}
"""The families of healthy runs."""

HEALTHY_HEAD: Row = ("healthy runs", "with a false warning", "with a note")


def family_of(run: Judged) -> str:
    """Return the family of a healthy run."""
    origin, _, rest = run.kind.partition(".")
    return rest.partition("-")[0] if origin == "healthy" else origin


def by_family(runs: Iterable[Judged]) -> list[Row]:
    """Return a row for each family of healthy runs, and one for all."""
    healthy = [run for run in runs if run.is_healthy]
    rows = [
        _healthy_row(name, [run for run in healthy if family_of(run) == family])
        for family, name in FAMILIES.items()
    ]
    return [row for row in (*rows, _healthy_row("all", healthy)) if row[1] != "–"]


def _healthy_row(name: str, runs: Sequence[Judged]) -> Row:
    wrong = sum(bool(run.false_codes()) for run in runs)
    noted = sum(any(not r.is_warning for r in run.reported) for run in runs)
    return name, with_interval(wrong, len(runs)), with_interval(noted, len(runs))


def false_warnings(runs: Iterable[Judged]) -> list[str]:
    """Return a line for each false warning on a healthy run: its code, step and first cause."""
    return [
        f"{run.name}: {reported.severity} {reported.code} at step {reported.step:,}"
        + ("" if reported.cleared is None else f", cleared at {reported.cleared:,}")
        + f" ({', '.join(reported.causes)}): {reported.evidence}"
        for run in sorted(runs, key=lambda run: run.name)
        if run.is_healthy
        for reported in run.warnings()
        if reported.code in run.false_codes()
    ]


def notes(runs: Iterable[Judged]) -> str:
    """Return how many healthy runs have each note."""
    counted = Counter(
        code
        for run in runs
        if run.is_healthy
        for code in {reported.code for reported in run.reported if not reported.is_warning}
    )
    return ", ".join(f"{code} {count}" for code, count in counted.most_common()) or "none"


# --- other tools


PUBLISHED_HEAD: Row = ("tool", "published", "what is not comparable")

PUBLISHED: Sequence[Row] = (
    (
        "UMLAUT",
        "warns on 87 % of normal MNIST models",
        "Keras; rules over the program's text as well as its training",
    ),
    (
        "DeepDiagnosis",
        "warns on 47 % of normal MNIST models",
        "Keras; stops the training at the first symptom, which it maps to one place",
    ),
    (
        "TrainCheck",
        "finds 18 of 20 silent errors",
        "learns invariants from clean runs of similar programs; many of its errors need several "
        "processes or a framework's bug, and are not in our set",
    ),
    (
        "DeepFD",
        "recall 0.55, precision 0.37",
        "a classifier trained on mutants; counts each of several faults in one program",
    ),
    (
        "DEFault",
        "detects 94 %, root cause right in 63 %",
        "a classifier trained on mutants of the kind that it is tested on",
    ),
)
"""What is published for other tools: each measured on its own programs, by its own counting."""
