"""``mnist-tui learn``: a lesson as plain text, with its experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_trainer.cli.iteration_table import (
    DEFAULT_FILE,
    ETA,
    ITERATIONS,
    TableOptions,
    check_table,
    write_table,
)
from tui_trainer.cli.moved_paths import MovedPaths, with_changes
from tui_trainer.cli.options import Controls, Debug, ModelArgument, one_model, option
from tui_trainer.cli.saved import SavedRun, answers, saved_run
from tui_trainer.history.history import History
from tui_trainer.protocol.commands import Mode
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.protocol.reference import parse_reference
from tui_trainer.text.fmt import count, plural

if TYPE_CHECKING:
    from tui_trainer.course.lesson import Lesson
    from tui_trainer.protocol.events import RunStarted


def learn(
    topic: Annotated[
        str | None,
        typer.Argument(
            help="Lesson number, name or start of the name; default: list all lessons",
            metavar="LESSON",
            show_default=False,
        ),
    ] = None,
    argument: ModelArgument = None,
    model: Annotated[
        str | None, option("Same as the argument MODEL; with --run, the new path of its model")
    ] = None,
    data_dir: Annotated[str | None, option("Folder of data; replaces MNIST")] = None,
    run: Annotated[
        str | None, option("Use the model of this recorded run: name or folder", "--run")
    ] = None,
    settings: Controls = None,
    trains: Annotated[
        bool, option("Also run the experiment's training (about 15 s)", "--try")
    ] = False,
    layout: Annotated[
        str | None,
        option(
            "For backpropagation: the table of iterations as csv, or as a spreadsheet with live "
            "formulas (xlsx)",
            "--as",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(f"With --as: the new file (csv: print it, xlsx: {DEFAULT_FILE})", "--out"),
    ] = None,
    eta: Annotated[float | None, option(f"With --as: learning rate ({ETA:g})")] = None,
    iterations: Annotated[
        int | None, option(f"With --as: number of iterations ({ITERATIONS})")
    ] = None,
    threads: Annotated[
        int | None, option("CPU threads; default with --try: the fastest in a short trial")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show a lesson and run its experiment, or list the lessons."""
    from tui_trainer.course.lesson import find_lesson, lessons

    found = None if topic is None else find_lesson(topic)
    model = one_model(argument, model)
    options: dict[str, object] = {"--model": model, "--run": run, "--set": settings}
    options |= {"--data-dir": data_dir}
    options |= {"--try": trains, "--threads": threads}
    given = [name for name, value in options.items() if value is not None and value is not False]
    chosen = TableOptions(layout, out, eta, iterations)
    check_table(found, given, chosen)
    if layout is not None:
        write_table(chosen)
    elif found is None:
        if given:
            raise InputError(f"{given[0]}: needs a lesson; list them with mnist-tui learn")
        from tui_trainer.headless.lesson_list import print_list

        print_list(lessons())
    elif run is not None:
        if model is not None and parse_reference(model) is None:
            raise InputError("--model: cannot be used with --run, which brings its own model")
        saved = saved_run(run, moved=MovedPaths(model, data_dir))
        config = with_changes(saved.config, threads=_threads(threads, trains))
        _show(found, config, settings or [], trains, saved)
    else:
        given_options = {"model": model, "data_dir": data_dir}
        changes = {name: value for name, value in given_options.items() if value is not None}
        config = with_changes(RunConfig(), threads=_threads(threads, trains), **changes)
        _show(found, config, settings or [], trains)


def _threads(threads: int | None, trains: bool) -> int | None:
    """Return the number of threads; a few images are faster with one."""
    return 1 if threads is None and not trains else threads


def _show(
    lesson: Lesson,
    config: RunConfig,
    settings: list[str],
    trains: bool,
    saved: SavedRun | None = None,
) -> None:
    """Run a lesson's experiment on a model, and print the lesson with it."""
    from tui_trainer.course.placeholders import observations
    from tui_trainer.headless.lesson_page import print_lesson
    from tui_trainer.headless.questions import LessonQuestions, parse_choices, run_questions

    mode: Mode = "confirmed" if trains else "interactive"
    sequence = LessonQuestions(lesson.slug, parse_choices(settings), mode)
    started = run_questions(answers(config, sequence.questions(), saved), sequence)
    if sequence.exhibit is None:
        raise ValueError("the experiment showed nothing")
    history = History.of(saved.past if saved else (started,))
    command = (
        ""
        if trains
        else f"mnist-tui learn {lesson.slug}{_repeat_options(config, settings, saved)} --try"
    )
    lesson = lesson.about(started)
    print_lesson(
        lesson,
        sequence.exhibit,
        observations(lesson, history),
        _model_text(started, sequence.step, saved),
        command,
        lesson.data_note(started),
    )


def _repeat_options(config: RunConfig, settings: list[str], saved: SavedRun | None) -> str:
    """Return the options that repeat this experiment."""
    import shlex

    options = ["--run", saved.folder.name] if saved else ["--model", config.model]
    if options == ["--model", RunConfig().model]:
        options = []
    for setting in settings:
        options += ["--set", setting]
    return f" {shlex.join(options)}" if options else ""


def _model_text(started: RunStarted, step: int, saved: SavedRun | None) -> str:
    """Return a short description of the model."""
    what = f"{started.model}, {plural(started.parameters, 'parameter')}"
    if saved is None:
        return f"{what}, untrained; use a trained model with --run RUN"
    return f"run {saved.folder.name} ({what}), step {count(step)}"
