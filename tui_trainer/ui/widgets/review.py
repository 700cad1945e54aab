"""What the design review says of the network: the wrong first, what is good last."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui_trainer.run import text
from tui_trainer.run.text import Cell
from tui_trainer.run.topics import TOPICS
from tui_trainer.run.verdicts import SIGNS, Verdict, by_severity, counts
from tui_trainer.ui.widgets.finding_lines import Lines, paragraph
from tui_trainer.ui.widgets.painting import content_of
from tui_trainer.ui.widgets.panel import TextPanel


class ReviewPanel(TextPanel):
    """The verdicts with their evidence."""

    DEFAULT_CSS = """
    ReviewPanel { scrollbar-gutter: stable; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("design review", id=id)
        self._verdicts: tuple[Verdict, ...] | None = None

    def show(self, verdicts: tuple[Verdict, ...]) -> None:
        """Show a network's verdicts."""
        if verdicts != self._verdicts:
            self._verdicts = verdicts
            self.border_subtitle = summary(verdicts)
            self.fill()

    def text(self, width: int) -> Content:
        """Return the verdicts, gravest first."""
        lines = review_lines(self._verdicts or (), width - 1)
        return Content("\n").join(content_of(line) for line in lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts there are of each kind: ``2 wrong · 3 look · 9 good``."""
    return " · ".join(f"{number} {kind}" for kind, number in counts(verdicts).items() if number)


def review_lines(verdicts: Sequence[Verdict], width: int) -> Lines:
    """Return the verdicts in lines of ``width`` columns."""
    if not verdicts:
        return paragraph("this run was recorded without a review", "muted", width)
    lines: Lines = []
    for verdict in by_severity(verdicts):
        lines += _verdict_lines(verdict, width)
    return lines[:-1]


def _verdict_lines(verdict: Verdict, width: int) -> Lines:
    role = verdict.verdict
    title = f"{SIGNS[role]} {verdict.title}"
    topic = f"topic {verdict.lesson}"
    named = f"{topic}: {TOPICS[verdict.lesson]}" if verdict.lesson in TOPICS else topic
    if text.columns(title) + text.columns(named) + 2 <= width:
        topic = named
    gap = width - text.columns(title) - text.columns(topic)
    evidence = verdict.evidence
    if gap >= 2:
        head: Lines = [
            [Cell(title, style=f"{role} bold"), Cell(" " * gap), Cell(topic, style="muted")]
        ]
    else:
        head = paragraph(title, f"{role} bold", width)
        evidence += f" · {topic}"
    lines: Lines = [*head, *paragraph(evidence, "", width, indent=2)]
    if verdict.advice:
        lines += paragraph(f"try: {verdict.advice}", "title", width, indent=2)
    return [*lines, []]
