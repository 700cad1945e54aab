"""A chart: one picture, repainted only when it has changed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.events import Resize
from textual.strip import Strip
from textual.widget import Widget

from tui_trainer.plots import Scale, chart
from tui_trainer.run.text import Cell, fit
from tui_trainer.ui.pictures import Picture
from tui_trainer.ui.widgets.painting import content_of, strips_of


class Chart(Widget):
    """Draws a :class:`Picture`; its latest figures stand in the title."""

    DEFAULT_CSS = """
    Chart {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1 0 0;
    }

    """

    def __init__(self, title: str, scale: Scale, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = self._title = title
        self.border_subtitle = "epochs"
        self._scale = scale
        self._picture = Picture(x_max=1.0)
        self._strips: list[Strip] | None = None

    def compose(self) -> ComposeResult:
        """Nothing inside: it paints its own lines."""
        return iter(())

    def on_mount(self) -> None:
        """Paint anew in the colours of a new theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())

    def on_resize(self, _: Resize) -> None:
        """Paint anew in the new size."""
        self._repaint()

    def show(self, picture: Picture) -> None:
        """Show a picture from now on."""
        self._picture = picture
        self._repaint()

    def _repaint(self) -> None:
        self._strips = None
        legend = fit(self._picture.legend, self.size.width - len(self._title) - 4)
        self.border_title = content_of([Cell(self._title), *legend]).markup
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture."""
        if self._strips is None:
            self._strips = self._paint()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def _paint(self) -> list[Strip]:
        width, height = self.size
        picture = self._picture
        rows = chart(
            width,
            height,
            x_max=picture.x_max,
            scale=self._scale,
            lines=picture.lines,
            points=picture.points,
            marks=picture.marks,
        )
        return strips_of(self, rows, width)
