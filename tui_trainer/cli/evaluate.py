"""``mnist-tui evaluate``: the views of a run's model, without the window."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tui_trainer.cli import options as opt
from tui_trainer.cli.moved_paths import DataPath, ModelPath, MovedPaths
from tui_trainer.cli.options import choice, option
from tui_trainer.cli.picture_files import PictureFiles, picture_files
from tui_trainer.cli.report_file import check_report, write_report
from tui_trainer.cli.saved import RunName, answers, saved_run
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.inspection import VIEWS, View, find_view
from tui_trainer.recording.test_evaluations import counted
from tui_trainer.text.fmt import plural

if TYPE_CHECKING:
    from tui_trainer.headless.evaluation_text import Evaluation

SHOWN_VIEWS = tuple(view for view in VIEWS if not view.takes_drawing)
"""The views that need no drawing by hand."""

IMAGES = "images"


def evaluate(
    run: RunName = None,
    checkpoint: opt.Checkpoint = "last",
    test: Annotated[
        bool, option("Evaluate on the test set; the run counts each test evaluation", "--test")
    ] = False,
    views: Annotated[
        list[str] | None,
        option(
            choice(
                "Show only this view; can be repeated", tuple(view.name for view in SHOWN_VIEWS)
            ),
            "--view",
        ),
    ] = None,
    settings: opt.Controls = None,
    as_json: opt.JsonObject = False,
    report: Annotated[
        Path | None,
        option("Write an HTML report with all pictures to this file", "--report", metavar="FILE"),
    ] = None,
    out: Annotated[
        str | None,
        option(
            "Draw the views: FILE.svg or FILE.png for one view, FOLDER/ for one file per view and "
            "layer",
            "--out",
            metavar="PATH",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        option("Formats of the files in the folder, separated by commas: svg, png (svg)", "--as"),
    ] = None,
    model: ModelPath = None,
    data_dir: DataPath = None,
    batch_size: opt.InspectBatchSize = None,
    threads: opt.RecordedThreads = None,
    debug: opt.Debug = False,
) -> None:
    """Evaluate a run's model: accuracy, mistakes and what it learned.

    Prints every view as text or JSON, writes them to an HTML report, or draws them.
    """
    from tui_trainer.headless.questions import parse_choices

    chosen, selected = parse_choices(settings or []), _selected_views(views or [])
    if IMAGES in chosen:
        raise InputError(
            f"--set {IMAGES}: not available; evaluate uses validation images, and test images "
            "with --test"
        )
    found = saved_run(run, checkpoint, moved=MovedPaths(model, data_dir))
    if test and found.is_of_script:
        raise InputError(
            f"--test: {found.folder.name} has no test set, because its script keeps it; leave it "
            "out to evaluate the recorded validation examples"
        )
    config = found.settings(threads=threads, batch_size=batch_size)
    if report is not None:
        check_report(report)
    files = _picture_files(out, formats, len(selected))
    is_folder = files is not None and files.is_folder

    from tui_trainer.headless import evaluation_text as front
    from tui_trainer.headless.diagnosis_text import evaluated
    from tui_trainer.headless.view_questions import ViewQuestions

    sequence = ViewQuestions(
        selected,
        chosen,
        on_test=test,
        all_layers=report is not None or is_folder,
        after_overview=is_folder,
        test_evaluations=found.recorded.test_evaluations,
    )
    events = answers(config, sequence.questions(), found)
    if test:
        events = counted(events, found.folder, found.recorded)
    evaluation = front.evaluate(
        events,
        sequence,
        run=found.folder.name,
        checkpoint=checkpoint,
        epoch=found.metadata["epoch"],
    )
    if as_json:
        front.print_record(evaluation, str(found.folder.path))
    written = []
    if files is not None:
        from tui_trainer.headless.view_pictures import view_pictures

        written.append(files.write(view_pictures(evaluation)))
    if report is not None:
        findings = evaluated(found.past).most_severe_first
        evaluation = replace(evaluation, findings=tuple(findings))
        command = _report_command(evaluation, selected, settings or [], report)
        written.append(_write_report(report, evaluation, command))
    for line in written:
        if as_json:
            Console(sys.stderr, time.monotonic).print(line)
        else:
            standard_output().line(line)
    if not written and not as_json:
        front.print_evaluation(evaluation)


def _selected_views(names: Sequence[str]) -> Sequence[View]:
    """Return the views with these names, each once; all views if there are no names.

    Raises:
        InputError: If there is no such view, or it needs a drawing.
    """
    found: list[View] = []
    for name in names:
        view = find_view(name)
        if view.takes_drawing:
            raise InputError(
                f"--view {view.name}: needs a digit drawn by hand; open it with mnist-tui "
                "inspect, or classify a picture with mnist-tui predict"
            )
        if view not in found:
            found.append(view)
    return found or SHOWN_VIEWS


def _picture_files(out: str | None, formats: str | None, views: int) -> PictureFiles | None:
    """Return where pictures go; None if none are asked for."""
    if out is not None:
        return picture_files(out, formats or "", views)
    if formats is not None:
        raise InputError("--as: has no effect without --out FOLDER/; add it")
    return None


# --- the report


def _write_report(path: Path, found: Evaluation, command: str) -> str:
    """Write the report; return a line with its path and size."""
    from tui_trainer.headless.html_report import report

    return write_report(path, report(found, command), plural(len(found.views), "view"))


def _report_command(
    found: Evaluation, views: Sequence[View], settings: Sequence[str], report: Path
) -> str:
    """Return the command that creates this report again, without local folders."""
    words = ["mnist-tui", "evaluate", found.run]
    words += ["--checkpoint", found.checkpoint] if found.checkpoint != "last" else []
    words += ["--test"] if found.is_on_test else []
    words += [word for view in views for word in ("--view", view.name) if views != SHOWN_VIEWS]
    words += [word for setting in settings for word in ("--set", setting)]
    return shlex.join([*words, "--report", report.name])
