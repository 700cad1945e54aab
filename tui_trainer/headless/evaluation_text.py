"""The views of a recorded run, as plain text and as one JSON object."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tui_trainer.course.subject import name_of
from tui_trainer.headless.questions import run_questions
from tui_trainer.headless.streams import standard_output
from tui_trainer.headless.view_questions import IMAGES, Shown, ViewQuestions
from tui_trainer.protocol.events import Event, FindingRaised, RunStarted
from tui_trainer.render.plain_exhibit import INDENT, WIDTH, page, page_width, plain_lines, wrapped
from tui_trainer.stats.intervals import wilson
from tui_trainer.text.fmt import accuracy_with_interval, count, plural
from tui_trainer.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluated run.

    Attributes:
        run: The run's name.
        checkpoint: The checkpoint: ``last``, ``best``, ``epoch-5``.
        epoch: The epoch of the checkpoint; ``step``: its step.
        started: The first event of the run: model and data.
        images: The evaluated images: ``validation``, ``training`` or ``test``.
        total: The number of images; ``correct``: how many were predicted correctly.
        test_evaluations: The number of test evaluations of this run so far.
        views: The views.
        findings: The findings active at the checkpoint; None if they were not asked for.
    """

    run: str
    checkpoint: str
    epoch: int
    step: int
    started: RunStarted
    images: str
    total: int
    correct: int
    test_evaluations: int
    views: tuple[Shown, ...]
    findings: tuple[FindingRaised, ...] | None = None

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy (Wilson)."""
        return wilson(self.correct, self.total)

    @property
    def is_on_test(self) -> bool:
        """Whether the images are those of the test set."""
        return self.images == "test"


def evaluate(
    events: Iterable[Event],
    sequence: ViewQuestions,
    *,
    run: str,
    checkpoint: str,
    epoch: int,
    clock: Callable[[], float] = time.monotonic,
) -> Evaluation:
    """Ask for the views, and return what they show.

    Args:
        events: The events while the questions of ``sequence`` are answered.
        sequence: The questions.
        run: The run's name.
        checkpoint: The checkpoint's name.
        epoch: The checkpoint's epoch.
        clock: A monotonic clock, in seconds.

    Raises:
        InputError: If a control has no such value.
        ValueError: If nothing was shown.
    """
    started, overview = run_questions(events, sequence, clock), sequence.overview
    if overview is None:
        raise ValueError("the run showed nothing")
    images = next(str(each.value) for each in overview.controls if each.name == IMAGES)
    total, correct = (overview.figures[name] for name in ("images", "correct"))
    assert isinstance(total, int)
    assert isinstance(correct, int)
    return Evaluation(
        run=run,
        checkpoint=checkpoint,
        epoch=epoch,
        step=sequence.step,
        started=started,
        images=images,
        total=total,
        correct=correct,
        test_evaluations=sequence.test_evaluations,
        views=tuple(sequence.shown),
    )


# --- as plain text


def print_evaluation(found: Evaluation) -> None:
    """Write an evaluation to stdout.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    out = standard_output()
    for line in evaluation_lines(found, page_width(out.width)):
        out.row(line)


def evaluation_lines(found: Evaluation, width: int = WIDTH) -> list[str]:
    """Return an evaluation as lines of at most ``width`` columns."""
    head = [
        line
        for text in (about(found), accuracy_line(found), *test_evaluation_lines(found))
        for line in wrapped(text, width)
    ]
    sections = []
    for shown in found.views:
        is_single = len(found.views) == 1
        controls = [each for each in shown.exhibit.controls if is_single and each.name != IMAGES]
        inner = width - len(INDENT)
        part = plain_lines(shown.exhibit, inner, controls)
        sections.append((shown.view.title, [*wrapped(shown.view.about, inner), "", *part]))
    return page(f"run {found.run}", head, sections)


def about(found: Evaluation) -> str:
    """Return the model, its data and its checkpoint."""
    started = found.started
    return (
        f"{started.model}, {plural(started.parameters, 'parameter')}, on {name_of(started)}; "
        f"checkpoint {found.checkpoint}, step {count(found.step)}, epoch {count(found.epoch)}"
    )


def accuracy_line(found: Evaluation) -> str:
    """Return the accuracy and the number of images."""
    text = accuracy_with_interval(found.accuracy, found.interval)
    return f"accuracy {text} on {count(found.total)} {found.images} images"


def test_evaluation_lines(found: Evaluation) -> list[str]:
    """Return the number of test evaluations; nothing without one."""
    if not found.is_on_test:
        return []
    blind = (
        ""
        if found.test_evaluations == 1
        else ": this result is no longer independent of your choices"
    )
    return [f"test evaluations: {found.test_evaluations}, counted in the run{blind}"]


# --- as JSON


def print_record(found: Evaluation, folder: str) -> None:
    """Write an evaluation to stdout as one JSON object; ``folder`` is the run's folder.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    standard_output().record(as_record(found, folder))


def as_record(found: Evaluation, folder: str) -> dict[str, Any]:
    """Return the JSON record of an evaluation; non-finite numbers become None."""
    started = found.started
    return {
        "version": __version__,
        "run": {"name": found.run, "folder": folder},
        "checkpoint": found.checkpoint,
        "step": found.step,
        "epoch": found.epoch,
        "model": started.model,
        "parameters": started.parameters,
        "dataset": started.dataset,
        "classes": started.classes,
        "class_names": list(started.class_names),
        "split": found.images,
        "images": found.total,
        "correct": found.correct,
        "accuracy": found.accuracy,
        "interval": list(found.interval),
        "test_evaluations": found.test_evaluations,
        "views": {shown.view.name: plain(shown.exhibit.figures) for shown in found.views},
    }


def plain(value: object) -> Any:
    """Return figures for JSON: non-finite numbers become None, tuples become lists."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(name): plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value
