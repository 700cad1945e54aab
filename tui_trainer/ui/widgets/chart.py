"""A chart that paints only the rows that have changed, with its own keys once it is focused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.events import (
    Click,
    MouseDown,
    MouseEvent,
    MouseMove,
    MouseScrollDown,
    MouseScrollUp,
    MouseUp,
)
from textual.geometry import Region
from textual.strip import Strip

from tui_trainer.render.plots import Drawing, Row, Scale, Segment, XAxis, draw
from tui_trainer.text import fmt
from tui_trainer.text.fmt import Cell, columns, fit
from tui_trainer.ui.chart_view import SMOOTHINGS, X_NAMES, ChartView, KeepsChartViews
from tui_trainer.ui.drawn_curves import scale_names
from tui_trainer.ui.keys.keymap import CHART_KEYS
from tui_trainer.ui.run_curves import ChartContent, LegendRow
from tui_trainer.ui.widgets.painting import Painted, Styles, content_of, role_styles, strip_of

ZOOM = 0.5
"""The factor of one step of zoom."""

PAN = 0.5
"""The share of the window that one step pans."""

SIDE_LEGEND = 90
"""Minimum columns for the legend of several runs next to the plot; below it in a smaller chart."""

LEGEND_SHARE = 0.4
"""The largest share of the columns, or lines, for that legend."""


class Chart(Painted, can_focus=True):
    """Draws a :class:`ChartContent`; its title has the latest figures, or those at the cursor.

    Attributes:
        link: Charts of one screen with the same link share x axis, zoom and cursor; empty for none.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*CHART_KEYS]
    DEFAULT_CSS = """
    Chart {
        border: round $role-border;
        border-title-color: $role-title;
        border-subtitle-color: $role-muted;
        padding: 0 1 0 0;
    }
    Chart:focus { border: round $primary; }
    Chart.-maximized { height: 1fr; width: 1fr; margin: 0; }
    """

    def __init__(self, title: str, scale: Scale, *, id: str, link: str = "") -> None:  # noqa: A002
        super().__init__(id=id)
        self.border_title = self._title = title
        self.border_subtitle = self._subtitle = "epochs"
        self.link = link
        self._scale = scale
        self._content: Callable[[ChartView], ChartContent] = lambda _: ChartContent(x_max=1.0)
        self._views_kept: dict[str, ChartView] = {}
        self._legend: list[Cell] = []
        self._style: Styles | None = None
        self._rows: list[Row] = []
        self._x_max = 1.0
        self._last_x = 0.0
        self._x_axis: XAxis | None = None
        self._left = 0
        self._dragged_from: int | None = None
        self._has_moved = False

    def on_show(self) -> None:
        """Paint what was skipped while the chart was hidden."""
        self._repaint()

    def show(self, content: Callable[[ChartView], ChartContent]) -> None:
        """Show this content for the view of the chart; built only while the chart is visible."""
        self._content = content
        if self.is_on_screen:
            self._update()

    @property
    def view(self) -> ChartView:
        """The axes, smoothing, zoom and cursor; the app keeps them by the id of the chart."""
        return self._views.get(self.id or "", ChartView())

    @property
    def _views(self) -> dict[str, ChartView]:
        return self.app.chart_views if isinstance(self.app, KeepsChartViews) else self._views_kept

    def set_view(self, view: ChartView) -> None:
        """Show the chart in another view, and linked charts with the same x axis."""
        self._views[self.id or ""] = view
        self._update()
        if not self.link:
            return
        for other in self.screen.query(Chart):
            if other is not self and other.link == self.link:
                other._follow(view)

    def _follow(self, view: ChartView) -> None:
        mine = replace(self.view, x=view.x, window=view.window, cursor=view.cursor)
        if mine != self.view:
            self._views[self.id or ""] = mine
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
        rows = self._draw(content)
        width = self.size.width
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
        self._write_subtitle(content)
        if is_new:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _draw(self, content: ChartContent) -> list[Row]:
        """Return the rows of the plot, and of the legend of several runs next to it or below."""
        width, height = self.size
        legend = content.rows
        is_wide = width >= SIDE_LEGEND
        if legend and is_wide:
            side = min(round(LEGEND_SHARE * width), max(_legend_width(row) for row in legend))
            legend_rows = legend_lines(legend, side, height)
            drawing = self._plot(content, width - side - 1, height)
            rows = [
                [*row, Segment(" ", ""), *(legend_rows[y] if y < len(legend_rows) else [])]
                for y, row in enumerate(drawing.rows)
            ]
        else:
            legend_rows = legend_lines(legend, width, round(LEGEND_SHARE * height))
            drawing = self._plot(content, width, height - len(legend_rows))
            rows = [*drawing.rows, *legend_rows]
        self._x_max, self._x_axis, self._left = content.x_max, drawing.x_axis, drawing.left
        self._last_x = max((line.x[-1] for line in content.lines if len(line.x)), default=0.0)
        return rows

    def _plot(self, content: ChartContent, width: int, height: int) -> Drawing:
        return draw(
            width,
            height,
            x_range=self.view.range(content.x_max),
            scale=content.scale or self._scale,
            x_unit=content.x_unit,
            lines=content.lines,
            points=content.points,
            marks=content.marks,
            cursor=self.view.cursor,
        )

    def _write_title(self, content: ChartContent) -> bool:
        """Write the figures into the title; return whether they changed."""
        figures = list(content.legend)
        if not self._has_subtitle and (state := self._state):
            figures.append(Cell(f"  {state}", rank=4, style="muted"))
        legend = fit(figures, self.size.width - len(self._title) - 4)
        if legend == self._legend:
            return False
        self._legend = legend
        # Textual's private attribute: setting the public one would repaint the whole widget.
        self._border_title = content_of([Cell(self._title), *legend])
        return True

    def _write_subtitle(self, content: ChartContent) -> None:
        """Write what the x axis measures, and what differs from the usual view."""
        subtitle = " · ".join(part for part in (content.x_label, self._state) if part)
        if subtitle != self._subtitle:
            self.border_subtitle = self._subtitle = subtitle

    @property
    def _has_subtitle(self) -> bool:
        return bool(self.styles.border_bottom[0])

    @property
    def _state(self) -> str:
        """What differs from the usual view, in a few words."""
        view = self.view
        start, end = view.range(self._x_max)
        is_zoomed = view.window is not None and (start, end) != (0.0, self._x_max)
        return " · ".join(
            part
            for part in (
                view.y if view.y in scale_names(self._scale)[1:] else "",
                {"off": "each batch", "light": "", "strong": "smooth"}[view.smoothing],
                f"×{fmt.short_number(self._x_max / (end - start))}" if is_zoomed else "",
            )
            if part
        )

    def action_move_cursor(self, direction: int) -> None:
        """Move the cursor by a column; the first time, show it at the end of the curves."""
        view = self.view
        if self._x_axis is None:
            return
        if view.cursor is None:
            x = min(self._last_x, self._x_axis.end)
        else:
            x = view.cursor + direction * (self._x_axis.value(1) - self._x_axis.value(0))
        self.set_view(view.with_cursor(x, self._x_max))

    def action_cursor_to(self, share: float) -> None:
        """Move the cursor to the start (0) or to the end (1) of the curves."""
        self.set_view(self.view.with_cursor(share * self._last_x, self._x_max))

    def action_zoom(self, direction: int) -> None:
        """Zoom in (1) or out (-1) around the cursor, or the middle of the axis."""
        start, end = self.view.range(self._x_max)
        at = (start + end) / 2 if self.view.cursor is None else self.view.cursor
        self._zoom(direction, at)

    def _zoom(self, direction: int, at: float) -> None:
        factor = ZOOM if direction > 0 else 1 / ZOOM
        self.set_view(self.view.zoomed(factor, at, self._x_max))

    def action_pan(self, direction: int) -> None:
        """Show the part before (-1) or after (1)."""
        start, end = self.view.range(self._x_max)
        self.set_view(self.view.panned(direction * PAN * (end - start), self._x_max))

    def action_next_x(self) -> None:
        """Measure the x axis in the next unit."""
        view = self.view
        name = X_NAMES[(X_NAMES.index(view.x) + 1) % len(X_NAMES)]
        x_max = self._content(replace(view, x=name, window=None, cursor=None)).x_max
        self.set_view(view.with_x(name, x_max / self._x_max))

    def action_next_y(self) -> None:
        """Use the next scale of the y axis on which the values exist."""
        names = scale_names(self._scale)
        at = names.index(self.view.y) if self.view.y in names else 0
        place = (at + 1) % len(names)
        self.set_view(replace(self.view, y=names[place] if place else None))

    def action_next_smoothing(self) -> None:
        """Smooth the curves less or more."""
        at = SMOOTHINGS.index(self.view.smoothing)
        self.set_view(replace(self.view, smoothing=SMOOTHINGS[(at + 1) % len(SMOOTHINGS)]))

    def action_show_whole(self) -> None:
        """Show the whole run."""
        self.set_view(replace(self.view, window=None))

    def action_enlarge_chart(self) -> None:
        """Show this chart alone, or all panels again."""
        if self.screen.maximized is self:
            self.screen.minimize()
        else:
            self.screen.maximize(self, container=False)
        self.call_after_refresh(self._repaint)

    def action_leave(self) -> None:
        """Remove the cursor; without one, leave the chart.

        In full screen the same key first shows all panels again: Textual binds it to that.
        """
        if self.view.cursor is not None:
            self.set_view(replace(self.view, cursor=None))
        else:
            self.screen.set_focus(None)

    def _column(self, event: MouseEvent) -> int | None:
        """Return the column of the plot under the mouse."""
        offset = event.get_content_offset(self)
        if offset is None or self._x_axis is None:
            return None
        column = offset.x - self._left
        return column if 0 <= column < self._x_axis.cells else None

    def _x_at(self, event: MouseEvent) -> float | None:
        column = self._column(event)
        return None if column is None or self._x_axis is None else self._x_axis.value(column)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zoom in at the mouse."""
        self._scroll_zoom(event, 1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zoom out at the mouse."""
        self._scroll_zoom(event, -1)

    def _scroll_zoom(self, event: MouseEvent, direction: int) -> None:
        x = self._x_at(event)
        if x is not None:
            event.stop()
            self._zoom(direction, x)

    def on_mouse_down(self, event: MouseDown) -> None:
        """Start to drag the curves."""
        self._dragged_from, self._has_moved = self._column(event), False
        if self._dragged_from is not None:
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Pan with the mouse."""
        if self._dragged_from is None or self._x_axis is None:
            return
        column = self._column(event)
        if column is None or column == self._dragged_from:
            return
        self._has_moved = True
        distance = self._x_axis.value(self._dragged_from) - self._x_axis.value(column)
        self._dragged_from = column
        self.set_view(self.view.panned(distance, self._x_max))

    def on_mouse_up(self, event: MouseUp) -> None:
        """Stop to drag."""
        self._dragged_from = None
        self.release_mouse()

    def on_click(self, event: Click) -> None:
        """Move the cursor to the mouse; a double click shows this chart alone."""
        if event.chain == 2:
            self.action_enlarge_chart()
            return
        x = self._x_at(event)
        if x is not None and not self._has_moved:
            self.set_view(self.view.with_cursor(x, self._x_max))


def _legend_width(row: LegendRow) -> int:
    return sum(columns(cell.text) for cell in row.cells)


def legend_lines(legend: tuple[LegendRow, ...], width: int, height: int) -> list[Row]:
    """Return the legend of several runs in at most ``height`` lines of ``width`` columns.

    The names are cut where they do not fit; a last line counts the runs that do not.
    """
    shown = legend if len(legend) <= height else legend[: max(0, height - 1)]
    widest = max((columns(row.value) for row in shown), default=0)
    room = max(4, width - 4 - widest)
    room = min(room, max((columns(row.name) for row in shown), default=0))
    lines: list[Row] = []
    for row in shown:
        name = fmt.clip(row.name, room)
        name += " " * (room - columns(name))
        parts = [(f"{row.glyph} ", row.role), (name, "title"), (f"  {row.value}", row.role)]
        lines.append([Segment(text, role) for text, role in parts])
    if len(shown) < len(legend) and height > 0:
        lines.append([Segment(f"… and {len(legend) - len(shown)} more", "muted")])
    return lines
