"""The lesson panel, and the list of lessons."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.course.lesson import Lesson
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import FindingRaised
from tui_trainer.render.cause_lines import cause_lines
from tui_trainer.text.fmt import Cell
from tui_trainer.text.lines import PROSE, Lines, kept_lines, paragraph, paragraphs
from tui_trainer.ui.keys.keymap import LESSON_LIST_KEYS, with_keys
from tui_trainer.ui.widgets.choice_list import ChoiceList
from tui_trainer.ui.widgets.finding_lines import SEVERITY_ROLES, apply_key
from tui_trainer.ui.widgets.panel import TextPanel

SCREENS = {
    "train": "{screens.train} train",
    "model": "{screens.model} model",
    "inspect": "{screens.inspect} inspect",
    "check": "{screens.train} train, then {run.check} check",
    "runs": "{screens.runs} runs",
}
"""How to get to each screen."""


@dataclass(frozen=True, slots=True)
class LessonView:
    """The content of the panel.

    Attributes:
        lesson: The lesson.
        note: Which data it speaks of, if the run has others.
        here: Its observations on the live run's model.
        knobs: The current settings of the run; empty before it starts.
        findings: The active findings of the run that belong to the lesson.
        verdicts: The verdicts of the design review that belong to the lesson.
        fixable: The finding that a key can fix, if any.
        is_open: Whether the answer is shown.
    """

    lesson: Lesson
    note: str = ""
    observations: tuple[str, ...] = ()
    knobs: tuple[Cell, ...] = ()
    findings: tuple[FindingRaised, ...] = ()
    verdicts: tuple[Diagnosis, ...] = ()
    fixable: FindingRaised | None = None
    is_open: bool = False


class LessonPanel(TextPanel):
    """One lesson: its text, its observations on the live run, a question, and links."""

    DEFAULT_CSS = """
    LessonPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("lesson", id=id)
        self._view: LessonView | None = None

    def show(self, view: LessonView) -> None:
        """Show a lesson; a new one from its start."""
        if view == self._view:
            return
        is_other = self._view is None or view.lesson != self._view.lesson
        self._view = view
        self.border_title = f"{view.lesson.topic} · {view.lesson.title}"
        verb = "hide" if view.is_open else "show"
        self.border_subtitle = with_keys(f"{{learn.answer}} {verb} the answer")
        self.fill()
        if is_other:
            self.scroll_home(animate=False)

    def show_answer(self) -> None:
        """Scroll to the answer; its question stays visible."""
        lines = lesson_lines(self._view, self._columns) if self._view else []
        words = ["".join(cell.text for cell in line) for line in lines]
        first = words.index("question")
        last = words.index("see also") if "see also" in words else len(words)
        self.call_after_refresh(self.show_rows, range(first, last))

    @property
    def _columns(self) -> int:
        return self.scrollable_content_region.width - 1

    def lines(self, width: int) -> Lines:
        """Return the lesson."""
        return lesson_lines(self._view, width - 1) if self._view else []


class LessonList(ChoiceList):
    """The lessons by the number of their topic."""

    BINDINGS: ClassVar[list[BindingType]] = [*LESSON_LIST_KEYS]
    HINT = "{learn.next} next · {learn.previous} back"

    def __init__(self, lessons: Sequence[Lesson], *, id: str) -> None:  # noqa: A002
        super().__init__("lessons", id=id)
        self._lessons = lessons

    def lines(self, width: int) -> Lines:
        """Return the numbers and titles; long titles take several lines."""
        lines: Lines = []
        for place, lesson in enumerate(self._lessons):
            is_chosen = place == self._place
            role = "title bold" if is_chosen else ""
            titles = textwrap.wrap(lesson.title, max(10, width - 6))
            if is_chosen:
                self._rows = range(len(lines), len(lines) + len(titles))
            for number, title in enumerate(titles):
                sign = "▸ " if is_chosen and number == 0 else "  "
                topic = f"{lesson.topic:2} " if number == 0 else "   "
                lines.append(
                    [Cell(sign, style="title"), Cell(topic, style="muted"), Cell(title, style=role)]
                )
        return lines


def lesson_lines(view: LessonView, width: int) -> Lines:
    """Return a lesson in lines of ``width`` columns; prose is limited to a readable width."""
    lesson, wide = view.lesson, min(width, PROSE)
    lines = [*paragraph(view.note, "muted", wide), []] if view.note else []
    lines += paragraphs(lesson.what, "", wide)
    lines += [*_head("why it matters"), *paragraphs(lesson.why, "", wide)]
    lines += [*_head("rule of thumb"), *paragraph(f"▸ {lesson.rule}", "title bold", wide)]
    lines += paragraphs(lesson.reason, "", wide)
    lines += [*_head("the trap"), *paragraphs(f"▲ {lesson.trap}", "warning", wide)]
    if lesson.formulas:
        formulas = "\n".join(f"  {formula}" for formula in lesson.formulas)
        lines += [*_head("formulas"), *kept_lines(formulas, "title", width)]
    lines += [*_head("the experiment"), *paragraphs(lesson.experiment, "", wide)]
    lines += [*_head("in your model"), *_here(view, wide)]
    lines += [*_head("question"), *paragraphs(lesson.question, "", wide)]
    if view.is_open:
        lines += paragraphs(f"✓ {lesson.answer}", "ok", wide)
    else:
        lines += paragraph(with_keys("press {learn.answer} for the answer"), "muted", wide)
    return lines + _links(view, wide)


def _head(words: str) -> Lines:
    return [[], [Cell(words, style="title bold")]]


def _here(view: LessonView, width: int) -> Lines:
    lines: Lines = []
    for sentence in view.observations:
        lines += paragraph(sentence, "", width)
    if view.knobs:
        lines.append(list(view.knobs))
    for found in view.findings:
        lines += _short(found, width)
        lines += cause_lines(found, width, key=apply_key(view.fixable, found), is_full=False)
    for verdict in view.verdicts:
        lines += _short(verdict, width)
    return lines


def _short(found: Diagnosis, width: int) -> Lines:
    """Return title and evidence of a diagnosis."""
    title = paragraph(found.heading, SEVERITY_ROLES[found.severity], width)
    return [*title, *paragraph(found.evidence, "", width, indent=2)]


def _links(view: LessonView, width: int) -> Lines:
    """Return the related screens, findings and verdicts."""
    lesson = view.lesson
    screens = " · ".join(with_keys(SCREENS[name]) for name in lesson.screens)
    watched = ", ".join(code.replace("_", " ") for code in lesson.findings)
    reviewed = ", ".join(title.replace("-", " ") for title in lesson.reviews)
    lines: Lines = []
    for name, text in (("screens", screens), ("findings", watched), ("review", reviewed)):
        if text:
            lines += paragraph(f"{name}: {text}", "muted", width)
    return [*_head("see also"), *lines] if lines else []
