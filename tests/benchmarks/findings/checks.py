"""Checking faulty and healthy trainings: how often ``mnist-tui check`` exits with code 6.

A check is run like the command, in this process. A fault of a run's parts (a session hook) is not
there before the run: it is listed as out of reach. Each check writes ``NAME.json`` into the folder
``checks-SEEDS``; a check whose file exists is not repeated, unless its settings have changed.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import tui_trainer.engine.prepare as preparing
from tests.benchmarks.findings.files import recorded_events
from tests.benchmarks.findings.healthy import FASHION, PRESET_SEEDS, family_cases, preset_cases
from tests.benchmarks.findings.public.faults import FAULTS, public_cases, public_sabotage
from tests.benchmarks.findings.record import config_of
from tests.benchmarks.findings.suite import HEALTHY, TWIN, Case
from tui_trainer.data.dataset import Data
from tui_trainer.data.loading import load
from tui_trainer.lab import standalone
from tui_trainer.protocol.answers import Answered
from tui_trainer.protocol.commands import Ask
from tui_trainer.protocol.config import MODELS
from tui_trainer.protocol.diagnosis import CheckItem
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.events import EpochDone
from tui_trainer.stats.intervals import wilson

SHIFTS: Mapping[str, int] = {"public-tuning": 0, "public-judging": 1_000}
"""What is added to the seeds of the suite's healthy runs."""

POINTS = 0.10
"""The effect of a fault, as a fraction of validation accuracy, that a check should find."""

_RATES: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"optimizer": "sgd", "lr": 0.02},
    "adam": {"optimizer": "adam", "lr": 0.002},
    "adamw": {"optimizer": "adamw", "lr": 0.002},
}
_ZOO: Mapping[str, Any] = {"train_size": 10_000, "val_size": 2_000, "batch_size": 64, "epochs": 5}


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked training.

    Attributes:
        case: Its case.
        failed: Whether the check exits with code 6.
        items: The errors and warnings: severity, code, title, and the codes of the causes.
        seconds: The CPU time.
        error: The exception it raised, or the refusal; empty if none.
    """

    case: Case
    failed: bool
    items: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    seconds: float
    error: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it is a public fault."""
        return self.case.kind.replace(".", "/", 1) in FAULTS

    @property
    def has_failed(self) -> bool:
        """Whether the command's exit code is not 0."""
        return self.failed or bool(self.error)


def check_cases(seeds: str) -> list[Case]:
    """Return the trainings to check: the visible faults of a half, and healthy ones."""
    return [case for case in (*public_cases(seeds), *_healthy(seeds)) if not _out_of_reach(case)]


def out_of_reach(seeds: str) -> list[str]:
    """Return the names of the faults that only a run has."""
    return sorted({case.kind for case in public_cases(seeds) if _out_of_reach(case)})


def _out_of_reach(case: Case) -> bool:
    sabotage = public_sabotage(case.kind)
    return sabotage is not None and sabotage.session is not None


def _healthy(seeds: str) -> Iterator[Case]:
    """Yield each healthy training of the suite once, and every zoo model."""
    shift = SHIFTS[seeds]
    presets = (case for case in preset_cases() if case.seed == PRESET_SEEDS[0])
    for case in (*presets, *(case for case in family_cases() if case.data != FASHION)):
        seed = case.seed + shift
        yield replace(case, seed=seed, settings={**case.settings, "seed": seed})
    for model, (optimizer, rates) in zip(MODELS, itertools.cycle(_RATES.items()), strict=False):
        settings = {**_ZOO, **rates, "model": model, "seed": 1 + shift}
        yield Case(f"{HEALTHY}.zoo-{model}-{optimizer}", 1 + shift, settings)


@contextmanager
def _spoiled(case: Case) -> Iterator[None]:
    """Apply the data hook of a fault to the data that are loaded in the block."""
    sabotage = public_sabotage(case.kind)

    def load_spoiled(*args: Any) -> Generator[Any, None, Data]:
        data = yield from load(*args)
        return data if sabotage is None or sabotage.data is None else sabotage.data(data)

    with patch.object(preparing, "load", load_spoiled):
        yield


def check_case(case: Case, root: Path) -> Checked:
    """Check a training."""
    began = time.process_time()
    found: list[CheckItem] = []
    error = ""
    torch.set_num_threads(1)
    try:
        with _spoiled(case):
            for event in standalone.answers(config_of(case, root), [Ask("check")]):
                if isinstance(event, Answered) and isinstance(event.content, CheckItem):
                    found.append(event.content)
    except InputError as refused:
        error = f"refused: {refused}"
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    items = tuple(
        (item.severity, item.code, item.title, tuple(cause.code for cause in item.causes))
        for item in found
        if item.severity in ("error", "warning")
    )
    failed = any(severity == "error" for severity, *_ in items)
    return Checked(case, failed, items, time.process_time() - began, error)


def verdict(case: Case, root: Path) -> list[tuple[str, str, str, str]]:
    """Return everything that a check says, except the time of an epoch."""
    shown: list[tuple[str, str, str, str]] = []
    with _spoiled(case):
        for event in standalone.answers(config_of(case, root), [Ask("check")]):
            if isinstance(event, Answered) and isinstance(event.content, CheckItem):
                item = event.content
                if item.code != "first-epoch":
                    shown.append((item.code, item.severity, item.title, item.evidence))
    return shown


