"""A line of text that is cheap to paint."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from tui_trainer.text.fmt import Cell, fit
from tui_trainer.ui.widgets.painting import Painted, Styles, role_styles, strip_of


class CellLine(Painted):
    """A line of cells that is painted only if one of them has changed.

    It builds its own strip, which costs a third of laying out and styling a text: these lines are
    painted more often than anything else.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._cells: list[Cell] = []
        self._style: Styles | None = None

    def cells(self, width: int) -> list[Cell]:
        """Return the cells of the line in ``width`` columns."""
        raise NotImplementedError

    def update(self) -> None:
        """Paint the line if it has changed."""
        cells = self.cells(self.size.width)
        if cells != self._cells:
            self._cells = cells
            self.refresh()

    def _repaint(self) -> None:
        self._style = None
        self._cells = self.cells(self.size.width)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        self._style = self._style or role_styles(self)
        return strip_of(((c.text, c.style) for c in self._cells), self._style, self.size.width)


class ShownLine(CellLine):
    """A line that shows given cells."""

    DEFAULT_CSS = """
    ShownLine { height: 1; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._content: Sequence[Cell] = ()

    def show(self, cells: Sequence[Cell]) -> None:
        """Show these cells."""
        self._content = cells
        self.update()

    def cells(self, width: int) -> list[Cell]:
        """Return the cells that fit."""
        return fit(self._content, width)
