"""A lesson as plain text, for a pipe or a pager."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.course.lesson import Lesson
from tui_trainer.findings import RULES
from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.exhibit import Exhibit
from tui_trainer.render.plain_exhibit import (
    INDENT,
    WIDTH,
    labeled,
    page,
    page_width,
    plain_lines,
    wrapped,
)

SCREENS = {
    "train": "1 Train",
    "model": "2 Model",
    "inspect": "3 Inspect",
    "check": "preflight check",
    "runs": "5 Runs",
}
"""The names of the screens that lessons refer to, with their keys."""


def print_lesson(
    lesson: Lesson,
    exhibit: Exhibit,
    observations: Sequence[str],
    shown_on: str,
    command: str,
    note: str = "",
) -> None:
    """Write a lesson and the result of its experiment to stdout.

    Args:
        lesson: The lesson.
        exhibit: The result of its experiment.
        observations: Its sentences about the reader's model.
        shown_on: The name of that model.
        command: The command that does the experiment's training; empty if done or not needed.
        note: Which data the lesson speaks of, if the model has others.

    Raises:
        OutputError: If stdout cannot be written to.
    """
    out = standard_output()
    width = page_width(out.width)
    for line in lesson_lines(lesson, exhibit, observations, shown_on, command, note, width):
        out.row(line)


def lesson_lines(
    lesson: Lesson,
    exhibit: Exhibit,
    observations: Sequence[str],
    shown_on: str,
    command: str,
    note: str = "",
    width: int = WIDTH,
) -> list[str]:
    """Return a lesson as lines of at most ``width`` columns; see :func:`print_lesson`."""
    inner = width - len(INDENT)
    parts = {
        "what it is": wrapped(lesson.what, inner),
        "why it matters": wrapped(lesson.why, inner),
        "rule of thumb": [*wrapped(lesson.rule, inner), "", *wrapped(lesson.reason, inner)],
        "trap": wrapped(lesson.trap, inner),
        "formulas": list(lesson.formulas),
        "experiment": _experiment(lesson, exhibit, shown_on, command, inner),
        "in your network": [line for text in observations for line in wrapped(text, inner)],
        "question": [
            *wrapped(lesson.question, inner),
            "",
            "answer:",
            *wrapped(lesson.answer, inner),
        ],
        "see also": _links(lesson, inner),
    }
    place = f"lesson {lesson.topic} of the course" if lesson.topic else "part one of the course"
    about = [place, *wrapped(note, width)] if note else [place]
    return page(lesson.title, about, ((head, part) for head, part in parts.items() if part))


def _experiment(
    lesson: Lesson, exhibit: Exhibit, shown_on: str, command: str, width: int
) -> list[str]:
    """Return the experiment: instructions, figures, result and uncertainty."""
    lines = [*wrapped(lesson.experiment, width), "", *wrapped(f"Shown on {shown_on}.", width), ""]
    lines += plain_lines(exhibit, width, exhibit.controls)
    if exhibit.trains and command:
        lines += ["", *wrapped(f"not trained yet: {exhibit.trains}", width), f"{INDENT}{command}"]
    return lines


def _links(lesson: Lesson, width: int) -> list[str]:
    rule_labels = {rule.code: rule.label for rule in RULES}
    findings = [rule_labels.get(code, code.replace("_", " ")) for code in lesson.findings]
    screens = [SCREENS.get(screen, screen) for screen in lesson.screens]
    lines = []
    for label, names, separator in (
        ("in the window", ["4 Learn", *screens], ", "),
        ("findings", findings, ", "),
        ("design review", list(lesson.reviews), ", "),
    ):
        if names:
            lines += labeled(label, separator.join(names), width)
    return lines
