"""A chart that paints only the rows that have changed."""

from __future__ import annotations

from collections.abc import Callable

from textual.geometry import Region
from textual.strip import Strip

from tui_trainer.render.plots import Row, Scale, chart
from tui_trainer.text.fmt import Cell, fit
from tui_trainer.ui.chart_view import ChartView
from tui_trainer.ui.run_curves import ChartContent
from tui_trainer.ui.widgets.painting import Painted, Styles, content_of, role_styles, strip_of


class Chart(Painted):
    """Draws a :class:`ChartContent`; its title has the latest figures."""

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
        self.view = ChartView()
        self._content: Callable[[ChartView], ChartContent] = lambda _: ChartContent(x_max=1.0)
        self._legend: list[Cell] = []
        self._style: Styles | None = None
        self._rows: list[Row] = []

    def on_show(self) -> None:
        """Paint what was skipped while the chart was hidden."""
        self._repaint()

    def show(self, content: Callable[[ChartView], ChartContent]) -> None:
        """Show this content; it is built only while the chart is visible."""
        self._content = content
        if self.is_on_screen:
            self._update()

    def _repaint(self) -> None:
        """Paint everything."""
        self._style = None
        self._rows = []
        self._update()

    def _update(self) -> None:
        """Paint the rows that differ from those on the screen, and a changed title."""
        content = self._content(self.view)
        width, height = self.size
        rows = chart(
            width,
            height,
            x_max=content.x_max,
            scale=content.scale or self._scale,
            lines=content.lines,
            points=content.points,
            marks=content.marks,
        )
        is_new = self._style is None or len(rows) != len(self._rows)
        style = self._style = self._style or role_styles(self)
        changed = [y for y, row in enumerate(rows) if is_new or row != self._rows[y]]
        self._strips = [Strip([])] * len(rows) if is_new else self._strips
        for y in changed:
            self._strips[y] = strip_of(rows[y], style, width)
        self._rows = rows
        regions = [Region(0, y, width, 1) for y in changed]
        if self._write_title(content):
            # The border surrounds the content; the title is above it.
            regions.append(Region(-1, -1, width + 3, 1))
        if is_new:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _write_title(self, content: ChartContent) -> bool:
        """Write the latest figures into the title; return whether they changed."""
        legend = fit(content.legend, self.size.width - len(self._title) - 4)
        if legend == self._legend:
            return False
        self._legend = legend
        # Textual's private attribute: setting the public one would repaint the whole widget.
        self._border_title = content_of([Cell(self._title), *legend])
        return True