def same_under_load(case: Case, root: Path) -> bool:
    """Check a training alone and next to busy processes; return whether both say exactly the same.

    There are twice as many busy processes as CPU cores.
    """
    quiet = verdict(case, root)
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_spin, daemon=True) for _ in range(2 * (os.cpu_count() or 1))]
    for process in busy:
        process.start()
    try:
        loaded = verdict(case, root)
    finally:
        for process in busy:
            process.terminate()
            process.join()
    return quiet == loaded


def _spin() -> None:
    while True:
        pass


def check_all(
    cases: Sequence[Case], folder: Path, root: Path, workers: int, log: Callable[[str], None]
) -> list[Checked]:
    """Check every training that was not checked yet, and return all results."""
    folder.mkdir(parents=True, exist_ok=True)
    due = [case for case in cases if _read(case, folder) is None]
    log(f"{len(due)} of {len(cases)} checks to do, into {folder}")
    if due:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_be_nice) as pool:
            jobs = [pool.submit(check_case, case, root) for case in due]
            for count, job in enumerate(as_completed(jobs), 1):
                done = job.result()
                text = json.dumps(asdict(done), indent=1)
                (folder / f"{done.case.name}.json").write_text(text, encoding="utf-8")
                log(f"{count}/{len(due)}  {_line(done)}")
    return [found for case in cases if (found := _read(case, folder)) is not None]


def _be_nice() -> None:
    if hasattr(os, "nice"):
        os.nice(5)


def _read(case: Case, folder: Path) -> Checked | None:
    path = folder / f"{case.name}.json"
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    items = tuple((a, b, c, tuple(d)) for a, b, c, d in record["items"])
    found = Checked(
        Case(**record["case"]), record["failed"], items, record["seconds"], record["error"]
    )
    return found if found.case == case else None


def _line(one: Checked) -> str:
    shown = "; ".join(f"{severity} {code}: {title}" for severity, code, title, _ in one.items)
    return f"{one.case.name}  exit {6 * one.failed}  {one.seconds:.1f} s  {one.error or shown}"


def effects(cases: Iterable[Case], runs: Path) -> dict[str, float]:
    """Return the effect of each fault whose run and whose twin's run are recorded.

    It is the validation accuracy of the twin minus that of the fault, as a fraction; 1 for a run
    without a number.
    """
    found = {}
    for case in cases:
        fault = FAULTS.get(case.kind.replace(".", "/", 1))
        if fault is None:
            continue
        paths = [runs / f"{name}-{case.seed}.json" for name in (case.kind, f"{TWIN}.{fault.base}")]
        if all(path.exists() for path in paths):
            faulty, twin = map(_accuracy, paths)
            found[case.name] = 1.0 if faulty is None else (twin or 0.0) - faulty
    return found


def _accuracy(path: Path) -> float | None:
    epochs = [event for event in recorded_events(path) if isinstance(event, EpochDone)]
    return epochs[-1].val_accuracy if epochs else None


def report(results: Sequence[Checked], seeds: str, runs: Path, pattern: str) -> Iterator[str]:
    """Yield the result as lines."""
    healthy = [one for one in results if not one.is_fault]
    faults = [one for one in results if one.is_fault]
    wrong = [one for one in healthy if one.has_failed]
    yield f"healthy: {_share(len(wrong), len(healthy))} exit with an error"
    warned = [one for one in healthy if one.items]
    yield f"healthy: {_share(len(warned), len(healthy))} with a warning or an error"
    known = effects((one.case for one in faults), runs)
    large = [one for one in faults if known.get(one.case.name, 0.0) > POINTS]
    for name, some in ((f"faults of more than {POINTS:.0%}", large), ("all faults", faults)):
        yield f"{name}: {_share(sum(one.has_failed for one in some), len(some))} exit with an error"
        named = [one for one in some if one.items]
        right = [one for one in named if _is_right(one)]
        yield f"{name}: right cause first in {_share(len(right), len(named))} with a warning"
    times = [one.seconds for one in results]
    yield f"seconds of one core: median {statistics.median(times):.1f}, most {max(times):.1f}"
    yield f"out of a check's reach: {', '.join(out_of_reach(seeds))}"
    yield ""
    for one in sorted(results, key=lambda one: (one.is_fault, -known.get(one.case.name, -1.0))):
        if (one.is_fault or one.items or one.error) and fnmatch(one.case.name, pattern):
            effect = known.get(one.case.name)
            points = "" if effect is None else f"{100 * effect:+.1f} points  "
            yield f"{'fault' if one.is_fault else 'healthy'}  {points}{_line(one)}"


def _is_right(one: Checked) -> bool:
    """Whether the first cause of the most severe item is the fault's."""
    ordered = sorted(one.items, key=lambda item: item[0] != "error")
    causes = next((causes for *_, causes in ordered if causes), ())
    return bool(causes) and causes[0] in FAULTS[one.case.kind.replace(".", "/", 1)].causes


def _share(count: int, total: int) -> str:
    if not total:
        return "0 of 0"
    low, high = wilson(count, total)
    return f"{count} of {total} ({count / total:.0%} [{low:.0%}, {high:.0%}])"
