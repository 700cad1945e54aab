"""The design review: the verdicts on the model, most severe first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui_trainer.protocol.diagnosis import Diagnosis, by_severity, tally
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import REVIEW_KEYS
from tui_trainer.ui.widgets.finding_lines import body_lines, headed
from tui_trainer.ui.widgets.panel import TextPanel


class ReviewPanel(TextPanel):
    """The verdicts with their evidence; one is chosen while the panel has the focus."""

    DEFAULT_CSS = """
    ReviewPanel { scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*REVIEW_KEYS]

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__("design review", id=id)
        self._verdicts: tuple[Diagnosis, ...] | None = None
        self._place = 0

    def show(self, verdicts: tuple[Diagnosis, ...]) -> None:
        """Show the verdicts on a model."""
        if verdicts != self._verdicts:
            self._verdicts, self._place = verdicts, 0
            self.border_subtitle = tally(verdicts)
            self.fill()

    @property
    def topic(self) -> int | None:
        """The topic of the chosen verdict, if any."""
        chosen = self._chosen
        return chosen.lesson if chosen is not None else None

    @property
    def _chosen(self) -> Diagnosis | None:
        verdicts = by_severity(self._verdicts or ())
        return verdicts[self._place] if self.has_focus and self._place < len(verdicts) else None

    def lines(self, width: int) -> Lines:
        """Return the verdicts, most severe first."""
        return review_lines(self._verdicts or (), width - 1, self._chosen)

    def on_focus(self) -> None:
        """Mark the chosen verdict."""
        self.fill()

    def on_blur(self) -> None:
        """Remove the mark of the chosen verdict."""
        self.fill()

    def action_move_verdict(self, direction: int) -> None:
        """Choose the verdict below (1) or above (-1); at the ends, scroll."""
        place = self._place + direction
        if not 0 <= place < len(self._verdicts or ()):
            self.scroll_relative(y=direction, animate=False)
            return
        self._place = place
        self.fill()
        width = self.scrollable_content_region.width
        before = by_severity(self._verdicts or ())[:place]
        top = sum(len(_verdict_lines(verdict, width - 1)) for verdict in before)
        high = len(_verdict_lines(self._chosen, width - 1, is_chosen=True)) if self._chosen else 0
        self.show_rows(range(top, top + high))


def review_lines(
    verdicts: Sequence[Diagnosis], width: int, chosen: Diagnosis | None = None
) -> Lines:
    """Return the verdicts in lines of ``width`` columns, one of them chosen."""
    if not verdicts:
        return paragraph("this run was recorded without a design review", "muted", width)
    lines: Lines = []
    for verdict in by_severity(verdicts):
        lines += _verdict_lines(verdict, width, is_chosen=verdict is chosen)
    return lines[:-1]


def _verdict_lines(verdict: Diagnosis, width: int, *, is_chosen: bool = False) -> Lines:
    return [*headed(verdict, width, is_linked=is_chosen), *body_lines(verdict, width), []]
