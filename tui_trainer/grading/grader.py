"""Verifies submissions, several at a time, each in its process; none of them stops the others."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_trainer.grading.figures import FiguresError, ModelFigures
from tui_trainer.grading.outcome import Outcome, Status
from tui_trainer.grading.process import Ended, Limits, SubmissionProcess
from tui_trainer.grading.requirements import Requirements
from tui_trainer.grading.submissions import Submission
from tui_trainer.history.seed_results import SeedResults
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.seed_group import SEEDS_FILE, read_group
from tui_trainer.text.fmt import clip, one_line

LONGEST_PROBLEM = 400
"""The most characters of a problem, part of which the submission chose."""

MAX_MODELS = 100
"""The most models of one file that are verified."""

POLL_SECONDS = 0.05
_PAUSE_SECONDS = 0.005

_NO_MEMORY = ("MemoryError", "can't allocate memory", "not enough memory", "out of memory")
"""Parts of the messages of Python and PyTorch when memory cannot be allocated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How submissions are verified.

    Attributes:
        command: The program that runs a job; the path of the job file follows.
        requirements: What each of them has to meet.
        limits: The limits of each of them.
        job_of: Returns the job of a submission, as JSON; ``out`` in it is the folder of its runs.
        error_in: Returns the last error message in the output of the program.
        variables: What the environment of each process has in addition.
        workers: How many run at the same time.
    """

    command: Sequence[str]
    requirements: Requirements
    limits: Limits
    job_of: Callable[[Submission], Mapping[str, Any]]
    error_in: Callable[[str], str]
    variables: Mapping[str, str]
    workers: int = 1


@dataclass(slots=True)
class _Running:
    submission: Submission
    process: SubmissionProcess
    folder: str


def verify_all(
    submissions: Sequence[Submission],
    plan: Plan,
    is_interrupted: Callable[[], bool],
    show: Callable[[str], None],
) -> Iterator[tuple[Submission, Outcome]]:
    """Yield each submission with its outcome as it ends; once interrupted, end all and stop.

    A file with several models becomes a submission for each of them, if the plan asks for that.

    Args:
        submissions: The submissions.
        plan: How they are verified.
        is_interrupted: Whether to end.
        show: Gets what is being done, several times a second.

    Raises:
        InputError: If no process can be started.
    """
    waiting = list(submissions)
    running: list[_Running] = []
    try:
        while (waiting or running) and not is_interrupted():
            while waiting and len(running) < plan.workers:
                submission = waiting.pop(0)
                if submission.problem:
                    problem = submission.problem
                    yield (
                        submission,
                        Outcome(name=submission.name, status=Status.ERROR, problem=problem),
                    )
                    continue
                running.append(_start(submission, plan))
            for each in list(running):
                if (ended := each.process.poll()) is not None:
                    running.remove(each)
                    _clear(each)
                    if names := _models_in(ended):
                        waiting[:0] = map(each.submission.with_model, names)
                        continue
                    outcome = outcome_of(each.submission, ended, plan, each.folder)
                    yield each.submission, outcome
            show(", ".join(_words(each) for each in running))
            _wait([each.process for each in running])
    finally:
        for each in running:
            each.process.kill()
            _clear(each)


def _wait(processes: Sequence[SubmissionProcess]) -> None:
    """Wait a moment, or until one of the processes has printed something.

    One that has closed its output is always ready, hence the pause.
    """
    ready, _, _ = select.select([each.output for each in processes], [], [], POLL_SECONDS)
    if ready:
        time.sleep(_PAUSE_SECONDS)


def _start(submission: Submission, plan: Plan) -> _Running:
    job = plan.job_of(submission)
    process = SubmissionProcess(plan.command, job, plan.limits, plan.variables)
    return _Running(submission, process, str(job.get("out") or ""))


def _models_in(ended: Ended) -> list[str]:
    """Return the models of a file that are verified one by one; none if it has one."""
    found = ended.result.get("models")
    if ended.problem or not isinstance(found, list):
        return []
    names = [name for name in found if isinstance(name, str) and name.isidentifier()]
    return list(dict.fromkeys(names))[:MAX_MODELS]


def _clear(each: _Running) -> None:
    """Remove what a process has left, but not its runs."""
    each.process.remove()
    with suppress(OSError):  # not empty: it has runs
        if each.folder:
            Path(each.folder).rmdir()


def _words(each: _Running) -> str:
    progress = each.process.progress
    return f"{each.submission.name}: {progress}" if progress else each.submission.name


def outcome_of(submission: Submission, ended: Ended, plan: Plan, folder: str) -> Outcome:
    """Return what became of a submission whose process has ended.

    Args:
        submission: The submission.
        ended: How its process ended.
        plan: How it was verified.
        folder: The folder of its runs; empty if it is not trained.
    """
    result = ended.result
    figures, problem = _figures_in(result)
    if ended.problem:
        words = "" if ended.limit else plan.error_in(ended.output)
        problem = words or ended.problem
    if not ended.limit and result.get("problem"):
        problem = str(result["problem"])
    results, unreadable = _results_in(folder)
    problem = problem or unreadable
    seeds = None if results is None else results.results
    checks = plan.requirements.checks(figures, seeds)
    if not problem and plan.requirements.target is not None and seeds is None:
        problem = "it was not trained"
    status = _status(ended, problem, all(check.is_met for check in checks))
    if status is Status.MEMORY_LIMIT and not ended.limit:
        problem = f"{problem}; the memory limit is {plan.limits.memory / 10**9:g} GB"
    return Outcome(
        name=submission.name,
        model=clip(one_line(str(result.get("model") or "")), 80),
        status=status,
        checks=checks,
        problem=clip(one_line(problem), LONGEST_PROBLEM),
        figures=figures,
        folder=folder if results is not None else "",
        training=None if results is None else results.record(),
        seconds=round(ended.seconds, 3),
    )


def _status(ended: Ended, problem: str, is_met: bool) -> Status:
    if ended.limit == "time":
        return Status.TIME_LIMIT
    if ended.limit == "memory" or any(words in problem for words in _NO_MEMORY):
        return Status.MEMORY_LIMIT
    if problem:
        return Status.ERROR
    return Status.MET if is_met else Status.NOT_MET


def _figures_in(result: Mapping[str, Any]) -> tuple[ModelFigures | None, str]:
    """Return the figures in a result, and why they cannot be used."""
    if result.get("figures") is None:
        return None, "its process reported no figures"
    try:
        return ModelFigures.of(result["figures"]), ""
    except FiguresError as error:
        return None, f"its process reported no valid figures ({error})"


def _results_in(folder: str) -> tuple[SeedResults | None, str]:
    """Return the results of the runs in a folder, and why they cannot be read."""
    if not folder or not (Path(folder) / SEEDS_FILE).is_file():
        return None, ""
    try:
        return read_group(Path(folder)).results, ""
    except InputError as error:
        return None, str(error)
