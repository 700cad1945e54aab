"""Running user loops, each in its own process with a time limit.

A watched run leaves ``NAME.jsonl`` with its events, and ``NAME.json`` with what it cost. The
*effect* of a fault is measured without watching: that changes no weight, and can be done before.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

import tui_trainer
from tests.benchmarks.findings.loops.job import Predict, Unwatched, raw_digits, test_digits
from tests.benchmarks.findings.loops.suite import LoopCase

LIMIT_S = 300.0
"""After so many seconds a process is ended: a run takes 2 to 8 on an idle core."""

REPEATS = 3
"""A small effect is the mean over so many random seeds: a single run is off by a point or two."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run came to.

    Attributes:
        seconds: Its wall-clock time, without the evaluation on test images.
        waiting: Its time relative to that without waiting for batches, from 1.
        cpu_seconds: Its CPU time.
        memory_mb: By how much the memory of its process has grown.
        test_accuracy: The accuracy on clean test images; None if it has no number.
        val_accuracy: The last validation accuracy that the loop reported.
        error: Its exception; empty if none.
        repeats: Over how many seeds the accuracies are a mean.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0
    test_accuracy: float | None = None
    val_accuracy: float | None = None
    error: str = ""
    repeats: int = 1
    waiting: float = 1.0


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run_loop(case: LoopCase, watch: Callable[..., object] = Unwatched, repeat: int = 0) -> Cost:
    """Run a loop in this process, and measure it."""
    torch.set_num_threads(1)
    torch.manual_seed(case.seed + 1_000 * repeat)
    raw_digits()
    memory, began, cpu = _resident_mb(), time.perf_counter(), time.process_time()
    predict = case.loop(case.job(watch))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = _resident_mb() - memory
    cost = Cost(seconds, cpu, grown, _test_accuracy(predict))
    if watch is not Unwatched:
        return cost
    run = Unwatched.last
    waiting = seconds / (seconds - run.waited)
    return replace(cost, val_accuracy=run.val_accuracy, waiting=waiting)


def _test_accuracy(predict: Predict) -> float:
    if isinstance(predict, nn.Module):
        predict.eval()
    images, labels = test_digits()
    correct = 0
    with torch.no_grad():
        for x, y in zip(torch.split(images, 250), torch.split(labels, 250), strict=True):
            correct += int((predict(x).argmax(1) == y).sum())
    return correct / len(labels)


def _mean(costs: Sequence[Cost]) -> Cost:
    """Return the mean accuracies of some runs, their least time, and the memory of the first."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    return replace(
        costs[0],
        repeats=len(costs),
        cpu_seconds=min(cost.cpu_seconds for cost in costs),
        test_accuracy=mean([cost.test_accuracy for cost in costs]),
        val_accuracy=mean([cost.val_accuracy for cost in costs]),
    )


def _measure(case: LoopCase, path: Path, repeats: int, *, watched: bool) -> None:
    """Run a loop and write its files; the body of a child process."""
    folder = path.with_suffix(".run")
    shutil.rmtree(folder, ignore_errors=True)
    watch = partial(tui_trainer.watch, out=folder, progress=False) if watched else Unwatched
    try:
        cost = _mean([run_loop(case, watch, repeat) for repeat in range(repeats)])
    except Exception:
        cost = Cost(error=traceback.format_exc())
    if (events := folder / "events.jsonl").exists():
        shutil.copy(events, path.with_suffix(".jsonl"))
        shutil.rmtree(folder)
    written = {"case": {"kind": case.kind, "name": case.stem}, **asdict(cost)}
    path.write_text(json.dumps(written, indent=1), encoding="utf-8")


def measure(case: LoopCase, path: Path, repeats: int, *, watched: bool) -> Cost:
    """Run a loop in its own process, and read what it has written."""
    path.unlink(missing_ok=True)
    child = get_context("fork").Process(
        target=_measure, args=(case, path, repeats), kwargs={"watched": watched}
    )
    child.start()
    child.join(repeats * LIMIT_S)
    if child.is_alive():
        child.kill()
        child.join()
    return read_cost(path)


def read_cost(path: Path) -> Cost:
    """Read the cost of a run; its error says so if the run did not end."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Cost(error=f"no record: not trained, or killed after {LIMIT_S:.0f} s")
    return Cost(**{name: written[name] for name in Cost.__slots__ if name in written})


def measure_all(
    cases: Sequence[LoopCase],
    folder: Path,
    workers: int,
    log: Callable[[str], None],
    *,
    watched: bool,
    again: bool = False,
    repeats: int = 1,
) -> None:
    """Run every loop that has no record yet, or all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    raw_digits()
    due = [case for case in cases if again or not (folder / f"{case.stem}.json").exists()]
    log(f"{len(due)} of {len(cases)} loops to run, into {folder}")
    with ThreadPoolExecutor(workers) as pool:
        jobs = {
            pool.submit(measure, case, folder / f"{case.stem}.json", repeats, watched=watched): case
            for case in due
        }
        for count, job in enumerate(as_completed(jobs), start=1):
            cost, case = job.result(), jobs[job]
            accuracy = "–" if cost.test_accuracy is None else f"{100 * cost.test_accuracy:.1f} %"
            error = cost.error.strip().rpartition("\n")[2]
            log(f"{count}/{len(due)}  {case.stem}  {cost.seconds:.1f} s  {accuracy}  {error}")
