"""``mnist-tui verify``: check submitted models against requirements, each in its process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.detach import PROGRAM, last_error
from tui_trainer.cli.models import MAX_PIXELS, check_range
from tui_trainer.cli.options import option
from tui_trainer.cli.report_file import check_report, write_report
from tui_trainer.cli.sweep_workers import threads_of
from tui_trainer.cli.train import expanded
from tui_trainer.cli.verify_plan import (
    MEMORY_GB,
    OF_TRAINING,
    SECONDS,
    TRAINING_SECONDS,
    Jobs,
    find_submissions,
    limits_of,
    shortened,
    training_of,
)
from tui_trainer.grading.grader import Plan, verify_all
from tui_trainer.grading.outcome import Outcome, Status, exit_code_of
from tui_trainer.grading.requirements import Requirements, kinds_of
from tui_trainer.grading.submissions import Submission
from tui_trainer.history.target import Target
from tui_trainer.protocol.components import COMPONENTS
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.exit_codes import CODES_BY_REASON
from tui_trainer.protocol.settings import RECORD
from tui_trainer.terminal.signals import REASONS, handled

REQUIRED, LIMITS = "Requirements", "Limits of each submission"
"""Sections of ``--help``."""

MAX_WORKERS = 256

HELPS = {
    "target_accuracy": "Train, and exit with code 14 if test accuracy is below this, e.g. 0.994; "
    "with --last, validation"
}

Kinds = Annotated[
    list[str] | None,
    option(
        f"Kinds of layers that it must use, with commas: {', '.join(COMPONENTS)}",
        "--has",
        section=REQUIRED,
        metavar="KIND",
    ),
]


@opt.with_settings(OF_TRAINING, after="config", helps=HELPS)
def verify(
    ctx: typer.Context,
    place: Annotated[
        str | None,
        typer.Argument(
            help="A model: FILE.py, FILE.py:CLASS; or a folder of submissions (their code runs)",
            metavar="FILE[:CLASS] | FOLDER",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None, option("Class or function in each file (its only model class)", "--model")
    ] = None,
    every_model: Annotated[
        bool, option("Verify each model class of a file with several", "--every-model")
    ] = False,
    params: Annotated[int | None, option("At most N parameters", section=REQUIRED)] = None,
    multiply_adds: Annotated[
        int | None, option("At most N multiply-adds for one image", section=REQUIRED)
    ] = None,
    receptive_field: Annotated[
        int | None, option("Receptive field of a logit: at least N×N", section=REQUIRED)
    ] = None,
    last_receptive_field: Annotated[
        int | None, option("The same before averaging: of the last convolution", section=REQUIRED)
    ] = None,
    has: Kinds = None,
    no: Annotated[
        list[str] | None,
        option("Kinds that it must not use", "--no", section=REQUIRED, metavar="KIND"),
    ] = None,
    review: Annotated[
        bool, option("No error of the design review", "--review", section=REQUIRED)
    ] = False,
    seeds: Annotated[
        int | None, option("With --target-accuracy: number of seeds (1)", section=REQUIRED)
    ] = None,
    time_limit: Annotated[
        float | None,
        option(f"Seconds ({SECONDS:g}, with training {TRAINING_SECONDS:,g})", section=LIMITS),
    ] = None,
    memory_limit: Annotated[float, option(f"GB ({MEMORY_GB:g})", section=LIMITS)] = MEMORY_GB,
    workers: Annotated[
        int, option("Submissions at the same time; they share the cores (1)", section=LIMITS)
    ] = 1,
    as_json: opt.JsonObject = False,
    junit: Annotated[Path | None, option("Also write JUnit XML", "--junit", metavar="FILE")] = None,
    csv: Annotated[Path | None, option("Also write CSV", "--csv", metavar="FILE")] = None,
    markdown: Annotated[
        Path | None,
        option("Also write a Markdown table, as for a CI summary", "--markdown", metavar="FILE"),
    ] = None,
    image_size: Annotated[int | None, option("Image size in pixels (28)")] = None,
    channels: Annotated[int | None, option("Image channels (1)")] = None,
    classes: Annotated[int | None, option("Number of classes (10)")] = None,
    out: Annotated[
        Path | None, option("Folder for the runs (runs/TIME-NAME)", section=RECORD)
    ] = None,
    job: Annotated[Path | None, typer.Option("--job", hidden=True)] = None,
    preset: opt.PresetOption = None,
    config: opt.ConfigFile = None,
    debug: opt.Debug = False,
    **settings: Any,
) -> None:
    """Check a model, or a folder of them, against requirements: each with its figure.

    With --target-accuracy each model is trained and recorded, as `seeds` does; otherwise nothing is
    trained. Each submission runs in a process with limits, which is no sandbox. Exit code 14 if a
    requirement is not met, 15 if a submission has no result.
    """
    if job is not None:
        from tui_trainer.cli.verify_job import run_job

        run_job(job)
        os._exit(0)  # threads of the submission would keep the process alive
    if sys.platform == "win32":
        raise InputError("verify: needs Linux or macOS, whose processes can be limited")
    submissions, root = find_submissions(place, model)
    training = training_of(ctx.params)
    wanted = Requirements(
        params=params,
        multiply_adds=multiply_adds,
        receptive_field=receptive_field,
        last_receptive_field=last_receptive_field,
        has=kinds_of("--has", has or ()),
        no=kinds_of("--no", no or ()),
        review=review,
        target=None if training is None else Target.of(training.as_dict()),
    )
    size = 28 if image_size is None else image_size
    depth = 1 if channels is None else channels
    check_range("--image-size", size, MAX_PIXELS)
    check_range("--channels", depth, MAX_PIXELS)
    count = 10 if classes is None else classes
    check_range("--classes", count, 100_000)
    check_range("--workers", workers, MAX_WORKERS)
    files = {"--junit": junit, "--csv": csv, "--markdown": markdown}
    for name, path in files.items():
        if path is not None:
            check_report(path, name)
    limits = limits_of(time_limit, memory_limit, is_trained=training is not None)
    common = {
        **{"image_size": size, "channels": depth, "classes": count},
        "given": {"image_size": image_size, "channels": channels, "classes": classes},
        **{
            "review": review,
            "every_model": every_model,
            "memory": limits.memory,
            "seconds": limits.seconds,
        },
    }
    plan = Plan(
        command=[*PROGRAM, "verify", "--job"],
        requirements=wanted,
        limits=limits,
        job_of=Jobs(common, training, seeds or 1, expanded(out), is_folder=root is not None),
        error_in=last_error,
        variables={"PYTHONDONTWRITEBYTECODE": "1", **threads_of(workers, None)},
        workers=workers,
    )
    raise typer.Exit(_verify(submissions, plan, root, files, as_json=as_json))


def _not_verified(name: str, reasons: Sequence[str]) -> Outcome:
    problem = f"{reasons[0]} before it was verified" if reasons else "its file has no model"
    return Outcome(name=name, status=Status.NOT_VERIFIED, problem=problem)


def _verify(
    submissions: Sequence[Submission],
    plan: Plan,
    root: Path | None,
    files: Mapping[str, Path | None],
    *,
    as_json: bool,
) -> int:
    """Verify submissions, print and write the outcomes; return the exit code."""
    from tui_trainer.grading.junit import junit_xml
    from tui_trainer.headless.verify_text import (
        Progress,
        csv_text,
        markdown_text,
        print_outcomes,
    )

    started = datetime.now()
    reasons: list[str] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        reasons.append(REASONS[signal.Signals(number)])

    found: dict[str, list[Outcome]] = {each.name: [] for each in submissions}
    with handled(REASONS, on_signal), Progress(len(submissions)) as progress:
        for each, outcome in verify_all(submissions, plan, lambda: bool(reasons), progress.show):
            found[each.file_name].append(shortened(outcome, root))
            progress.done()
    outcomes = [
        outcome
        for name, ended in found.items()
        for outcome in ended or [_not_verified(name, reasons)]
    ]
    code = CODES_BY_REASON[reasons[0]] if reasons else exit_code_of(outcomes)
    is_folder = root is not None
    print_outcomes(outcomes, plan.requirements, int(code), is_folder=is_folder, as_json=as_json)
    if (path := files["--junit"]) is not None:
        write_report(path, junit_xml(outcomes, started), "JUnit XML")
    if (path := files["--csv"]) is not None:
        write_report(path, csv_text(outcomes), "CSV")
    if (path := files["--markdown"]) is not None:
        write_report(path, markdown_text(outcomes), "Markdown")
    return code
