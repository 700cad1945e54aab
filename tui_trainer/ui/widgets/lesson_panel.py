"""A lesson to read, and the list of all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.course.lesson import Lesson
from tui_trainer.protocol.diagnosis import Diagnosis
from tui_trainer.protocol.events import FindingRaised
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
    "check": "{screens.train} train, then {run.check}: check",
    "runs": "{screens.runs} runs",
}
"""How one comes to each screen."""


@dataclass(frozen=True, slots=True)
class LessonView:
    """What the panel is to show.

    Attributes:
        lesson: The lesson.
        observations: Its sentences about the reader's own model.
        knobs: The knobs of the run as they stand; empty before there is a run.
        findings: The findings of the run that belong to it and stand now.
        verdicts: What the review says of the network, as far as it belongs to it.
        fixable: Whether a key mends the first of the findings.
        is_open: Whether the answer is to be seen.
    """

    lesson: Lesson
    observations: tuple[str, ...] = ()
    knobs: tuple[Cell, ...] = ()
    findings: tuple[FindingRaised, ...] = ()
    verdicts: tuple[Diagnosis, ...] = ()
    fixable: FindingRaised | None = None
    is_open: bool = False


class LessonPanel(TextPanel):
    """One lesson: what it says, what it says of the reader's network, a question, and links."""

    DEFAULT_CSS = """
    LessonPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("lesson", id=id)
        self._view: LessonView | None = None

    def show(self, view: LessonView) -> None:
        """Show a lesson; another one from its beginning."""
        if view == self._view:
            return
        is_other = self._view is None or view.lesson != self._view.lesson
        self._view = view
        self.border_title = f"{view.lesson.topic} · {view.lesson.title}"
        verb = "fold" if view.is_open else "open"
        self.border_subtitle = with_keys(f"{{learn.answer}} {verb} the answer")
        self.fill()
        if is_other:
            self.scroll_home(animate=False)

    def show_answer(self) -> None:
        """Scroll to the answer, as far as its question stays in sight."""
        lines = lesson_lines(self._view, self._columns) if self._view else []
        words = ["".join(cell.text for cell in line) for line in lines]
        first = words.index("question")
        last = words.index("more of it") if "more of it" in words else len(words)
        self.call_after_refresh(self.show_rows, range(first, last))

    @property
    def _columns(self) -> int:
        return self.scrollable_content_region.width - 1

    def lines(self, width: int) -> Lines:
        """Return the lesson."""
        return lesson_lines(self._view, width - 1) if self._view else []


class LessonList(ChoiceList):
    """The lessons by their topics' numbers; one of them is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [*LESSON_LIST_KEYS]
    HINT = "{learn.next} next · {learn.previous} back"

    def __init__(self, lessons: Sequence[Lesson], *, id: str) -> None:  # noqa: A002
        super().__init__("lessons", id=id)
        self._lessons = lessons

    def lines(self, width: int) -> Lines:
        """Return the numbers and titles, a long one in several lines."""
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
    """Return a lesson in lines of ``width`` columns, its prose no wider than is easy to read."""
    lesson, wide = view.lesson, min(width, PROSE)
    lines = paragraphs(lesson.what, "", wide)
    lines += [*_head("why it matters"), *paragraphs(lesson.why, "", wide)]
    lines += [*_head("rule of thumb"), *paragraph(f"▸ {lesson.rule}", "title bold", wide)]
    lines += paragraphs(lesson.reason, "", wide)
    lines += [*_head("the trap"), *paragraphs(f"▲ {lesson.trap}", "warning", wide)]
    if lesson.formulas:
        formulas = "\n".join(f"  {formula}" for formula in lesson.formulas)
        lines += [*_head("formulas"), *kept_lines(formulas, "title", width)]
    lines += [*_head("the experiment"), *paragraphs(lesson.experiment, "", wide)]
    lines += [*_head("in your network"), *_here(view, wide)]
    lines += [*_head("question"), *paragraphs(lesson.question, "", wide)]
    if view.is_open:
        lines += paragraphs(f"✓ {lesson.answer}", "ok", wide)
    else:
        lines += paragraph(with_keys("{learn.answer} opens the answer"), "muted", wide)
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
        if found.advice:
            key = apply_key(view.fixable, found)
            lines += paragraph(f"try: {found.advice}{key}", "title", width, indent=2)
    for verdict in view.verdicts:
        lines += _short(verdict, width)
    return lines


def _short(found: Diagnosis, width: int) -> Lines:
    """Return a diagnosis without its advice."""
    title = paragraph(found.heading, SEVERITY_ROLES[found.severity], width)
    return [*title, *paragraph(found.evidence, "", width, indent=2)]


def _links(view: LessonView, width: int) -> Lines:
    """Return where one sees more of it, and what is watched for."""
    lesson = view.lesson
    screens = " · ".join(with_keys(SCREENS[name]) for name in lesson.screens)
    watched = ", ".join(code.replace("_", " ") for code in lesson.findings)
    reviewed = ", ".join(title.replace("-", " ") for title in lesson.reviews)
    lines: Lines = []
    for name, told in (("screens", screens), ("findings", watched), ("review", reviewed)):
        if told:
            lines += paragraph(f"{name}: {told}", "muted", width)
    return [*_head("more of it"), *lines] if lines else []
