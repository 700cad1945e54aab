"""The content of the panels of the Learn and Inspect screens, from a run."""

from __future__ import annotations

from dataclasses import replace

from tui_trainer.course.lesson import Lesson
from tui_trainer.course.placeholders import observations
from tui_trainer.protocol.diagnosis import by_severity
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.protocol.inspection import View
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, count
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.runs.limits import question_limit
from tui_trainer.ui.runs.live_run import LiveRun
from tui_trainer.ui.runs.questions import ExhibitQuestions
from tui_trainer.ui.widgets.exhibit_head import ExhibitView
from tui_trainer.ui.widgets.lesson_panel import LessonView


def belongs_to(found: FindingRaised, lesson: Lesson) -> bool:
    """Return whether a finding belongs to a lesson."""
    return found.lesson == lesson.topic or found.code in lesson.findings


def unavailable_reason(run: LiveRun) -> str:
    """Return why the engine cannot answer questions about a run; empty if it can."""
    history = run.history
    if history.failure is not None:
        keys = with_keys("({screens.train}, then {run.again})")
        return f"The run has failed. Start it again to continue here {keys}."
    if history.started is None:
        detail = f": {history.detail}" if history.detail else ""
        return f"Preparing the run{detail} …"
    return question_limit(history.started)


def lesson_view(run: LiveRun, lesson: Lesson, *, is_open: bool) -> LessonView:
    """Return a lesson with its observations on a run; ``is_open`` shows the answer."""
    history = run.history
    review = by_severity(history.started.review) if history.started else ()
    lesson = lesson.about(history.started)
    return LessonView(
        lesson=lesson,
        note=lesson.data_note(history.started),
        observations=observations(lesson, history),
        knobs=tuple(_knobs(run)),
        findings=tuple(found for found in run.selection.shown if belongs_to(found, lesson)),
        verdicts=tuple(
            verdict
            for verdict in review
            if verdict.lesson == lesson.topic or verdict.title in lesson.reviews
        ),
        fixable=run.fixable(),
        is_open=is_open,
    )


def exhibit_view(run: LiveRun, lesson: Lesson, control: int) -> ExhibitView:
    """Return the experiment of a lesson; ``control`` is the index of the chosen control."""
    is_here = run.experiment.subject == lesson.slug
    return _training_view(
        run, run.experiment, f"{lesson.topic} · {lesson.title}", control, is_here=is_here
    )


def race_view(run: LiveRun, control: int) -> ExhibitView:
    """Return the race; ``control`` is the index of the chosen control."""
    view = _training_view(run, run.race, "fork and race", control)
    return replace(view, noun=f"from step {count(run.race.step)}", verb="races")


def find_lr_view(run: LiveRun, control: int) -> ExhibitView:
    """Return the learning rate finder; ``control`` is the index of the chosen control."""
    view = _training_view(run, run.find_lr, "learning rate finder", control)
    return replace(view, noun=f"at step {count(run.find_lr.step)}", verb="tests")


def _training_view(
    run: LiveRun, questions: ExhibitQuestions, title: str, control: int, *, is_here: bool = True
) -> ExhibitView:
    """Return an exhibit that enter trains for; empty if it is of another subject."""
    quiet = unavailable_reason(run)
    exhibit = questions.exhibit if is_here else None
    controls = questions.controls if is_here else ()
    return ExhibitView(
        title=title,
        exhibit=exhibit,
        controls=controls,
        chosen=min(control, max(0, len(controls) - 1)),
        trains="" if quiet else questions.trains,
        unavailable_reason=quiet
        or questions.rejection
        or ("" if exhibit else run.preparing or "waiting for the engine …"),
        is_running=questions.is_running,
        is_stopped=questions.is_stopped,
        waits=not run.is_paused and not run.history.is_over,
        has_result=questions.has_result,
    )


def _knobs(run: LiveRun) -> list[Cell]:
    """Return the knobs with their values and requested values."""
    cells: list[Cell] = []
    for setting, value in run.history.shown_settings.items():
        gap = "   " if cells else ""
        cells.append(Cell(f"{gap}{fmt.KNOB_NAMES[setting]} ", style="muted"))
        cells.append(Cell(fmt.knob(setting, value), style="intervention"))
        requested = run.requested.get(setting)
        if requested is not None and requested != value:
            cells.append(Cell(f" → {fmt.knob(setting, requested)}", style="intervention bold"))
    return cells


def inspection_view(run: LiveRun, view: View, control: int | None) -> ExhibitView:
    """Return a view of the model.

    Args:
        run: The run.
        view: The view.
        control: The index of the chosen control; None for the matrix if there is one, else the
            first.
    """
    inspection, quiet = run.inspection, unavailable_reason(run)
    exhibit = inspection.exhibit if inspection.subject == view.name else None
    waiting = "" if exhibit and not inspection.is_running else run.preparing or "computing …"
    shown = ExhibitView(
        title=view.title,
        exhibit=exhibit,
        controls=inspection.controls if exhibit else (),
        trains="" if quiet or exhibit is None or inspection.is_running else exhibit.trains,
        unavailable_reason=quiet or inspection.rejection or waiting,
        noun=f"after step {count(inspection.step)}" if exhibit else view.about,
        verb="continues",
    )
    return shown.with_matrix_chosen(control)
