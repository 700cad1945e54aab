"""The panel of the guided tour, above the footer: what to do next, and what to watch."""

from __future__ import annotations

from tui_trainer.course.guided_tour import Step
from tui_trainer.text.fmt import Cell, columns, fit
from tui_trainer.text.lines import Lines, paragraph
from tui_trainer.ui.keys.keymap import with_keys
from tui_trainer.ui.widgets.painting import Painted, role_styles, strip_of

KEYS = "{tour.next} next  {tour.previous} back  {tour.toggle} end"

OVER = "The run is over: press {screens.train}, then {run.again} to start it again."
"""Shown in place of a step that needs a run in training."""


class TourPanel(Painted):
    """Shows one step of the tour; it takes no focus, so that all other keys work."""

    DEFAULT_CSS = """
    TourPanel { height: 3; background: $surface; padding: 0 1; }
    .-too-small TourPanel { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._step: Step | None = None
        self._progress = (0, 0)
        self._is_over = False
        self._lines: Lines = []

    def show(self, step: Step, progress: tuple[int, int], *, is_over: bool) -> None:
        """Show a step; ``is_over`` means that no run is in training."""
        self._step, self._progress, self._is_over = step, progress, is_over
        self._fill()

    def _fill(self) -> None:
        width = self.content_size.width
        if self._step is None or not width:
            return
        lines = tour_lines(self._step, self._progress, width, is_over=self._is_over)
        if lines != self._lines:
            style = role_styles(self)
            self._lines = lines
            self._strips = [
                strip_of(((c.text, c.style) for c in cells), style, width) for cells in lines
            ]
            self.styles.height = len(lines)
            self.refresh()

    def _repaint(self) -> None:
        self._lines = []
        self._fill()


def tour_lines(step: Step, progress: tuple[int, int], width: int, *, is_over: bool) -> Lines:
    """Return a step in at most ``width`` columns: its title, what to do, and what to watch."""
    number, total = progress
    head = [
        Cell(f"tour {number} of {total} ", style="muted"),
        Cell(step.title, style="title bold"),
    ]
    keys = Cell(with_keys(KEYS), rank=1, style="muted")
    gap = width - sum(columns(cell.text) for cell in (*head, keys))
    lines: Lines = [fit([*head, Cell(" " * max(2, gap), rank=1), keys], width)]
    lines += paragraph(with_keys(step.do), "", width)
    watch, role = (with_keys(OVER), "warning") if step.live and is_over else (step.watch, "muted")
    return [*lines, *paragraph(watch, role, width)]
